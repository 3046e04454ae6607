"""Where to look for a target that is lost: near first, then everywhere, a few crops a frame."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import chain, cycle, islice, product

from tracker.crop import Region

CROPS_A_FRAME = 2
OVERLAP = 0.5  # of the search side: a target at the rim of one region is inside the next
COARSE = 2.0  # a region so many times as large still shows the target, at a fraction of the cost


class Rescan:
    """An endless walk over the frame for one lost target.

    Every frame looks at the last position again, where most targets return and where one
    that was given up too early still is; and at one more place of a walk: first around the
    last position, then in turns over the whole frame in coarse regions, nearest first, and
    beside the last position at the usual scale, since what is small does not show in a coarse
    one. A frame costs ``CROPS_A_FRAME`` crops, whatever its size.

    Args:
        region: normal search region at the last position.
        width, height: of the frame.
    """

    def __init__(self, region: Region, width: int, height: int) -> None:
        self._home = region
        around = Region(region.cx, region.cy, region.side * COARSE)
        self._walk = chain([around], self._in_turns(width, height))

    def next(self) -> list[Region]:
        """The regions of this frame."""
        return [self._home, *islice(self._walk, CROPS_A_FRAME - 1)]

    def _in_turns(self, width: int, height: int) -> Iterator[Region]:
        tiles, beside = self._tiles(width, height), self._beside(width, height)
        return chain.from_iterable(zip(cycle(tiles), cycle(beside))) if beside else cycle(tiles)

    def _beside(self, width: int, height: int) -> list[Region]:
        """Regions of the usual scale all around the last position."""
        cx, cy, side = self._home.cx, self._home.cy, self._home.side
        step = side * (1 - OVERLAP)
        moved = [
            Region(cx + column * step, cy + row * step, side)
            for row, column in product((-1, 0, 1), repeat=2)
            if row or column
        ]
        return [r for r in moved if 0 <= r.cx < width and 0 <= r.cy < height]

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
