"""Drawing a box with the mouse: press, drag, release. Pure state, no window."""

from __future__ import annotations

import enum

from tracker.results import Box

MIN_SIDE = 6.0


class Step(enum.Enum):
    """What the end of a drag led to."""

    NOTHING = enum.auto()
    DONE = enum.auto()
    TOO_SMALL = enum.auto()
    CANCELLED = enum.auto()


class Selection:
    """One box being drawn on a frame of ``width`` x ``height`` pixels.

    Positions are in pixels of the frame; they may lie outside, where the box is clipped.

    Attributes:
        box: the outline so far, or the finished box after ``DONE``; None before a press.
    """

    def __init__(self, width: int, height: int, min_side: float = MIN_SIDE) -> None:
        self._limits = float(width), float(height)
        # A frame smaller than the limit can still be selected whole.
        self.min_side = min(min_side, float(width), float(height))
        self._anchor: tuple[float, float] | None = None
        self.box: Box | None = None

    @property
    def dragging(self) -> bool:
        return self._anchor is not None

    @property
    def large_enough(self) -> bool:
        return self.box is not None and min(self.box[2], self.box[3]) >= self.min_side

    def press(self, x: float, y: float) -> None:
        self._anchor = self._clip(x, y)
        self.box = (*self._anchor, 0.0, 0.0)

    def move(self, x: float, y: float) -> None:
        if self._anchor is None:
            return
        (ax, ay), (bx, by) = self._anchor, self._clip(x, y)
        self.box = min(ax, bx), min(ay, by), abs(ax - bx), abs(ay - by)

    def release(self, x: float, y: float) -> Step:
        if self._anchor is None:
            return Step.NOTHING
        self.move(x, y)
        self._anchor = None
        if self.large_enough:
            return Step.DONE
        self.box = None
        return Step.TOO_SMALL

    def cancel(self) -> Step:
        was_dragging, self._anchor, self.box = self.dragging, None, None
        return Step.CANCELLED if was_dragging else Step.NOTHING

    def _clip(self, x: float, y: float) -> tuple[float, float]:
        return min(max(x, 0.0), self._limits[0]), min(max(y, 0.0), self._limits[1])
