"""The box that is shown: calm where the target rests or glides, at once where it leaps.

What a network says of a target trembles by about a hundredth of its size from frame to frame, and
a box drawn so seems to boil. As in the 1 Euro filter (Casiez, Roussel and Vogel 2012) a box is
smoothed the more the less it surprises; here by how far it was found from where the shown one is
expected, since a velocity alone stays near zero in the hands of a shaking camera. The tracker
itself goes on with the box as it was found.
"""

from __future__ import annotations

import math

from tracker.results import Box

CALM = 0.1  # share of a surprise that is taken where it is next to nothing
# surprises that are taken as a whole
MOVED = 1 / 20  # of the target's size (root of its area)
RESIZED = 1 / 30  # of its width and height
VELOCITY_RATE = 0.3  # how fast the velocity follows the last step
GLIDES = 0.01  # sizes a frame; what is slower may be trembling, and is believed by a share


class SteadyBox:
    """The box of one target as it is shown."""

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """Show the next box as it is found: the target was gone, or the picture is another."""
        self._shown: Box | None = None  # (centre x, centre y, w, h)
        self._found = 0.0, 0.0  # centre
        self._velocity = 0.0, 0.0  # sizes a frame

    def follow(self, box: Box) -> Box:
        """The box to show where ``box`` (x, y, w, h; w and h above 0) was found."""
        x, y, w, h = box
        cx, cy = found = x + w / 2, y + h / 2
        if self._shown is not None:
            old_x, old_y, old_w, old_h = self._shown
            size = math.sqrt(w * h)
            dx, dy = self._expected_step(cx, cy, size)
            expected_x, expected_y = old_x + dx, old_y + dy
            moved = _share(math.hypot(cx - expected_x, cy - expected_y) / size / MOVED)
            resized = _share(math.hypot((w - old_w) / w, (h - old_h) / h) / RESIZED)
            cx, cy = expected_x + moved * (cx - expected_x), expected_y + moved * (cy - expected_y)
            w, h = old_w + resized * (w - old_w), old_h + resized * (h - old_h)
        self._shown, self._found = (cx, cy, w, h), found
        return cx - w / 2, cy - h / 2, w, h

    def _expected_step(self, cx: float, cy: float, size: float) -> tuple[float, float]:
        """Pixels right and down, from the steps of the found boxes up to this one."""
        (old_x, old_y), (vx, vy) = self._found, self._velocity
        vx += VELOCITY_RATE * ((cx - old_x) / size - vx)
        vy += VELOCITY_RATE * ((cy - old_y) / size - vy)
        self._velocity = vx, vy
        pixels = size * min(math.hypot(vx, vy) / GLIDES, 1.0)
        return pixels * vx, pixels * vy


def _share(surprise: float) -> float:
    """How much of a surprise is taken, 0 to 1; one of 1 is taken as a whole."""
    return min(CALM + surprise * surprise, 1.0)
