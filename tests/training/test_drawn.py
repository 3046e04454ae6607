"""What a person draws instead of an object, and what a far target looks like."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest

pytest.importorskip("torch")

from tests.training.data import tiny_source
from tracker.training.augment import far
from tracker.training.pair_options import PairOptions
from tracker.training.pairs import WHOLE, PairSampler, drawn_box
from tracker.training.tracks import EncodedFrames, Source, Track


def places(count: int = 1) -> tuple[Source, np.ndarray]:
    """A picture whose colours say where a pixel is; one object or a video of it."""
    rows, columns = np.mgrid[:120, :160].astype(np.uint8)
    image = cv2.merge([columns, rows, np.full_like(rows, 90)])
    encoded = cv2.imencode(".png", image)[1].ravel()
    box = np.array([[50.0, 40, 60, 40]] * count, np.float32)
    return Source("places", (Track(EncodedFrames([encoded] * count, "places"), box),)), box[0]


def test_edges_move_inwards_by_shares_of_width_and_height() -> None:
    box, edges = np.array([10.0, 20, 40, 60], np.float32), np.array([0.1, 0.2, 0.3, -0.1])
    np.testing.assert_allclose(drawn_box(box, edges), [14, 32, 24, 54], rtol=1e-6)


def test_a_part_is_the_same_part_in_both_crops() -> None:
    source, whole = places()
    options = replace(PairOptions(64, 128, shift=20).plain(), negative=0, part=1)
    sampler = PairSampler([source], options, 3)
    shapes = []
    for number in range(30):
        pair = sampler.pair(number)
        seen = []
        for crop, (x1, y1, x2, y2) in (
            (pair.exemplar, pair.exemplar_box), (pair.search, pair.search_box),
        ):  # fmt: skip
            points = [(x1, y1), (x2, y2), ((x1 + x2) / 2, (y1 + y2) / 2)]
            inside = [(x, y) for x, y in points if min(x, y) > 1 and max(x, y) < len(crop) - 2]
            assert len(inside) == 3
            seen.append([crop[round(y - 0.5), round(x - 0.5), :2] for x, y in inside])
        # a pixel of the exemplar crop is as large as one of the search crop
        np.testing.assert_allclose(seen[0], seen[1], atol=2.5)
        left, top = np.asarray(seen[0], float)[0]
        right, bottom = np.asarray(seen[0], float)[1]
        shapes.append(((right - left) / whole[2], (bottom - top) / whole[3]))
    assert np.min(shapes) > 0.35
    assert np.max(shapes) < 1.35
    assert np.std(shapes) > 0.1
    assert sum(w < 0.9 for w, _ in shapes) > 10


def test_another_object_is_shown_whole_where_the_target_is_a_part() -> None:
    tracks = [track for _ in range(2) for track in places()[0].tracks]
    options = replace(PairOptions(64, 128, shift=20).plain(), negative=1, part=1)
    sampler = PairSampler([Source("places", tuple(tracks))], options, 3)
    shapes = np.array([
        [np.divide(*(box[2:] - box[:2])) for box in (pair.exemplar_box, pair.search_box)]
        for pair in map(sampler.pair, range(20))
    ])  # fmt: skip
    assert shapes[:, 0].std() > 0.1
    np.testing.assert_allclose(shapes[:, 1], 1.5, rtol=1e-4)


def test_a_part_has_later_exemplars_however_far_off_their_boxes_are() -> None:
    source, _ = places()
    options = replace(PairOptions(64, 128, shift=20).plain(), part=1, later=1, distort=1.0)
    sampler = PairSampler([source], options, 3)
    for pair in map(sampler.pair, range(300)):
        assert (pair.later_box[2:] - pair.later_box[:2] > 4).all()


def test_parts_are_of_stills_only_and_as_many_as_asked_for() -> None:
    options = replace(PairOptions(64, 128, shift=20).plain(), negative=0, part=0.5)
    for count, expected in ((1, 0.5), (3, 0.0)):
        source, box = places(count)
        sampler = PairSampler([source], options, 3)
        ratio = box[2] / box[3]
        shapes = [np.divide(*np.diff(p.exemplar_box.reshape(2, 2), axis=0)[0])
                  for p in map(sampler.pair, range(120))]  # fmt: skip
        changed = np.mean(np.abs(np.divide(shapes, ratio) - 1) > 0.01)
        assert changed == pytest.approx(expected, abs=0.12 if expected else 0)


def test_a_moving_part_is_as_wide_on_both_sides() -> None:
    """The object turns: what was left out on its left side is on its right side later."""
    source, _ = places(3)
    options = replace(PairOptions(64, 128, shift=20).plain(), negative=0, moving_part=0.5)
    sampler = PairSampler([source], options, 3)
    rng = np.random.default_rng(0)
    edges = [sampler._draw_part(source.tracks[0], rng) for _ in range(200)]
    parts = np.array([e for e in edges if e is not WHOLE])
    assert 70 < len(parts) < 130
    assert (parts[:, 0] == parts[:, 2]).all() and (parts[:, 1] != parts[:, 3]).all()
    assert parts.min() > -0.16 and parts.max() < 0.31 and parts.std(0).min() > 0.05
    drawn = [np.diff(p.exemplar_box.reshape(2, 2), axis=0)[0] for p in map(sampler.pair, range(40))]
    assert np.std(np.divide.reduce(np.array(drawn), axis=1)) > 0.1


def test_far_takes_the_same_detail_from_both_crops() -> None:
    fine = np.indices((64, 64)).sum(0).astype(np.uint8) % 2 * 255
    image = cv2.merge([fine] * 3)
    for seed in range(8):
        change = far(np.random.default_rng(seed))
        once, again = change(image), change(image)
        np.testing.assert_array_equal(once, again)
        assert once.std() < 0.5 * image.std()
        assert once.shape == image.shape
    options = replace(PairOptions(64, 128, shift=20).plain(), negative=0, far=1)
    pair = PairSampler([tiny_source(1, 1)], options, 3).pair(0)
    sharp = PairSampler([tiny_source(1, 1)], replace(options, far=0), 3).pair(0)
    for name in ("exemplar", "search"):
        soft, clear = (cv2.Laplacian(getattr(p, name), cv2.CV_64F).std() for p in (pair, sharp))
        assert soft < 0.9 * clear


def test_half_of_the_far_targets_are_compressed() -> None:
    image = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    compressed = 0
    for seed in range(60):
        factor = np.exp(np.random.default_rng(seed).uniform(np.log(0.15), np.log(0.6)))
        small = cv2.resize(image, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)
        only_small = cv2.resize(small, (64, 64))
        compressed += not np.array_equal(far(np.random.default_rng(seed))(image), only_small)
    assert 20 <= compressed <= 40
