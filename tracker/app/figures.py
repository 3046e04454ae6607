"""The figures of a window: how fast frames come, how old the newest is, and that none comes."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from tracker.app import draw
from tracker.app.frame_source import Frame, Source
from tracker.app.meter import RateMeter

SILENT = 1.0
"""Seconds without a frame of a live source after which its last one is old; or two frames."""


class Figures:
    """Counts the frames of a source, and notices where a live one gives none any more.

    Args:
        source: where the frames come from.
        clock: seconds, monotonic.
    """

    def __init__(self, source: Source, clock: Callable[[], float]) -> None:
        self._source, self._clock = source, clock
        self._meter = RateMeter(clock=clock)
        self._age: float | None = None
        self._waiting: float | None = None  # since when

    def came(self, frame: Frame | None) -> None:
        """Count what a read gave; ``None``: there was no frame yet."""
        if frame is not None:
            self._meter.tick()
            self._waiting = None
        elif self._waiting is None:
            self._waiting = self._clock()

    def shown(self, frame: Frame) -> None:
        """Note how old a frame was when it came to be seen."""
        if self._source.live:
            self._age = self._clock() - frame.captured_at

    def of(self, frame: Frame, latency: float, notes: Sequence[str], running: bool) -> draw.Numbers:
        """The figures of the frame that is on screen.

        Args:
            latency: seconds that the tracker took for it.
            notes: such as ``paused``.
            running: frames are asked for; who pauses waits for none.
        """
        if not running:
            self._waiting = None
        rate, age = self._meter.rate, self._age
        if self._silent:
            rate, age = 0.0, self._clock() - frame.captured_at
            notes = [*notes, f"no picture for {age:.0f} s"]
        position = draw.position_text(frame.index, self._source.frame_count)
        return draw.Numbers(position, rate, latency, age, notes)

    @property
    def _silent(self) -> bool:
        if not self._source.live or self._waiting is None:
            return False
        return self._clock() - self._waiting >= max(SILENT, 2 / self._source.fps)
