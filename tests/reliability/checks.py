"""What the tests of this folder share: how hard to try, and what always holds of a result."""

from __future__ import annotations

import math
import os

from tracker.results import TrackResult

EFFORT = float(os.environ.get("SIAMTRACK_TEST_EFFORT", "1"))
"""Multiplies the number of random cases; docs/reliability.md says with what it was run."""


def effort(cases: int) -> int:
    """How many random cases to draw."""
    return max(1, round(cases * EFFORT))


def check_result(result: TrackResult, width: int, height: int) -> None:
    """Finite, of a positive size, touching the frame, scored 0..1: whatever was shown."""
    x, y, w, h = result.box
    assert all(math.isfinite(v) for v in result.box), result
    assert w > 0 and h > 0, result
    assert x < width and y < height and x + w > 0 and y + h > 0, (result, width, height)
    assert 0 <= result.score <= 1, result
