"""Truth with four corners, and masks: what VOT's protocols compare a box with."""

from __future__ import annotations

import json

import cv2
import numpy as np
import pytest

from tests.evaluation.evaluate_tool import evaluate
from tests.evaluation.written_clips import pictures, write
from tracker.data import datasets
from tracker.evaluation import vot
from tracker.geometry import polygon_to_box

SIZE = (640, 480)
DIAMOND = np.array([[10.0, 0], [20, 10], [10, 20], [0, 10]])


def overlap(box, corners, size=SIZE) -> float:
    truth = np.array([polygon_to_box(corners)])
    return vot.bounded_overlaps(np.array([box]), truth, size, np.array([corners]))[0]


def test_a_box_and_a_diamond_by_hand():
    assert overlap((0.0, 0, 20, 20), DIAMOND) == pytest.approx(200 / 400)
    assert overlap((5.0, 5, 10, 10), DIAMOND) == pytest.approx(100 / 200)
    assert overlap((10.0, 10, 10, 10), DIAMOND) == pytest.approx(50 / 250)
    assert overlap((15.0, 15.1, 5, 5), DIAMOND) == 0, "in its box, beside it"
    assert overlap((0.0, 0, 20, 20), DIAMOND[::-1]) == pytest.approx(200 / 400)
    assert overlap((np.nan,) * 4, DIAMOND) == 0 == overlap((0.0, 0, 20, 20), DIAMOND * np.nan)
    # of a picture that ends in its middle the visible half counts, of both
    assert overlap((0.0, 0, 20, 20), DIAMOND, (10, 480)) == pytest.approx(100 / 200)
    assert overlap((0.0, 0, 20, 20), DIAMOND - 50) == 0


def test_corners_of_an_upright_box_are_that_box():
    random = np.random.default_rng(1)
    boxes, truth = random.uniform(0, 300, (2, 40, 4))
    corners = np.stack([
        truth[:, :2], truth[:, :2] + truth[:, 2:] * [1, 0],
        truth[:, :2] + truth[:, 2:], truth[:, :2] + truth[:, 2:] * [0, 1],
    ], axis=1)  # fmt: skip
    expected = vot.bounded_overlaps(boxes, truth, SIZE)
    np.testing.assert_allclose(vot.bounded_overlaps(boxes, truth, SIZE, corners), expected)
    assert vot.bounded_overlaps(truth, truth, SIZE, corners) == pytest.approx(1)


def test_turned_rectangles_agree_with_a_fine_raster():
    random, fine = np.random.default_rng(2), 16
    for angle in random.uniform(0, 90, 12):
        centre, sides = random.uniform(30, 70, 2), random.uniform(10, 50, 2)
        corners = cv2.boxPoints((centre, sides, angle)).astype(float)
        box = np.round([*(centre - sides / 2 + random.uniform(-9, 9, 2)), *sides])
        raster, other = np.zeros((2, 100 * fine, 100 * fine), np.uint8)
        cv2.fillPoly(raster, [np.round(corners * fine).astype(np.int32)], 1)
        left, top, right, bottom = (np.array([*box[:2], *(box[:2] + box[2:])]) * fine).astype(int)
        other[max(top, 0) : max(bottom, 0), max(left, 0) : max(right, 0)] = 1
        shared = (raster & other).sum() / (raster | other).sum()
        assert overlap(tuple(box), corners, (100, 100)) == pytest.approx(shared, abs=0.01)


def vot_clip(folder, line: str, count: int = 30) -> None:
    pictures(folder / "color", count)
    write(folder / "groundtruth.txt", f"{line}\n" * count)


@pytest.mark.parametrize("protocol", ["vot", "vot-supervised"])
def test_protocols_of_vot_compare_with_the_corners(tmp_path, protocol):
    vot_clip(tmp_path / "VOT" / "a", "6,1,12,7,6,13,0,7")
    vot_clip(tmp_path / "VOT" / "b", "0,1,12,13", 20)
    data, out = tmp_path / "VOT", tmp_path / "out"
    arguments = ("--data", data, "--out", out, "--trackers", "identity", "--protocol", protocol)
    done = evaluate(*arguments)
    assert done.returncode == 0 and "figures of VOT's toolkit" not in done.stdout, done.stderr
    (summary,) = out.rglob("summary.json")
    figures = json.loads(summary.read_text())["trackers"]["identity"]["VOT"]
    assert 0.55 < figures["accuracy"] < 0.75  # .5 of the diamond, 1 of the box
    a, b = datasets.load(data)
    assert a.corners.shape == (30, 4, 2) and b.corners is None
    # the track with resets depends on the corners, also where the boxes around them are the same
    write(data / "a" / "groundtruth.txt", "0,1,12,1,12,13,0,13\n" * 30)
    again = evaluate(*arguments)
    assert ("1 of 2" in again.stderr) == (protocol == "vot-supervised"), again.stderr
    assert json.loads(summary.read_text())["trackers"]["identity"]["VOT"]["accuracy"] == 1


@pytest.mark.parametrize(
    ("line", "protocol", "what"),
    [
        ("m2,3,4,4,0,16", "vot", "masks"),
        ("m2,3,4,4,0,16", "ope", "masks"),
        ("6,1,12,7,6,13,0,7", "ope", "corners"),
        ("6,1,6,12", "ope", None),
    ],
)
def test_where_boxes_stand_for_masks_or_corners_it_is_said(tmp_path, line, protocol, what):
    vot_clip(tmp_path / "VOT" / "a", line)
    done = evaluate(
        "--data", tmp_path / "VOT", "--out", tmp_path / "out", "--trackers", "identity",
        "--protocol", protocol, "--no-report",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    said = f"boxes around the {what} of VOT, which are not what VOT's toolkit compares with"
    (summary,) = (tmp_path / "out").rglob("summary.json")
    header = json.loads(summary.read_text())["header"]
    assert header.get("truth") == (said if what else None)
    assert (f"truth: {said}" in done.stdout) == bool(what)
