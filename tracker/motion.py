"""Where a target will be in the next frame: constant velocity, as far as that proves right."""

from __future__ import annotations

import math

VELOCITY_RATE = 0.5  # how fast the velocity follows the last step
ERROR_RATE = 0.2  # how fast the two errors follow the last frame's


class Motion:
    """The velocity of one target, and how well it predicts.

    A target that glides through the picture, or that a panning camera leaves behind, is where its
    velocity leads. One that dances, or a camera held by a shaking hand, is rather where it was: a
    search that runs ahead then loses it. So the errors of both guesses are kept.
    """

    def __init__(self) -> None:
        self._velocity = (0.0, 0.0)
        self._error_moving = self._error_staying = 0.0

    def expected_step(self) -> tuple[float, float]:
        """Pixels right and down to the next frame: the share of the velocity that is believed.

        The share is ``1 - e / e0``, not below 0, with e and e0 the mean distances by which the
        velocity, and no motion at all, missed the target of late.
        """
        if self._error_moving >= self._error_staying:
            return 0.0, 0.0
        share = 1 - self._error_moving / self._error_staying
        return share * self._velocity[0], share * self._velocity[1]

    def observe(self, dx: float, dy: float) -> None:
        """Learn from a step of the target, in pixels."""
        vx, vy = self._velocity
        self._error_moving += ERROR_RATE * (math.hypot(dx - vx, dy - vy) - self._error_moving)
        self._error_staying += ERROR_RATE * (math.hypot(dx, dy) - self._error_staying)
        self._velocity = vx + VELOCITY_RATE * (dx - vx), vy + VELOCITY_RATE * (dy - vy)
