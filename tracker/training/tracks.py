"""What training data is made of: objects followed over pictures, whatever their files are."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from tracker.errors import UserError, files_told
from tracker.image import Image


@dataclass(frozen=True, eq=False)
class EncodedFrame:
    """A picture kept in memory as the bytes of a picture file.

    Attributes:
        data: (N,) uint8 of a JPEG, PNG or WebP file.
        name: where it came from, for messages.
    """

    data: NDArray[np.uint8]
    name: str


class EncodedFrames(Sequence[EncodedFrame]):
    """Pictures of a clip in one block of memory, which loader processes share unchanged."""

    def __init__(self, parts: Sequence[NDArray[np.uint8]], name: str) -> None:
        self._buffer = np.concatenate(parts) if parts else np.zeros(0, np.uint8)
        self._ends = np.cumsum([0, *(len(p) for p in parts)])
        self._name = name

    def __len__(self) -> int:
        return len(self._ends) - 1

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        if not 0 <= index < len(self):
            raise IndexError(index)
        data = self._buffer[self._ends[index] : self._ends[index + 1]]
        return EncodedFrame(data, f"frame {index} of {self._name}")


Frame = Path | EncodedFrame


@dataclass(frozen=True, eq=False)
class Film:
    """The video that a track keeps crops of.

    Attributes:
        path: of its file, with links followed: one video may have a name for each object.
        boxes: (N, 4) float32 (x, y, w, h) of the object in its whole frames.
    """

    path: str
    boxes: NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Track:
    """One object in one or more pictures. A still is a track of one frame.

    Attributes:
        frames: picture files, or pictures in memory, in order of time.
        boxes: (N, 4) float32 (x, y, w, h) a frame, pixels; NaN where the object is absent.
        category: class of the object, or ``None``: tracks of one category are hard
            negatives of each other.
        polygons: outline of the object in a still: (M, 2) float32 arrays of its outermost pixels.
        others: boxes (K, 4) of like objects in each frame, where they are known.
        cutout: the pictures show the object alone, and are transparent around it.
        size: width and height that the annotation states of the pictures, or ``None``.
        film: of crops in memory, the video that they are from.
    """

    frames: Sequence[Frame]
    boxes: NDArray[np.float32]
    category: str | None = None
    polygons: tuple[NDArray[np.float32], ...] = ()
    others: tuple[NDArray[np.float32], ...] = ()
    cutout: bool = False
    size: tuple[int, int] | None = None
    film: Film | None = None

    def __post_init__(self) -> None:
        if len(self.frames) != len(self.boxes):
            raise ValueError(f"{len(self.frames)} frames but {len(self.boxes)} boxes")

    @property
    def present(self) -> NDArray[np.int64]:
        """Indices of the frames in which the object has a box of positive size."""
        return np.flatnonzero(_usable(self.boxes)).astype(np.int64)

    @cached_property
    def place(self) -> object:
        """The folder or video of the frames, with links followed, or what holds them in memory.

        Tracks of two places share nothing.
        """
        if self.film is not None:
            return self.film.path
        first = self.frames[0]
        return os.path.dirname(_followed(first)) if isinstance(first, Path) else self.frames

    @cached_property
    def files(self) -> tuple[str, ...]:
        """The picture files of the frames, with links followed; none of frames in memory."""
        return tuple(_followed(f) for f in self.frames if isinstance(f, Path))


def _followed(path: Path) -> str:
    """The file that a path leads to."""
    if os.path.islink(path):
        return os.path.realpath(path)
    return os.path.join(_followed_folder(path.parent), path.name)


@lru_cache(maxsize=256)  # following each picture's path anew takes a part of a millisecond a pair
def _followed_folder(path: Path) -> str:
    return os.path.realpath(path)


def _usable(boxes: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Which of the boxes (N, 4) are of an object that is there, and of positive size."""
    return np.asarray(np.isfinite(boxes).all(1) & (boxes[:, 2:] > 1).all(1), dtype=np.bool_)


@dataclass(frozen=True)
class Source:
    """Tracks that are drawn together.

    Attributes:
        name: for logs.
        tracks: those with at least one usable box.
        weight: share of the pairs drawn from here, relative to the other sources.
        notes: sentences on what was left out, for the person who trains.
        rough: the boxes are a few percent off: they teach which object it is, not where it ends.
    """

    name: str
    tracks: tuple[Track, ...]
    weight: float = 1.0
    notes: tuple[str, ...] = ()
    rough: bool = False

    def __post_init__(self) -> None:
        if not self.tracks:
            raise UserError(
                f"the source {self.name} has no object with a box; check its annotations"
            )
        if not 0 < self.weight < math.inf:
            raise UserError(f"a source needs a positive weight, found {self.weight}: {self.name}")

    @property
    def pictures(self) -> int:
        """Pictures of all tracks; one that shows several objects counts for each."""
        return sum(len(t.frames) for t in self.tracks)


def track_image(track: Track, number: int) -> Image:
    """Read a frame of a track as HxWx3 uint8 BGR, as it was when its boxes were drawn.

    Raises:
        UserError: as ``read_image``; the picture is not of the size that its annotation states,
            or the box lies outside of it: whatever is learned there is not the object.
    """
    frame, box = track.frames[number], track.boxes[number]
    image = read_image(frame)
    if track.size is not None and track.size != _size(image):
        image = _in_stated_size(frame, image, track.size)
    if _usable(box[None])[0] and not meets_picture(box.tolist(), _size(image)):
        x, y, w, h = box.tolist()
        raise UserError(
            f"the box {x:g},{y:g},{w:g},{h:g} lies outside of {_name(frame)}, which is "
            f"{_told(_size(image))} pixels; mend its annotation"
        )
    return image


def meets_picture(box: Sequence[float], size: tuple[int, int]) -> bool:
    """Whether a box (x, y, w, h) lies in a picture of a width and height, if only in part."""
    x, y, w, h = box
    return x < size[0] and y < size[1] and x + w > 0 and y + h > 0


ROUNDED = 2
"""Pixels by which a picture may miss its stated size: somebody scaled both and rounded."""


def _in_stated_size(frame: Frame, image: Image, size: tuple[int, int]) -> Image:
    """The picture as its annotation knows it: it may have been drawn on before EXIF turned it."""
    if _size(image) == size[::-1]:
        as_stored = _decode(frame, cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
        if _size(as_stored) == size:
            return as_stored
    if max(abs(a - b) for a, b in zip(_size(image), size, strict=True)) > ROUNDED:
        raise UserError(
            f"{_name(frame)} is {_told(_size(image))} pixels, its annotation says {_told(size)}; "
            "scale the boxes, or give the pictures that they were drawn on"
        )
    return image


def _size(image: Image) -> tuple[int, int]:
    return image.shape[1], image.shape[0]


def _told(size: tuple[int, int]) -> str:
    return f"{size[0]} x {size[1]}"


def _name(frame: Frame) -> str:
    return frame.name if isinstance(frame, EncodedFrame) else str(frame)


def read_image(frame: Frame) -> Image:
    """Read a picture as HxWx3 uint8 BGR.

    Raises:
        UserError: missing or unreadable file.
    """
    return _decode(frame, cv2.IMREAD_COLOR)


def read_cutout(frame: Frame) -> Image:
    """Read a picture of an object alone as HxWx4 uint8 BGRA.

    Raises:
        UserError: missing or unreadable file, or a picture without an alpha channel.
    """
    image = _decode(frame, cv2.IMREAD_UNCHANGED)
    if image.ndim != 3 or image.shape[2] != 4 or image.dtype != np.uint8:
        raise UserError(
            f"{_name(frame)} has no transparency; a view is a PNG or WebP picture of 8 bits a "
            "channel that is transparent around the object"
        )
    return image


def _decode(frame: Frame, flags: int) -> Image:
    if isinstance(frame, EncodedFrame):
        decoded = _decode_bytes(frame.data, flags)
        if decoded is None:
            raise UserError(f"{frame.name} cannot be decoded as a picture")
        return decoded
    with files_told():
        data = np.fromfile(frame, dtype=np.uint8) if frame.is_file() else None
    image = _decode_bytes(data, flags) if data is not None else None
    if image is None:
        what = "is missing" if data is None else "cannot be read as a picture"
        raise UserError(f"the training picture {frame} {what}; mend or remove its annotation")
    return image


def lacks_memory(error: cv2.error) -> bool:
    """Whether OpenCV failed for want of memory: not the picture's fault."""
    return bool(error.code == cv2.Error.StsNoMem)


def _decode_bytes(data: NDArray[np.uint8], flags: int) -> Image | None:
    try:
        image = cv2.imdecode(data, flags) if data.size else None
    except cv2.error as error:  # of more pixels than OpenCV takes
        if lacks_memory(error):
            raise UserError(
                "there is not enough memory to read a training picture; end other programs, or "
                "train with fewer --workers"
            ) from None
        return None
    return None if image is None else np.asarray(image)
