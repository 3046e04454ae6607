"""What training data is made of: objects followed over pictures, whatever their files are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from tracker.errors import UserError

Image = NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class Track:
    """One object in one or more pictures. A still is a track of one frame.

    Attributes:
        frames: picture files, in order of time.
        boxes: (N, 4) float32 (x, y, w, h) a frame, pixels; NaN where the object is absent.
        category: class of the object, or ``None``: tracks of one category are hard
            negatives of each other.
        polygons: outline of the object in a still: (M, 2) float32 arrays, pixels.
        others: boxes (K, 4) of like objects in each frame, where they are known.
    """

    frames: Sequence[Path]
    boxes: NDArray[np.float32]
    category: str | None = None
    polygons: tuple[NDArray[np.float32], ...] = ()
    others: tuple[NDArray[np.float32], ...] = ()

    def __post_init__(self) -> None:
        if len(self.frames) != len(self.boxes):
            raise ValueError(f"{len(self.frames)} frames but {len(self.boxes)} boxes")

    @property
    def present(self) -> NDArray[np.int64]:
        """Indices of the frames in which the object has a box of positive size."""
        usable = np.isfinite(self.boxes).all(1) & (self.boxes[:, 2:] > 1).all(1)
        return np.flatnonzero(usable).astype(np.int64)


@dataclass(frozen=True)
class Source:
    """Tracks that are drawn together.

    Attributes:
        name: for logs.
        tracks: those with at least one usable box.
        weight: share of the pairs drawn from here, relative to the other sources.
    """

    name: str
    tracks: tuple[Track, ...]
    weight: float = 1.0
    _lengths: dict[int, int] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        if not self.tracks:
            raise UserError(
                f"the source {self.name} has no object with a box; check its annotations"
            )
        if not self.weight > 0:
            raise UserError(f"a source needs a positive weight, found {self.weight}: {self.name}")


def read_image(path: Path) -> Image:
    """Read a picture as HxWx3 uint8 BGR.

    Raises:
        UserError: missing or unreadable file.
    """
    data = np.fromfile(path, dtype=np.uint8) if path.is_file() else None
    image = cv2.imdecode(data, cv2.IMREAD_COLOR) if data is not None and data.size else None
    if image is None:
        what = "is missing" if data is None else "cannot be read as a picture"
        raise UserError(f"the training picture {path} {what}; mend or remove its annotation")
    return np.asarray(image, dtype=np.uint8)
