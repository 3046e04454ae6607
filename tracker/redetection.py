"""Where to look for a target that is lost: near first, then everywhere, a few crops a frame."""

from __future__ import annotations

import math
from itertools import chain, cycle, islice

from tracker.crop import Region

CROPS_A_FRAME = 2
OVERLAP = 0.5  # of the search side: a target at the rim of one region is inside the next
COARSE = 2.0  # a region so many times as large still shows the target, at a fraction of the cost


class Rescan:
    """An endless walk over the frame for one lost target.

    Every frame looks at the last position again, where most targets return and where one
    that was given up too early still is; and at one more place of a walk: first around the
    last position, then over the whole frame in coarse regions, nearest first, again and
    again. A frame costs ``CROPS_A_FRAME`` crops, whatever its size.

    Args:
        region: normal search region at the last position.
        width, height: of the frame.
    """

    def __init__(self, region: Region, width: int, height: int) -> None:
        self._home = region
        around = Region(region.cx, region.cy, region.side * COARSE)
        self._walk = chain([around], cycle(self._tiles(width, height)))

    def next(self) -> list[Region]:
        """The regions of this frame."""
        return [self._home, *islice(self._walk, CROPS_A_FRAME - 1)]

    def _tiles(self, width: int, height: int) -> list[Region]:
        """Coarse regions that cover the frame, nearest to the last position first."""
        side = min(self._home.side * COARSE, 2.0 * max(width, height))
        step = side * (1 - OVERLAP)
        xs, ys = _places(width, side, step), _places(height, side, step)
        tiles = [Region(x, y, side) for y in ys for x in xs]
        return sorted(tiles, key=lambda r: math.hypot(r.cx - self._home.cx, r.cy - self._home.cy))


def _places(length: int, side: float, step: float) -> list[float]:
    """Middles of intervals of ``side`` that cover 0..length at most ``step`` apart."""
    if length <= side * 0.75:
        return [length / 2]
    first, last = side / 2 * 0.75, length - side / 2 * 0.75
    count = max(math.ceil((last - first) / step), 1)
    return [first + (last - first) * i / count for i in range(count + 1)]
