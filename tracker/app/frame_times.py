"""When the frames of a video are shown: by that alone a jump tells which frame it has reached."""

from __future__ import annotations

import bisect
import math
from array import array


class FrameTimes:
    """Times of the frames of a file from its first on, as far as they were seen without a gap.

    Args:
        fps: the rate that the file states; an uneven one is stated as its mean.

    Attributes:
        even: frames came at the stated rate so far, so those to come may be expected to.
    """

    def __init__(self, fps: float) -> None:
        self._fps, self.even = fps, True
        self._times = array("d")  # 8 bytes a frame
        self._told = self._rising = False
        self._ahead = 0.0  # of the stated rate

    def of(self, index: int, stated: float) -> float:
        """Seconds at which a frame is shown; where the decoder states none, after the last."""
        even = index / self._fps
        if not math.isfinite(stated) or stated < 0 or (index and stated == 0):
            return even + self._ahead
        self._ahead = stated - even
        self._told = self._told or stated > 0
        return stated

    def see(self, index: int, seconds: float) -> None:
        """Remember a frame that was decoded."""
        if index != len(self._times):
            return
        self._rising = not index or (self._rising and seconds > self._times[-1])
        self._times.append(seconds)
        # a decoder counts in steps of the stated rate
        late = (seconds - self._times[0]) * self._fps - index
        self.even = self.even and abs(late) < 0.45

    def skip(self, frames: range, until: float) -> None:
        """Remember frames that could not be decoded, evenly in front of one shown at ``until``."""
        if not frames or frames.start != len(self._times):
            return
        step = 1 / self._fps
        if self._times:
            step = (until - self._times[-1]) / (len(frames) + 1)
        for index in frames:
            self.see(index, until - (frames.stop - index) * step)

    def known(self, index: int) -> bool:
        """Whether the time of a frame is known; it is not beyond a jump forward."""
        return index < len(self._times)

    def foreseen(self, index: int) -> bool:
        """Whether the time of a frame is known, or can be expected at the stated rate."""
        return self.even or self.known(index)

    @property
    def first(self) -> float:
        """Seconds at which the first frame is shown; an avi with B-frames begins late."""
        return self._times[0] if self._times else 0.0

    @property
    def rising(self) -> bool:
        """Whether each frame was shown later than the one before."""
        return self._rising

    @property
    def useful(self) -> bool:
        """Whether times tell frames apart; there are files that state none, or wrong ones."""
        return self._told and self._rising

    def step_of(self, index: int) -> int:
        """The number that a decoder gives to a frame, which counts time at the stated rate."""
        if not self.known(index):
            return index
        return round((self._times[index] - self._times[0]) * self._fps)

    def index_at(self, stated: float) -> int | None:
        """The frame that is shown at a time; None where the decoder stated none."""
        if not math.isfinite(stated) or stated <= 0:
            return None
        times = self._times
        at = bisect.bisect(times, stated)
        if at == len(times) and stated - times[-1] > 0.5 / self._fps:
            return round((stated - times[0]) * self._fps)
        if at == len(times) or (at and stated - times[at - 1] < times[at] - stated):
            return at - 1
        return at
