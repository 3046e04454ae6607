"""Pictures that several tracks share: where a target stands in a frame of another one."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from tracker.image import Image
from tracker.training.tracks import Track

BoxRow = NDArray[np.float32]
"""(4,) x, y, w, h: a row of a track's boxes."""
LEAST_STRIP = 8
"""Pixels a side of what is worth showing of a picture without its target."""


def box_in(target: Track, shown: Track, frame: int) -> BoxRow | None:
    """The box (x, y, w, h) of a target in a frame of a track; ``None`` if none is known there.

    Tracks share files or memory. Copies of a picture, one for each individual of a crowd, are
    told by the boxes that ``others`` has of the crowd.
    """
    number = _same_frame(target, shown, frame)
    if number is not None:
        box = _box_in_same(target, number, shown, frame)
        return box if np.isfinite(box).all() else None
    if target.others and shown.others and target.category == shown.category:
        crowd = shown.others[frame]
        same = (np.abs(crowd[:, None] - target.boxes[None]).max(2) < 1).any(1)
        return crowd[int(same.argmax())] if same.any() else None
    return None


def _same_frame(target: Track, shown: Track, frame: int) -> int | None:
    """Number of the target's frame that is the same picture, or of the same frame of a video."""
    if target.frames is shown.frames:
        return frame
    if target.place != shown.place:  # a clip has thousands of frames to compare
        return None
    if target.film is not None:  # its annotation may end earlier
        return frame if frame < len(target.boxes) else None
    try:
        return target.files.index(shown.files[frame])
    except ValueError:
        return None


def _box_in_same(target: Track, number: int, shown: Track, frame: int) -> BoxRow:
    """The target's box of a frame in the picture that another track has of it."""
    box: BoxRow = target.boxes[number]
    if target.frames is shown.frames or target.film is None or shown.film is None:
        return box
    # of a video each track keeps crops of its own, cut and scaled around its object
    box, whole, kept = target.film.boxes[number], shown.film.boxes[frame], shown.boxes[frame]
    scale = kept[2:] / whole[2:]
    return np.concatenate([kept[:2] + (box[:2] - whole[:2]) * scale, box[2:] * scale])


def meets_surroundings(box: BoxRow, shown: BoxRow, reach: float) -> bool:
    """Whether a box lies, if only in part, within ``reach`` pixels of another one's middle."""
    middle = shown[:2] + shown[2:] / 2
    return bool((box[:2] < middle + reach).all() and (box[:2] + box[2:] > middle - reach).all())


def without_box(image: Image, box: BoxRow) -> Image:
    """The widest part of a picture beside a box, or its mean colour where none is left."""
    low = [max(math.floor(float(v)), 0) for v in box[:2]]
    high = [max(math.ceil(float(v)), 0) for v in box[:2] + box[2:]]
    parts = (image[:, : low[0]], image[:, high[0] :], image[: low[1]], image[high[1] :])
    widest = max(parts, key=lambda part: min(part.shape[:2]))
    if min(widest.shape[:2]) >= LEAST_STRIP:
        return widest
    return np.full_like(image, image.mean((0, 1)))
