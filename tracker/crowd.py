"""Targets of one session that claim one place, where at most one of them is right."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations

from tracker.geometry import overlap
from tracker.results import Box

APART, TOGETHER = 0.3, 0.5  # overlaps: below are two things, above are two boxes of one


def claimed(box: Box, taken: Sequence[Box]) -> bool:
    """Whether one of some other boxes is about where a box is."""
    return any(overlap(box, other) > TOGETHER for other in taken)


class Crowd:
    """Remembers which targets were never seen apart: these are one thing, drawn twice."""

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
            if shared < APART:
                self._one.discard(pair)
            elif not self._seen.issuperset(pair):
                self._one.add(pair)
            elif shared > TOGETHER and pair not in self._one:
                crowded.update(pair)
        self._seen.update(boxes)
        return crowded

    def forget(self, number: int) -> None:
        """Forget a target."""
        self._seen.discard(number)
        self._one = {pair for pair in self._one if number not in pair}
