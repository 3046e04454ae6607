"""Speed figures from made-up timings; one real measurement in a process of its own."""

from __future__ import annotations

import math
import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from trackers_under_test import moving_square

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


def square_clip(path: Path) -> str:
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 10, (96, 72))
    for i in range(8):
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
    assert tracker.seen == [8, 8, 8] and timing.WARM_UP == 10
    assert {len(values) for values in made["stages"].values()} == {14}
    timing.watch_memory(tracker, clip, (1.0, 2.0, 3.0, 4.0), 12)
    assert tracker.seen[3:] == [8, 4]


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
