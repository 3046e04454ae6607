"""Where to look for a target that is lost: near first, then everywhere, a few crops a frame."""

from __future__ import annotations

import math
from itertools import product

from tracker.crop import Region
from tracker.results import Box

CROPS_A_FRAME = 2
COARSE = 2.0  # a region so many times as large still shows the target, at a fraction of the cost
OVERLAP = 0.3  # of the search side, about that of a target: at the rim of one it is inside the next
COARSE_OVERLAP = 0.2  # in a coarse region it is smaller
HOME = 0.3  # of the search side, which is about the size of a target
NEAR = 16  # frames in each of which the last position is looked at; later in every second one
TILES_BETWEEN = 2  # coarse regions from one of the usual scale to the next, after one round beside
MOST_IN_A_ROW = 64  # coarse regions: for a tiny target there would be ten thousands of them
FARTHEST = 16  # steps: the walk at the usual scale goes no farther, to come round again


class Rescan:
    """An endless walk over the frame for one lost target.

    The last position is looked at again and again, where most targets return and where one
    that was given up too early still is. The other crops go on a walk: first around the last
    position, then in turns over the whole frame in coarse regions, nearest first, and at the
    usual scale, since what is small, or comes back smaller, does not show in a coarse one:
    beside the last position, later farther away, too. A frame costs ``CROPS_A_FRAME`` crops,
    whatever its size.

    Args:
        region: normal search region at the last position.
        width, height: of the frame.
    """

    def __init__(self, region: Region, width: int, height: int) -> None:
        self._home, self._frames, self._steps = region, 0, 0
        self._tiles, self._beside = self._coarse(width, height), self._around(width, height)
        self._far = self._farther(width, height)
        self._near = NEAR if len(self._tiles) + len(self._beside) > 1 else math.inf

    def next(self) -> list[Region]:
        """The regions of this frame."""
        self._frames += 1
        at_home = self._frames <= self._near or self._frames % 2 == 0
        home = [self._home] if at_home else []
        first, self._steps = self._steps, self._steps + CROPS_A_FRAME - len(home)
        return [*home, *map(self._walk, range(first, self._steps))]

    def at_home(self, box: Box) -> bool:
        """Whether the middle of a box is no farther from the last position than ``HOME``."""
        x, y, w, h = box
        away = max(abs(x + w / 2 - self._home.cx), abs(y + h / 2 - self._home.cy))
        return away <= HOME * self._home.side

    def _walk(self, step: int) -> Region:
        """A region of the walk, by its number: numbers can be copied, generators cannot.

        After the one around the last position a coarse tile and a region beside it in turns, until
        all of these were seen; later ``TILES_BETWEEN`` tiles, then one of the usual scale, beside
        and far away in turns.
        """
        tiles, beside, far = self._tiles, self._beside, self._far
        if step == 0:
            return Region(self._home.cx, self._home.cy, self._home.side * COARSE)
        if not beside:
            return tiles[(step - 1) % len(tiles)]
        turn, usual = divmod(step - 1, 2)
        if turn < len(beside):
            return beside[turn] if usual else tiles[turn % len(tiles)]
        between = min(TILES_BETWEEN, len(tiles))  # none twice in one frame
        turn, number = divmod(step - 1 - 2 * len(beside), between + 1)
        if number < between:
            return tiles[(len(beside) + between * turn + number) % len(tiles)]
        if not far:
            return beside[turn % len(beside)]
        turn, away = divmod(turn, 2)
        return far[turn % len(far)] if away else beside[turn % len(beside)]

    def _around(self, width: int, height: int) -> list[Region]:
        """Regions of the usual scale all around the last position."""
        cx, cy, side = self._home.cx, self._home.cy, self._home.side
        step = side * (1 - OVERLAP)
        moved = [
            Region(cx + column * step, cy + row * step, side)
            for row, column in product((-1, 0, 1), repeat=2)
            if row or column
        ]
        return [r for r in moved if 0 <= r.cx < width and 0 <= r.cy < height]

    def _coarse(self, width: int, height: int) -> list[Region]:
        """Coarse regions that cover the frame, nearest to the last position first."""
        longer = max(width, height)
        side = min(max(self._home.side * COARSE, longer / MOST_IN_A_ROW), 2.0 * longer)
        step = side * (1 - COARSE_OVERLAP)
        return self._nearest_first(_places(width, side, step), _places(height, side, step), side)

    def _farther(self, width: int, height: int) -> list[Region]:
        """Regions of the usual scale that cover what is farther away, nearest first."""
        cx, cy, side = self._home.cx, self._home.cy, self._home.side
        step = side * (1 - OVERLAP)
        xs = [x for x in _places(width, side, step) if abs(x - cx) <= FARTHEST * step]
        ys = [y for y in _places(height, side, step) if abs(y - cy) <= FARTHEST * step]
        regions = self._nearest_first(xs, ys, side)
        return [r for r in regions if max(abs(r.cx - cx), abs(r.cy - cy)) > step]

    def _nearest_first(self, xs: list[float], ys: list[float], side: float) -> list[Region]:
        regions = [Region(x, y, side) for y, x in product(ys, xs)]
        return sorted(regions, key=lambda r: math.hypot(r.cx - self._home.cx, r.cy - self._home.cy))


def _places(length: int, side: float, step: float) -> list[float]:
    """Middles of intervals of ``side`` that cover 0..length at most ``step`` apart."""
    if length <= side * 0.75:
        return [length / 2]
    first, last = side / 2 * 0.75, length - side / 2 * 0.75
    count = max(math.ceil((last - first) / step), 1)
    return [first + (last - first) * i / count for i in range(count + 1)]
