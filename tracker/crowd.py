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

    def draw(self, number: int, box: Box, others: Mapping[int, Box]) -> None:
        """Take in a new target, with where the others are: what is lost at once was never seen.

        Args:
            number: larger than those of all others.
        """
        self._one |= {(n, number) for n, other in others.items() if not _apart(other, box)}

    def taken(self, number: int, boxes: Mapping[int, Box]) -> list[Box]:
        """Those of the claimed boxes in whose place a target is not: of things other than it."""
        return [b for n, b in boxes.items() if (min(n, number), max(n, number)) not in self._one]

    def see(self, boxes: Mapping[int, Box]) -> set[int]:
        """Take in the boxes that are claimed in a frame.

        Args:
            boxes: (x, y, w, h) in pixels by number of the target.

        Returns:
            Numbers of the targets whose place is claimed by another one that was once apart.
        """
        crowded: set[int] = set()
        for pair in combinations(sorted(boxes), 2):
            one, other = boxes[pair[0]], boxes[pair[1]]
            if _apart(one, other):
                self._one.discard(pair)
            elif not self._seen.issuperset(pair):
                self._one.add(pair)
            elif claimed(one, [other]) and pair not in self._one:
                crowded.update(pair)
        self._seen.update(boxes)
        return crowded

    def keep(self, numbers: set[int]) -> None:
        """Forget all targets but these."""
        self._seen &= numbers
        self._one = {pair for pair in self._one if numbers.issuperset(pair)}


def _apart(a: Box, b: Box) -> bool:
    """Whether both cover less than ``APART`` of the smaller of two boxes."""
    shared, areas = overlap(a, b), (a[2] * a[3], b[2] * b[3])
    return shared / (1 + shared) * sum(areas) / min(areas) < APART
