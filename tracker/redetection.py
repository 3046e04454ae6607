"""Where to look for a target that is lost: near first, then everywhere, a few crops a frame."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import chain, islice

from tracker.crop import Region

CROPS_A_FRAME = 2
OVERLAP = 0.5  # of the search side: a target at the rim of one region is inside the next
COARSE = 2.0  # a region so many times as large still shows the target, at a fraction of the cost


class Rescan:
    """An endless walk over the frame for one lost target.

    The last position is looked at first; then its surroundings, ring by ring; then the
    whole frame is covered by coarse regions, again and again. Each frame costs
    ``CROPS_A_FRAME`` crops, whatever the size of the frame.

    Args:
        region: normal search region at the last position.
        width, height: of the frame.
    """

    def __init__(self, region: Region, width: int, height: int) -> None:
        self._home = region
        self._walk = self._regions(width, height)

    def next(self) -> list[Region]:
        """The regions of this frame."""
        return list(islice(self._walk, CROPS_A_FRAME))

    def _regions(self, width: int, height: int) -> Iterator[Region]:
        near = self._home
        yield near
        yield Region(near.cx, near.cy, near.side * COARSE)
        while True:
            yield from chain.from_iterable(
                (tile, near) if number % 4 == 3 else (tile,)
                for number, tile in enumerate(self._tiles(width, height))
            )

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
