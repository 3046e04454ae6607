"""The clip that ships: it is what its page says, and the models that ship follow it."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from tracker import SiameseTracker, State
from tracker.annotations import read_boxes
from tracker.assets import sample_clip
from tracker.geometry import iou
from tracker.weights import available_models

CLIP, TRUTH = sample_clip()
SIZE, FPS, SECONDS, MAX_BYTES = (640, 360), 30.0, 12, 1_500_000
# Mean overlap over the frames that show the target. Floors, well under what was measured.
FLOOR = {"kestrel": 0.6, "siamfc": 0.3}


@pytest.fixture(scope="module")
def truth() -> np.ndarray:
    return read_boxes(TRUTH)


@pytest.fixture(scope="module")
def frames() -> list[np.ndarray]:
    capture = cv2.VideoCapture(str(CLIP))
    images = []
    while (read := capture.read())[0]:
        images.append(read[1])
    assert capture.get(cv2.CAP_PROP_FPS) == FPS
    return images


def test_the_clip_is_small_and_complete(frames, truth):
    assert CLIP.stat().st_size <= MAX_BYTES
    assert len(frames) == len(truth) == SECONDS * FPS
    assert {f.shape for f in frames} == {(SIZE[1], SIZE[0], 3)}


def test_the_target_leaves_once_for_about_two_seconds_and_its_box_stays_in_the_picture(truth):
    absent = np.isnan(truth[:, 0])
    assert np.flatnonzero(np.diff(absent.astype(int))).size == 2  # one way out, one way back
    assert 1.5 <= absent.sum() / FPS <= 2.5
    seen = truth[~absent]
    assert (seen[:, :2] >= 0).all() and (seen[:, :2] + seen[:, 2:] <= SIZE).all()
    assert (seen[:, 2:] > 0).all()


def test_the_truth_belongs_to_the_pictures(frames, truth):
    """Inside the box of the first frame is the target: it is not on the frames without one."""
    x, y, w, h = truth[0].round().astype(int)
    target = frames[0][y : y + h, x : x + w]
    here = cv2.matchTemplate(frames[3], target, cv2.TM_CCOEFF_NORMED)
    _, peak, _, corner = cv2.minMaxLoc(here)
    assert peak > 0.8
    assert iou([*corner, w, h], truth[3]) > 0.8
    for gone in np.flatnonzero(np.isnan(truth[:, 0]))[::20]:
        assert cv2.matchTemplate(frames[gone], target, cv2.TM_CCOEFF_NORMED).max() < 0.8


def test_each_source_of_the_clip_has_its_licence():
    text = (CLIP.parent / "LICENSES.md").read_text(encoding="utf-8")
    tool = Path(__file__).resolve().parent.parent / "tools" / "make_sample.py"
    if not tool.is_file():
        pytest.skip("an installed package without its tools")
    pictures = [
        word
        for word in tool.read_text(encoding="utf-8").split('"')
        if word.endswith((".png", ".jpg"))
    ]
    assert pictures
    for picture in pictures:
        assert picture in text


@pytest.mark.slow
@pytest.mark.parametrize("model", sorted(FLOOR))
def test_a_model_that_ships_follows_the_target(model, frames, truth):
    if model not in available_models():
        pytest.skip(f"weights/ has no {model} yet")
    tracker = SiameseTracker(model, device="cpu", threads=2)
    tracker.init(frames[0], truth[0])
    results = [tracker.update(frame) for frame in frames[1:]]
    boxes = np.array([r.box for r in results])
    seen = ~np.isnan(truth[1:, 0])
    assert np.isfinite(boxes).all()
    assert iou(boxes[seen], truth[1:][seen]).mean() >= FLOOR[model]
    if model == "kestrel":
        lost = np.array([r.state is State.LOST for r in results])
        assert lost[~seen].mean() >= 0.5
        assert lost[seen].mean() <= 0.15
