"""Same object or not, judged on clips whose objects differ by colour."""

from __future__ import annotations

import dataclasses

import cv2
import numpy as np
import pytest

from tracker.data.datasets import Sequence
from tracker.errors import UserError
from tracker.evaluation import embedders, opponents
from tracker.frames import Pictures
from tracker.geometry import check_box

HUES = {"red": (30, 30, 220), "green": (40, 200, 40), "blue": (220, 60, 30)}


def coloured_clip(folder, name: str) -> Sequence:
    """A square of one colour that moves over grey."""
    folder = folder / name
    folder.mkdir()
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


def test_targets_of_one_clip_are_no_pair_of_two_clips_whatever_their_names(tmp_path):
    clips = [
        dataclasses.replace(coloured_clip(tmp_path, colour), name=f"clip_{i}")
        for i, colour in enumerate(HUES)
    ]
    second = dataclasses.replace(clips[0], name="another")
    score = embedders.judge({"colour": Colour()}, clips, per_sequence=6)["colour"]
    assert score.pairs == 3 * 3 * 6
    score = embedders.judge({"colour": Colour()}, [clips[0], second], per_sequence=6)["colour"]
    assert score.pairs == 2 * 2 * 6, "none with the other target of the clip"


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


class Fails:
    """Answers a few times."""

    def __init__(self, answer) -> None:
        self.answer, self.left = answer, 3

    def embed(self, image, box):
        self.left -= 1
        if self.left < 0 and isinstance(self.answer, Exception):
            raise self.answer
        return np.ones(2) if self.left >= 0 else self.answer


@pytest.mark.parametrize("answer", [RuntimeError("no\nmemory"), [np.nan, 1.0], []])
def test_a_model_that_fails_is_named_with_the_frame(tmp_path, answer):
    clips = [coloured_clip(tmp_path, name) for name in HUES]
    with pytest.raises(UserError, match=r"mine: no vector of made/\w+, frame \d") as caught:
        embedders.judge({"mine": Fails(answer)}, clips, per_sequence=6)
    assert "\n" not in str(caught.value)


def test_boxes_beyond_the_picture_are_not_asked_about(tmp_path):
    class Checked(Colour):
        def embed(self, image, box):
            check_box(box, image.shape[1], image.shape[0])
            return super().embed(image, box)

    clips = [coloured_clip(tmp_path, name) for name in HUES]
    clips[0].truth[3:] = (500, 500, 24, 24)
    clips[1].truth[0] = (-80, 5, 24, 24)
    score = embedders.judge({"colour": Checked()}, clips, per_sequence=6)["colour"]
    assert score.pairs == 2 * 3 * 6


def test_clips_of_one_frame_have_no_pairs(tmp_path):
    clip = coloured_clip(tmp_path, "red")
    single = dataclasses.replace(clip, truth=clip.truth[:1])
    with pytest.raises(UserError, match="no pairs to ask about"):
        embedders.judge({"colour": Colour()}, [single])
