"""Targets of one session that claim one place, where at most one of them is right."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations

from tracker.geometry import overlap
from tracker.results import Box

APART = 0.3  # of the smaller of two boxes; who shares less is another thing, and no part of it
TOGETHER = 0.5  # overlap; two boxes that share more are on one thing


def claimed(box: Box, taken: Sequence[Box]) -> bool:
    """Whether one of some other boxes is about where a box is."""
    return any(overlap(box, other) > TOGETHER for other in taken)


class Crowd:
    """Remembers which targets were never seen apart: one thing drawn twice, or a part of it."""

    def __init__(self) -> None:
        self._seen: set[int] = set()
        self._one: set[tuple[int, int]] = set()

    def see(self, boxes: Mapping[int, Box]) -> set[int]:
        """Take in the boxes that are claimed in a frame.

        Args:
            boxes: (x, y, w, h) in pixels by number of the target.

        Returns:
            Numbers of the targets whose place is claimed by another one that was once apart.
        """
        crowded: set[int] = set()
        for pair in combinations(sorted(boxes), 2):
            shared = overlap(boxes[pair[0]], boxes[pair[1]])
            if _of_the_smaller(shared, *(boxes[number] for number in pair)) < APART:
                self._one.discard(pair)
            elif not self._seen.issuperset(pair):
                self._one.add(pair)
            elif shared > TOGETHER and pair not in self._one:
                crowded.update(pair)
        self._seen.update(boxes)
        return crowded

    def keep(self, numbers: set[int]) -> None:
        """Forget all targets but these."""
        if not self._seen <= numbers:
            self._seen &= numbers
            self._one = {pair for pair in self._one if numbers.issuperset(pair)}


def _of_the_smaller(shared: float, a: Box, b: Box) -> float:
    """The overlap of two boxes as the share of the smaller one that both cover."""
    areas = a[2] * a[3], b[2] * b[3]
    return shared / (1 + shared) * sum(areas) / min(areas)
