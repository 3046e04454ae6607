"""Where frames come from: video files, folders of images, globs, cameras, streams, a pipe.

``open_source`` picks one. Files keep every frame and can seek; live sources
(``tracker/app/live.py``) keep only the newest.
"""

from __future__ import annotations

import glob
import math
import os
import re
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np

from tracker.app.decoder_log import DecoderLog
from tracker.app.interfaces import Image, Say
from tracker.app.outputs import located
from tracker.app.pixels import PixelReader
from tracker.errors import UserError, files_told
from tracker.frames import PICTURE_SUFFIXES, natural_order, picture_paths, refuse_playlist
from tracker.native_path import native_path, native_text

WITHOUT_INDEX = frozenset((".ts", ".mts", ".m2ts", ".mpg", ".mpeg", ".vob"))
DEFAULT_FPS = 30.0
UNPIPEABLE = "an mp4 can be piped only when it was made for streaming; send mkv, ts or avi"


@dataclass(frozen=True)
class Frame:
    """One picture of a stream.

    Attributes:
        image: (H, W, 3) uint8 BGR; every frame of a source has the size of its first.
        index: 0-based number in the stream.
        timestamp: seconds since the first frame.
        captured_at: ``time.monotonic()`` when it was taken from the decoder or camera.
    """

    image: Image
    index: int
    timestamp: float
    captured_at: float


class Source(Protocol):
    """A stream of frames.

    Attributes:
        name: short name for messages and for the names of output files.
        fps: frames a second.
        frame_count: how many frames there are; ``None`` when unknown.
        live: only the newest frame is kept, and there may be none yet.
        can_seek: ``seek`` works.
        ended: no frame will come any more.
    """

    name: str
    fps: float
    frame_count: int | None
    live: bool
    ended: bool

    @property
    def can_seek(self) -> bool: ...

    def read(self, timeout: float = 1.0) -> Frame | None:
        """The next (live: newest) frame; ``None`` when there is none yet, or ``ended``.

        Raises:
            UserError: the file is damaged here; all frames before were delivered.
        """

    def seek(self, index: int) -> None:
        """Make ``index`` (clipped to what there is) the frame that ``read`` gives next."""

    def close(self) -> None: ...


@files_told()
def open_source(
    where: str | int, say: Say, fps: float | None = None, log: DecoderLog | None = None
) -> Source:
    """Open a video file, a folder or glob of images, a camera number, a URL, or ``-`` (stdin).

    Args:
        where: what the person typed; a number is a camera, whatever files there are.
        say: takes notes such as "frame 17 cannot be read".
        fps: frame rate of folders of images (default 30).
        log: errors that the decoder reports, to name damage that it conceals.

    Raises:
        UserError: there is nothing that can be read.
    """
    from tracker.app.live import LiveSource

    if isinstance(where, int):
        return LiveSource(where, say)
    where = located(where)
    if where == "-":
        return _open_stdin(say, log)
    if where.isdecimal() and not Path(where).exists():
        return LiveSource(int(where), say)
    if "://" in where:
        return _open_url(where, say, log)
    path = Path(where)
    if path.is_dir():
        return ImageFiles(_images_in(path), path.resolve().name, say, fps)
    if path.exists():
        if path.suffix.lower() in PICTURE_SUFFIXES:
            return ImageFiles([path], path.stem, say, fps)
        return VideoFile(str(path), path.stem, say, log)
    if glob.has_magic(where):
        return _open_glob(where, say, fps, log)
    raise UserError(f"there is no file or folder {where}; check the path")


def _open_stdin(say: Say, log: DecoderLog | None) -> Source:
    if sys.stdin is None or sys.stdin.isatty():
        raise UserError(
            "--video - reads a video from a pipe, and nothing is piped in; "
            "for example: cat clip.mkv | python demo.py --video -"
        )
    return VideoFile("pipe:0", "stdin", say, log)


def _open_url(url: str, say: Say, log: DecoderLog | None) -> Source:
    from tracker.app.live import LiveSource, open_stream

    url = native_text(url)
    capture = open_stream(url)
    if capture is None:
        raise UserError(f"the stream {url} cannot be opened; check the address and the network")
    if _frame_count(capture):  # a file that a server hands out: it has an end, keep every frame
        capture.release()
        return VideoFile(url, re.split(r"[/?#]", url.rstrip("/"))[-1] or "stream", say, log)
    return LiveSource(url, say, capture)


def _open_glob(pattern: str, say: Say, fps: float | None, log: DecoderLog | None) -> Source:
    paths = [Path(p) for p in glob.glob(pattern, recursive=True) if Path(p).is_file()]
    images = [p for p in paths if p.suffix.lower() in PICTURE_SUFFIXES]
    if images:
        return ImageFiles(sorted(images, key=natural_order), images[0].parent.name, say, fps)
    if len(paths) == 1:
        return VideoFile(str(paths[0]), paths[0].stem, say, log)
    if paths:
        raise UserError(
            f"{pattern} matches {len(paths)} files that are no images; "
            "give one video, or many clips with --batch boxes.csv"
        )
    raise UserError(f"nothing matches {pattern}; check the pattern (and quote it)")


def _images_in(folder: Path) -> list[Path]:
    images = picture_paths(folder)
    if images:
        return list(images)
    files = [p for p in folder.iterdir() if p.is_file() and not p.name.startswith(".")]
    raise UserError(
        f"the folder {folder} holds no images, only {len(files)} other files; give a folder "
        f"with {', '.join(sorted(PICTURE_SUFFIXES))} files, or a video file"
        if files
        else f"the folder {folder} holds no images; it has no files at all"
    )


class SteadySize:
    """Gives every frame of a stream the size of its first, so that boxes keep their meaning."""

    def __init__(self, name: str, say: Say) -> None:
        self._name, self._say = name, say
        self._size: tuple[int, int] | None = None
        self._last: tuple[int, int] | None = None

    def __call__(self, image: Image, index: int) -> Image:
        size = image.shape[1], image.shape[0]
        self._size = self._size or size
        if size == self._size:
            self._last = size
            return image
        if size != self._last:
            self._last = size
            self._say(
                f"{self._name}: the size changes to {size[0]} x {size[1]} at frame {index}; "
                f"frames are scaled to {self._size[0]} x {self._size[1]}"
            )
        return np.asarray(cv2.resize(image, self._size, interpolation=cv2.INTER_AREA), np.uint8)


class ImageFiles:
    """A clip kept as one image file a frame. Files that cannot be read are left out, by name."""

    live = False
    can_seek = True

    def __init__(
        self, paths: Sequence[Path], name: str, say: Say, fps: float | None = None
    ) -> None:
        self.name, self.fps, self.ended = name or "images", fps or DEFAULT_FPS, False
        self.frame_count: int | None = len(paths)
        self._paths, self._next, self._delivered = list(paths), 0, 0
        self._say, self._pixels = say, PixelReader()
        self._steady = SteadySize(self.name, say)

    def read(self, timeout: float = 1.0) -> Frame | None:
        while self._next < len(self._paths):
            index, path = self._next, self._paths[self._next]
            self._next += 1
            image = self._load(path)
            if image is None:
                self._say(f"{path} is no readable image; frame {index} is left out")
                continue
            self._delivered += 1
            return Frame(self._steady(image, index), index, index / self.fps, time.monotonic())
        self.ended = True
        if not self._delivered:
            raise UserError(
                f"none of the {len(self._paths)} images of {self.name} can be read; "
                "they are damaged or no images"
            )
        return None

    def _load(self, path: Path) -> Image | None:
        try:  # not imread: it fails on non-ASCII paths on Windows
            data = np.fromfile(path, dtype=np.uint8)
            picture = cv2.imdecode(data, cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH)
            return None if picture is None else self._pixels(picture)
        except (OSError, ValueError, cv2.error):
            return None

    def seek(self, index: int) -> None:
        self._next, self.ended = min(max(index, 0), len(self._paths) - 1), False

    def close(self) -> None:
        pass


class VideoFile:
    """A video with an end, decoded by OpenCV: every frame in order, exact seek for files.

    Rotation metadata is applied by OpenCV. A file that ends before its header says raises
    UserError after its last good frame, also when it comes through a pipe; pictures that the
    decoder had to conceal are named at the end. A server that cannot seek is told from damage.
    """

    live = False

    def __init__(self, where: str, name: str, say: Say, log: DecoderLog | None = None) -> None:
        self.name = name
        self.ended = False
        self._where, self._say, self._log = where, say, log
        self._piped = where.startswith("pipe:")
        self._next, self._last_time = 0, 0.0
        self._jumped = False  # then nobody has counted the frames
        # first picture of an address, until its server has shown that it can seek
        self._first: Any = None
        self._first_error = 0
        self._pixels, self._steady = PixelReader(), SteadySize(name, say)
        self._capture = self._open()
        self._counts = _counts_frames(where)
        self.fps = usable_fps(self._capture.get(cv2.CAP_PROP_FPS))
        self._promised = _frame_count(self._capture)
        self.frame_count = None if self._piped else self._promised
        self.can_seek = self.frame_count is not None
        if log:
            log.begin()  # what opening it said is of no frame

    def _open(self) -> cv2.VideoCapture:
        if "://" in self._where or self._piped:
            capture = cv2.VideoCapture(self._where)
        else:
            _check_file(Path(self._where))
            with native_path(self._where) as name:
                capture = cv2.VideoCapture(name)
        if not capture.isOpened() or capture.get(cv2.CAP_PROP_FRAME_WIDTH) <= 0:
            shown = "what comes from stdin" if self._piped else self._where
            hint = (
                UNPIPEABLE if self._piped else "it is no video, is damaged, or its codec is unknown"
            )
            raise UserError(f"{shown} cannot be read as a video: {hint}")
        return capture

    def read(self, timeout: float = 1.0) -> Frame | None:
        if self.ended:
            return None
        try:
            ok, picture = self._capture.read()
        except cv2.error:  # a picture that the decoder cannot convert
            ok, picture = False, None
        if not ok or picture is None:
            self._end()
            return None
        index, self._next = self._next, self._next + 1
        if "://" in self._where and index == 0 and not self._jumped:
            self._first = picture
        self._last_time = self._time_of(index)
        if self._log and not self._first_error and self._log.count:
            self._first_error = index + 1
        image = self._steady(self._pixels(picture), index)
        return Frame(image, index, self._last_time, time.monotonic())

    def _time_of(self, index: int) -> float:
        seconds = self._capture.get(cv2.CAP_PROP_POS_MSEC) / 1000.0
        if not math.isfinite(seconds) or seconds < 0 or (index and seconds == 0):
            return index / self.fps
        return seconds

    def _end(self) -> None:
        self.ended = True
        shown = "what comes from stdin" if self._piped else self._where
        if not self._next:
            hint = f"or {UNPIPEABLE}" if self._piped else "give another video"
            raise UserError(f"{shown} holds no frame that can be read: it is damaged; {hint}")
        if self._log:
            self._log.catch_up()
        reason = self._why_cut()
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
        if index < self._next or index > self._next + 2 * self.fps or self.ended:
            if not self._jumped and not self._server_can_seek():
                return
            self._next, self.ended, self._jumped = self._jump(index), False, True
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
        while self._next < index and self._capture.grab():
            self._next += 1

    def _jump(self, index: int) -> int:
        """Go to a frame or to one before it; the number of the one that comes next."""
        if Path(self._where).suffix.lower() not in WITHOUT_INDEX:
            self._capture.set(cv2.CAP_PROP_POS_FRAMES, index)
            return index
        back = 1
        while back < index:  # a jump may end at a later frame, of which only the time is right
            self._capture.set(cv2.CAP_PROP_POS_FRAMES, index - back)
            if self._capture.grab():
                landed = round(self._capture.get(cv2.CAP_PROP_POS_MSEC) / 1000 * self.fps)
                if 0 <= landed < index:
                    return landed + 1
            back *= 4
        self._restart()
        return 0

    def close(self) -> None:
        self._capture.release()


def _counts_frames(where: str) -> bool:
    """Whether the container knows its frames, and not only its length in time: mp4, mov, avi."""
    if "://" in where or where.startswith("pipe:"):
        return Path(where.split("?")[0]).suffix.lower() in (".mp4", ".m4v", ".mov", ".avi")
    with open(where, "rb") as file:
        head = file.read(8)
    return head[4:] in (b"ftyp", b"moov") or head[:4] == b"RIFF"


def _check_file(path: Path) -> None:
    try:
        size = os.path.getsize(path)
        refuse_playlist(path)
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}") from None
    if size == 0:
        raise UserError(f"{path} is an empty file; give a video")


def usable_fps(value: float) -> float:
    """A frame rate as the container states it, or 30 when it states nonsense."""
    return value if math.isfinite(value) and 0.01 <= value <= 500.0 else DEFAULT_FPS


def _frame_count(capture: cv2.VideoCapture) -> int | None:
    count = capture.get(cv2.CAP_PROP_FRAME_COUNT)
    return int(count) if math.isfinite(count) and 0 < count < 1e9 else None
