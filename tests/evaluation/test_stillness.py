"""How much boxes tremble about a target at rest."""

from __future__ import annotations

import json
import math
import pickle
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.evaluation.evaluate_tool import evaluate
from tests.evaluation.trackers_under_test import moving_square
from tracker.data.datasets import Sequence
from tracker.evaluation import stillness
from tracker.evaluation.results_io import Track
from tracker.evaluation.stillness import FRAMES, SETTLING, Held, Stillness
from tracker.frames import Pictures


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    """Two clips of a square that moves; the second is of one picture alone."""
    root = tmp_path_factory.mktemp("clips")
    for name, count in (("moves", 6), ("short", 1)):
        (root / name / "img").mkdir(parents=True)
        lines = []
        for i in range(count):
            image, (x, y, w, h) = moving_square(i)
            cv2.imwrite(str(root / name / "img" / f"{i + 1:04d}.png"), image)
            lines.append(f"{x + 1:g},{y + 1:g},{w:g},{h:g}")
        (root / name / "groundtruth_rect.txt").write_text("\n".join(lines))
    return root


def track(boxes: np.ndarray) -> Track:
    count = len(boxes)
    return Track(np.arange(count), boxes, np.ones(count), ("tracking",) * count, np.ones(count))


def test_the_first_frame_is_held_with_noise_that_repeats(data: Path) -> None:
    pictures = Pictures(tuple(sorted((data / "moves" / "img").iterdir())))
    frames = list(Held(pictures).read(range(FRAMES)))
    assert len(frames) == FRAMES and all(frame.dtype == np.uint8 for frame in frames)
    first = next(iter(pictures.read(range(1))))
    inside = np.s_[5:, 60:]  # away from the square, which noise makes white in places
    differences = np.stack([frame[inside] for frame in frames]) - first[inside].astype(float)
    assert abs(differences.mean()) < 0.05
    assert differences.std() == pytest.approx(5, abs=0.1)
    assert np.corrcoef(differences[0].ravel(), differences[1].ravel())[0, 1] < 0.05
    again = pickle.loads(pickle.dumps(Held(pictures))).read(range(3, 5))
    assert all((a == b).all() for a, b in zip(again, frames[3:5], strict=True))
    assert Held(pictures).fingerprint() != pictures.fingerprint()


def test_a_sequence_at_rest_is_as_long_as_the_measure_asks(data: Path) -> None:
    picture = Pictures((next((data / "short" / "img").iterdir()),))
    truth = np.array([[11.0, 21.0, 20.0, 20.0]])
    still = stillness.at_rest(Sequence("set", "name", picture, truth))
    assert still.key == "set/name" and len(still) == FRAMES
    assert (still.truth == truth).all()
    assert len(list(still.source.read(range(len(still))))) == FRAMES


def test_figures_by_hand() -> None:
    boxes = np.tile([10.0, 20.0, 16.0, 4.0], (FRAMES, 1))
    assert stillness.judge(track(boxes)) == Stillness(0, 0, 1)
    boxes[1:SETTLING] += 3  # what a tracker corrects at first
    assert stillness.judge(track(boxes)) == Stillness(0, 0, 1)
    shaken = boxes.copy()
    shaken[SETTLING::2, :2] += (0.3, 0.4)
    found = stillness.judge(track(shaken))
    assert found.place == pytest.approx(0.5 / 8) and found.size == 0
    overlap = 15.7 * 3.6 / (2 * 64 - 15.7 * 3.6)
    assert found.overlap == pytest.approx((1 + overlap) / 2)
    pumped = boxes.copy()
    pumped[SETTLING::2] = (6.0, 20.0, 24.0, 4.0)  # about the same middle
    found = stillness.judge(track(pumped))
    assert found.place == 0 and found.size == pytest.approx(math.log(1.5) / 2)


def test_table_and_summary(data: Path, tmp_path: Path) -> None:
    trackers = "identity,trackers_under_test:Perfect,trackers_under_test:Raises"
    done = evaluate(
        "--data", data, "--out", tmp_path, "--trackers", trackers, "--protocol", "still"
    )
    assert done.returncode == 1 and "by design" in done.stderr
    rows = [line.split() for line in done.stdout.splitlines() if line.startswith("  ")]
    assert rows[1] == ["identity", "0.00%", "0.00%", "1.000"]
    assert rows[2][0] == "trackers_under_test.Perfect" and float(rows[2][3]) > 0.9
    figures = json.loads((tmp_path / "still" / "summary.json").read_text())["trackers"]
    sequences = figures["identity"][data.name]["sequences"]
    assert set(sequences) == {"moves", "short"}
    assert sequences["moves"] == {"place": 0, "size": 0, "overlap": 1}
    again = evaluate(
        "--data", data, "--out", tmp_path, "--trackers", "identity", "--protocol", "still"
    )
    assert "2 of 2 runs were done before" in again.stderr


def test_the_median_over_sequences_and_who_was_scored_on_fewer() -> None:
    rows = {"a": Stillness(0.01, 0.5, 1), "b": Stillness(0.03, 0.1, 0.2), "c": Stillness(0, 0, 0.9)}
    assert stillness.median(rows) == Stillness(0.01, 0.1, 0.9)
    text = stillness.text_table(
        {"one": {"set": rows}, "other": {"set": {"a": rows["a"]}}}, {"set": 3}
    )
    assert "1.00%  10.00%    0.900" in text and "(1 of 3)" in text
    assert text.count("of 3)") == 1


@pytest.mark.parametrize("option", [("--formats", "vot"), ("--max-frames", "5")])
def test_what_does_not_go_with_it_is_refused(data: Path, tmp_path: Path, option) -> None:
    done = evaluate(
        "--data", data, "--out", tmp_path, "--trackers", "identity", "--protocol", "still", *option
    )
    assert done.returncode == 2 and option[0] in done.stderr
    assert not list(tmp_path.iterdir())
