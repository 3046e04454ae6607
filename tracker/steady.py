"""The box that is shown: still where the target rests, without delay where it moves.

What a network says of a target at rest trembles by about a hundredth of its size from frame to
frame, and a box that is drawn so seems to boil. As in the 1 Euro filter (Casiez, Roussel and
Vogel 2012) a box is smoothed the more the less it moves; here by how far the new box is from the
shown one, instead of by a velocity, which a shaking camera leaves near zero. The tracker goes on
with the box as it was found.
"""

from __future__ import annotations

import math

from tracker.results import Box

AT_REST = 0.1  # share of a change that is taken where it is next to nothing
# changes that are taken as a whole
MOVED = 1 / 20  # of the target's size (root of its area)
RESIZED = 1 / 30  # of its width and height


class SteadyBox:
    """The box of one target as it is shown."""

    def __init__(self) -> None:
        self._shown: Box | None = None  # (centre x, centre y, w, h)

    def follow(self, box: Box) -> Box:
        """The box to show where ``box`` (x, y, w, h; w and h above 0) was found."""
        x, y, w, h = box
        cx, cy = x + w / 2, y + h / 2
        if self._shown is not None:
            old_x, old_y, old_w, old_h = self._shown
            moved = _share(math.hypot(cx - old_x, cy - old_y) / math.sqrt(w * h) / MOVED)
            resized = _share(math.hypot((w - old_w) / w, (h - old_h) / h) / RESIZED)
            cx, cy = old_x + moved * (cx - old_x), old_y + moved * (cy - old_y)
            w, h = old_w + resized * (w - old_w), old_h + resized * (h - old_h)
        self._shown = cx, cy, w, h
        return cx - w / 2, cy - h / 2, w, h

    def forget(self) -> None:
        """Show the next box as it is found: the target was gone, or the picture is another."""
        self._shown = None


def _share(change: float) -> float:
    """How much of a change is taken, 0 to 1; a change of 1 is taken as a whole."""
    return min(AT_REST + change * change, 1.0)
