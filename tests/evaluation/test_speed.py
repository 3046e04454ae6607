"""Speed figures from made-up timings; one real measurement in a process of its own."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType, SimpleNamespace

import cv2
import numpy as np
import pytest

from tests.evaluation.trackers_under_test import moving_square
from tracker.errors import UserError
from tracker.evaluation import opponents, speed, timing
from tracker.frames import Video

OPTIONS = opponents.Options(threads=1)


def job(name: str, video: str = "v.mp4", **more) -> timing.TimingJob:
    return timing.TimingJob(name, OPTIONS, video, (10.0, 20.0, 20.0, 20.0), 12, 0.0, **more)


def answer(update: list[float], decode: float = 0.001, parts: bool = False) -> dict:
    n = len(update)
    stages = {"decode": [decode] * n, "update": update, "draw": [0.0005] * n}
    stages["total"] = [decode + u + 0.0005 for u in update]
    if parts:
        stages |= {"crop": [0.0] * n, "decide": [0.0] * n, "network": [u * 0.8 for u in update]}
        stages["other"] = [u * 0.2 for u in update]
    return {"startup": 0.5, "stages": stages}


def test_rate_is_frames_over_the_sum_of_times():
    # one slow frame of 10: the mean of 1/t would say about 900
    figures = speed.summarise([answer([0.001] * 9 + [0.091])])
    assert figures.update_fps == pytest.approx(10 / 0.1)
    assert figures.fps == pytest.approx(10 / 0.115)
    assert figures.stages["update"][0] == pytest.approx(1.0)
    assert figures.stages["update"][1] > 40
    assert math.isnan(figures.outside_network)


def test_share_outside_the_network():
    assert speed.summarise([answer([0.004] * 5, parts=True)]).outside_network == pytest.approx(0.2)


def test_rounds_alternate_and_turn():
    order = []

    def measure(given):
        order.append((given.tracker, given.loop_frames))
        return answer([0.002] * 3)

    jobs = {n: job(n, loop_frames=7) for n in ("a", "b", "c")}
    runs = speed.alternate(jobs, 3, measure)
    assert [n for n, _ in order] == list("abc") + list("bca") + list("cab")
    assert [m for _, m in order] == [7] * 3 + [0] * 6  # memory in the first round only
    assert len(runs["a"].answers) == 3


def test_a_failing_tracker_is_left_out_and_the_others_go_on():
    def measure(given):
        if given.tracker == "bad":
            raise UserError("bad: by design")
        return answer([0.002] * 3)

    runs = speed.alternate({"bad": job("bad"), "good": job("good")}, 2, measure)
    assert runs["bad"].error == "bad: by design" and len(runs["good"].answers) == 2


def test_figures_of_the_rounds_are_pooled_or_their_median():
    rounds = [answer([0.002] * 3) | {"startup": s, "told": {"device": "cpu"}} for s in (9, 1, 2)]
    rounds[0] |= {"memory": [2**20 * m for m in (10, 20, 40)], "drift": 1.5}  # watched once
    figures = speed.summarise(rounds)
    assert (figures.startup, figures.memory, figures.drift) == (2, (10, 40), 1.5)
    assert figures.told == {"device": "cpu"}
    made = speed.to_json(figures)
    assert (made["startup_seconds"], made["memory_mib"]) == (2, [10, 40])
    assert (made["latency_drift"], made["device"]) == (1.5, "cpu")


def test_paired_ratio_is_taken_round_by_round():
    fast = speed.summarise([answer([0.0005] * 4, 0.0), answer([0.0015] * 4, 0.0)])
    slow = speed.summarise([answer([0.0015] * 4, 0.0), answer([0.0035] * 4, 0.0)])
    _median, least, most = speed.paired_ratio(fast, slow)
    assert (least, most) == (pytest.approx(2), pytest.approx(2))
    table = speed.text_table({"fast": fast, "slow": slow})
    assert "fast is 2.00 times as fast as slow" in table
    assert speed.to_json(fast)["outside_network"] is None


def test_jobs_travel_as_one_argument():
    given = job("x:Y", loop_frames=3)
    assert timing.from_argument(timing.to_argument(given)) == given


def square_clip(path: Path, count: int = 8) -> str:
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 10, (96, 72))
    for i in range(count):
        writer.write(moving_square(i)[0])
    writer.release()
    return str(path)


def test_a_real_measurement_in_a_fresh_process(tmp_path, monkeypatch):
    paths = [str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(paths))
    # 12 timed updates and a loop of 200 on a clip of 8 frames: it plays again and again
    clip = square_clip(tmp_path / "square.avi")
    made = speed.measure_in_process(job("trackers_under_test:Perfect", clip, loop_frames=200))
    figures = speed.summarise([made])
    assert len(made["stages"]["total"]) == 12
    parts = [np.array(made["stages"][n]) for n in ("decode", "update", "draw")]
    np.testing.assert_allclose(sum(parts), made["stages"]["total"], atol=1e-9)
    assert 0 < figures.startup < 120 and figures.fps > 0
    assert len(made["memory"]) == 3 and figures.memory[0] > 10


class Counting:
    """Remembers how often it was started, and how many frames it saw after each start."""

    def __init__(self) -> None:
        self.seen: list[int] = []

    def init(self, image, box):
        assert tuple(box) == (1.0, 2.0, 3.0, 4.0)
        self.seen.append(0)

    def update(self, image):
        self.seen[-1] += 1
        return 1.0, 2.0, 3.0, 4.0


def test_a_clip_that_is_over_begins_with_a_new_start(tmp_path):
    clip, tracker = Video(Path(square_clip(tmp_path / "square.avi"))), Counting()
    made = timing.measure_frames(tracker, clip, (1.0, 2.0, 3.0, 4.0), 14)
    assert tracker.seen == [7, 7, 7, 3] and timing.WARM_UP == 10
    assert {len(values) for values in made["stages"].values()} == {14}
    timing.watch_memory(tracker, clip, (1.0, 2.0, 3.0, 4.0), 12)
    assert tracker.seen[4:] == [7, 5]


def test_a_clip_of_one_frame_is_refused(tmp_path):
    clip = Video(Path(square_clip(tmp_path / "square.avi", 1)))
    with pytest.raises(UserError, match="has one frame"):
        timing.measure_frames(Counting(), clip, (1.0, 2.0, 3.0, 4.0), 3)


class Played:
    """A tracker and a clip of four frames that take what they are told to, by its clock."""

    timings = MappingProxyType({"crop": 0.002, "network": 0.03, "decide": 0.001})

    def __init__(self, monkeypatch) -> None:
        self.now, self.updates, self.update_takes = 100.0, 0, lambda number: 0.04
        clock = SimpleNamespace(perf_counter=lambda: self.now, time=lambda: self.now)
        monkeypatch.setattr(timing, "time", clock)
        monkeypatch.setattr(timing, "Drawing", lambda: lambda image, result: self.spend(0.003))

    def spend(self, seconds: float) -> None:
        self.now += seconds

    def read(self, span):
        for _ in range(4)[: span.stop]:
            self.spend(0.01)
            yield np.zeros((8, 8, 3), np.uint8)

    def init(self, image, box) -> None:
        self.spend(5)

    def update(self, image):
        self.spend(self.update_takes(self.updates))
        self.updates += 1
        return 1.0, 2.0, 3.0, 4.0


FIRST = (1.0, 2.0, 3.0, 4.0)


def test_each_stage_has_the_time_that_it_took_and_a_new_start_has_none(monkeypatch):
    played = Played(monkeypatch)
    stages = timing.measure_frames(played, played, FIRST, 12)["stages"]
    assert played.updates == 12 + timing.WARM_UP
    longest = {name: max(values) for name, values in stages.items()}
    assert longest == pytest.approx(
        {"decode": 0.01, "crop": 0.002, "network": 0.03, "decide": 0.001, "other": 0.007,
         "draw": 0.003, "update": 0.04, "total": 0.053}
    )  # fmt: skip
    for name in ("crop", "network", "decide", "other", "draw", "update"):
        assert min(stages[name]) == pytest.approx(longest[name])


def test_the_first_box_is_counted_from_the_start_of_the_process(monkeypatch):
    played = Played(monkeypatch)
    monkeypatch.setattr(timing, "Video", lambda path: played)
    monkeypatch.setattr(opponents, "build", lambda name, options: played.spend(1) or played)
    made = timing.run(replace(job("any"), started=98.0))
    assert made["startup"] == pytest.approx(2 + 0.01 + 1 + 5 + 0.04) and "memory" not in made


def test_memory_and_drift_from_the_start_of_the_long_loop_to_its_end(monkeypatch):
    played, memory = Played(monkeypatch), iter([10, 20, 40])
    monkeypatch.setattr(timing, "resident_bytes", lambda: next(memory))
    played.update_takes = lambda number: 0.01 if number < 100 else 0.03
    found = timing.watch_memory(played, played, FIRST, 200)
    assert found == {"memory": [10, 20, 40], "drift": pytest.approx(3)}


def test_our_trackers_say_what_they_run_on():
    made = opponents.build("kestrel-int8", opponents.Options("cpu", threads=1))
    told = {"model": "kestrel", "precision": "int8", "device": "cpu", "threads": "1"}
    assert timing.describe(made) == told and timing.describe(Counting()) == {}


BENCHMARK = Path(__file__).resolve().parents[2] / "tools" / "benchmark.py"


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["--trackers", "a/kestrel,b/kestrel"], "a/kestrel and b/kestrel would share the name"),
        (["--trackers", ","], "a name is needed"),
        (["--plot", "p.svg"], "--plot needs --accuracy"),
        (["--only", "otb"], "--only and --kind choose among the clips of --data"),
    ],
)
def test_what_cannot_be_compared_is_said_before_anything_is_measured(tmp_path, more, words):
    clip = square_clip(tmp_path / "square.avi")
    done = subprocess.run(
        [sys.executable, str(BENCHMARK), "--video", clip, "--init-box", "1,1,9,9", *more],
        capture_output=True, text=True, timeout=120, check=False, cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 2 and words in done.stderr and not done.stdout


def test_trackers_are_looked_for_where_the_command_was_given(tmp_path, monkeypatch):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "still.py").write_text(STILL)
    (tmp_path / "tracker").mkdir()  # of the user's own: not to be taken for ours
    (tmp_path / "tracker" / "__init__.py").write_text("")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", "mine")
    made = speed.measure_in_process(job("still:Still", square_clip(tmp_path / "square.avi")))
    assert len(made["stages"]["total"]) == 12


STILL = """
import atexit
atexit.register(print, "bye")  # after the figures
class Still:
    def init(self, image, box):
        self.box = box
    def update(self, image):
        print("at it", end="")
        return self.box
"""


def test_a_process_that_fails_says_why_in_one_sentence(tmp_path):
    with pytest.raises(UserError, match="cannot be opened as a video"):
        speed.measure_in_process(job("identity", str(tmp_path / "missing.avi")))


def test_figures_are_not_written_over_the_clip(tmp_path):
    clip = Path(square_clip(tmp_path / "square.avi"))
    before = clip.read_bytes()
    done = subprocess.run(
        [sys.executable, str(BENCHMARK), "--video", str(clip), "--init-box", "1,1,9,9",
         "--overwrite", "--json", str(clip)],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 2 and "--json would be written over" in done.stderr
    assert clip.read_bytes() == before


@pytest.mark.parametrize(
    ("box", "words"), [("9999,1,9,9", "lies outside the frame of 96 x 72"), ("1,1,0,9", "positive")]
)
def test_a_box_that_is_no_target_is_refused_before_anything_is_measured(tmp_path, box, words):
    clip = square_clip(tmp_path / "square.avi")
    done = subprocess.run(
        [sys.executable, str(BENCHMARK), "--video", clip, "--init-box", box,
         "--trackers", "identity"],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 2 and words in done.stderr and done.stderr.count("\n") == 1
    assert not done.stdout


def test_a_comparison_from_the_command_to_its_files(tmp_path):
    pytest.importorskip("matplotlib")
    clip = square_clip(tmp_path / "square.avi")
    rows = {"otb": {"identity": {"auc": {"mean": 0.25}}}}
    (tmp_path / "summary.json").write_text(json.dumps({"datasets": rows}))
    done = subprocess.run(
        [sys.executable, str(BENCHMARK), "--video", clip, "--init-box", "10,20,20,20",
         "--trackers", "identity", "--frames", "3", "--rounds", "1", "--memory-frames", "100",
         "--accuracy", "summary.json", "--json", "speed.json", "--table", "speed.md",
         "--plot", "speed.svg"],
        capture_output=True, text=True, timeout=120, check=False, cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0 and "round 1 of 1: identity" in done.stderr, done.stderr
    made = json.loads((tmp_path / "speed.json").read_text())
    figures = made["trackers"]["identity"]
    assert made["problems"] == [] and "square.avi, 96 x 72" in made["header"]["clip"]
    assert set(figures["stages_ms"]) == {"decode", "update", "draw", "total"}
    assert figures["fps"] == figures["fps_by_round"][0] < figures["update_fps"]
    assert f"{figures['startup_seconds']:.2f}" in done.stdout and min(figures["memory_mib"]) > 10
    table = (tmp_path / "speed.md").read_text()
    assert "| identity | - | own | 0.250 | - | - | - | " in table
    assert f"| {figures['update_fps']:.0f} | - | {figures['startup_seconds']:.2f} |" in table
    assert "- clip: square.avi" in table
    assert "identity" in "".join(ElementTree.parse(tmp_path / "speed.svg").getroot().itertext())
