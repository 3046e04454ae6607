"""Where frames come from: video files, folders of images, globs, cameras, streams, a pipe.

``open_source`` picks one. Files (``tracker/app/video_file.py``) keep every frame and can seek;
live sources (``tracker/app/live.py``) keep only the newest.
"""

from __future__ import annotations

import glob
import re
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from tracker.app.decoder_log import DecoderLog
from tracker.app.frame_source import DEFAULT_FPS, Frame, Source, SteadySize, frame_count_of
from tracker.app.interfaces import Say
from tracker.app.live import LiveSource, not_opened, open_stream
from tracker.app.outputs import located
from tracker.app.pixels import PixelReader
from tracker.app.video_file import VideoFile
from tracker.errors import UserError, files_told
from tracker.frames import PICTURE_SUFFIXES, natural_order, picture_paths
from tracker.image import Image
from tracker.native_path import native_path, native_text

AS_STORED = cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH
TIFF = (".tif", ".tiff")
PAGES_AT_ONCE = 8  # each reading passes over all pages before


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
            return _open_picture(path, say, fps)
        return VideoFile(str(path), path.stem, say, log)
    if glob.has_magic(where):
        return _open_glob(where, say, fps, log)
    raise UserError(f"there is no file or folder {where}; check the path")


def _open_picture(path: Path, say: Say, fps: float | None) -> Source:
    pages = _page_count(path)
    if pages > 1 and path.suffix.lower() in TIFF:
        return ImageStack(path, pages, say, fps)
    if pages > 1:  # OpenCV counts the pictures of these, but does not give them one by one
        say(f"{path} holds {pages} pictures, of which only the first is used; make a video of it")
    return ImageFiles([path], path.stem, say, fps)


def _page_count(path: Path) -> int:
    try:
        with native_path(path) as name:
            return cv2.imcount(name)
    except (cv2.error, UserError):  # of one picture the name need not be text
        return 0


def _open_stdin(say: Say, log: DecoderLog | None) -> Source:
    if sys.stdin is None or sys.stdin.isatty():
        raise UserError(
            "--video - reads a video from a pipe, and nothing is piped in; "
            "for example: cat clip.mkv | python demo.py --video -"
        )
    found: list[VideoFile | BaseException] = []

    def wait_for_it() -> None:
        try:
            found.append(VideoFile("pipe:0", "stdin", say, log))
        except BaseException as error:  # carried over to the caller
            found.append(error)

    # A thread waits for the pipe's first bytes: OpenCV would not hear ctrl-c until they come.
    waiting = threading.Thread(target=wait_for_it, name="stdin", daemon=True)
    waiting.start()
    while waiting.is_alive():
        waiting.join(timeout=0.5)
    if isinstance(found[0], BaseException):
        raise found[0]
    return found[0]


def _open_url(url: str, say: Say, log: DecoderLog | None) -> Source:
    url = native_text(url)
    capture = open_stream(url)
    if capture is None:
        raise UserError(not_opened(url))
    if frame_count_of(capture):  # a file that a server hands out: it has an end, keep every frame
        capture.release()
        path = re.split(r"[?#]", url)[0]  # what follows may be a key, which is nobody's business
        return VideoFile(url, path.rstrip("/").rpartition("/")[2] or "stream", say, log)
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
        self._say, self._pixels = say, PixelReader(self.name, say)
        self._pages_told = False
        self._steady = SteadySize(self.name, say)

    def read(self, timeout: float = 1.0) -> Frame | None:
        while self._next < len(self._paths):
            index, path = self._next, self._paths[self._next]
            self._next += 1
            image = self._load(index)
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

    def _load(self, index: int) -> Image | None:
        try:
            picture = self._decode(index)
            return None if picture is None else self._pixels(picture)
        except (OSError, ValueError, cv2.error):
            return None

    def _decode(self, index: int) -> NDArray[Any] | None:
        if not self._pages_told and self._paths[index].suffix.lower() in TIFF:
            self._tell_pages(self._paths[index])
        # not imread: it fails on non-ASCII paths on Windows
        return cv2.imdecode(np.fromfile(self._paths[index], dtype=np.uint8), AS_STORED)

    def _tell_pages(self, path: Path) -> None:
        pages = _page_count(path)
        if pages > 1:
            self._say(
                f"{path} holds {pages} pictures, of which only the first is used, as of all such "
                "files here; a file that is given alone has a frame a page"
            )
            self._pages_told = True

    def seek(self, index: int) -> None:
        self._next, self.ended = min(max(index, 0), len(self._paths) - 1), False

    def close(self) -> None:
        pass


class ImageStack(ImageFiles):
    """A TIFF of several pages, as microscopes write them: a page is a frame."""

    def __init__(self, path: Path, pages: int, say: Say, fps: float | None = None) -> None:
        super().__init__([path] * pages, path.stem, say, fps)
        self._read: dict[int, NDArray[Any]] = {}

    def _decode(self, index: int) -> NDArray[Any] | None:
        if index not in self._read:
            with native_path(self._paths[index]) as name:
                count = min(PAGES_AT_ONCE, len(self._paths) - index)
                pages = cv2.imreadmulti(name, index, count, flags=AS_STORED)[1]
            self._read = dict(enumerate(pages, index))
        return self._read.get(index)
