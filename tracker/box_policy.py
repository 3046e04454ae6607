"""From the answers of a box-regressing network to one box: window, penalties, smoothing.

The ranking is that of Li et al. 2018, "High Performance Visual Tracking with Siamese
Region Proposal Network", section 4.3 (cosine window, penalty on change of size and
aspect, linear interpolation of the size).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from tracker.crop import Region
from tracker.geometry import context_side
from tracker.results import Box
from tracker.runtime import SearchOutput
from tracker.spec import BoxPolicy, ModelSpec

Array = NDArray[np.float32]
_NEIGHBOURS = np.ones((3, 3), np.uint8)


@dataclass(frozen=True)
class Candidate:
    """The best answer of one search.

    Attributes:
        box: (x, y, w, h) in the frame; the size is smoothed.
        score: raw similarity 0..1 of the chosen cell, before window and penalties.
        sharpness: 0..1, how far the peak stands out from the rest of the response.
        identity: (D,) unit vector of what is in the box, or ``None``.
    """

    box: Box
    score: float
    sharpness: float
    identity: Array | None = None


def search_region(spec: ModelSpec, box: Box) -> Region:
    """Where to look for a target that was last seen at ``box``."""
    x, y, w, h = box
    side = context_side(w, h, spec.online.context) * spec.search_size / spec.exemplar_size
    return Region(x + w / 2, y + h / 2, side)


def decide(
    spec: ModelSpec, output: SearchOutput, index: int, region: Region, last: Box
) -> Candidate:
    """Choose the target's box.

    Args:
        output: of the search graph; ``index`` picks the crop in its batch.
        region: that the crop shows.
        last: the target's box in the last frame, whose size is expected.
    """
    policy, size = spec.online, spec.search_size
    assert isinstance(policy, BoxPolicy) and output.boxes is not None
    score, boxes = output.score[index], output.boxes[index]
    scale = size / region.side
    width, height = boxes[2] - boxes[0], boxes[3] - boxes[1]
    penalty = size_penalty(width, height, last[2] * scale, last[3] * scale, policy.penalty)
    ranked = (1 - policy.window) * (score * penalty) + _weighed(policy.window, len(score))
    best = int(ranked.argmax())
    row, column = divmod(best, score.shape[1])
    x1, y1, x2, y2 = (float(v) for v in boxes[:, row, column])
    confidence = float(score[row, column])
    rate = min(policy.size_rate * confidence * float(penalty[row, column]), 1.0)
    w = last[2] * scale * (1 - rate) + (x2 - x1) * rate
    h = last[3] * scale * (1 - rate) + (y2 - y1) * rate
    box = region.to_frame((x1 + x2) / 2, (y1 + y2) / 2, w, h, size)
    identity = None
    if output.identity is not None:
        corners = (x1, y1, x2, y2)
        identity = pooled_identity(output.identity[index], corners, spec.stride)
    return Candidate(box, confidence, sharpness(score), identity)


def strongest(spec: ModelSpec, output: SearchOutput, index: int, region: Region) -> Candidate:
    """The cell of the highest score, wherever it is and whatever its size."""
    assert output.boxes is not None
    score, boxes = output.score[index], output.boxes[index]
    row, column = divmod(int(score.argmax()), score.shape[1])
    x1, y1, x2, y2 = (float(v) for v in boxes[:, row, column])
    w, h = max(x2 - x1, 1e-3), max(y2 - y1, 1e-3)
    box = region.to_frame((x1 + x2) / 2, (y1 + y2) / 2, w, h, spec.search_size)
    identity = None
    if output.identity is not None:
        identity = pooled_identity(output.identity[index], (x1, y1, x2, y2), spec.stride)
    return Candidate(box, float(score[row, column]), sharpness(score), identity)


def rivals(
    spec: ModelSpec, output: SearchOutput, index: int, chosen: Box, region: Region, least: float
) -> list[Array]:
    """Identities of other peaks: like objects that stand apart from the chosen box.

    Args:
        chosen: (x, y, w, h) in the frame.
        least: score that a peak needs.
    """
    score = output.score[index]
    high = score >= least
    if output.boxes is None or output.identity is None or 2 * np.count_nonzero(high) >= high.size:
        return []  # half of the response is high: it tells nothing apart
    corners = output.boxes[index]
    peaks = high & (score >= cv2.dilate(score, _NEIGHBOURS))
    x1, y1, x2, y2 = (float(v) for v in region.to_crop(chosen, spec.search_size))
    found = []
    for row, column in np.argwhere(peaks)[:8]:
        a, b, c, d = (float(v) for v in corners[:, row, column])
        if c <= x1 or a >= x2 or d <= y1 or b >= y2:
            found.append(pooled_identity(output.identity[index], (a, b, c, d), spec.stride))
    return found


def size_penalty(width: Array, height: Array, w: float, h: float, strength: float) -> Array:
    """``exp(-k (max(r, 1/r) max(s, 1/s) - 1))`` with r the change of aspect, s of size.

    SiamRPN, equation 13; size is the context side of ``context_side``.

    Args:
        width, height: (H, W) of the boxes; w, h: of the target, in the same pixels.
    """
    half = (width + height) * np.float32(0.5)
    side = np.sqrt((width + half) * (height + half))
    change = side / np.float32(context_side(w, h))
    aspect = (width * np.float32(h)) / (height * np.float32(w))
    worse = np.maximum(change, 1 / change) * np.maximum(aspect, 1 / aspect)
    result: Array = np.exp(np.float32(-strength) * (worse - 1))
    return result


@lru_cache(maxsize=8)
def _weighed(share: float, count: int) -> Array:
    return share * cosine_window(count)


@lru_cache(maxsize=8)
def cosine_window(count: int) -> Array:
    """Outer product of two Hann windows without their zeros, (count, count), largest 1."""
    line = np.hanning(count + 2)[1:-1]
    window = np.outer(line, line)
    result: Array = (window / window.max()).astype(np.float32)
    return result


def sharpness(score: Array) -> float:
    """Average peak-to-correlation energy, squeezed to 0..1.

    ``APCE = |max - min|^2 / mean((R - min)^2)``, Wang et al. 2017, "Large Margin Object
    Tracking with Circulant Feature Maps", equation 12; a single peak among n cells gives n,
    and ``log APCE / log n`` is returned.
    """
    low = float(score.min())
    energy = float(np.square(score - low).mean())
    if energy <= 1e-12:
        return 0.0
    apce = (float(score.max()) - low) ** 2 / energy
    return min(max(math.log(max(apce, 1.0)) / math.log(score.size), 0.0), 1.0)


def pooled_identity(
    features: Array, corners: tuple[float, float, float, float], stride: int
) -> Array:
    """Unit vector of a box: the mean of the features that it covers.

    Args:
        features: (D, H, W) of one search crop.
        corners: x1 y1 x2 y2 in crop pixels.
    """
    depth, rows, columns = features.shape
    x1, y1, x2, y2 = corners
    cover_x = _cover(x1, x2, columns, stride)
    cover_y = _cover(y1, y2, rows, stride)
    vector = (features.reshape(depth * rows, columns) @ cover_x).reshape(depth, rows) @ cover_y
    norm = max(float(np.linalg.norm(vector)), 1e-9)
    result: Array = (vector / norm).astype(np.float32)
    return result


def _cover(low: float, high: float, cells: int, stride: int) -> Array:
    starts, ends = _edges(cells, stride)
    covered = np.minimum(high, ends) - np.maximum(low, starts)
    result: Array = np.maximum(covered, 0) / np.float32(stride)
    return result


@lru_cache(maxsize=8)
def _edges(cells: int, stride: int) -> tuple[Array, Array]:
    starts = np.arange(cells, dtype=np.float32) * stride
    return starts, starts + stride
