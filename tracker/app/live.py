"""Cameras and streams: a thread keeps the newest frame and reconnects when the stream drops.

What comes in segments (HLS) is first given the pace of life (``tracker/app/stream_pace.py``).
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable
from urllib.parse import urlsplit

import cv2
import numpy as np

from tracker.app.frame_source import Capture, Frame, SteadySize, frame_count_of, usable_fps
from tracker.app.interfaces import Say
from tracker.app.pixels import PixelReader
from tracker.app.stream_pace import StreamPace
from tracker.errors import UserError
from tracker.image import Image

STREAM_TIMEOUT_MS = 10_000
MOST_CAMERAS = 2**31 - 1  # what OpenCV's int holds
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 30.0
CAMERA_PATIENCE, STREAM_PATIENCE = 5.0, 300.0


def open_stream(url: str) -> cv2.VideoCapture | None:
    """Open a URL with limits on how long it may stay silent; ``None`` when it cannot be."""
    limits = [
        cv2.CAP_PROP_OPEN_TIMEOUT_MSEC,
        STREAM_TIMEOUT_MS,
        cv2.CAP_PROP_READ_TIMEOUT_MSEC,
        STREAM_TIMEOUT_MS,
    ]
    capture = cv2.VideoCapture(url, cv2.CAP_FFMPEG, limits)
    return capture if capture.isOpened() else None


def open_camera(number: int) -> cv2.VideoCapture | None:
    """Open a camera with the shortest queue that its driver allows."""
    if number > MOST_CAMERAS:
        return None
    capture = cv2.VideoCapture(number)
    if not capture.isOpened():
        return None
    capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)
    return capture


def paced(where: int | str) -> StreamPace | None:
    """How a stream is held to its stated times; None where its frames come as they are seen.

    HLS alone comes in segments. Of what else is sent over HTTP as it is seen, FFmpeg queues up
    seconds to know the stream: held to their times, they would be a delay that stays.
    """
    segmented = isinstance(where, str) and urlsplit(where).path.lower().endswith(".m3u8")
    return StreamPace() if segmented else None


class _Opening:
    """How a stream began; one that begins so again after a drop is a file that is sent anew.

    Two pictures tell: many a camera server begins with a card, such as "no signal", every time.

    Attributes:
        repeated: it has begun anew.
    """

    def __init__(self) -> None:
        self.repeated = False
        self._known: list[Image] = []  # the first picture, and the first other one
        self._same: int | None = None  # pictures like the first since the stream is back

    def again(self) -> None:
        """The next picture is the first of a new connection."""
        self._same = 0

    def held(self, image: Image) -> bool:
        """Take a picture; whether it may be one that was seen, so that it is not handed out."""
        if self._same is None:
            if len(self._known) < 2 and not (self._known and _equal(image, self._known[0])):
                self._known.append(image.copy())
            return False
        if self._known and _equal(image, self._known[0]):
            self._same += 1
            return self._same == 1
        self.repeated = self._same > 0 and _equal(image, self._known[-1])
        self._same = None
        return self.repeated


def _equal(a: Image, b: Image) -> bool:
    return np.array_equal(a, b)


class LiveSource:
    """The newest frame of a camera (a number) or stream (a URL).

    A reader thread takes frames as they come; ``read`` hands out the newest once, so a slow
    consumer loses frames and never builds up delay. The frames of a segment (HLS), which come
    at once, are held to the times that they state. A stream that drops is opened again after a
    pause that doubles up to 30 s; a camera after 5 s, a stream after 5 minutes without a frame
    counts as ended.

    Args:
        where: camera number or URL.
        say: takes notes on lost and regained connections.
        capture: an open capture to begin with.
        reopen: opens it again (default: OpenCV); tests pass their own.
        patience: seconds without a frame until the source ends.
        first_pause: seconds before the first new attempt.

    Raises:
        UserError: it cannot be opened at the start.
    """

    live = True
    can_seek = False
    frame_count: int | None = None

    def __init__(
        self,
        where: int | str,
        say: Say,
        capture: Capture | None = None,
        reopen: Callable[[], Capture | None] | None = None,
        patience: float | None = None,
        first_pause: float = FIRST_PAUSE,
    ) -> None:
        self._where = where
        self.name = f"camera {where}" if isinstance(where, int) else "stream"
        self.ended = False
        self._say = say
        self._reopen = reopen or (
            (lambda: open_camera(where)) if isinstance(where, int) else lambda: open_stream(where)
        )
        self._patience = (
            patience
            if patience is not None
            else (CAMERA_PATIENCE if isinstance(where, int) else STREAM_PATIENCE)
        )
        self._first_pause = first_pause
        self._capture = capture or self._reopen()
        if self._capture is None:
            raise UserError(not_opened(where))
        self.fps = usable_fps(self._capture.get(cv2.CAP_PROP_FPS))
        self._pixels, self._steady = PixelReader(self.name, say), SteadySize(self.name, say)
        self._pace = paced(where)
        self._newest: tuple[Image, float] | None = None
        self._taken = self._handed_out = 0
        may_repeat = isinstance(where, str) and where.lower().startswith("http")
        self._opening = _Opening() if may_repeat else None
        self._repeats = False
        self._started = 0.0
        self._fresh, self._stop = threading.Condition(), threading.Event()
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="camera", daemon=True)
        self._thread.start()

    def read(self, timeout: float = 1.0) -> Frame | None:
        """The newest frame not read yet, waiting up to ``timeout`` seconds for one.

        Its index counts the frames that were handed out, not those that were passed over.
        """
        with self._fresh:
            self._fresh.wait_for(lambda: self._newest is not None or self.ended, timeout)
            newest, self._newest = self._newest, None
        if newest is None:
            if self._failure is not None:
                raise self._failure
            return None
        image, captured_at = newest
        self._started = self._started or captured_at
        self._handed_out += 1
        return Frame(image, self._handed_out - 1, captured_at - self._started, captured_at)

    def seek(self, index: int) -> None:
        """Live pictures cannot be sought."""

    def close(self) -> None:
        self._stop.set()
        # A driver may hang in grab(); the thread is a daemon and is left to it then.
        self._thread.join(timeout=2.0)

    def _run(self) -> None:
        try:
            self._keep_up()
        except BaseException as error:  # carried over to the reader
            self._failure = error
        finally:
            self._release()
            with self._fresh:
                self.ended = True
                self._fresh.notify_all()

    def _keep_up(self) -> None:
        pause, last_frame = self._first_pause, time.monotonic()
        while not self._stop.is_set():
            if self._capture is not None and self._take():
                if pause > self._first_pause:
                    self._say(f"{self.name} is back")
                pause, last_frame = self._first_pause, time.monotonic()
                continue
            if self._repeats:
                self._say(
                    f"{self.name} begins anew: it is a file, and ends here; {self._handed_out} of "
                    f"its {self._taken} frames were followed (all of them if you download it)"
                )
                break
            if time.monotonic() - last_frame > self._patience:
                self._say(f"{self.name} gave no frame for {self._patience:.0f} s; it ends here")
                break
            if pause == self._first_pause:
                self._say(f"{self.name} dropped; trying to reach it again")
            self._release()
            self._stop.wait(pause)
            pause = min(2 * pause, LONGEST_PAUSE)
            if not self._stop.is_set():
                self._capture = self._reopen()
                if self._capture is not None and not self._goes_on(self._capture):
                    self._say(f"{self.name} has ended: its address holds a recording now")
                    break

    def _goes_on(self, capture: Capture) -> bool:
        """Begin with a new connection; False where it is to something that has an end."""
        if self._opening:
            self._opening.again()
            if frame_count_of(capture):  # an HLS broadcast is kept as a list of all its segments
                return False
        self._pace = paced(self._where)
        return True

    def _take(self) -> bool:
        assert self._capture is not None
        try:
            if not self._capture.grab():
                return False
            if self._pace:
                stated = self._capture.get(cv2.CAP_PROP_POS_MSEC) / 1000.0
                self._stop.wait(self._pace.wait(stated, time.monotonic()))
            captured_at = time.monotonic()
            ok, picture = self._capture.retrieve()
            if not ok:
                return False
            image = self._steady(self._pixels(np.asarray(picture)), self._taken)
        except (cv2.error, ValueError):
            return False
        if self._opening and self._opening.held(image):
            self._repeats = self._opening.repeated
            return not self._repeats
        self._taken += 1
        with self._fresh:
            self._newest = image, captured_at
            self._fresh.notify_all()
        return True

    def _release(self) -> None:
        if self._capture is not None:
            self._capture.release()
            self._capture = None


def not_opened(where: int | str) -> str:
    """The sentence about a camera or a stream that cannot be opened."""
    if isinstance(where, str):
        return f"the stream {where} cannot be opened; check the address and the network"
    hint = " (on Linux, ls /dev/video* lists them)" if sys.platform.startswith("linux") else ""
    return f"camera {where} cannot be opened; is it plugged in and free?{hint}"
