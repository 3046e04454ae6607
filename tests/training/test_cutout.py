"""Objects cut out of their pictures, where they are put, and what stands beside a target."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest

pytest.importorskip("torch")

from tests.training.data import BOX, rng, tiny_source
from tracker.training import pairs
from tracker.training.crops import map_box
from tracker.training.cutout import beside, mask_corners, object_mask, paste
from tracker.training.neighbours import nearest_beside
from tracker.training.pair_options import PairOptions
from tracker.training.pairs import PairSampler
from tracker.training.tracks import EncodedFrames, Source, Track


def test_paste_and_mask() -> None:
    track = tiny_source(1, 1).tracks[0]
    mask = object_mask(track, 0, (80, 96))
    x, y, w, h = track.boxes[0]
    assert mask[int(y + h / 2), int(x + w / 2)] == pytest.approx(1, abs=0.01)
    assert mask[int(y) - 4, int(x) - 4] == pytest.approx(0, abs=0.01)
    area = np.pi / 4 * w * h
    assert float(mask.sum()) == pytest.approx(float(area), rel=0.15)
    canvas, image = np.zeros((100, 100, 3), np.uint8), np.full((80, 96, 3), 200, np.uint8)
    matrix = np.array([[1.0, 0, 10], [0, 1.0, 5]])
    pasted, alpha = paste(canvas, image, mask, matrix)
    corners = mask_corners(alpha)
    assert corners is not None
    np.testing.assert_allclose(corners, [x + 10, y + 5, x + w + 10, y + h + 5], atol=2)
    assert (pasted[alpha < 0.01] <= 2).all()
    assert mask_corners(np.zeros((5, 5), np.float32)) is None


@pytest.mark.parametrize("box", [(30, 20, 41, 24), (30.5, 20.25, 40, 25), (12, 9, 17, 33)])
def test_a_mask_without_outline_is_the_ellipse_of_the_box(box: tuple[float, ...]) -> None:
    still = tiny_source(1, 1).tracks[0]
    track = Track(still.frames, np.float32([box]))
    x, y, w, h = box
    mask = object_mask(track, 0, (80, 96))
    rows, columns = np.mgrid[:80, :96] + 0.5
    middle = (mask * columns).sum() / mask.sum(), (mask * rows).sum() / mask.sum()
    assert middle == pytest.approx((x + w / 2, y + h / 2), abs=0.1)
    assert float(mask.sum()) == pytest.approx(np.pi / 4 * w * h, rel=0.06)


def test_distractors_lie_beside_the_target() -> None:
    target = np.array([100.0, 100, 150, 160], np.float32)
    placed = 0
    for seed in range(30):
        matrix = beside(BOX, target, 256, rng(seed))
        if matrix is None:
            continue
        placed += 1
        box = map_box(matrix, BOX)
        overlap = np.clip(
            np.minimum(box[2:], target[2:]) - np.maximum(box[:2], target[:2]), 0, None
        )
        assert overlap.prod() < 0.1 * 50 * 60
        assert 0.3 < (box[2:] - box[:2]).prod() / (50 * 60) < 3
    assert placed > 15


def test_objects_that_cross_cover_a_part_of_the_target() -> None:
    target = np.array([100.0, 100, 150, 160], np.float32)
    covered = []
    for seed in range(40):
        matrix = beside(BOX, target, 256, rng(seed), covered=0.5)
        if matrix is not None:
            box = map_box(matrix, BOX)
            shared = np.minimum(box[2:], target[2:]) - np.maximum(box[:2], target[:2])
            covered.append(float(np.clip(shared, 0, None).prod() / (50 * 60)))
    assert max(covered) < 0.5
    assert np.mean(np.greater(covered, 0.1)) > 0.5


@pytest.mark.parametrize(
    ("others", "expected"),
    [
        ([(80, 20, 20, 20), (40, 50, 20, 20)], (40, 50)),  # 35 and 60 px away
        ([(40, 50, 20, 20), (80, 20, 20, 20)], (40, 50)),
        ([(24, 20, 20, 20)], None),  # shares more than a half with the target
        ([(29, 20, 20, 20)], None),
        ([(31, 20, 20, 20)], (31, 20)),  # less than a half
        ([(10, 10, 60, 60)], None),  # another name of the whole of which the target is a part
        ([(25, 25, 8, 8)], None),  # or of a part of it
        ([(112, 20, 20, 20)], None),  # its middle is outside of the crop
        ([(40, -15, 20, 20)], None),
        ([(107, 20, 20, 20)], (107, 20)),
        ([], None),
    ],
)
def test_the_nearest_object_apart_from_the_target(others: list, expected: tuple | None) -> None:
    frames = EncodedFrames([np.zeros(0, np.uint8)], "clip")
    boxes = np.array([[20, 20, 20, 20]], np.float32)
    around = np.array(others, np.float32).reshape(-1, 4)
    track, twice = Track(frames, boxes, others=(around,)), np.array([[2.0, 0, 0], [0, 2, 0]])
    found = nearest_beside(track, 0, twice, 240)
    if expected is None:
        assert np.isnan(found).all() and found.shape == (4,)
    else:
        (box,) = [b for b in others if b[:2] == expected]
        x, y, w, h = box
        assert found.tolist() == [2 * x, 2 * y, 2 * (x + w), 2 * (y + h)]


RED = np.array([0, 0, 255])


def outlined(colour: tuple[int, int, int]) -> Track:
    """A bar with its outline, before grey."""
    image = np.full((120, 120, 3), 128, np.uint8)
    image[55:65, 35:85] = colour
    corners = np.array([[35, 55], [84, 55], [84, 64], [35, 64]], np.float32)
    frames = EncodedFrames([cv2.imencode(".png", image)[1].ravel()], str(colour))
    return Track(frames, np.array([[35, 55, 50, 10]], np.float32), None, (corners,))


def sampler_of(*tracks: Track, **more: float) -> PairSampler:
    options = replace(PairOptions(64, 128, shift=8).plain(), negative=0, **more)
    return PairSampler([Source("made", tracks)], options, 4)


def red(picture: np.ndarray) -> np.ndarray:
    return np.abs(picture.astype(int) - RED).max(2) < 100


def test_the_box_of_what_is_cut_out_and_turned_is_where_it_ends() -> None:
    """A bar that is turned by 30 degrees is more than twice as high as it was."""
    sampler = sampler_of(
        outlined((0, 0, 255)), outlined((128, 128, 128)), paste=1, stretch=1, distort=1
    )
    found = [pair for pair in map(sampler.pair, range(40)) if pair.track == 0]
    assert len(found) > 12
    for pair in found:
        rows, columns = np.nonzero(red(pair.search))
        ends = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
        np.testing.assert_allclose(pair.search_box, ends, atol=2)


def test_half_of_the_targets_with_an_outline_are_before_what_covers_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sampler = sampler_of(outlined((0, 0, 255)), paste=1, distractor=1)
    monkeypatch.setattr(sampler, "_add_distractors", lambda canvas, *_: (canvas * 0, True))
    shown = [red(sampler.pair(number).search).any() for number in range(80)]
    assert 0.35 < np.mean(shown) < 0.65
    monkeypatch.setattr(sampler, "_add_distractors", lambda canvas, *_: (canvas * 0, False))
    assert not any(red(sampler.pair(number).search).any() for number in range(20))


def test_nothing_hides_behind_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    hiders: list[Track] = []

    def hide(canvas: np.ndarray, target: np.ndarray, other: Track, *_: object) -> tuple:
        hiders.append(other)
        return canvas, 1.0

    monkeypatch.setattr(pairs, "hide_behind_object", hide)
    own, other = outlined((0, 0, 255)), outlined((255, 0, 0))
    for tracks, expected in (((own,), set()), ((own, other), {other})):
        sampler = sampler_of(*tracks)
        hiders.clear()
        for seed in range(60):
            sampler._hide(np.zeros((128, 128, 3), np.uint8), np.float32([40, 40, 80, 80]), 0,
                          rng(seed))  # fmt: skip
        assert set(hiders) == expected
