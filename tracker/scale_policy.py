"""SiamFC's decision: the peak of the upsampled response over three scales.

Bertinetto et al. 2016, "Tracking algorithm"; the numbers are in ``ScalePolicy``.
"""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from tracker.box_policy import Candidate, search_region, sharpness
from tracker.crop import Region
from tracker.image import Array
from tracker.results import Box
from tracker.runtime import SearchOutput
from tracker.spec import ScalePolicy, ScaleSpec


def scale_factors(policy: ScalePolicy) -> NDArray[np.float64]:
    """Factors of the searched scales, 1 in the middle."""
    half = policy.scales // 2
    return policy.scale_step ** np.linspace(-half, half, policy.scales)


def search_regions(spec: ScaleSpec, box: Box) -> list[Region]:
    """One region for each scale."""
    middle = search_region(spec, box)
    factors = scale_factors(spec.online).tolist()
    return [Region(middle.cx, middle.cy, middle.side * f) for f in factors]


def decide(
    spec: ScaleSpec, output: SearchOutput, index: int, regions: list[Region], last: Box
) -> Candidate:
    """Choose scale and place.

    Args:
        output: its ``score`` holds one response a scale, from ``index`` on.
        regions: of ``search_regions``.
        last: box of the last frame.
    """
    policy = spec.online
    raw = output.score[index : index + len(regions)]
    size = raw.shape[1] * policy.upsample
    maps = np.stack([cv2.resize(r, (size, size), interpolation=cv2.INTER_CUBIC) for r in raw])
    tops = maps.reshape(len(maps), -1).max(1)
    changed = np.arange(len(maps)) != len(maps) // 2
    # a logit may be negative: a factor below 1 would then raise it
    scale = int((tops - changed * (1 - policy.scale_penalty) * abs(tops)).argmax())
    response = maps[scale] - maps[scale].min()
    ranked = (1 - policy.window) * response / max(float(response.sum()), 1e-9)
    ranked = ranked + policy.window * _window(size)
    row, column = divmod(int(ranked.argmax()), size)
    # cell offsets from the middle, in crop pixels: the response has one cell each stride
    step = spec.stride / policy.upsample
    region = regions[scale]
    factor = float(region.side) / spec.search_size
    cx = region.cx + (column - (size - 1) / 2) * step * factor
    cy = region.cy + (row - (size - 1) / 2) * step * factor
    change = float(scale_factors(policy)[scale])
    growth = (1 - policy.scale_damping) + policy.scale_damping * change
    w, h = last[2] * growth, last[3] * growth
    score = float(1 / (1 + np.exp(-np.float64(maps[scale].max()))))
    return Candidate((cx - w / 2, cy - h / 2, w, h), score, sharpness(raw[scale]))


@lru_cache(maxsize=4)
def _window(size: int) -> Array:
    line = np.hanning(size)
    window = np.outer(line, line)
    result: Array = (window / window.sum()).astype(np.float32)
    return result
