"""A video with an end: its frames in order, exact jumps, and a word where it is damaged."""

from __future__ import annotations

import os
import re
import stat
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

import cv2
import numpy as np

from tracker.app.decoder_log import DecoderLog
from tracker.app.frame_source import Frame, SteadySize, frame_count_of, usable_fps
from tracker.app.frame_times import FrameTimes
from tracker.app.interfaces import Say
from tracker.app.pixels import PixelReader
from tracker.errors import UserError
from tracker.frames import LONGEST_HOLE, refuse_playlist
from tracker.native_path import native_path

SETTLED = 3.0
"""Seconds after a jump in which a decoder may miss pictures from before it."""
SILENCE = 30.0
"""Seconds without a byte after which a server is given up."""
UNPIPEABLE = "an mp4 can be piped only when it was made for streaming; send mkv, ts or avi"


class VideoFile:
    """A video with an end, decoded by OpenCV: every frame in order, exact seek for files.

    Rotation metadata is applied by OpenCV. A file that ends before its header says raises
    UserError after its last good frame, also when it comes through a pipe; pictures that the
    decoder had to conceal are named at the end. Those of a file that it cannot decode are left out,
    by number. A server that cannot seek is told from damage.
    """

    live = False

    def __init__(self, where: str, name: str, say: Say, log: DecoderLog | None = None) -> None:
        self.name = name
        self.ended = False
        self._where, self._say, self._log = where, say, log
        self._piped = where.startswith("pipe:")
        self._shown = "what comes from stdin" if self._piped else where
        self._next, self._last_time = 0, 0.0
        self._jumped = False  # then nobody has counted the frames
        self._settled = 0  # the frame from which on errors are damage
        self._missing: set[int] = set()  # frames that cannot be decoded
        self._unplaced = 0  # failed reads of which it is not known yet which frames they were
        # first picture of an address, until its server has shown that it can seek
        self._first: Any = None
        self._first_error = 0
        self._pixels, self._steady = PixelReader(self.name, say), SteadySize(name, say)
        self._capture = self._open()
        self._counts = _counts_frames(where)
        self.fps = usable_fps(self._capture.get(cv2.CAP_PROP_FPS))
        self._times = FrameTimes(self.fps)
        self._promised = frame_count_of(self._capture)
        self.frame_count = None if self._piped else self._promised
        self.can_seek = self.frame_count is not None
        if log:
            log.begin()  # what opening it said is of no frame

    def _open(self) -> cv2.VideoCapture:
        if "://" in self._where:
            limit = [cv2.CAP_PROP_READ_TIMEOUT_MSEC, round(1000 * SILENCE)]
            capture = cv2.VideoCapture(self._where, cv2.CAP_FFMPEG, limit)
        elif self._piped:
            capture = cv2.VideoCapture(self._where)
        else:
            _check_file(Path(self._where))
            with native_path(self._where) as name:
                capture = cv2.VideoCapture(name)
        if not capture.isOpened() or capture.get(cv2.CAP_PROP_FRAME_WIDTH) <= 0:
            hint = "it is no video, is damaged, or its codec is unknown"
            if self._piped:
                hint = f"nothing came, or {UNPIPEABLE}"
            raise UserError(f"{self._shown} cannot be read as a video: {hint}")
        return capture

    def read(self, timeout: float = 1.0) -> Frame | None:
        if self.ended:
            return None
        asked = time.monotonic()
        ok, picture = self._go_on(self._decode)
        if not ok:
            self._end(time.monotonic() - asked)
            return None
        index, self._next = self._next, self._next + 1
        if "://" in self._where and index == 0 and not self._jumped:
            self._first = picture
        self._note_time(index)
        if self._log and index >= self._settled:
            self._log.excuse(False)
        if self._log and not self._first_error and self._log.count:
            self._first_error = index + 1
        image = self._steady(self._pixels(picture), index)
        seconds = self._last_time - self._times.first
        return Frame(image, index, seconds, time.monotonic(), self._times.rising)

    def _decode(self) -> tuple[bool, Any]:
        try:
            ok, picture = self._capture.read()
        except cv2.error:  # a picture that the decoder cannot convert
            return False, None
        return ok and picture is not None, picture

    def _pass_over(self) -> tuple[bool, None]:
        return self._capture.grab(), None

    def _go_on(self, take: Callable[[], tuple[bool, Any]]) -> tuple[bool, Any]:
        """Take the next picture that can be had, of which ``_next`` is then the number.

        Where a file promises more, one that fails is damage, and not the end.
        """
        more = 0
        if self.frame_count is not None and "://" not in self._where:
            more = min(max(self.frame_count - self._next - 1, 0), LONGEST_HOLE)
        for _ in range(1 + more):
            ok, picture = take()
            if ok:
                self._leave_out(self._frames_missing())
                return True, picture
            self._unplaced += 1
        return False, None

    def _frames_missing(self) -> int:
        """How many frames there should have been before the picture that was just taken.

        A decoder fails before it has shown what stands in front of the damage; the times of the
        pictures tell where one is missing.
        """
        if not self._times.useful or not (self._times.even or self._times.known(self._next)):
            return self._unplaced
        # behind a jump more may have failed on the way
        most = self._unplaced + (len(self._missing) if self._jumped else 0)
        if self._unplaced and self._times.even:  # one failure may stand for a whole lost piece
            most = LONGEST_HOLE
        number = self._times.index_at(self._stated_time()) if most else None
        return 0 if number is None else min(max(number - self._next, 0), most)

    def _leave_out(self, count: int) -> None:
        if not count:
            return
        gone = range(self._next, self._next + count)
        self._unplaced = max(self._unplaced - count, 0)
        self._next += count
        self._times.skip(gone, self._times.of(self._next, self._stated_time()))
        new = [index for index in gone if index not in self._missing]
        self._missing.update(new)
        if len(new) == 1:
            self._say(f"{self._shown}: frame {new[0]} cannot be decoded; it is left out")
        elif new:
            self._say(
                f"{self._shown}: frames {new[0]} to {new[-1]} cannot be decoded; they are left out"
            )

    def _note_time(self, index: int) -> None:
        self._last_time = self._times.of(index, self._stated_time())
        self._times.see(index, self._last_time)

    def _stated_time(self) -> float:
        return self._capture.get(cv2.CAP_PROP_POS_MSEC) / 1000.0

    def _end(self, waited: float) -> None:
        self.ended, shown = True, self._shown
        if not self._next:
            hint = f"; or {UNPIPEABLE}" if self._piped else "; give another video"
            if "://" in self._where:
                hint = ", or an mp4 whose server cannot jump to its end; download it, or send mkv"
            raise UserError(f"{shown} holds no frame that can be read: it is damaged{hint}")
        if self._log:
            self._log.catch_up()
        silent = "://" in self._where and waited > 0.9 * SILENCE
        reason = "its server fell silent" if silent else self._why_cut()
        if reason:
            raise UserError(
                f"{shown} is damaged or cut off: it ends after frame {self._next - 1}, "
                f"and {reason}; the frames before are kept"
            )
        if self._log and self._log.count:
            self._first_error = self._first_error or self._next
            self._say(
                f"{shown} is damaged: the decoder reported {self._log.count} errors from about "
                f"frame {self._first_error - 1} on ({self._log.first}); pictures may be "
                "wrong there"
            )

    def _why_cut(self) -> str:
        """What says that the file should go on; empty where nothing does.

        Fewer frames and less time than promised; either alone is how some files are made. Where
        the promise is the length of the whole file, its sound may last longer than its pictures.
        """
        trusted = self._counts or (self._log and self._log.count)
        if self._promised is not None and trusted and not self._jumped:
            missing = self._promised - self._next
            seconds = (self._promised - 1) / self.fps - self._last_time
            slack = max(2, 0.005 * self._promised)
            if missing > slack and seconds > slack / self.fps:
                return f"its header promises {self._promised} frames"
        if self._log and self._log.early_ends:
            return "the decoder found no proper end of the file"
        return ""

    def seek(self, index: int) -> None:
        if not self.can_seek or self.frame_count is None:
            return
        index = min(max(index, 0), max(self.frame_count - 1, 0))
        far = index > self._next + 2 * self.fps
        if far and not self._jumped:
            self._skip_to(3)  # the first times tell whether there are any to go by
        # Where frames come unevenly nobody knows which one a jump into the unseen part reaches.
        far = far and (self._times.even or self._times.known(index))
        if index < self._next or far or self.ended:
            if not self._jumped and not self._server_can_seek():
                return
            if self._log:
                self._log.excuse(True)
            self._unplaced = 0
            self._next, self.ended, self._jumped = self._jump(index), False, True
            self._settled = self._next + round(SETTLED * self.fps)
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
            index, self._next, self.can_seek = self._next, 0, False
            self._restart()
            self._skip_to(index)
            if self._log:
                self._log.begin()  # the errors were the network's
        return works

    def _restart(self) -> None:
        self._capture.release()
        self._capture = self._open()

    def _skip_to(self, index: int) -> None:
        while index - 1 in self._missing:  # what is taken next is the one behind
            index -= 1
        while self._next < index and self._go_on(self._pass_over)[0]:
            self._note_time(self._next)
            self._next += 1

    def _jump(self, index: int) -> int:
        """Go to a frame or to one before it; the number of the one that comes next."""
        back = 1
        while back < index and self._times.useful:
            # a jump may end at another frame, of which only the time is right
            self._capture.set(cv2.CAP_PROP_POS_FRAMES, self._times.step_of(index - back))
            if self._capture.grab():
                landed = self._times.index_at(self._stated_time())
                if landed is not None and landed < index:
                    # it stops short where a picture cannot be decoded
                    self._unplaced = int(self._times.even and landed < index - back - 1)
                    return landed + 1
            back *= 4
        if self._times.useful or index <= 1:
            self._restart()
            return 0
        self._capture.set(cv2.CAP_PROP_POS_FRAMES, index)
        return index

    def close(self) -> None:
        self._capture.release()


def _counts_frames(where: str) -> bool:
    """Whether the container's count of frames is one of pictures that should be there.

    An avi's is. An mp4 or mov also counts those before the place at which it was cut without
    encoding it anew, which are not shown: there the end of the file tells whether all is there.
    """
    if "://" in where or where.startswith("pipe:"):
        return Path(where.split("?")[0]).suffix.lower() == ".avi"
    with open(where, "rb") as file:
        head = file.read(8)
        if head[:4] == b"RIFF":
            return True
        return head[4:] in (b"ftyp", b"moov") and _ends_inside_a_box(file)


def _ends_inside_a_box(file: BinaryIO) -> bool:
    """Whether an mp4 or mov is shorter than the boxes that it is made of."""
    end, at = file.seek(0, os.SEEK_END), 0
    while at < end:
        file.seek(at)
        head = file.read(16)
        size = int.from_bytes(head[:4], "big")
        if size == 1:  # the true one follows
            size = int.from_bytes(head[8:], "big")
        if size < 8:  # 0: to the end of the file
            return False
        at += size
    return at > end


def _check_file(path: Path) -> None:
    try:
        facts = os.stat(path)
        if not stat.S_ISREG(facts.st_mode):
            raise UserError(f"{path} is no file but a pipe or a device; {_instead_of(path)}")
        refuse_playlist(path)
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}") from None
    if facts.st_size == 0:
        raise UserError(f"{path} is an empty file; give a video")


def _instead_of(device: Path) -> str:
    """What to type for something that is no file."""
    # cameras have lasting names as well: links in /dev/v4l/by-id
    number = re.fullmatch(r"/dev/video(\d+)", os.path.realpath(device))
    if number:
        return f"give a camera by its number: --camera {number.group(1)}"
    return f"give a file, or send a video through standard input: --video - < {device}"
