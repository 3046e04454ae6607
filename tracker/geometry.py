"""Boxes: checks, conversions, overlap, and the square context of a Siamese crop.

Boxes are (x, y, w, h), float, 0-based, top-left, in pixels, where a box covers
``[x, x + w) x [y, y + h)``. Arrays of boxes are (N, 4) float64.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tracker.results import Box

FloatArray = NDArray[np.float64]


def check_box(box: Sequence[float] | NDArray[Any], width: int, height: int) -> Box:
    """Return ``box`` as four floats if a target can be cut out there.

    Args:
        box: (x, y, w, h) in pixels.
        width, height: size of the frame in pixels.

    Raises:
        ValueError: not four finite numbers, no positive size, or wholly outside the frame.
    """
    try:
        if isinstance(box, (str, bytes, dict, set)):
            raise TypeError
        values = [float(v) for v in box]
    except (TypeError, ValueError, OverflowError):
        raise ValueError(f"a box needs four numbers x, y, w, h, found {_shown(box)}") from None
    if len(values) != 4:
        raise ValueError(f"a box needs four numbers x, y, w, h, found {len(values)}: {_shown(box)}")
    x, y, w, h = values
    if not all(math.isfinite(v) for v in values):
        raise ValueError(f"a box needs finite numbers, found {(x, y, w, h)}")
    if w <= 0 or h <= 0:
        raise ValueError(f"a box needs a positive width and height, found {w:g} x {h:g}")
    if x >= width or y >= height or x + w <= 0 or y + h <= 0:
        raise ValueError(
            f"the box {x:g},{y:g},{w:g},{h:g} lies outside the frame of {width} x {height} pixels"
        )
    return x, y, w, h


def as_box(row: Sequence[float] | NDArray[Any]) -> Box:
    """A row of four numbers as a box; ``check_box`` says whether one can be followed."""
    x, y, w, h = (float(v) for v in row)
    return x, y, w, h


def _shown(box: Any) -> str:
    """As an error shows it, cut short: it may be all boxes of a video."""
    return " ".join(repr(box).split())[:80]


def clip_box(box: Box, width: int, height: int, min_size: float = 1.0) -> Box:
    """Intersect a box with the frame; a box that misses it becomes a sliver at the border.

    The result is finite, at least ``min_size`` (or the frame, if that is smaller) wide
    and high, and lies inside ``[0, width] x [0, height]``.
    """
    x, y, w, h = box
    x1, x2 = _clip_span(x, x + w, float(width), min(min_size, float(width)))
    y1, y2 = _clip_span(y, y + h, float(height), min(min_size, float(height)))
    return x1, y1, x2 - x1, y2 - y1


def hold_inside(box: Box, width: int, height: int) -> Box:
    """Keep the middle inside the frame and the size between 2 pixels and the frame."""
    x, y, w, h = box
    cx, cy = min(max(x + w / 2, 0.0), float(width)), min(max(y + h / 2, 0.0), float(height))
    w, h = min(max(w, 2.0), float(width)), min(max(h, 2.0), float(height))
    return cx - w / 2, cy - h / 2, w, h


def _clip_span(lo: float, hi: float, limit: float, min_size: float) -> tuple[float, float]:
    lo, hi = min(max(lo, 0.0), limit), min(max(hi, 0.0), limit)
    if hi - lo < min_size:
        lo = min(max((lo + hi - min_size) / 2, 0.0), limit - min_size)
        hi = lo + min_size
    return lo, hi


def xywh_to_corners(boxes: ArrayLike) -> FloatArray:
    """(N, 4) or (4,) boxes (x, y, w, h) -> (x1, y1, x2, y2)."""
    b = np.asarray(boxes, dtype=np.float64)
    return np.concatenate([b[..., :2], b[..., :2] + b[..., 2:]], axis=-1)


def corners_to_xywh(corners: ArrayLike) -> FloatArray:
    """(N, 4) or (4,) corners (x1, y1, x2, y2) -> (x, y, w, h)."""
    c = np.asarray(corners, dtype=np.float64)
    return np.concatenate([c[..., :2], c[..., 2:] - c[..., :2]], axis=-1)


def polygon_to_box(points: ArrayLike) -> Box:
    """The axis-aligned bounding box of a polygon given as x1, y1, x2, y2, ..."""
    p = np.asarray(points, dtype=np.float64).reshape(-1, 2)
    (x1, y1), (x2, y2) = p.min(axis=0), p.max(axis=0)
    return float(x1), float(y1), float(x2 - x1), float(y2 - y1)


def cut_polygon(points: FloatArray, box: Box) -> FloatArray:
    """The part of a convex polygon, (N, 2), that lies in a box (x, y, w, h): (M, 2), M may be 0."""
    x, y, w, h = box
    for axis, sign, limit in ((0, 1, x), (0, -1, x + w), (1, 1, y), (1, -1, y + h)):
        inside = sign * (points[:, axis] - limit)  # above 0 on the side that stays
        kept: list[FloatArray] = []
        for i, point in enumerate(points):
            before, here = inside[i - 1], inside[i]
            if before * here < 0:
                kept.append(points[i - 1] + (point - points[i - 1]) * before / (before - here))
            if here >= 0:
                kept.append(point)
        points = np.array(kept).reshape(-1, 2)
    return points


def polygon_area(points: FloatArray) -> float:
    """The area of a polygon, (N, 2), whichever way round it goes."""
    x, y = points.T
    return float(abs(x @ np.roll(y, 1) - y @ np.roll(x, 1)) / 2)


def iou(a: ArrayLike, b: ArrayLike) -> FloatArray:
    """Intersection over union of boxes (x, y, w, h), row by row, with broadcasting.

    Boxes without a positive size, and rows with NaN, overlap nothing (0).

    Args:
        a, b: (..., 4).

    Returns:
        (...,) float64 in 0..1.
    """
    a, b = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    left_top = np.maximum(a[..., :2], b[..., :2])
    right_bottom = np.minimum(a[..., :2] + a[..., 2:], b[..., :2] + b[..., 2:])
    overlap = np.prod(np.clip(right_bottom - left_top, 0.0, None), axis=-1)
    area_a = np.prod(np.clip(a[..., 2:], 0.0, None), axis=-1)
    area_b = np.prod(np.clip(b[..., 2:], 0.0, None), axis=-1)
    union = area_a + area_b - overlap
    with np.errstate(invalid="ignore", divide="ignore"):
        ratio = np.where((overlap > 0) & (union > 0), overlap / union, 0.0)
    result: FloatArray = np.clip(np.nan_to_num(ratio, nan=0.0), 0.0, 1.0)
    return result


def overlap(a: Box, b: Box) -> float:
    """``iou`` of two finite boxes in plain Python: for one pair numpy takes many times as long."""
    (ax, ay, aw, ah), (bx, by, bw, bh) = a, b
    width, height = min(ax + aw, bx + bw) - max(ax, bx), min(ay + ah, by + bh) - max(ay, by)
    if not (width > 0 and height > 0):
        return 0.0
    shared = width * height
    return shared / (aw * ah + bw * bh - shared)


def context_side(w: float, h: float, context: float = 0.5) -> float:
    """Side in pixels of the square that an exemplar shows around a target of w x h pixels.

    ``s = sqrt((w + p)(h + p))`` with ``p = context (w + h)``; the usual .5 makes
    ``p = (w + h) / 2`` (Bertinetto et al. 2016, "Fully-Convolutional Siamese Networks for
    Object Tracking", "Dataset curation", where it is written with a margin of (w + h) / 4).
    """
    p = context * (w + h)
    return math.sqrt((w + p) * (h + p))
