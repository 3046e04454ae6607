"""How far the scene moved in the picture between two frames: what the camera did.

Both frames are shrunk to a few thousand pixels, and the middle of the later one is looked for in
the earlier one by normalised cross-correlation (Lewis 1995, "Fast Normalized
Cross-Correlation"), to a part of a pixel by a parabola through the peak and its neighbours.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from tracker.image import Image
from tracker.motion import Step

LONGER, SHORTEST = 64, 16  # pixels of the shrunk picture's sides
MARGIN = 0.2  # of each side of the picture: as far as a step is looked for
LEAST = 0.5  # correlation, below which the pictures have too little in common
EXPLAINED = 0.25  # of what differs without a step; one that explains less is none
ROUNDING = 1e-4  # of correlations: by so much any place of a picture that repeats may be best
AS_GOOD = 0.015  # correlation: another place that has so little less may be the right one
FLAT = 2.0  # grey levels: what varies by less has nothing to hold on to

Grey = NDArray[np.uint8]
SceneStep = Callable[[], Step | None]


class Camera:
    """Remembers one shrunk frame, to tell how the next one differs."""

    def __init__(self) -> None:
        self._last: Grey | None = None

    def see(self, image: Image) -> None:
        """Take a frame as the one that the next step starts from."""
        self._last = _shrunk(image)

    def next(self, image: Image) -> SceneStep:
        """How the next frame differs from the last one; it is measured where somebody asks.

        Where nobody does, the frame is not seen, and the one after it has none before it.

        Args:
            image: HxWx3 uint8 BGR.

        Returns:
            A function of pixels right and down by which the scene moved. They are ``None`` where
            that is not known: without a last frame of this form, in flat pictures, in pictures
            that repeat, and where both have too little in common.
        """
        before, self._last = self._last, None

        @cache  # all targets of a frame ask for the same
        def step() -> Step | None:
            now = self._last = _shrunk(image)
            if before is None or before.shape != now.shape:
                return None
            found = _step(before, now)
            if found is None:
                return None
            height, width = image.shape[:2]
            return found[0] * width / now.shape[1], found[1] * height / now.shape[0]

        return step


def _shrunk(image: Image) -> Grey:
    """(h, w) grey; of a large frame only every some pixel is read, which costs microseconds."""
    height, width = image.shape[:2]
    scale = LONGER / max(height, width)
    w, h = max(round(width * scale), SHORTEST), max(round(height * scale), SHORTEST)
    some = cv2.resize(image, (2 * w, 2 * h), interpolation=cv2.INTER_NEAREST)
    small = cv2.resize(some, (w, h), interpolation=cv2.INTER_AREA)
    grey: Grey = cv2.cvtColor(small, cv2.COLOR_BGR2GRAY)  # type: ignore[assignment]
    return grey


def _step(before: Grey, now: Grey) -> Step | None:
    """The step between two shrunk pictures, in their pixels."""
    down, right = (int(MARGIN * side) for side in now.shape)
    middle = now[down : now.shape[0] - down, right : now.shape[1] - right]
    if min(cv2.meanStdDev(picture)[1].item() for picture in (before, middle)) < FLAT:
        return None
    found = cv2.matchTemplate(before, middle, cv2.TM_CCOEFF_NORMED)
    _, best, _, (x, y) = cv2.minMaxLoc(found)
    inside = 0 < x < 2 * right and 0 < y < 2 * down  # at the rim it is no peak
    if best < LEAST or not inside:
        return None
    here = found.item(down, right)
    if best - here < EXPLAINED * (1 - here) + ROUNDING:
        return 0.0, 0.0  # water and leaves are as alike anywhere
    if _is_one_of_several(found, best):
        return None
    dx, dy = _vertex(found[y, x - 1 : x + 2]), _vertex(found[y - 1 : y + 2, x])
    return right - x - dx, down - y - dy


def _is_one_of_several(found: NDArray[Any], best: float) -> bool:
    """Whether another peak is about as high: windows of a house, icons, tiles."""
    peaks = (found >= best - AS_GOOD) & (found >= cv2.dilate(found, np.ones((3, 3), np.uint8)))
    rows, columns = peaks.nonzero()
    return bool(max(np.ptp(rows), np.ptp(columns)) > 1)


def _vertex(values: NDArray[Any]) -> float:
    """Where a parabola through three neighbours has its top, -.5 to .5 from the middle one."""
    left, middle, right = values.tolist()
    bend = left - 2 * middle + right
    return 0.0 if bend > -1e-9 else min(max((left - right) / (2 * bend), -0.5), 0.5)
