"""Same object or not, judged on clips whose objects differ by colour."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from tracker.datasets import Sequence
from tracker.evaluation import embedders, opponents
from tracker.frames import Pictures

HUES = {"red": (30, 30, 220), "green": (40, 200, 40), "blue": (220, 60, 30)}


def coloured_clip(folder, name: str) -> Sequence:
    """A square of one colour that moves over grey."""
    paths, boxes = [], []
    for i in range(8):
        image = np.full((80, 120, 3), 128, dtype=np.uint8)
        x, y = 5 + 6 * i, 10 + 3 * i
        image[y : y + 24, x : x + 24] = HUES[name]
        path = folder / f"{name}{i}.png"
        cv2.imwrite(str(path), image)
        paths.append(path)
        boxes.append((x, y, 24, 24))
    return Sequence("made", name, Pictures(tuple(paths)), np.array(boxes, dtype=float))


class Colour:
    """Mean colour against grey: enough to tell these clips apart."""

    def embed(self, image, box):
        x, y, w, h = (int(v) for v in box)
        return image[y : y + h, x : x + w].mean(axis=(0, 1)) - 128


class Constant:
    def embed(self, image, box):
        return np.ones(4)


def test_a_model_that_knows_is_told_from_one_that_does_not(tmp_path):
    clips = [coloured_clip(tmp_path, name) for name in HUES]
    scores = embedders.judge({"colour": Colour(), "constant": Constant()}, clips, per_sequence=6)
    knows, blind = scores["colour"], scores["constant"]
    assert knows.pairs == blind.pairs == 3 * 3 * 6
    assert (knows.auc, knows.equal_error_rate, knows.recall1) == (1, 0, 1)
    assert (blind.auc, blind.recall1) == (0.5, 0)
    assert "colour" in embedders.text_table(scores)


def test_thumbnail_is_the_same_for_a_shifted_copy():
    rng = np.random.default_rng(0)
    image = rng.integers(0, 255, (90, 90, 3), dtype=np.uint8)
    patch = image[10:34, 10:34].copy()
    image[50:74, 40:64] = patch
    thumbnail = embedders.Thumbnail()
    first = thumbnail.embed(image, (10, 10, 24, 24))
    np.testing.assert_array_equal(first, thumbnail.embed(image, (40, 50, 24, 24)))
    assert np.abs(first - thumbnail.embed(image, (60, 5, 24, 24))).max() > 5
    assert np.isfinite(thumbnail.embed(image, (-50, -50, 10, 10))).all()


def test_a_tracker_without_an_embedding_cannot_be_judged():
    with pytest.raises(opponents.Unavailable, match="no embed"):
        embedders.build_embedder("identity", opponents.Options())
    with pytest.raises(opponents.Unavailable, match="siamfc has no verification embedding"):
        embedders.build_embedder("siamfc", opponents.Options(threads=1))
