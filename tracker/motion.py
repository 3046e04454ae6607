"""Where a target will be in the next frame: constant velocity, as far as that proves right."""

from __future__ import annotations

import math

VELOCITY_RATE = 0.5  # how fast the velocity follows the last step
ERROR_RATE = 0.2  # how fast errors follow the last frame's

Step = tuple[float, float]


class Velocity:
    """The velocity of one target, and how well it predicts.

    A target that glides through the picture, or that a panning camera leaves behind, is where its
    velocity leads. One that dances, or a camera held by a shaking hand, is rather where it was: a
    search that runs ahead then loses it. So the errors of both guesses are kept.
    """

    def __init__(self) -> None:
        self._velocity = (0.0, 0.0)
        self._error_moving = self._error_staying = 0.0

    def expected_step(self) -> Step:
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


class Motion:
    """How one target moves: in the picture, and in the scene that a moving camera shows.

    What a camera follows stands still in the picture while the scene goes by; what it passes goes
    with the scene. Which of the two a target does is told by the errors of both guesses.
    """

    def __init__(self) -> None:
        self._in_picture, self._in_scene = Velocity(), Velocity()
        self._error_picture = self._error_scene = 0.0
        self._picture: Step = 0.0, 0.0  # the last guesses
        self._scene: Step | None = None
        self._camera: Step = 0.0, 0.0

    def expected_step(self, camera: Step | None = None, tolerance: float = 0.0) -> Step:
        """Pixels right and down to the next frame.

        Args:
            camera: the step of the scene to that frame, in pixels of the picture; ``None``
                where it is not known.
            tolerance: pixels; guesses that are so near to each other are as good as one, and
                that in the picture is taken, which does not hang on a measurement.
        """
        self._picture, self._scene = self._in_picture.expected_step(), None
        if camera is None:
            return self._picture
        dx, dy = self._in_scene.expected_step()
        self._camera, self._scene = camera, (dx + camera[0], dy + camera[1])
        near = math.dist(self._picture, self._scene) < tolerance
        if near or self._error_scene > self._error_picture:
            return self._picture
        return self._scene

    def observe(self, dx: float, dy: float) -> None:
        """Learn from a step of the target, in pixels, that ``expected_step`` was asked for."""
        missed = math.dist((dx, dy), self._picture)
        self._error_picture += ERROR_RATE * (missed - self._error_picture)
        self._in_picture.observe(dx, dy)
        if self._scene is not None:
            missed = math.dist((dx, dy), self._scene)
            self._error_scene += ERROR_RATE * (missed - self._error_scene)
            self._in_scene.observe(dx - self._camera[0], dy - self._camera[1])

    def leaps(self, tolerance: float) -> bool:
        """Whether the guess in the picture lately missed by more than so many pixels."""
        return self._error_picture > ERROR_RATE * tolerance
