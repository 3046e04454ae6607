"""Runs that skip, resume, survive, and never mix; and the files that they leave."""

from __future__ import annotations

import json
import math
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.evaluation.trackers_under_test import BareBox, OpenCVLike, Perfect, moving_square
from tracker.data import datasets
from tracker.errors import UserError
from tracker.evaluation import opponents, protocols, results_io, runner, shortterm
from tracker.evaluation.metrics import one_pass
from tracker.evaluation.vot import Anchor
from tracker.files import write_atomic
from tracker.frames import Pictures
from tracker.results import State, TrackResult

OPTIONS = opponents.Options(threads=1)
LENGTH = 14


def make_sequence(folder: Path, name: str = "square", length: int = LENGTH) -> datasets.Sequence:
    """A moving square; the target is absent in frames 6 and 7."""
    paths, boxes = [], []
    for i in range(length):
        image, box = moving_square(i)
        if i in (6, 7):
            image, box = np.full_like(image, 40), (math.nan,) * 4
        path = folder / name / f"{i:04d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), image)
        paths.append(path)
        boxes.append(box)
    return datasets.Sequence("made", name, Pictures(tuple(paths)), np.array(boxes))


@pytest.fixture
def sequence(tmp_path) -> datasets.Sequence:
    return make_sequence(tmp_path / "frames")


def job_for(
    sequence, out, name="tests.evaluation.trackers_under_test:Perfect", identity="v1", **more
) -> runner.Job:
    return runner.make_job(name, OPTIONS, identity, sequence, out, **more)


@pytest.mark.parametrize("cls", [Perfect, BareBox, OpenCVLike])
def test_every_form_of_answer_is_understood(sequence, cls):
    track, size = protocols.run_one_pass(cls(), sequence)
    assert size == (96, 72)
    assert one_pass(track.boxes, sequence.truth).auc == pytest.approx(20 / 21)
    # absent in 6 and 7: the last box is kept
    assert track.boxes[7].tolist() == track.boxes[5].tolist()
    assert (track.states[6] == "lost") == (cls is not BareBox)


@pytest.mark.parametrize(
    ("answer", "state"),
    [
        (None, State.LOST),
        ((False, None), State.LOST),
        ((True, (1, 2, math.nan, 4)), State.LOST),
        ((True, (1, 2, 3, 4)), State.TRACKING),
        ([1, 2, 3, 4], State.TRACKING),
        (TrackResult((1, math.nan, 3, 4), 1.0, State.TRACKING), State.LOST),
    ],
)
def test_answers(answer, state):
    result = opponents.as_result(answer, (9.0, 9.0, 9.0, 9.0))
    assert result.state is state
    assert result.box == ((1, 2, 3, 4) if state is State.TRACKING else (9, 9, 9, 9))


def test_an_answer_that_is_no_box_is_named():
    with pytest.raises(UserError, match="returns \\(ok, box\\) or a box"):
        opponents.as_result((True, (1, 2, 3)), (0.0, 0.0, 1.0, 1.0))


def test_a_finished_run_is_read_back_and_not_repeated(sequence, tmp_path):
    job = job_for(sequence, tmp_path / "out")
    assert runner.finished(job) is None
    made = runner.run_job(job)
    again = runner.finished(job)
    assert made.error is None and again is not None and again.skipped
    np.testing.assert_allclose(again.track.boxes, made.track.boxes, atol=1e-4)
    assert again.track.states == made.track.states and again.size == (96, 72)


def test_a_changed_tracker_truth_or_length_is_run_again(sequence, tmp_path):
    out = tmp_path / "out"
    runner.run_job(job_for(sequence, out))
    assert runner.finished(job_for(sequence, out, identity="v2")) is None
    moved = datasets.Sequence("made", "square", sequence.source, sequence.truth + 1)
    assert runner.finished(job_for(moved, out)) is None
    short = job_for(sequence, out, max_frames=5)
    assert short.path != job_for(sequence, out).path and short.frames == 5
    assert len(runner.run_job(short).track.boxes) == 5
    assert runner.finished(job_for(sequence, out)) is not None


@pytest.mark.parametrize("damage", ["truncated csv", "edited csv", "no record", "broken record"])
def test_damaged_results_are_not_trusted(sequence, tmp_path, damage):
    job = job_for(sequence, tmp_path / "out")
    runner.run_job(job)
    if damage == "truncated csv":
        job.path.write_bytes(job.path.read_bytes()[:-40])
    elif damage == "edited csv":
        job.path.write_text(job.path.read_text().replace("tracking", "lost"))
    elif damage == "broken record":
        job.record.write_text(job.record.read_text()[:20])
    else:
        job.record.unlink()
        with pytest.raises(UserError, match="not written by an evaluation"):
            runner.finished(job)
        return
    assert runner.finished(job) is None


def test_errors_of_a_tracker_are_a_sentence_and_leave_no_file(sequence, tmp_path):
    job = job_for(sequence, tmp_path / "out", "tests.evaluation.trackers_under_test:Raises")
    outcome = runner.run_job(job)
    assert outcome.error == "ZeroDivisionError: by design"
    assert not job.path.exists() and not job.record.exists()


def test_processes_give_the_same_results_and_survive_a_death(tmp_path):
    sequences = [make_sequence(tmp_path / "frames", f"s{i}") for i in range(3)]
    out = tmp_path / "out"
    jobs = [job_for(s, out) for s in sequences]
    jobs.insert(1, job_for(sequences[0], out, "tests.evaluation.trackers_under_test:Dies"))
    frames = []
    outcomes = list(runner.run_all(jobs, 2, frames.append))
    failed = [o for o in outcomes if o.error]
    assert len(outcomes) == 4 and sum(frames) == 4 * LENGTH
    # the dead one only: the one that ran beside it is run again
    assert len(failed) == 1 and failed[0].job is jobs[1]
    assert "its process died" in failed[0].error
    alone, _ = protocols.run_one_pass(Perfect(), sequences[2])
    for outcome in outcomes:
        if outcome.error is None:
            np.testing.assert_allclose(outcome.track.boxes, alone.boxes, atol=1e-4)


def test_anchor_runs_go_both_ways(sequence, tmp_path):
    job = job_for(sequence, tmp_path, protocol=runner.ANCHORS, anchor=Anchor(9, True))
    outcome = runner.run_job(job)
    assert outcome.track.frames.tolist() == list(range(9, -1, -1))
    assert job.path.name == "00000009_backward.csv"
    run = shortterm.anchor_run(outcome)
    # 6 and 7 have no target and are taken out
    assert run.progress == 8 and run.overlaps.min() == pytest.approx(1) and not run.failed


def test_vot_figures_of_perfect_and_lost_trackers(tmp_path):
    sequence = make_sequence(tmp_path / "frames", length=24)
    outcomes = []
    for name in ("tests.evaluation.trackers_under_test:Perfect", "identity"):
        for anchor in shortterm.anchors_of(sequence):
            job = job_for(sequence, tmp_path / "out", name, protocol=runner.ANCHORS, anchor=anchor)
            outcomes.append(runner.run_job(job))
    scores = shortterm.summarise(outcomes)
    perfect = scores["tests.evaluation.trackers_under_test.Perfect"]["made"]
    assert (perfect.accuracy, perfect.robustness) == (pytest.approx(1), 1)
    # the square leaves its first place (by 2 x 1 px a frame) for good: overlap falls below .1
    still = scores["identity"]["made"]
    assert 0 < still.robustness < 1 and still.accuracy < 0.8
    assert "identity" in shortterm.text_table(scores, {"made": 1})
    json.dumps(shortterm.to_json(scores))


def test_resets_start_again_five_frames_after_a_failure(tmp_path):
    sequence = make_sequence(tmp_path / "frames", length=24)
    track, size = protocols.run_with_resets(opponents.Identity(), sequence)
    assert size == (96, 72)
    failure = track.states.index("failed")
    # 2 px a frame: from 10 frames on a 20 px square has no overlap; 6 and 7 cannot fail
    assert failure == 10
    assert track.states[failure + 1 : failure + 5] == ("skipped",) * 4
    assert track.states[failure + 5] == "initialised"
    job = job_for(sequence, tmp_path / "out", "identity", protocol=runner.RESETS)
    score = shortterm.summarise([runner.run_job(job)])["identity"]["made"]
    assert score.failures == 1


def test_track_files_round_trip_and_refuse_others(tmp_path):
    track = results_io.Track(
        np.array([0, 1]), np.array([[1.25, 2, 3, 4], [5, 6, 7, 8.5]]), np.array([1, 0.5]),
        ("tracking", "lost"), np.array([0.01, 0.002]),
    )  # fmt: skip
    path = tmp_path / "t.csv"
    write_atomic(path, results_io.track_to_csv(track))
    back = results_io.read_track(path)
    for name in ("frames", "boxes", "scores", "seconds"):
        assert getattr(back, name).tolist() == getattr(track, name).tolist()
    assert back.states == track.states
    assert back.fps == pytest.approx(500)
    alone = results_io.Track(*(column[:1] for column in vars(track).values()))
    write_atomic(path, results_io.track_to_csv(alone))
    assert math.isnan(results_io.read_track(path).fps)  # the first box alone takes no update
    path.write_text("frame,x\n1,2\n")
    with pytest.raises(UserError, match="not a result file"):
        results_io.read_track(path)


def test_a_state_that_nobody_knows_is_no_box(tmp_path):
    track = results_io.Track(
        np.arange(2), np.ones((2, 4)), np.ones(2), ("tracking", "occluded"), np.ones(2)
    )
    write_atomic(tmp_path / "t.csv", results_io.track_to_csv(track))
    with pytest.raises(UserError, match="'occluded' in the place of a state"):
        results_io.read_track(tmp_path / "t.csv")
    with pytest.raises(ValueError, match="occluded"):
        results_io.vot_run_files("t", "s", track)


def test_toolkit_forms():
    track = results_io.Track(
        np.array([0, 1]), np.array([[1.0, 2, 3, 4], [5, 6, 7, 8]]), np.array([1, 0.5]),
        ("tracking", "tracking"), np.array([0.01, 0.002]),
    )  # fmt: skip
    otb = results_io.toolkit_files("otb", "t", "s", track)
    assert otb["t/s.txt"].splitlines()[0] == "2.000,3.000,3.000,4.000"  # counted from 1
    got = results_io.toolkit_files("got10k", "t", "s", track)
    assert got["t/s/s_001.txt"].splitlines()[1] == "5.000,6.000,7.000,8.000"
    vot = results_io.toolkit_files("vot", "t", "s", track)
    assert vot["t/longterm/s/s_001.txt"].splitlines() == ["1", "5.000,6.000,7.000,8.000"]
    assert vot["t/longterm/s/s_001_confidence.value"].splitlines() == ["1.000000", "0.500000"]


def test_vot_runs_have_the_codes_of_its_toolkit(sequence):
    class Wanders(Perfect):
        """Loses the target in frame 3."""

        def init(self, image, box):
            self.seen = 0
            super().init(image, box)

        def update(self, image):
            self.seen += 1
            result = super().update(image)
            away = TrackResult((80.0, 60.0, 4.0, 4.0), 0.1, State.UNCERTAIN)
            return away if self.seen == 3 else result

    track, _ = protocols.run_with_resets(Wanders(), sequence)
    files = results_io.vot_run_files("t", "s", track)
    lines = files["t/baseline/s/s_001.txt"].splitlines()
    # fails in 3, and starts anew 5 frames later
    assert lines[0] == "1" and lines[3:9] == ["2", "0", "0", "0", "0", "1"]
    assert lines[1] == "12.000,21.000,20.000,20.000"
    assert len(files["t/baseline/s/s_001_time.value"].splitlines()) == LENGTH
    track, _ = protocols.run_from_anchor(Perfect(), sequence, Anchor(9, True))
    files = results_io.vot_run_files("t", "s", track, 9)
    lines = files["t/baseline/s/s_00000009.txt"].splitlines()
    assert len(lines) == 10 and lines[0] == "1" and lines[-1].startswith("10.000,20.000")


def test_an_unwritable_place_is_one_sentence(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot be written"):
        write_atomic(tmp_path / "file" / "below.csv", "x")
