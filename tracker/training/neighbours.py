"""Which like object of the same frame stands beside a target."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tracker.training.crops import Matrix, map_box
from tracker.training.tracks import Track

NOTHING = np.full(4, np.nan, np.float32)


def nearest_beside(track: Track, frame: int, matrix: Matrix, size: int) -> NDArray[np.float32]:
    """Corners in the crop of the nearest like object apart from the target, or NaN."""
    target = map_box(matrix, track.boxes[frame])
    others = [map_box(matrix, box) for box in (track.others[frame] if track.others else ())]
    seen = [o for o in others if ((_middle(o) > 0) & (_middle(o) < size)).all()]
    apart = [o for o in seen if _apart(o, target)]
    return min(
        apart, key=lambda o: float(np.linalg.norm(_middle(o) - _middle(target))), default=NOTHING
    )


def _middle(corners: NDArray[np.float32]) -> NDArray[np.float32]:
    return corners.reshape(2, 2).mean(0)


def _apart(a: NDArray[np.float32], b: NDArray[np.float32]) -> bool:
    """Whether the smaller of two corner boxes lies outside of the other by more than half."""
    shared = np.prod(np.clip(np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2]), 0, None))
    return bool(shared < 0.5 * min(np.prod(a[2:] - a[:2]), np.prod(b[2:] - b[:2])))
