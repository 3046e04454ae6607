"""What pairs show, and what a pair must be a function of."""

from __future__ import annotations

from dataclasses import replace
from itertools import islice

import cv2
import numpy as np
import pytest

pytest.importorskip("torch")

from tests.training.data import STILL, rng, tiny_sampler, tiny_source
from tracker.errors import UserError
from tracker.training.crops import (
    crop_matrix,
    exemplar_side,
    warp,
)
from tracker.training.pair_options import PairOptions
from tracker.training.pairs import PairSampler
from tracker.training.sheet import show_pairs
from tracker.training.tracks import EncodedFrame, EncodedFrames, Source, Track


def test_pair_is_a_function_of_its_number() -> None:
    a, b = tiny_sampler(seed=5), tiny_sampler(seed=5)
    for index in (7, 3, 7, 100000):
        first, second = a.pair(index), b.pair(index)
        assert np.array_equal(first.search, second.search)
        assert np.array_equal(first.exemplar, second.exemplar)
        assert (first.track, first.shown, first.positive) == (
            second.track, second.shown, second.positive,
        )  # fmt: skip
        b.pair(1)
    assert not np.array_equal(a.pair(1).search, tiny_sampler(seed=6).pair(1).search)


def test_negatives_show_another_object_at_the_asked_rate() -> None:
    sampler = PairSampler([tiny_source(4, 2)], PairOptions(64, 128, negative=0.4, shift=10), 0)
    pairs = [sampler.pair(i) for i in range(80)]
    assert all(p.positive == (p.track == p.shown) for p in pairs)
    assert 0.22 < np.mean([not p.positive for p in pairs]) < 0.58


def test_one_track_alone_has_no_negatives() -> None:
    sampler = PairSampler([tiny_source(1)], PairOptions(64, 128, negative=1.0, shift=10), 0)
    assert all(sampler.pair(i).positive for i in range(10))


def test_confused_tracks_become_negatives() -> None:
    options = PairOptions(64, 128, negative=1.0, hard=1.0, shift=10)
    sampler = PairSampler([tiny_source(5, 2)], options, 0)
    before = {sampler._draw_negative(2, rng(i)) for i in range(40)}
    sampler.confused[2] = 4
    after = {sampler._draw_negative(2, rng(i)) for i in range(40)}
    assert before == {0, 1, 3, 4}
    assert after == {4}
    others = [p for p in map(sampler.pair, range(12)) if p.track == 2]
    assert others and all(p.shown == 4 for p in others)


def test_weights_of_sources() -> None:
    first, second = tiny_source(1, 1), tiny_source(3, 1)
    sources = [Source("a", first.tracks, 3.0), Source("b", second.tracks, 1.0)]
    sampler = PairSampler(sources, PairOptions(32, 64, negative=0, shift=4), 0)
    tracks = [sampler._draw_track(rng(i)) for i in range(400)]
    assert 0.68 < np.mean([t == 0 for t in tracks]) < 0.82


def test_frame_gap() -> None:
    sampler = PairSampler([tiny_source(1, 12)], PairOptions(32, 64, max_gap=2, shift=4), 0)
    frames = [sampler._draw_frames(sampler.tracks[0], rng(i)) for i in range(100)]
    gaps = [abs(a - b) for a, b in frames]
    assert set(gaps) == {0, 1, 2}


def test_plain_pairs_change_no_pixel() -> None:
    """Validation: what is shown is the picture, moved and nothing else."""
    source = tiny_source(1, 1)
    sampler = PairSampler([source], PairOptions(64, 128, shift=0).plain(), 0)
    pair = sampler.pair(3)
    box = source.tracks[0].boxes[0]
    image = cv2.imdecode(source.tracks[0].frames[0].data, 1)
    matrix = crop_matrix(box, 128, exemplar_side(box) * 2, STILL, rng(), False)
    expected = warp(image, matrix, 128, pair.search)
    # the border of the picture is blended with what lies outside
    assert (pair.search != expected).any(2).mean() < 0.02


@pytest.mark.parametrize(
    "wrong", [{"negative": 1.2}, {"paste": -0.1}, {"shift": 128}, {"max_gap": -1}, {"grey": 2}]
)
def test_options_out_of_range(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=r"found|negative"):
        PairOptions(128, 256, **wrong)  # type: ignore[arg-type]


SHARES = (
    "negative", "hard", "paste", "part", "moving_part", "distractor", "crossing", "occluder",
    "hidden", "grey", "far", "zoom", "stretch", "later", "flip", "appearance",
)  # fmt: skip


@pytest.mark.parametrize("name", SHARES)
def test_a_share_is_at_most_all_and_pairs_of_a_validation_have_none(name: str) -> None:
    with pytest.raises(ValueError, match=f"{name} is a share of 0..1, found 1.5"):
        PairOptions(128, 256, **{name: 1.5})  # type: ignore[arg-type]
    given = PairOptions(128, 256, **{name: 0.7})  # type: ignore[arg-type]
    plain = {"negative": 0.5, "hard": given.hard}.get(name, 0)
    assert getattr(given.plain(), name) == plain


def test_what_is_no_share_may_be_more_than_1() -> None:
    given = PairOptions(128, 256, max_gap=7, shift=9, scale=1.5, distort=2)
    assert given.plain() == replace(PairOptions(128, 256).plain(), max_gap=7, shift=9)
    assert (given.plain().scale, given.plain().distort) == (0, 0)


def test_shift_stays_within_its_limit() -> None:
    sampler = PairSampler([tiny_source(1, 1)], PairOptions(64, 128, shift=20).plain(), 0)
    middles = []
    for index in range(60):
        x1, y1, x2, y2 = sampler.pair(index).search_box
        middles.append([(x1 + x2) / 2 - 64, (y1 + y2) / 2 - 64])
    reach = np.abs(middles).max(0)
    assert (reach <= 20.001).all()
    assert (reach > 15).all()


@pytest.mark.parametrize(("zoom", "least", "most"), [(0.0, 0.83, 1.2), (1.0, 0.5, 2.0)])
def test_zoom_widens_the_range_of_scales(zoom: float, least: float, most: float) -> None:
    options = replace(PairOptions(64, 128, shift=4).plain(), negative=0.0, scale=0.18)
    sampler = PairSampler([tiny_source(1, 1)], replace(options, zoom=zoom), 0)
    sides = [
        np.sqrt(np.prod(p.search_box[2:] - p.search_box[:2])) for p in map(sampler.pair, range(80))
    ]
    usual = np.sqrt(np.prod(sampler.tracks[0].boxes[0, 2:]))
    usual *= 64 / exemplar_side(sampler.tracks[0].boxes[0])
    assert (np.divide(sides, usual) > least * 0.99).all()
    assert (np.divide(sides, usual) < most * 1.01).all()
    assert np.max(sides) / np.min(sides) > 0.8 * most / least


@pytest.mark.parametrize(("stretch", "most", "spread"), [(0.0, 1.25, 1.2), (1.0, 2.0, 2.2)])
def test_stretch_widens_the_range_of_aspects(stretch: float, most: float, spread: float) -> None:
    plain = PairOptions(64, 128, shift=4).plain()
    options = replace(plain, negative=0.0, distort=1.0, stretch=stretch)
    sampler = PairSampler([tiny_source(1, 1)], options, 0)
    sizes = [p.search_box[2:] - p.search_box[:2] for p in map(sampler.pair, range(80))]
    usual = sampler.tracks[0].boxes[0, 2] / sampler.tracks[0].boxes[0, 3]
    changes = np.array([w / h / usual for w, h in sizes])
    assert (changes > 0.99 / most).all() and (changes < 1.01 * most).all()
    assert changes.max() / changes.min() > spread


def test_what_stands_beside_the_target_is_named_in_the_crop() -> None:
    """The nearest like object apart from the target, where the crop's own map puts it."""
    image = np.full((80, 120, 3), 90, np.uint8)
    target, near, far = [20.0, 20, 16, 20], [44.0, 22, 16, 20], [80.0, 22, 16, 20]
    over = [22.0, 21, 16, 20]  # overlaps the target: another name of the same thing, perhaps
    for (x, y, w, h), value in ((target, 30), (near, 255), (far, 160)):
        image[int(y) : int(y + h), int(x) : int(x + w)] = value
    frames = EncodedFrames([cv2.imencode(".png", image)[1].ravel()], "clip")
    box, others = np.array([target], np.float32), np.array([far, over, near], np.float32)
    source = Source("street", (Track(frames, box, others=(others,)), Track(frames, box)))
    options = PairOptions(64, 128, shift=20).plain()
    sampler = PairSampler([source], replace(options, negative=0), 3)
    pairs = [sampler.pair(number) for number in range(40)]
    named = [p for p in pairs if p.track == 0 and np.isfinite(p.beside_box).all()]
    assert len(named) >= 8
    for pair in named:
        x1, y1, x2, y2 = pair.beside_box
        middle = pair.search[int((y1 + y2) / 2), int((x1 + x2) / 2)]
        assert middle.min() > 200  # the near one, not the far one
    sampler = PairSampler([source, tiny_source(1)], replace(options, negative=1), 3)
    negatives = [pair for pair in map(sampler.pair, range(10)) if not pair.positive]
    assert negatives and all(np.isnan(pair.beside_box).all() for pair in negatives)
    assert all(np.isnan(p.beside_box).all() for p in pairs if p.track == 1)  # none are known


@pytest.mark.parametrize("paste", [0.0, 1.0])
def test_what_stood_beside_an_object_that_is_cut_out_stays_behind(paste: float) -> None:
    image = cv2.imencode(".png", np.full((80, 120, 3), 90, np.uint8))[1].ravel()
    corners = np.array([[20, 20], [36, 20], [36, 40], [20, 40]], np.float32)
    target, other = [20.0, 20, 16, 20], [44.0, 22, 16, 20]
    track = Track(
        EncodedFrames([image], "still"), np.array([target], np.float32), "thing", (corners,),
        (np.array([other], np.float32),),
    )  # fmt: skip
    options = replace(PairOptions(64, 128, shift=8).plain(), negative=0, paste=paste)
    sampler = PairSampler([Source("still", (track,)), tiny_source(1)], options, 3)
    pairs = [pair for pair in map(sampler.pair, range(24)) if pair.track == 0]
    assert len(pairs) > 8
    assert {bool(np.isfinite(p.beside_box).all()) for p in pairs} == {paste == 0}


def test_frames_of_a_video_without_the_object_are_no_surroundings() -> None:
    """Nothing is kept of them; the object is alone, so its own clip is what surrounds it."""
    seen = tiny_source(1, 2).tracks[0]
    gone = 30
    parts = [*(f.data for f in seen.frames), *[np.zeros(0, np.uint8)] * gone]
    boxes = np.concatenate([seen.boxes, np.full((gone, 4), np.nan, np.float32)])
    track = Track(EncodedFrames(parts, "clip"), boxes)
    sampler = PairSampler([Source("clip", (track,))], PairOptions(128, 256), seed=1)
    for number in range(12):
        assert sampler.pair(number).search.std() > 1


def test_few_pictures_end_in_a_flat_colour() -> None:
    """A network that saw only flat surroundings learned where pictures end."""
    sampler = tiny_sampler()
    image = cv2.imdecode(sampler.tracks[0].frames[0].data, 1)
    fills = [sampler._fill(image, 48, 0, rng(seed)) for seed in range(300)]
    flat = [fill for fill in fills if not np.ptp(fill, axis=(0, 1)).any()]
    assert 0.1 < len(flat) / 300 < 0.2
    assert all(np.abs(fill[0, 0] - image.mean((0, 1))).max() <= 1 for fill in flat)


def test_sheet_of_pairs(tmp_path) -> None:

    path = tmp_path / "deep" / "pairs.png"
    show_pairs(tiny_sampler(), 5, path)
    sheet = cv2.imread(str(path))
    assert sheet.shape[0] > 256 and sheet.shape[1] > 384
    assert sheet.std() > 20
    with pytest.raises(UserError, match="exists"):
        show_pairs(tiny_sampler(), 5, path)
    with pytest.raises(UserError, match=r"the name of a picture ends in \.png"):
        show_pairs(tiny_sampler(), 5, tmp_path / "pairs.xyz")


def test_a_later_exemplar_shows_the_target_near_the_searched_frame() -> None:
    """Its frame is told by its brightness; its box is a little off, as a tracker's would be."""
    frames, boxes = [], []
    for index in range(120):
        image = np.full((80, 120, 3), 2 * index, np.uint8)
        frames.append(cv2.imencode(".png", image)[1].ravel())
        boxes.append([50, 30, 20, 24])
    track = Track(EncodedFrames(frames, "clip"), np.array(boxes, np.float32))
    options = replace(PairOptions(64, 128, shift=8).plain(), negative=0, later=1.0, distort=1.0)
    sampler = PairSampler([Source("clip", (track,))], options, 5)
    pairs = [sampler.pair(number) for number in range(60)]
    gaps = [
        abs(int(p.later[32, 32, 0]) - int(p.search[64, 64, 0])) / 2
        for p in pairs
        if p.later is not None
    ]
    assert len(gaps) == 60 and 10 < max(gaps) <= 31
    off = np.array([p.later_box - p.exemplar_box for p in pairs])
    assert 0.3 < np.abs(off).mean() < 6 and np.isfinite(off).all()

    some = PairSampler([Source("clip", (track,))], replace(options, later=0.25), 5)
    without = [p for p in map(some.pair, range(32)) if p.later is None]
    assert len(without) == 24  # as many in every batch
    assert all(np.isnan(p.later_box).all() for p in without)


def test_the_later_exemplar_of_a_negative_pair_shows_the_target_and_not_what_is_searched() -> None:
    tracks = []
    for first, count in ((0, 80), (160, 6)):  # the target's frames are many, and darker
        images = [np.full((80, 120, 3), first + index, np.uint8) for index in range(count)]
        frames = EncodedFrames([cv2.imencode(".png", i)[1].ravel() for i in images], str(first))
        tracks.append(Track(frames, np.array([[50, 30, 20, 24]] * count, np.float32)))
    options = replace(PairOptions(64, 128, shift=8).plain(), negative=1, later=1.0)
    sampler = PairSampler([Source("clips", tuple(tracks))], options, 2)
    pairs = [p for p in map(sampler.pair, range(60)) if p.track == 0]
    values = [[int(c[m, m, 0]) for c, m in ((p.exemplar, 32), (p.later, 32), (p.search, 64))]
              for p in pairs]  # fmt: skip
    gaps = [abs(first - later) for first, later, _ in values]
    assert 10 < max(gaps) <= 30
    assert len(values) > 20 and all(other >= 160 for *_, other in values)
    # without distortion its box is where it is annotated
    for pair in pairs:
        np.testing.assert_allclose(pair.later_box, pair.exemplar_box, atol=1e-3)


RED = (0, 0, 255)


def red_share(crop: np.ndarray, box: np.ndarray) -> float:
    """Share of a box, as far as it is in the crop, that is red."""
    x1, y1, x2, y2 = np.clip(np.round(box).astype(int), 0, len(crop))
    return float((np.abs(crop[y1:y2, x1:x2].astype(int) - RED).max(2) < 60).mean())


def coloured_pairs(count: int = 30, **more: float) -> list:
    """Positive pairs of a red square before a grey wall, among green and blue ones."""
    tracks = []
    for colour in (RED, (0, 255, 0), (255, 0, 0)):
        image = np.full((120, 160, 3), 128, np.uint8)
        image[40:80, 50:90] = colour
        image[40:80, 50:60] //= 2  # its left is darker
        frames = EncodedFrames([cv2.imencode(".png", image)[1].ravel()], str(colour))
        tracks.append(Track(frames, np.array([[50, 40, 40, 40]], np.float32)))
    options = replace(PairOptions(64, 128, shift=8).plain(), negative=0, **more)
    sampler = PairSampler([Source("squares", tuple(tracks), 1.0)], options, 4)
    red = (n for n in range(999) if sampler._draw_track(np.random.default_rng((4, n))) == 0)
    return [sampler.pair(number) for number in islice(red, count)]


def test_crops_are_mirrored_and_without_colour_together() -> None:
    for flip in (0.0, 1.0):
        for pair in coloured_pairs(8, flip=flip):
            for crop, (x1, y1, x2, y2) in (
                (pair.exemplar, pair.exemplar_box), (pair.search, pair.search_box),
            ):  # fmt: skip
                row, left, right = int((y1 + y2) / 2), int(x1) + 2, int(x2) - 3
                assert (crop[row, left, 2] < crop[row, right, 2]) == (flip == 0)
    for pair in coloured_pairs(8, grey=1.0, later=1.0):
        for crop in (pair.exemplar, pair.search, pair.later):
            assert np.ptp(crop, axis=2).max() == 0 and crop.std() > 5


def test_a_later_exemplar_has_as_few_pixels_as_its_pair() -> None:
    """What the exemplar lost of its finest detail, the later one lost, too."""
    grain = np.random.default_rng(3).integers(0, 256, (120, 160, 3)).astype(np.uint8)
    frame = EncodedFrame(np.ravel(cv2.imencode(".png", grain)[1]), "grain")
    track = Track((frame, frame), np.float32([[60, 40, 30, 30]] * 2))
    options = replace(PairOptions(64, 128, shift=8).plain(), negative=0, later=1.0)
    detail = []
    for far in (0.0, 1.0):
        sampler = PairSampler([Source("grain", (track,))], replace(options, far=far), 5)
        pairs = [sampler.pair(n) for n in range(12)]
        detail.append([[np.abs(np.diff(crop.astype(int), axis=0)).mean()
                        for crop in (p.exemplar, p.later)] for p in pairs])  # fmt: skip
    before, after = np.array(detail)
    assert (after < 0.75 * before).all()
    np.testing.assert_allclose(after[:, 0], after[:, 1], rtol=0.25)


@pytest.mark.parametrize(
    ("more", "least", "usual"),
    [
        ({}, 0.66, (0.72, 0.78)),  # its left is darker
        ({"occluder": 1.0}, 0.3, (0.5, 0.7)),
        ({"distractor": 1.0}, 0.64, (0.7, 0.75)),
        ({"distractor": 1.0, "crossing": 1.0}, 0.25, (0.4, 0.65)),
    ],
)
def test_what_is_put_before_a_target_hides_half_of_it_at_most(
    more: dict[str, float], least: float, usual: tuple[float, float]
) -> None:
    pairs = coloured_pairs(**more)
    shares = [red_share(p.search, p.search_box) for p in pairs]
    assert min(shares) >= least and usual[0] < np.mean(shares) < usual[1]
    assert all(p.visible == 1 for p in pairs)  # so much may be hidden of any target
    others = [(np.ptp(p.search, axis=2) > 150).mean() for p in pairs]
    ones = [np.prod(p.search_box[2:] - p.search_box[:2]) / 128**2 for p in pairs]
    assert (np.mean(others) > 1.3 * np.mean(ones)) == ("distractor" in more)


def test_pairs_of_a_rough_source_say_that_their_boxes_are_not_exact() -> None:
    sources = [tiny_source(2), replace(tiny_source(2), rough=True)]
    sampler = PairSampler(sources, PairOptions(128, 224, negative=0.5), 1)
    pairs = [sampler.pair(number) for number in range(40)]
    assert {p.exact for p in pairs if p.shown < 2} == {True}
    assert {p.exact for p in pairs if p.shown >= 2} == {False}
