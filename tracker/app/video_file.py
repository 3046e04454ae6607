"""A video with an end: its frames in order, exact jumps, and a word where it is damaged."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np

from tracker.app.damage import Damage
from tracker.app.decoder_log import DecoderLog
from tracker.app.frame_source import Frame, SteadySize, frame_count_of, usable_fps
from tracker.app.interfaces import Say
from tracker.app.numbering import Numbering
from tracker.app.origin import origin_of
from tracker.app.pixels import PixelReader


class VideoFile:
    """A video with an end, decoded by OpenCV: every frame in order, exact seek for files.

    Rotation metadata is applied by OpenCV. A file that ends before its header says raises
    UserError after its last good frame, also when it comes through a pipe; pictures that the
    decoder had to conceal are named at the end. Those of a file that it cannot decode are left out,
    by number. A server that cannot seek is told from damage.
    """

    live = False

    def __init__(self, where: str, name: str, say: Say, log: DecoderLog | None = None) -> None:
        self.name, self.ended = name, False
        self._say, self._origin = say, origin_of(where)
        self._pixels, self._steady = PixelReader(name, say), SteadySize(name, say)
        self._capture = self._origin.open()
        self.fps = usable_fps(self._capture.get(cv2.CAP_PROP_FPS))
        promised = frame_count_of(self._capture)
        self.frame_count = promised if self._origin.rewinds else None
        self.can_seek = self.frame_count is not None
        self._first: Any = None  # the first picture, until a server has shown that it can seek
        self._numbers = Numbering(self.fps)
        self._damage = Damage(self._origin, promised, self.fps, log)

    def read(self, timeout: float = 1.0) -> Frame | None:
        if self.ended:
            return None
        asked = time.monotonic()
        taken = self._go_on(self._decode)
        if taken is None:
            self.ended = True
            verdict = self._damage.sum_up(self._numbers, time.monotonic() - asked)
            if verdict:
                self._say(verdict)
            return None
        index, picture = taken
        if index == 0 and not self._origin.seek_is_sure and not self._numbers.jumped:
            self._first = picture
        self._damage.see(index)
        image = self._steady(self._pixels(picture), index)
        times = self._numbers.times
        seconds = self._numbers.last_time - times.first
        return Frame(image, index, seconds, time.monotonic(), times.rising)

    def _decode(self) -> tuple[bool, Any]:
        try:
            ok, picture = self._capture.read()
        except cv2.error:  # a picture that the decoder cannot convert
            return False, None
        return ok and picture is not None, picture

    def _pass_over(self) -> tuple[bool, None]:
        return self._capture.grab(), None

    def _go_on(self, take: Callable[[], tuple[bool, Any]]) -> tuple[int, Any] | None:
        """Take the next picture that can be had: its number and itself; None at the end.

        Where a file promises more, one that fails is damage, and not the end.
        """
        more = (self.frame_count or 0) - self._numbers.next - 1
        for _ in range(1 + min(max(more, 0), self._origin.longest_hole)):
            ok, picture = take()
            if ok:
                index, lost = self._numbers.count(self._stated_time())
                self._tell_lost(lost)
                return index, picture
            self._numbers.fail()
        return None

    def _tell_lost(self, lost: list[int]) -> None:
        shown = self._origin.shown
        if len(lost) == 1:
            self._say(f"{shown}: frame {lost[0]} cannot be decoded; it is left out")
        elif lost:
            self._say(
                f"{shown}: frames {lost[0]} to {lost[-1]} cannot be decoded; they are left out"
            )

    def _stated_time(self) -> float:
        return self._capture.get(cv2.CAP_PROP_POS_MSEC) / 1000.0

    def seek(self, index: int) -> None:
        if not self.can_seek or self.frame_count is None:
            return
        numbers = self._numbers
        index = min(max(index, 0), max(self.frame_count - 1, 0))
        far = index > numbers.next + 2 * self.fps
        if far and not numbers.jumped:
            self._skip_to(3)  # the first times tell whether there are any to go by
        # Where frames come unevenly nobody knows which one a jump into the unseen part reaches.
        far = far and numbers.times.foreseen(index)
        if index < numbers.next or far or self.ended:
            if not self._server_can_seek():
                return
            self._damage.excuse()
            self._jump(index)
            self._damage.settle(numbers.next)
            self.ended = False
        self._skip_to(index)

    def _server_can_seek(self) -> bool:
        """Whether a jump to the first frame of an address gets there; if not, go on as before."""
        if self._first is None:
            return True
        self._capture.set(cv2.CAP_PROP_POS_FRAMES, 0)
        ok, picture = self._capture.read()
        works = ok and picture is not None and np.array_equal(picture, self._first)
        self._first = None
        if not works:
            self._say(f"{self.name} cannot seek: its server does not know how")
            self.can_seek = False
            reached, self._numbers.next = self._numbers.next, 0
            self._restart()
            self._skip_to(reached)
            self._damage.forget()  # the errors were the network's
        return works

    def _restart(self) -> None:
        self._capture.release()
        self._capture = self._origin.open()

    def _skip_to(self, index: int) -> None:
        index = self._numbers.start_of(index)
        while self._numbers.next < index and self._go_on(self._pass_over):
            pass

    def _jump(self, index: int) -> None:
        """Go to a frame or to one before it."""
        times, back = self._numbers.times, 1
        while back < index and times.useful:
            # a jump may end at another frame, of which only the time is right
            aim = index - back
            self._capture.set(cv2.CAP_PROP_POS_FRAMES, times.step_of(aim))
            if self._capture.grab() and self._numbers.land(self._stated_time(), aim, index):
                return
            back *= 4
        if times.useful or index <= 1:
            self._restart()
            self._numbers.jump(0)
        else:
            self._capture.set(cv2.CAP_PROP_POS_FRAMES, index)
            self._numbers.jump(index)

    def close(self) -> None:
        self._capture.release()
