"""Objects alone, seen from many sides: how they are read, and put before pictures."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

pytest.importorskip("torch")

from tests.training.data import picture, tiny_source, write_view
from tracker.errors import UserError
from tracker.training.cutout import mask_corners, masked_picture, paste
from tracker.training.pair_options import PairOptions
from tracker.training.pairs import PairSampler
from tracker.training.sources import open_source
from tracker.training.tracks import EncodedFrames, Source, Track

RED = (0, 0, 255)


def view_source(folder: Path) -> Source:
    """Two objects alone, red and green; the red one grows wider from view to view."""
    for number in range(4):
        write_view(folder / "red" / f"{number}.png", (20, 20, 20 + 12 * number, 40), RED)
        write_view(folder / "green" / f"{number}.png", (20, 20, 40, 40), (0, 255, 0))
    return open_source(f"views:{folder}")


def is_red(crop: np.ndarray) -> np.ndarray:
    return (crop[:, :, 2] > 230) & (crop[:, :, :2].max(2) < 25)


def test_views_stand_before_other_pictures(tmp_path: Path) -> None:
    source = view_source(tmp_path)
    options = replace(PairOptions(64, 128, shift=20).plain(), negative=0)
    wall = np.random.default_rng(0).integers(60, 180, (80, 96, 1), np.uint8).repeat(3, 2)
    frames = EncodedFrames([cv2.imencode(".png", wall)[1].ravel()], "wall")
    scene = Source("scene", (Track(frames, np.array([[30, 22, 24, 30]], np.float32)),), weight=1e-9)
    sampler = PairSampler([source, scene], options, 0)
    red = next(n for n, t in enumerate(source.tracks) if "red" in str(t.frames[0]))
    pairs = [p for p in map(sampler.pair, range(40)) if p.track == red]
    assert len(pairs) > 10
    for pair in pairs:
        for crop, box in ((pair.exemplar, pair.exemplar_box), (pair.search, pair.search_box)):
            ys, xs = np.nonzero(is_red(crop))
            found = [xs.min(), ys.min(), xs.max() + 1, ys.max() + 1]
            np.testing.assert_allclose(found, box, atol=1.5)
            assert 80 < crop[~is_red(crop)].mean() < 160  # the wall stands behind it
    aspects = {round(float(np.divide(*(p.search_box[2:] - p.search_box[:2]))), 1) for p in pairs}
    assert len(aspects) >= 4  # it is shown from all sides


def test_half_of_the_views_keep_their_surroundings(tmp_path: Path) -> None:
    sampler = PairSampler(
        [view_source(tmp_path), tiny_source(2)], PairOptions(64, 128, shift=20), 0
    )
    rng = np.random.default_rng(0)
    scenes = [sampler._draw_scene(0, rng) for _ in range(200)]
    assert 70 < sum(scene is None for scene in scenes) < 130
    assert sampler._draw_scene(3, rng) is None  # a picture has surroundings of its own


@pytest.mark.parametrize("scale", [1.7, 0.9, 0.3, 0.1])
def test_a_pasted_view_has_no_fringe(tmp_path: Path, scale: float) -> None:
    """What is transparent is black here; on white nothing of that may be seen."""
    image, mask = masked_picture(view_source(tmp_path).tracks[1], 3)
    matrix = np.array([[scale, 0, 3.3], [0, scale, 4.6]])
    canvas, alpha = paste(np.full((160, 180, 3), 255, np.uint8), image, mask, matrix)
    assert canvas[:, :, 2].min() >= 252  # red and white are both bright in red
    assert canvas[:, :, 0].min() < 60
    x, y, w, h = scale * np.array([20.0, 20, 56, 40]) + [3.3, 4.6, 0, 0]
    np.testing.assert_allclose(mask_corners(alpha), [x, y, x + w, y + h], atol=1.0)
    assert alpha.sum() == pytest.approx(w * h, rel=0.12)


def test_views_alone_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="add pictures that they can stand before"):
        PairSampler([view_source(tmp_path)], PairOptions(64, 128, shift=20), 0)


def test_views(tmp_path: Path) -> None:
    for name in ("cars/van", "cars/bus", "mug"):
        for number in range(12):  # 10 comes after 9
            write_view(tmp_path / name / f"{number}.png", (10 + number, 20, 30, 25), (9, 9, 200))
    write_view(tmp_path / "mug" / "12.png", (0, 0, 0, 0), (0, 0, 0))
    source = open_source(f"views:{tmp_path}")
    assert [(t.category, len(t.frames)) for t in source.tracks] == [
        ("cars", 12), ("cars", 12), (tmp_path.name, 13)
    ]  # fmt: skip
    van = source.tracks[1]
    assert van.cutout
    assert van.boxes[:, 0].tolist() == [10 + n for n in range(12)]
    assert van.boxes[3].tolist() == [13, 20, 30, 25]
    assert source.tracks[2].present.tolist() == list(range(12))  # the last one shows nothing


def test_a_view_without_transparency(tmp_path: Path) -> None:
    write_view(tmp_path / "mug" / "0.png", (10, 10, 20, 20), (0, 0, 255))
    cv2.imwrite(str(tmp_path / "mug" / "1.png"), picture(0))
    with pytest.raises(UserError, match=r"1\.png has no transparency; a view is a PNG or WebP"):
        open_source(f"views:{tmp_path}")
