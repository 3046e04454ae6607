"""Frames of an annotated sequence, forward and backward, from pictures or a video file."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from tracker.errors import UserError
from tracker.image import Image
from tracker.native_path import native_path

PICTURE_SUFFIXES = frozenset(
    (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".pgm", ".ppm", ".jp2", ".exr")
)
VIDEO_SUFFIXES = (".mp4", ".avi", ".mkv", ".mov", ".webm", ".m4v", ".mpg", ".mpeg", ".ts")
LONGEST_HOLE = 300
"""Pictures in a row that a decoder may fail to decode before that is the end of a video."""
_CHUNK_BYTES = 128 * 2**20
_PIECE, _PIECES = 4096, 4  # bytes of a file that are looked at, and at how many places


class Frames(Protocol):
    """Where the frames of a sequence come from."""

    def read(self, frames: range) -> Iterator[Image]:
        """Yield the frames of a range; UserError if one cannot be had."""

    def fingerprint(self) -> str:
        """A text that changes when the frames do."""

    def clip(self) -> str:
        """A text that all targets and parts of one clip share, and no other clip has."""


@dataclass(frozen=True)
class Pictures:
    """Frames that are files, in order."""

    paths: tuple[Path, ...]

    def __len__(self) -> int:
        return len(self.paths)

    def read(self, frames: range) -> Iterator[Image]:
        """Yield the frames of a range, which may run backward.

        Raises:
            UserError: a picture that is missing or cannot be decoded.
        """
        for index in frames:
            if not 0 <= index < len(self.paths):
                raise UserError(f"frame {index} is not among the {len(self.paths)} pictures")
            yield read_picture(self.paths[index])

    def fingerprint(self) -> str:
        """Changes when pictures are added, taken away or replaced."""
        digest = hashlib.sha256()
        for path in self.paths:
            digest.update(_pieces(path))
        return f"{len(self.paths)} pictures {digest.hexdigest()[:16]}"

    def clip(self) -> str:
        """The folder: each clip has one of its own, of which UAV123's parts are some frames."""
        return os.path.realpath(self.paths[0].parent)


@dataclass(frozen=True)
class Video:
    """Frames of a video file; decoded in order, never by seeking, which is not exact."""

    path: Path

    def count(self) -> int:
        """Frames up to the last that can be decoded; counted by doing it: headers are often wrong.

        0 where the file does not open.
        """
        count = failed = 0
        with contextlib.suppress(UserError), self._opened() as capture:
            while failed < LONGEST_HOLE:
                if capture.grab():
                    count, failed = count + failed + 1, 0
                else:
                    failed += 1
        return count

    def stated(self) -> int:
        """Frames that the header states; often right, found at once, and 0 or less if unknown."""
        import cv2

        with contextlib.suppress(UserError), self._opened() as capture:
            return int(capture.get(cv2.CAP_PROP_FRAME_COUNT))
        return 0

    def read(self, frames: range) -> Iterator[Image]:
        """Yield the frames of a range of step 1, or -1 (then it decodes in chunks).

        Raises:
            UserError: the file does not open, a frame cannot be decoded, or it ends before the
                range does.
        """
        if frames.step > 0:
            yield from self._forward(frames)
        else:
            yield from self._backward(frames)

    def fingerprint(self) -> str:
        """Changes when the file is replaced."""
        return f"video {hashlib.sha256(_pieces(self.path)).hexdigest()[:16]}"

    def clip(self) -> str:
        """What is in the file: a second target needs a copy or a link of another name."""
        return self.fingerprint()

    def _forward(self, frames: range) -> Iterator[Image]:
        with self._opened() as capture:
            for index in range(frames.stop):
                if not capture.grab():
                    # one that is left out would give its box to the next
                    if any(capture.grab() for _ in range(LONGEST_HOLE)):
                        raise UserError(f"{self.path}: frame {index} cannot be decoded")
                    raise UserError(
                        f"{self.path}: the video ends after {index} frames, "
                        f"its annotation needs {frames.stop}"
                    )
                if index >= frames.start:
                    ok, image = capture.retrieve()
                    if not ok:
                        raise UserError(f"{self.path}: frame {index} cannot be decoded")
                    yield _colour(image)

    @contextlib.contextmanager
    def _opened(self) -> Iterator[Any]:
        import cv2

        with contextlib.suppress(OSError):  # then it cannot be opened, either
            refuse_playlist(self.path)
        with native_path(self.path) as name:
            capture = cv2.VideoCapture(name)
        try:
            if not capture.isOpened():
                raise UserError(f"{self.path}: this file cannot be opened as a video")
            yield capture
        finally:
            capture.release()

    def _backward(self, frames: range) -> Iterator[Image]:
        first = next(iter(self._forward(range(1))))
        chunk = max(1, _CHUNK_BYTES // first.nbytes)
        stop = frames.start + 1
        lowest = frames[-1]
        while stop > lowest:
            start = max(lowest, stop - chunk)
            yield from reversed(list(self._forward(range(start, stop))))
            stop = start


def _pieces(path: Path) -> bytes:
    """The size of a file and pieces of it from its start to its end; of none if it is missing.

    The size alone is that of any other picture where nothing is compressed (bmp, ppm).
    """
    try:
        with open(path, "rb") as file:
            size = file.seek(0, 2)
            parts = [size.to_bytes(8, "little")]
            for number in range(_PIECES):
                file.seek(max(size - _PIECE, 0) * number // (_PIECES - 1))
                parts.append(file.read(_PIECE))
    except OSError:
        return b""
    return b"".join(parts)


def refuse_playlist(path: Path) -> None:
    """Refuse a list of other files under the name of a video: FFmpeg would follow it.

    Raises:
        UserError: it is one.
        OSError: it cannot be read.
    """
    with open(path, "rb") as file:
        if file.read(8) == b"ffconcat":
            raise UserError(f"{path} cannot be read as a video: it is a list of files; name them")


def read_picture(path: Path) -> Image:
    """Decode a picture as BGR; UserError if that fails."""
    import cv2

    try:
        data = np.fromfile(path, dtype=np.uint8)  # cv2.imread fails on some Unicode paths
    except OSError as error:
        raise UserError(f"{path}: the picture cannot be read ({error.strerror})") from None
    image = cv2.imdecode(data, cv2.IMREAD_COLOR) if len(data) else None
    if image is None:
        raise UserError(f"{path}: this file is not a picture, or it is damaged")
    return _colour(image)


def picture_paths(folder: Path) -> tuple[Path, ...]:
    """The pictures of a folder in the order of the numbers in their names."""
    found = [p for p in folder.iterdir() if p.is_file() and is_picture(p)]
    return tuple(sorted(found, key=natural_order))


def is_picture(path: Path) -> bool:
    """Whether a name is that of a picture; macOS leaves hidden files beside those on a stick."""
    return path.suffix.lower() in PICTURE_SUFFIXES and not path.name.startswith(".")


def natural_order(path: Path) -> list[list[tuple[int, int | str]]]:
    """Sort key by which ``2.jpg`` comes before ``10.jpg``, and ``2/1.jpg`` before ``10/1.jpg``."""
    return [
        [(0, int(p)) if p.isdecimal() else (1, p) for p in re.split(r"(\d+)", part) if p]
        for part in Path(str(path).casefold()).parts
    ]


def _colour(image: Any) -> Image:
    bgr: Image = image if image.ndim == 3 else np.repeat(image[:, :, None], 3, axis=2)
    return bgr
