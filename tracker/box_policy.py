"""From the answers of a box-regressing network to one box: window, penalties, smoothing.

The ranking is that of Li et al. 2018, "High Performance Visual Tracking with Siamese
Region Proposal Network", section 4.3 (cosine window, penalty on change of size and
aspect, linear interpolation of the size).
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import NamedTuple

import cv2
import numpy as np

from tracker.crop import Region
from tracker.geometry import context_side
from tracker.image import Array
from tracker.results import Box
from tracker.runtime import SearchOutput
from tracker.spec import BoxPolicy, BoxSpec, ModelSpec

Corners = tuple[float, float, float, float]  # x1 y1 x2 y2, in pixels of a crop
REACH = 3.0  # a target moves at most so many times as unexpectedly as it did of late
_NEIGHBOURS = np.ones((3, 3), np.uint8)
MOST_PEAKS = 8  # peaks of one response that are looked at


class Candidate(NamedTuple):
    """The best answer of one search.

    Attributes:
        box: (x, y, w, h) in the frame; the size is smoothed.
        score: raw similarity 0..1 of the chosen cell (SiamFC: the best one of the chosen scale),
            before window and penalties.
        sharpness: 0..1, how far the peak stands out from the rest of the response.
        identity: (D,) unit vector of what is in the box, or ``None``.
    """

    box: Box
    score: float
    sharpness: float
    identity: Array | None = None


def search_region(spec: ModelSpec, box: Box, size: int | None = None) -> Region:
    """Where to look for a target that was last seen at ``box``.

    Args:
        size: pixels a side of the crop; ``None`` for a whole one.
    """
    x, y, w, h = box
    ratio = (size or spec.search_size) / spec.exemplar_size
    return Region(x + w / 2, y + h / 2, context_side(w, h, spec.online.context) * ratio)


def search_size(spec: BoxSpec, box: Box, miss: float) -> int:
    """Pixels a side of the smallest crop in which the target will be.

    The scale is always the same: a smaller crop shows less of the surroundings, for which the
    network takes less time, and fewer look-alikes.

    Args:
        box: of the target in the last frame.
        miss: distance, in frame pixels, by which its middle was missed of late.
    """
    policy = spec.online
    _, _, w, h = box
    scale = spec.exemplar_size / context_side(w, h, policy.context)
    needed = 2 * ((max(w, h) / 2 + REACH * miss) * scale + spec.stride)
    size, step = spec.search_size, 2 * spec.stride  # a cell at either end: its middle stays
    while size - step >= max(needed, policy.narrow):
        size -= step
    return size


def smallest_will_do(spec: BoxSpec, box: Box, miss: float) -> bool:
    """Whether the target will be in the smallest crop there is, and that is not a whole one."""
    size = search_size(spec, box, miss)
    return size < spec.search_size and size - 2 * spec.stride < spec.online.narrow


def decide(
    spec: BoxSpec,
    output: SearchOutput,
    index: int,
    region: Region,
    last: Box,
    identify: bool = True,
) -> Candidate:
    """Choose the target's box.

    Args:
        output: of the search graph; ``index`` picks the crop in its batch.
        region: that the crop shows.
        last: the target's box in the last frame, whose size is expected.
        identify: also say what is in the box.
    """
    policy = spec.online
    assert output.boxes is not None
    score, boxes = output.score[index], output.boxes[index]
    size = _crop_size(spec, score)
    scale = size / region.side
    last_w, last_h = last[2] * scale, last[3] * scale
    window = _weighed(policy.window, len(score), spec.search_size // spec.stride)
    cell, penalty, corners = _best_cell(policy, score, boxes, window, last_w, last_h)
    x1, y1, x2, y2 = corners
    confidence = float(score.item(cell))
    w, h = _smoothed(policy, (last_w, last_h), (x2 - x1, y2 - y1), confidence * penalty)
    box = region.to_frame((x1 + x2) / 2, (y1 + y2) / 2, w, h, size)
    identity = None
    if identify and output.identity is not None:
        identity = pooled_identity(output.identity[index], corners, spec.stride)
    return Candidate(box, confidence, sharpness(score), identity)


def _best_cell(
    policy: BoxPolicy, score: Array, boxes: Array, window: Array, w: float, h: float
) -> tuple[int, float, Corners]:
    """The cell that ranks first, its penalty and its box; the target was w x h crop pixels.

    A penalty only lowers a rank: where the next cell's could not win without one, none can.
    """
    ranks = (score * np.float32(1 - policy.window) + window).ravel()
    best, found = -1.0, (0, 1.0, (0.0, 0.0, 0.0, 0.0))
    while True:
        cell = int(ranks.argmax())
        bound = ranks.item(cell)
        if bound <= best:
            return found
        x1, y1, x2, y2 = corners = _corners(boxes, cell)
        penalty = size_penalty(x2 - x1, y2 - y1, w, h, policy.penalty)
        rank = bound - (1 - policy.window) * score.item(cell) * (1 - penalty)
        if rank > best:
            best, found = rank, (cell, penalty, corners)
        ranks[cell] = -1.0  # seen


def _corners(boxes: Array, cell: int) -> Corners:
    """x1 y1 x2 y2 of a cell's box, in crop pixels; at least a thousandth of one wide and high."""
    item, cells = boxes.item, boxes.size // 4
    x1, y1 = item(cell), item(cell + cells)
    x2, y2 = item(cell + 2 * cells), item(cell + 3 * cells)
    return x1, y1, max(x2, x1 + 1e-3), max(y2, y1 + 1e-3)


def peaks(
    spec: ModelSpec, output: SearchOutput, index: int, region: Region, least: float
) -> list[Candidate]:
    """The cells that score highest around and at least ``least``, wherever and of any size.

    Strongest first, at most ``MOST_PEAKS``.
    """
    score, size = output.score[index], _crop_size(spec, output.score[index])
    assert output.boxes is not None
    found, sharp = [], sharpness(score)
    for cell in _peak_cells(score, _cells_from(score, least)):
        x1, y1, x2, y2 = corners = _corners(output.boxes[index], cell)
        box = region.to_frame((x1 + x2) / 2, (y1 + y2) / 2, x2 - x1, y2 - y1, size)
        identity = None
        if output.identity is not None:
            identity = pooled_identity(output.identity[index], corners, spec.stride)
        found.append(Candidate(box, score.item(cell), sharp, identity))
    return found


def followed(spec: BoxSpec, peak: Candidate, last: Box) -> Box:
    """The box of a peak, its size smoothed as that of ``decide``.

    Args:
        last: the target's box in the last frame.
    """
    policy, (x, y, w, h), (_, _, last_w, last_h) = spec.online, peak.box, last
    penalty = size_penalty(w, h, last_w, last_h, policy.penalty)
    new_w, new_h = _smoothed(policy, (last_w, last_h), (w, h), peak.score * penalty)
    return x + (w - new_w) / 2, y + (h - new_h) / 2, new_w, new_h


def _smoothed(
    policy: BoxPolicy, last: tuple[float, float], new: tuple[float, float], trust: float
) -> tuple[float, float]:
    """Width and height between the last ones and the new ones, nearer to these the more trusted."""
    rate = min(policy.size_rate * trust, 1.0)
    return last[0] * (1 - rate) + new[0] * rate, last[1] * (1 - rate) + new[1] * rate


def _cells_from(score: Array, least: float) -> list[int]:
    """Numbers of the cells that score at least so much."""
    cells: list[int] = (score >= least).ravel().nonzero()[0].tolist()
    return cells


def _peak_cells(score: Array, cells: list[int]) -> list[int]:
    """Those of some cells that no neighbour exceeds, strongest first, at most ``MOST_PEAKS``."""
    if not cells:
        return []
    highest_around = cv2.dilate(score, _NEIGHBOURS)
    found = [cell for cell in cells if score.item(cell) >= highest_around.item(cell)]
    return sorted(found, key=score.item, reverse=True)[:MOST_PEAKS]


def rivals(
    spec: ModelSpec, output: SearchOutput, index: int, chosen: Box, region: Region, least: float
) -> list[Array]:
    """Identities of other peaks: like objects that stand apart from the chosen box.

    Args:
        chosen: (x, y, w, h) in the frame.
        least: score that a peak needs.
    """
    score = output.score[index]
    high = _cells_from(score, least)
    if output.boxes is None or output.identity is None or 2 * len(high) >= score.size:
        return []  # half of the response is high: it tells nothing apart
    x1, y1, x2, y2 = region.to_crop(chosen, _crop_size(spec, score)).tolist()
    apart = {}
    for cell in high:
        a, b, c, d = corners = _corners(output.boxes[index], cell)
        if c <= x1 or a >= x2 or d <= y1 or b >= y2:
            apart[cell] = corners
    return [
        pooled_identity(output.identity[index], apart[cell], spec.stride)
        for cell in _peak_cells(score, list(apart))
    ]


def size_penalty(width: float, height: float, w: float, h: float, strength: float) -> float:
    """``exp(-k (max(r, 1/r) max(s, 1/s) - 1))`` with r the change of aspect, s of size.

    SiamRPN, equation 13; size is the context side of ``context_side``.

    Args:
        width, height: of a box; w, h: of the target, in the same pixels; all above 0.
    """
    change = context_side(width, height) / context_side(w, h)
    aspect = (width * h) / (height * w)
    worse = max(change, 1 / change) * max(aspect, 1 / aspect)
    return math.exp(-strength * (worse - 1))


def _crop_size(spec: ModelSpec, score: Array) -> int:
    """Pixels a side of the crop that a response (H, W) belongs to."""
    return len(score) * spec.stride


@lru_cache(maxsize=8)
def _weighed(share: float, count: int, whole: int) -> Array:
    """The middle of the window over a whole crop: a place is worth the same in any crop."""
    first = (whole - count) // 2
    return share * cosine_window(whole)[first : first + count, first : first + count]


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
    cells = score.ravel()
    above = cells - cells[cells.argmin()]
    energy = float(above.dot(above)) / above.size
    if energy <= 1e-12:
        return 0.0
    apce = above.item(above.argmax()) ** 2 / energy
    return min(max(math.log(max(apce, 1.0)) / math.log(score.size), 0.0), 1.0)


def pooled_identity(features: Array, corners: Corners, stride: int) -> Array:
    """Unit vector of a box: the mean of the features that it covers.

    Args:
        features: (D, H, W) of one search crop.
        corners: x1 y1 x2 y2 in crop pixels.
    """
    depth, rows, columns = features.shape
    x1, y1, x2, y2 = corners
    cover = _cover(y1, y2, rows, stride)[:, None] * _cover(x1, x2, columns, stride)
    # dot: between two runs of the network @ takes half as long again
    vector = features.reshape(depth, -1).dot(cover.ravel())
    result: Array = vector * np.float32(1 / max(math.sqrt(float(vector.dot(vector))), 1e-9))
    return result


def _cover(low: float, high: float, cells: int, stride: int) -> Array:
    """The share of each cell of a row that low..high covers, (cells,)."""
    first = min(max(math.floor(low / stride), 0), cells)
    last = max(min(math.ceil(high / stride), cells), first)
    shares = [0.0] * first + [1.0] * (last - first) + [0.0] * (cells - last)
    if first < last:
        shares[first] -= max(low / stride - first, 0.0)
        shares[last - 1] -= max(last - high / stride, 0.0)
    return np.array(shares, np.float32)
