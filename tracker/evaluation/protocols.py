"""Run a tracker over one sequence: one pass, from an anchor, or with resets."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np

from tracker.data.datasets import Sequence
from tracker.errors import UserError
from tracker.evaluation.opponents import Tracker, as_result
from tracker.evaluation.results_io import Track
from tracker.evaluation.vot import RESET_SKIP, Anchor, Code, anchor_frames, bounded_overlaps
from tracker.geometry import as_box
from tracker.image import Image
from tracker.results import Box, State, TrackResult

OnFrame = Callable[[], None]


@dataclass
class Recorder:
    """Collects one row a frame."""

    frames: list[int] = field(default_factory=list)
    boxes: list[Box] = field(default_factory=list)
    scores: list[float] = field(default_factory=list)
    states: list[str] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)

    def add(self, frame: int, result: TrackResult, seconds: float, state: str = "") -> None:
        self.frames.append(frame)
        self.boxes.append(result.box)
        self.scores.append(result.score)
        self.states.append(state or result.state.value)
        self.seconds.append(seconds)

    def track(self) -> Track:
        return Track(
            np.array(self.frames, dtype=np.int64),
            np.array(self.boxes, dtype=np.float64),
            np.array(self.scores, dtype=np.float64),
            tuple(self.states),
            np.array(self.seconds, dtype=np.float64),
        )


def run_one_pass(
    tracker: Tracker,
    sequence: Sequence,
    max_frames: int | None = None,
    on_frame: OnFrame | None = None,
) -> tuple[Track, tuple[int, int]]:
    """Start on the first box and follow to the end; no resets.

    Returns:
        The track, and the (width, height) of the frames.
    """
    length = len(sequence) if max_frames is None else min(max_frames, len(sequence))
    return _run_along(tracker, sequence, range(length), on_frame)


def run_from_anchor(
    tracker: Tracker, sequence: Sequence, anchor: Anchor, on_frame: OnFrame | None = None
) -> tuple[Track, tuple[int, int]]:
    """Start on an anchor's box and follow to the end of the clip, or back to its start."""
    return _run_along(tracker, sequence, anchor_frames(anchor, len(sequence)), on_frame)


def run_with_resets(
    tracker: Tracker, sequence: Sequence, on_frame: OnFrame | None = None
) -> tuple[Track, tuple[int, int]]:
    """VOT's supervised protocol: no overlap is a failure, and 5 frames later a new start.

    A new start waits for a frame with truth; frames without truth cannot fail.
    """
    rows = Recorder()
    wait, size = 0, (0, 0)
    started = False
    for index, image in zip(range(len(sequence)), _frames(sequence), strict=False):
        size = (image.shape[1], image.shape[0])
        truth = sequence.truth[index]
        there = bool(np.isfinite(truth).all())
        if not started and (wait > 0 or not there):
            wait -= 1
            nothing = TrackResult((0.0, 0.0, 0.0, 0.0), 0.0, State.LOST)
            rows.add(index, nothing, 0.0, Code.SKIPPED.state)
        elif not started:
            seconds = _start(tracker, image, as_box(truth))
            first = TrackResult(as_box(truth), 1.0, State.TRACKING)
            rows.add(index, first, seconds, Code.INITIALISED.state)
            started = True
        else:
            result, seconds = _follow(tracker, image, rows.boxes[-1])
            corners = None if sequence.corners is None else sequence.corners[index, None]
            overlap = bounded_overlaps(np.array([result.box]), truth[None], size, corners)[0]
            failed = there and overlap <= 0
            rows.add(index, result, seconds, Code.FAILED.state if failed else "")
            if failed:
                started, wait = False, RESET_SKIP - 1
        if on_frame:
            on_frame()
    return rows.track(), size


def _run_along(
    tracker: Tracker, sequence: Sequence, frames: range, on_frame: OnFrame | None
) -> tuple[Track, tuple[int, int]]:
    rows, size = Recorder(), (0, 0)
    for index, image in zip(frames, sequence.source.read(frames), strict=True):
        if not rows.frames:
            size = (image.shape[1], image.shape[0])
            box = as_box(sequence.truth[index])
            seconds = _start(tracker, image, box)
            rows.add(index, TrackResult(box, 1.0, State.TRACKING), seconds)
        else:
            result, seconds = _follow(tracker, image, rows.boxes[-1])
            rows.add(index, result, seconds)
        if on_frame:
            on_frame()
    return rows.track(), size


def _frames(sequence: Sequence) -> Iterator[Image]:
    return sequence.source.read(range(len(sequence)))


def _start(tracker: Tracker, image: Image, box: Box) -> float:
    start = time.perf_counter()
    try:
        tracker.init(image, box)
    except ValueError as error:
        raise UserError(f"the tracker refused its first box: {error}") from None
    return time.perf_counter() - start


def _follow(tracker: Tracker, image: Image, previous: Box) -> tuple[TrackResult, float]:
    start = time.perf_counter()
    answer = tracker.update(image)
    seconds = time.perf_counter() - start
    return as_result(answer, previous), seconds


def first_box(sequence: Sequence) -> Box:
    """The box that starts a tracker."""
    return as_box(sequence.truth[0])
