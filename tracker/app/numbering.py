"""Which frame a picture is: decoders give pictures with times, silent on those that they lose."""

from __future__ import annotations

from tracker.app.frame_times import FrameTimes
from tracker.frames import LONGEST_HOLE


class Numbering:
    """Numbers the pictures of a video, also behind some that could not be decoded.

    For every picture that the decoder tries to give call ``count`` or ``fail``; after a jump
    ``land`` or ``jump``.

    Attributes:
        next: number of the frame that comes next.
        jumped: the decoder has jumped, and nobody has counted the frames since.
        last_time: seconds at which the last one is shown, as the decoder states it.
        times: of the frames, as far as they are known.
    """

    def __init__(self, fps: float) -> None:
        self.next, self.jumped, self.last_time = 0, False, 0.0
        self.times = FrameTimes(fps)
        self._missing: set[int] = set()  # frames that cannot be decoded
        self._unplaced = 0  # failures of which it is not known yet which frames they were

    def fail(self) -> None:
        """A picture could not be decoded; which one it was the next good one tells."""
        self._unplaced += 1

    def count(self, stated: float) -> tuple[int, list[int]]:
        """Number a picture that was decoded.

        Args:
            stated: seconds at which it is shown, as the decoder has it; often it has none.

        Returns:
            Its number, and the frames left out before it, each of them only the first time.
        """
        gone = range(self.next, self.next + self._lost_before(stated))
        self._unplaced = max(self._unplaced - len(gone), 0)
        index, self.next = gone.stop, gone.stop + 1
        self.last_time = self.times.of(index, stated)
        self.times.skip(gone, self.last_time)
        self.times.see(index, self.last_time)
        news = [number for number in gone if number not in self._missing]
        self._missing.update(news)
        return index, news

    def _lost_before(self, stated: float) -> int:
        """How many frames there should have been before a picture that was just decoded.

        A decoder fails before it has shown what stands in front of the damage; the times of the
        pictures tell where one is missing.
        """
        if not self.times.useful or not self.times.foreseen(self.next):
            return self._unplaced
        # behind a jump more may have failed on the way
        most = self._unplaced + (len(self._missing) if self.jumped else 0)
        if self._unplaced and self.times.even:  # one failure may stand for a whole lost piece
            most = LONGEST_HOLE
        number = self.times.index_at(stated) if most else None
        return 0 if number is None else min(max(number - self.next, 0), most)

    def jump(self, index: int) -> None:
        """The decoder has jumped and gives the frame ``index`` next."""
        self.next, self.jumped, self._unplaced = index, True, 0

    def land(self, stated: float, aim: int, target: int) -> bool:
        """The decoder was sent to the frame ``aim`` and gave a picture, which is not counted.

        Returns:
            Whether it is one before ``target``, from which the rest can be counted; otherwise
            nothing has changed.
        """
        landed = self.times.index_at(stated)
        if landed is None or landed >= target:
            return False
        self.jump(landed + 1)
        # it stops short where a picture cannot be decoded
        self._unplaced = int(self.times.even and landed < aim - 1)
        return True

    def start_of(self, index: int) -> int:
        """Number that ``next`` must have for ``index``, or the first behind it, to be counted next.

        That is the start of the hole in front of it: holes are passed with the picture behind.
        """
        while index - 1 in self._missing:
            index -= 1
        return index
