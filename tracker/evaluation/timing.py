"""What one tracker costs, measured in a process of its own.

``python -m tracker.evaluation.timing`` reads a job as json from its arguments, runs one
tracker over one clip, and prints its figures as json. ``tools/benchmark.py`` starts such a
process for every tracker in turn: several ONNX Runtime sessions in one process disturb each
other, and the time to the first box is only honest in a fresh process.
"""

from __future__ import annotations

import dataclasses
import json
import os
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tracker.evaluation import opponents
from tracker.frames import Video
from tracker.image import Image
from tracker.results import Box, State, TrackResult

PARTS = ("crop", "network", "decide")
"""Of an update, as our own trackers tell them."""
STAGES = ("decode", *PARTS, "other", "draw")
WARM_UP = 10
"""Updates left out of the figures: first runs allocate and plan."""
MEMORY_EVERY = 100
MARK = "figures of the run: "
"""Stands before them, for trackers print what they like."""


@dataclass(frozen=True)
class TimingJob:
    """One measurement.

    Attributes:
        video: clip; when it is over it is played again, with a new start.
        box: the target in its first frame.
        frames: updates to time.
        started: ``time.time()`` just before the process was started.
        loop_frames: update on decoded frames only, to watch the memory; 0 for none.
    """

    tracker: str
    options: opponents.Options
    video: str
    box: Box
    frames: int
    started: float
    loop_frames: int = 0


def run(job: TimingJob) -> dict[str, Any]:
    """Measure; see ``measure_frames`` and ``watch_memory`` for what is in the answer."""
    clip = Video(Path(job.video))
    image = next(clip.read(range(1)))
    tracker = opponents.build(job.tracker, job.options)
    tracker.init(image, job.box)
    opponents.as_result(tracker.update(image), job.box)
    first_box = time.time() - job.started
    answer: dict[str, Any] = {"startup": first_box, "told": describe(tracker)}
    answer |= measure_frames(tracker, clip, job.box, job.frames)
    if job.loop_frames:
        answer |= watch_memory(tracker, clip, job.box, job.loop_frames)
    return answer


def measure_frames(tracker: opponents.Tracker, clip: Video, box: Box, count: int) -> dict[str, Any]:
    """Seconds of each stage for each of ``count`` frames, after a warm-up; starts are left out.

    ``update`` is the tracker's whole answer; ``crop``, ``network`` and ``decide`` are its
    parts where it has ``timings``, ``other`` is the rest of it. ``total`` is all of
    decoding, update and drawing, by the clock around them.
    """
    stages: dict[str, list[float]] = {name: [] for name in (*STAGES, "update", "total")}
    frames = played(clip, tracker, box)
    draw, last = Drawing(), box
    for index in range(count + WARM_UP):
        start = time.perf_counter()
        image = next(frames)
        if image is None:
            last, start = box, time.perf_counter()
            image = next(frames)
        decoded = time.perf_counter()
        result = opponents.as_result(tracker.update(image), last)
        updated = time.perf_counter()
        draw(image, result)
        drawn = time.perf_counter()
        last = result.box
        if index < WARM_UP:
            continue
        parts: dict[str, float] = getattr(tracker, "timings", None) or {}
        for name in PARTS:
            stages[name].append(parts.get(name, 0.0))
        stages["decode"].append(decoded - start)
        stages["update"].append(updated - decoded)
        stages["other"].append(updated - decoded - sum(parts.values()))
        stages["draw"].append(drawn - updated)
        stages["total"].append(drawn - start)
    has_parts = bool(getattr(tracker, "timings", None))
    dropped = () if has_parts else (*PARTS, "other")
    return {"stages": {name: v for name, v in stages.items() if name not in dropped}}


def watch_memory(tracker: opponents.Tracker, clip: Video, box: Box, count: int) -> dict[str, Any]:
    """Resident memory in bytes at every 100th of ``count`` further updates, and latency drift.

    Drift: median update of the last tenth over that of the first tenth.
    """
    frames = played(clip, tracker, box)
    memory, seconds = [resident_bytes()], []
    for index in range(count):
        image = next(frames)
        if image is None:
            image = next(frames)
        start = time.perf_counter()
        tracker.update(image)
        seconds.append(time.perf_counter() - start)
        if (index + 1) % MEMORY_EVERY == 0:
            memory.append(resident_bytes())
    tenth = max(1, count // 10)
    drift = float(np.median(seconds[-tenth:]) / np.median(seconds[:tenth]))
    return {"memory": memory, "drift": drift}


def played(clip: Video, tracker: opponents.Tracker, box: Box) -> Iterator[Any]:
    """The frames of a clip again and again; in the place of each first one a start and ``None``.

    A jump back to the first frame would be timed as a target that is lost.

    Args:
        box: the target in the first frame.

    Raises:
        UserError: a clip that cannot be read, or of one frame.
    """
    from tracker.errors import UserError

    while True:
        count = 0
        try:
            for image in clip.read(range(sys.maxsize)):
                count += 1
                if count > 1:
                    yield image
                else:
                    tracker.init(image, box)
                    yield None
        except UserError:
            if not count:  # not the end of the clip: it cannot be read at all
                raise
        if count == 1:
            raise UserError(f"{clip.path} has one frame; a clip to be timed has more")


def resident_bytes() -> int:
    """Memory of this process that is in RAM."""
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError):
        import psutil

        return int(psutil.Process().memory_info().rss)


def describe(tracker: Any) -> dict[str, str]:
    """Model, device, precision and threads of our own trackers; empty for others."""
    network = getattr(tracker, "network", None)
    spec, device = getattr(network, "spec", None), getattr(network, "device", None)
    told = {
        "model": getattr(spec, "name", None),
        "precision": getattr(spec, "precision", None),
        "device": getattr(device, "name", None),
        "threads": getattr(network, "threads", None),
    }
    return {name: str(value) for name, value in told.items() if value is not None}


class Drawing:
    """Draws as the application does: box by state, label, score."""

    def __init__(self) -> None:
        from tracker.app.follow import Followed

        nothing = TrackResult((0.0, 0.0, 1.0, 1.0), 0.0, State.LOST)
        self._target = Followed(1, 1, "target", nothing)

    def __call__(self, image: Image, result: TrackResult) -> None:
        from tracker.app.canvas import Canvas
        from tracker.app.draw import draw_targets

        self._target.take(result)
        draw_targets(Canvas(image), [self._target], None)


def to_argument(job: TimingJob) -> str:
    """The job as one argument of the command line."""
    return json.dumps(dataclasses.asdict(job))


def from_argument(text: str) -> TimingJob:
    """The job that ``to_argument`` wrote."""
    values = json.loads(text)
    values["options"] = opponents.Options(**values["options"])
    values["box"] = tuple(values["box"])
    return TimingJob(**values)


def main() -> int:
    """Time one tracker in this process and print its figures as json."""
    print(MARK + json.dumps(run(from_argument(sys.argv[1]))))
    return 0


if __name__ == "__main__":
    os.environ.setdefault("OPENCV_LOG_LEVEL", "ERROR")
    from tracker.cli import run_main

    run_main(main)
