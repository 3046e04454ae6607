"""``tools/tune.py`` as a person runs it, on small rendered clips."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from tracker import SiameseTracker
from tracker.data import datasets
from tracker.errors import UserError
from tracker.evaluation import lockstep, tuning, tuning_report, tuning_runs
from tracker.evaluation.longterm import PresenceCounts
from tracker.evaluation.output_cache import OutputCache
from tracker.evaluation.protocols import run_one_pass
from tracker.geometry import iou
from tracker.runtime import open_network

ROOT = Path(__file__).resolve().parent.parent.parent
FRAMES = 10


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    """Two clips: a patterned square that moves over a blurred background, and grows in one."""
    root = tmp_path_factory.mktemp("tune data")
    for seed, (folder, name, growth) in enumerate((("near", "a", 0), ("far", "b", 1))):
        rng = np.random.default_rng(seed)
        background = cv2.GaussianBlur(rng.integers(0, 255, (120, 160, 3), np.uint8), (0, 0), 3)
        pattern = rng.integers(0, 255, (6, 6, 3), np.uint8)
        (root / folder).mkdir()
        codec = cv2.VideoWriter_fourcc(*"MJPG")
        writer = cv2.VideoWriter(str(root / folder / f"{name}.avi"), codec, 10, (160, 120))
        lines = []
        for i in range(FRAMES):
            side, x, y = 30 + growth * i, 30 + 3 * i, 40 + i
            image = background.copy()
            image[y : y + side, x : x + side] = cv2.resize(pattern, (side, side))
            writer.write(image)
            lines.append(f"{x},{y},{side},{side}")
        writer.release()
        (root / folder / f"{name}.txt").write_text("\n".join(lines))
    return root


def tune(*arguments, hidden: str = "") -> subprocess.CompletedProcess:
    """Run the tool; ``hidden`` is a library that it finds not installed."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    tool = str(ROOT / "tools" / "tune.py")
    start = (
        f"import runpy, sys; sys.modules[{hidden!r}] = None; del sys.argv[0]; "
        f"runpy.run_path({tool!r}, run_name='__main__')"
    )
    command = [sys.executable, *(["-c", start] if hidden else []), tool, *map(str, arguments)]
    return subprocess.run(
        command, capture_output=True, text=True, env=environment, timeout=240, check=False
    )


def test_a_search_from_clips_to_a_model_and_again(data, tmp_path):
    out, cache = tmp_path / "out", tmp_path / "cache"
    common = ("--data", data, "--search", "window=.2,.4", "--search", "patience=3", "--folds", 2,
              "--out", out, "--threads", 1, "--cache", cache)  # fmt: skip
    done = tune(*common, "--jobs", 2)
    assert done.returncode == 0, done.stderr
    assert "no gain shown: fewer than 5 sequences" in done.stdout
    tuned, report = (json.loads((out / f"{n}.json").read_text()) for n in ("tuned", "report"))
    own = open_network("kestrel", "cpu", 1).spec
    assert set(tuned) == {"online", "presence"}  # the form that tools/export.py reads
    assert tuned["online"]["window"] == own.online.window  # no gain: nothing changes
    assert report["figures"]["start"]["auc"].keys() == {"near", "far"}
    assert report["regions"]["asked"] > report["regions"]["computed"] > 0
    assert len(list(cache.rglob("*.outputs"))) == 2
    scores = (out / "scores.jsonl").read_text()
    again = tune(*common)
    assert again.returncode == 2 and "--overwrite" in again.stderr
    # half of what was done, and a line that an interrupt cut short
    lines = scores.splitlines(keepends=True)
    (out / "scores.jsonl").write_text("".join(lines[:3]) + lines[3][:40])
    again = tune(*common, "--overwrite", "--quiet")
    assert again.returncode == 0, again.stderr
    assert again.stderr == ""
    words = [line for line in done.stdout.splitlines() if "search regions" not in line]
    assert [s for s in again.stdout.splitlines() if "search regions" not in s] == words
    assert "of which the network looked at 0 (0 %)" in again.stdout  # all from the cache's files
    third = tune(*common, "--overwrite", "--quiet")
    assert "all figures were known from an earlier run" in third.stdout


def test_parameters_are_written_into_graphs_without_torch(tmp_path):
    pytest.importorskip("onnx")
    start = tmp_path / "tuned.json"
    start.write_text('{"online": {"window": 0.33}, "presence": {"patience": 9}}')
    stem = tmp_path / "model" / "mine"
    done = tune("--model", "kestrel", "--start", start, "--write", stem, hidden="torch")
    assert done.returncode == 0, done.stderr
    old, new = (open_network(m, "cpu", 1) for m in ("kestrel", str(stem)))
    assert new.spec.online.window == 0.33 and new.spec.presence.patience == 9
    assert new.spec.online.penalty == old.spec.online.penalty and new.spec.pair == old.spec.pair
    size = old.spec.search_size
    crop = np.random.default_rng(0).integers(0, 255, (1, size, size, 3), np.uint8)
    box = np.float32([[40, 40, 88, 88]])
    (a, _), (b, _) = (n.embed(crop[:, 40:168, 40:168], box) for n in (old, new))
    np.testing.assert_array_equal(a, b)
    np.testing.assert_array_equal(old.search(a, crop).score, new.search(b, crop).score)
    again = tune("--model", "kestrel", "--start", start, "--write", stem)
    assert again.returncode == 2 and "--overwrite" in again.stderr
    for text, said in (
        ('{"online": {"typo": 1}}', "not parameters of a kestrel"),
        ('{"online": {"penalty": "0.2"}}', "is '0.2', not a number"),
        ('{"onlin": {"window": 0.9}, "presence": {"doubt": 0.2}}', "online, presence, scores and"),
        ('{"scores": {"auc": 1}}', "it needs the parts online and presence"),
    ):
        start.write_text(text)
        wrong = tune("--model", "kestrel", "--start", start, "--write", stem, "--overwrite")
        assert wrong.returncode == 2 and said in wrong.stderr and "metadata" not in wrong.stderr


@pytest.mark.parametrize(
    ("other", "words"), [("far/b", "no results can be written"), ("near/a", "targets of one")]
)
def test_clips_are_told_apart_by_what_is_in_them(data, tmp_path, other, words):
    """Not by their names. What comes after the folds is a place that takes no files."""
    for number, name in enumerate(("near/a", other), 1):
        for suffix in (".avi", ".txt"):
            shutil.copy(data / (name + suffix), tmp_path / f"clip_{number}{suffix}")
    (tmp_path / "file").write_text("")
    clips = datasets.load(tmp_path)
    how, plan = tuning_runs.How("kestrel", "cpu"), tuning_report.Plan(("window=.3",))
    with pytest.raises(UserError, match=words):
        tuning_report.tune(how, plan, clips, tmp_path / "scores", [tmp_path / "file"])


def test_a_place_that_takes_no_files_is_said_before_the_search(data, tmp_path):
    (tmp_path / "file").write_text("")
    search = ("--model", "kestrel", "--data", data, "--search", "window=.3")
    out = ("--out", tmp_path / "out")
    for more in (("--out", tmp_path / "file"), (*out, "--write", tmp_path / "file" / "x")):
        done = tune(*search, *more)
        assert done.returncode == 2 and "no results can be written here" in done.stderr
    assert not (tmp_path / "out" / "scores.jsonl").exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--search", "windw=.2"], "no online parameter 'windw'"),
        (["--search", "window=.2", "--search", "window=.3"], "names a parameter twice"),
        (["--search", "window=.2"], "--search needs --data"),
        (["--search", "window=.2", "--data", "missing"], "no such folder"),
        (["--search", "window=.2", "--only", "a"], "needs two sequences"),
        (["--search", "window=.2", "--only", ""], "a name is needed, or several between commas"),
        (["--search", "window=.2", "--start", "missing.json"], "cannot be read"),
        (["--search", "window=.2", "--model", "nobody"], "there is no model file"),
        (["--search", "window=.2", "--grid-side", "3"], "a share of 0.0005 to 0.25"),
        ([], "give --search"),
    ],
)
def test_mistakes_are_one_sentence_and_status_2(data, tmp_path, arguments, words):
    more = [] if "--data" in arguments or "needs --data" in words else ["--data", data]
    done = tune(*arguments, *more, "--out", tmp_path / "out", "--quiet")
    assert done.returncode == 2 and words in done.stderr
    assert "Traceback" not in done.stderr and not (tmp_path / "out").exists()


@pytest.mark.parametrize(("model", "frames"), [("kestrel", FRAMES), ("siamfc", 3)])
def test_settings_in_step_go_where_each_goes_alone(data, model, frames):
    """Side by side, cached or not, a setting's track is its own; the fine grid is the tracker."""
    network = open_network(model, "cpu", 1)
    settings = [(), (("window", 0.1),), (("context", 0.6),)]
    specs = [tuning.apply(network.spec, s) for s in settings]
    sequence = next(s for s in datasets.load(data) if s.name == "b")
    grid = lockstep.Grid()
    together = lockstep.follow_all(network, specs, sequence, OutputCache(), grid, frames)
    for spec, track in zip(specs, together, strict=True):
        cache = OutputCache()
        (alone,) = lockstep.follow_all(network, [spec], sequence, cache, grid, frames)
        np.testing.assert_array_equal(alone.boxes, track.boxes)
        assert alone.states == track.states
    assert not np.array_equal(together[0].boxes, together[2].boxes)
    (fine,) = lockstep.follow_all(
        network, specs[:1], sequence, OutputCache(), lockstep.Grid(0.001, 0.001), frames
    )
    real, _ = run_one_pass(SiameseTracker(network), sequence, frames)
    assert iou(fine.boxes, real.boxes).min() > 0.9
    assert iou(together[0].boxes, real.boxes).min() > 0.8


class MadeUp:
    """A book of figures in which each parameter's value decides the AUC."""

    asked = computed = 0

    def __init__(self, gain: float) -> None:
        self.gain = gain

    def figures(self, setting, key):
        auc = 0.5 + int(key[-1]) / 100 + (self.gain if setting else 0.0)
        return tuning_runs.Figures(auc, PresenceCounts(present=40))


@pytest.mark.parametrize("gain", [0.02, -0.02])
def test_the_winner_is_kept_only_if_the_tracker_as_it_ships_gains(gain):
    spec = open_network("kestrel", "cpu", 1).spec
    groups = {f"{folder}/{i}": folder for folder in ("far", "near") for i in range(3)}
    folds = tuning.make_folds(groups, 3)
    winner = (("window", 0.123),)
    found = tuning.Found(winner, (winner,) * 3, tuple(folds))
    outcome = tuning_report.conclude(
        tuning_runs.How("kestrel"), tuning_report.Plan(("window=.123",)), spec, groups, found,
        MadeUp(0.02), MadeUp(gain),
    )  # fmt: skip
    assert outcome.gained == (gain > 0)
    kept = outcome.kept["online"]["window"]
    assert kept == (0.123 if gain > 0 else spec.online.window)
    assert outcome.record["gain"]["held_out"]["mean"] == pytest.approx(gain)
    assert outcome.record["gain"]["held_out_grid"]["mean"] == pytest.approx(0.02)
    assert outcome.record["winner"]["online"]["window"] == 0.123  # it can be taken all the same
    json.dumps(outcome.record)
    words = "verdict: gain" if gain > 0 else "the parameters stay as they are"
    assert words in outcome.text


def test_figures_and_the_objective_by_hand():
    counts = PresenceCounts(
        absent=10, present=40, lost_absent=7, lost_present=4, returns=2, delays=(3,)
    )
    f = tuning_runs.Figures(0.6, counts)
    assert f.presence_error == pytest.approx(0.1 + 0.3)
    assert f.objective(0.5) == pytest.approx(0.6 - 0.2)
    never = tuning_runs.Figures(0.6, PresenceCounts(present=40, lost_present=4))
    assert never.presence_error == pytest.approx(0.1)
    assert tuning_runs.presence_rates({"b": never}) == {}
    # what never leaves takes no part
    rates = {
        "lost_said_when_gone": 0.7, "lost_said_when_there": 0.1, "returns": 4, "found_again": 2,
    }  # fmt: skip
    assert tuning_runs.presence_rates({"a": f, "b": f, "c": never}) == rates
    gone = tuning_runs.Figures(0.6, PresenceCounts(absent=2))
    assert tuning_runs.presence_rates({"a": gone})["lost_said_when_there"] == 0
    assert gone.presence_error == 1


def test_figures_of_earlier_searches_are_still_read(tmp_path):
    """They had the counts beside the AUC, and no delays."""
    counts = {"absent": 10, "present": 40, "lost_absent": 7, "lost_present": 4, "returns": 2}
    earlier = {"auc": 0.6, **counts, "found_again": 1}
    now = tuning_runs.Figures(0.6, PresenceCounts(**counts, delays=(3,)))
    path = tmp_path / "scores.jsonl"
    lines = {"a": earlier, "b": dataclasses.asdict(now), "c": {"auc": 0.6}, "d": [0.6], "e": None}
    path.write_text("".join(json.dumps({"key": k, "figures": f}) + "\n" for k, f in lines.items()))
    assert dict(tuning_runs._read(path)) == {
        "a": dataclasses.replace(now, presence=PresenceCounts(**counts, delays=(0,))), "b": now,
    }  # fmt: skip
