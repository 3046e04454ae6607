"""What the tables and json files of several protocols have in common."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import TypeVar

Figures = TypeVar("Figures")


def name_width(trackers: Iterable[str]) -> int:
    """Characters of the column of names."""
    return max(map(len, (*trackers, "tracker")))


def by_dataset(scores: Mapping[str, Mapping[str, Figures]]) -> dict[str, dict[str, Figures]]:
    """Tracker -> data set -> figures, as data set -> tracker -> figures."""
    turned: dict[str, dict[str, Figures]] = {}
    for tracker, found in scores.items():
        for dataset, figures in found.items():
            turned.setdefault(dataset, {})[tracker] = figures
    return turned


def plain(value: float) -> float | None:
    """A figure as json can have it: ``None`` for what is not finite."""
    return value if math.isfinite(value) else None


def partly(count: int, expected: int) -> str:
    """The end of a row of who was scored on fewer sequences than there are."""
    return f"  ({count} of {expected})" if count < expected else ""
