"""Clips whose truth ends before they do: what of them is not scored is said."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import pytest

from tests.evaluation.evaluate_tool import evaluate
from tests.evaluation.trackers_under_test import moving_square
from tests.evaluation.written_clips import clip, pictures, write
from tracker.data import datasets


def said(folder: Path, *only: str) -> list[str]:
    return datasets.left_out(datasets.load(folder, only=only))


def test_one_line_beside_whole_truths_is_named_and_a_test_set_in_one_sentence(tmp_path):
    for name in ("val/a", "val/b", "val/c", "test/a", "test/b"):
        clip(tmp_path / f"{name}.mp4", 5)
        write(tmp_path / f"{name}.txt", "1,2,3,4\n" * (5 if name in ("val/a", "val/c") else 1))
    assert said(tmp_path) == [
        "test (2 sequences): only their first boxes are public",
        "val/b: of its 5 frames only the first has a box; if its truth was cut short, get it anew",
    ]
    assert said(tmp_path, "val/a") == []
    assert len(said(tmp_path, "val/b")) == 1 and said(tmp_path, "val/b")[0].startswith("val/b: ")


@pytest.mark.parametrize("kind", ["video", "got10k", "otb", "uav123"])
def test_a_clip_with_more_frames_than_truth_is_named(tmp_path, kind):
    lines = "1,2,3,4\n" * 3
    if kind == "video":
        clip(tmp_path / "a.mp4", 5)
        write(tmp_path / "a.txt", lines)
    elif kind == "uav123":
        pictures(tmp_path / "data_seq" / "UAV123" / "a", 5)
        write(tmp_path / "anno" / "UAV123" / "a.txt", lines)
    else:
        pictures(tmp_path / "a" / "img" if kind == "otb" else tmp_path / "a", 5)
        write(tmp_path / "a" / f"groundtruth{'_rect' if kind == 'otb' else ''}.txt", lines)
    assert said(tmp_path) == [
        f"{tmp_path.name}/a: the last 2 of its 5 frames, for which there is no truth"
    ]


@pytest.mark.parametrize(("name", "start", "count"), [("Football1", 1, 74), ("BlurCar3", 3, 357)])
def test_clips_of_otb_whose_truth_is_known_to_end_early_are_whole(tmp_path, name, start, count):
    write(tmp_path / name / "groundtruth_rect.txt", "1,1,5,5\n" * count)
    for i in range(1, 364):
        write(tmp_path / name / "img" / f"{i:04d}.jpg", "never read")
    assert said(tmp_path) == []
    (found,) = datasets.load(tmp_path)
    assert found.source.paths[0].name == f"{start:04d}.jpg"
    write(tmp_path / name / "groundtruth_rect.txt", "1,1,5,5\n" * (count - 4))
    assert said(tmp_path) == [
        f"{tmp_path.name}/{name}: the last 4 of its {count} frames, for which there is no truth"
    ]


@pytest.mark.parametrize("protocol", ["ope", "vot", "verification", "still"])
def test_an_evaluation_says_what_it_does_not_score(tmp_path, protocol):
    for name, lines in (("a", 12), ("b", 12), ("cut", 1), ("short", 9)):
        truth = ""
        for i in range(12):
            image, box = moving_square(i)
            place = tmp_path / "data" / name / f"{i:08d}.png"
            place.parent.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(place), image)
            truth += ",".join(map(str, box)) + "\n" if i < lines else ""
        write(tmp_path / "data" / name / "groundtruth.txt", truth)
    tracker = "thumbnail" if protocol == "verification" else "identity"
    arguments = ("--data", tmp_path / "data", "--out", tmp_path / "out", "--trackers", tracker)
    done = evaluate(*arguments, "--protocol", protocol, "--no-report", "--quiet")
    assert done.returncode == 0, done.stderr
    if protocol == "still":  # the first box is all that it needs
        assert done.stderr == ""
        return
    assert done.stderr.splitlines() == [
        "not scored: data/cut: of its 12 frames only the first has a box; if its truth was cut "
        "short, get it anew",
        "not scored: data/short: the last 3 of its 12 frames, for which there is no truth",
    ]
    (summary,) = (tmp_path / "out").rglob("summary.json")
    assert len(json.loads(summary.read_text())["problems"]) == 2
