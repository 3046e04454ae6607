"""Following given boxes through a source without a window."""

from __future__ import annotations

import time

from tracker.app import draw
from tracker.app.canvas import Canvas
from tracker.app.follow import Follower
from tracker.app.frame_source import Frame, Source
from tracker.app.meter import RateMeter
from tracker.app.progress import Progress
from tracker.app.recorder import Recorder


def run_headless(
    source: Source,
    first: Frame,
    follower: Follower,
    recorder: Recorder,
    progress: Progress,
    debug: bool = False,
    max_frames: int | None = None,
) -> int:
    """Follow the follower's targets from ``first`` to the end; returns the number of frames.

    It ends before where the results were all that it is for, and their reader left.

    Raises:
        UserError: the source is damaged or an output cannot be written; the frames before
            are in the outputs.
    """
    meter = RateMeter()
    frame, done = first, 0
    try:
        while True:
            done += 1
            meter.tick()
            progress.tick()
            if recorder.wanted:
                _record(recorder, follower, frame, source, meter.rate, debug)
            for_nobody = follower.unread and not recorder.wanted
            if done == max_frames or for_nobody:
                return done
            following = next_frame(source)
            if following is None:
                return done
            frame = following
            follower.advance(frame)
    finally:
        progress.clear()


def next_frame(source: Source) -> Frame | None:
    """Wait for a frame; None at the end."""
    while True:
        frame = source.read(timeout=0.5)
        if frame is not None or source.ended:
            return frame


def _record(
    recorder: Recorder, follower: Follower, frame: Frame, source: Source, fps: float, debug: bool
) -> None:
    image = frame.image.copy()
    position = draw.position_text(frame.index, source.frame_count)
    age = time.monotonic() - frame.captured_at if source.live else None
    numbers = draw.Numbers(position, fps, follower.latency, age)
    draw.annotate(Canvas(image), follower, numbers, debug)
    recorder.write(image, frame)
