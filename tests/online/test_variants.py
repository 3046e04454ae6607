"""Variants that ship follow the sample clip as the float32 model does; starting is quick."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import onnxruntime
import pytest

from tracker import SiameseTracker, State
from tracker.assets import sample_clip
from tracker.data.annotations import read_boxes
from tracker.geometry import iou
from tracker.runtime import Network, open_network
from tracker.weights import available_models

ROOT = Path(__file__).resolve().parents[2]
FRAMES = 150
# mean and 10th percentile of the overlap with the float32 model's boxes, frame by frame; another
# version of ONNX Runtime rounds float16 otherwise (.95 and .87 with 1.31, .92 and .78 with 1.18)
FLOORS = {"kestrel-fp16": (0.9, 0.75), "kestrel-int8": (0.8, 0.65)}


def shipped(model: str) -> str:
    if model not in available_models():
        pytest.skip(f"weights/ has no {model}")
    return model


def follow(model: str | Network) -> tuple[np.ndarray, np.ndarray]:
    """Boxes and claims over the start of the sample clip."""
    clip, truth = sample_clip()
    tracker = SiameseTracker(model, device="cpu", threads=2)
    capture = cv2.VideoCapture(str(clip))
    boxes, claims = [], []
    for index in range(FRAMES):
        done, image = capture.read()
        assert done
        if index == 0:
            tracker.init(image, read_boxes(truth)[0])
            continue
        result = tracker.update(image)
        boxes.append(result.box)
        claims.append(result.state is not State.LOST)
    return np.array(boxes), np.array(claims)


@pytest.fixture(scope="module")
def reference() -> tuple[np.ndarray, np.ndarray]:
    return follow(shipped("kestrel"))


@pytest.mark.slow
@pytest.mark.parametrize("model", sorted(FLOORS))
def test_a_variant_gives_the_same_track(
    model: str, reference: tuple[np.ndarray, np.ndarray]
) -> None:
    boxes, claims = follow(shipped(model))
    overlap = iou(boxes, reference[0])[claims & reference[1]]
    mean, low = FLOORS[model]
    assert overlap.mean() >= mean and np.quantile(overlap, 0.1) >= low
    assert (claims == reference[1]).mean() >= 0.95


@pytest.mark.parametrize("model", ["kestrel", *sorted(FLOORS)])
def test_threads_and_neighbours_in_a_batch_change_nothing(model: str) -> None:
    """A track can be repeated with another number of threads, and with other targets beside."""
    version = tuple(map(int, onnxruntime.__version__.split(".")[:2]))
    if model == "kestrel-fp16" and version < (1, 23):
        pytest.skip("until ONNX Runtime 1.23 float16 hung on the number of threads")
    networks = [open_network(shipped(model), "cpu", threads) for threads in (1, 2, 3, 4)]
    rng = np.random.default_rng(0)
    pictures = [rng.integers(0, 256, (9, 9, 3), dtype=np.uint8) for _ in range(3)]
    exemplars = np.stack([cv2.resize(picture, (128, 128)) for picture in pictures])
    boxes = np.tile(np.float32([32, 32, 96, 96]), (3, 1))
    embeddings, _ = networks[0].embed(exemplars, boxes)
    for size in (160, 192, 224):
        crops = np.stack([cv2.resize(picture, (size, size)) for picture in pictures])
        alone = [networks[0].search(embeddings[i : i + 1], crops[i : i + 1]) for i in range(3)]
        for network in networks:
            single = [network.search(embeddings[i : i + 1], crops[i : i + 1]) for i in range(3)]
            batch = network.search(embeddings, crops)
            for i, expected in enumerate(alone):
                for output, wanted in enumerate(expected):
                    assert np.array_equal(single[i][output], wanted)
                    assert np.array_equal(batch[output][i : i + 1], wanted)


@pytest.mark.parametrize("model", sorted(FLOORS))
def test_a_variant_is_of_the_same_training(model: str) -> None:
    plain, other = open_network(shipped("kestrel"), "cpu"), open_network(shipped(model), "cpu")
    assert other.spec.precision == model.split("-")[1] and plain.spec.precision == "fp32"
    assert other.spec.pair == plain.spec.pair and other.spec.online == plain.spec.online


def test_two_trackers_in_one_process_answer_as_each_alone() -> None:
    model = shipped("kestrel")
    rng = np.random.default_rng(0)
    picture = cv2.resize(rng.integers(0, 256, (12, 16, 3), dtype=np.uint8), (640, 480))
    frames = [np.roll(picture, 3 * i, axis=1) for i in range(6)]
    places = [(200.0, 150.0, 60.0, 50.0), (380.0, 260.0, 40.0, 70.0)]

    def run(trackers: list[SiameseTracker]) -> list[list[tuple[float, ...]]]:
        for tracker, place in zip(trackers, places, strict=True):
            tracker.init(frames[0], place)
        return [[t.update(frame).box for t in trackers] for frame in frames[1:]]

    alone = [
        run([SiameseTracker(model, device="cpu", threads=1) for _ in places]),
        run([SiameseTracker(model, device="cpu", threads=threads) for threads in (1, 2)]),
    ]
    assert alone[0] == alone[1]


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="counts threads as Linux lists")
def test_trackers_share_their_threads() -> None:
    model = shipped("kestrel")
    code = f"""
import os
import numpy as np
from tracker import SiameseTracker
frame = np.zeros((240, 320, 3), np.uint8)
def start():
    tracker = SiameseTracker({model!r}, device="cpu", threads=2)
    tracker.init(frame, (100, 80, 40, 30))
    tracker.update(frame)
    return tracker
first = start()
before = len(os.listdir("/proc/self/task"))
others = [start() for _ in range(5)]
print(before, len(os.listdir("/proc/self/task")))
"""
    before, after = map(int, run_python(code).split())
    assert after == before


def run_python(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True,
                          timeout=120, check=False)  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_importing_the_package_takes_a_moment() -> None:
    """0.3 s are promised on an idle machine; processor time does not depend on neighbours."""
    code = "import time; t = time.process_time(); import tracker; print(time.process_time() - t)"
    assert statistics.median(float(run_python(code)) for _ in range(3)) < 0.3


def test_the_first_box_needs_less_than_two_seconds_of_processor_time() -> None:
    """1 s by the clock is promised on an idle machine; this counts all threads."""
    model = shipped("kestrel")
    code = f"""
import time
import numpy as np
from tracker import SiameseTracker
frame = np.zeros((480, 640, 3), np.uint8)
tracker = SiameseTracker({model!r}, device="cpu", threads=1)
tracker.init(frame, (100, 80, 40, 30))
tracker.update(frame)
print(time.process_time())
"""
    started = time.time()
    assert float(run_python(code)) < 2.0, f"{time.time() - started:.1f} s by the clock"
