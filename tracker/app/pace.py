"""When the next frame of a file is due: at the file's own rate, faster or slower."""

from __future__ import annotations

import time
from collections.abc import Callable

SPEEDS = (0.125, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0)
LONGEST_STEP = 2.0  # seconds between frames; what is longer is a gap of the file, not its pace


class Pace:
    """Tells when to show the next frame.

    Args:
        fps: of the source, for frames whose times do not say.
        clock: seconds, monotonic.

    Attributes:
        speed: of playback, 1 is the source's own.
    """

    def __init__(self, fps: float, clock: Callable[[], float] = time.monotonic) -> None:
        self.speed = 1.0
        self._fps, self._clock = fps, clock
        self._due = clock()

    @property
    def remaining(self) -> float:
        """Seconds until the next frame is due; 0 when it is."""
        return max(self._due - self._clock(), 0.0)

    def restart(self) -> None:
        """The next frame is due now, whatever was planned."""
        self._due = self._clock()

    def frame_shown(self, step: float) -> None:
        """Plan the next frame.

        Args:
            step: seconds of the source from the frame before to this one.
        """
        if not 0 < step < LONGEST_STEP:
            step = 1.0 / self._fps
        # a frame that was late does not make the next ones hurry
        self._due = max(self._due + step / self.speed, self._clock())

    def change(self, direction: int) -> None:
        """One step faster (1) or slower (-1)."""
        at = SPEEDS.index(self.speed) + direction
        self.speed = SPEEDS[min(max(at, 0), len(SPEEDS) - 1)]
        self.restart()
