"""How large a target usually is: what the frame's edge hides of it, and what can be it again."""

from __future__ import annotations

import math

from tracker.geometry import clip_box
from tracker.results import Box

RATE, CUT_RATE = 0.1, 0.02  # how fast it follows, and where the edge cuts off what leaves
RETURN_CHANGE = 1.8  # a target comes back at most so many times larger or smaller,
LATE, LATE_CHANGE = 30, 3.0  # or, after so many frames, so many times: it may have gone far away
RETURN_ASPECT = 5 / 3  # and at most so many times wider, or narrower, for its height
CUT_ASPECT = 2.0  # the same at the frame's edge, which cuts off a part of what comes in
CLOSER_LOOK_CHANGE = 2.5  # what is looked at closer is taken to be at most so many times larger
EDGE = 0.01  # of the frame's sides: what comes so near to its edge may be cut off by it


class UsualSize:
    """Width and height that a target had of late, while it was surely seen.

    Boxes and frame sizes (width, height) are in pixels of the frame.

    Attributes:
        size: (width, height); ``None`` while nothing is known.
    """

    def __init__(self, size: tuple[float, float] | None = None) -> None:
        self.size = size

    def follow(self, box: Box, frame_size: tuple[int, int]) -> None:
        """Get used to a box; slowly at the frame's edge, which cuts off what leaves."""
        _, _, w, h = box
        old_w, old_h = self.size or (w, h)
        rate = CUT_RATE if any(_cut_by_edge(box, frame_size)) else RATE
        self.size = (1 - rate) * old_w + rate * w, (1 - rate) * old_h + rate * h

    def forget(self) -> None:
        """Any size will do from now on."""
        self.size = None

    def scale(self, wider: float, higher: float) -> None:
        """Measure in other pixels: so many times as many in width and height."""
        if self.size is not None:
            self.size = self.size[0] * wider, self.size[1] * higher

    def around(self, box: Box) -> Box:
        """A box of the usual size around the same middle."""
        x, y, w, h = box
        usual_w, usual_h = self.size or (w, h)
        return x + (w - usual_w) / 2, y + (h - usual_h) / 2, usual_w, usual_h

    def visible(self, box: Box, frame_size: tuple[int, int]) -> float:
        """Share of the usual width or height that the frame's edge leaves; 1 away from edges.

        Not of the area: what leaves to one side while it comes nearer grows in the other.
        """
        cut = _cut_by_edge(box, frame_size)
        if self.size is None or not any(cut):
            return 1.0
        sides = zip(clip_box(box, *frame_size)[2:], self.size, cut, strict=True)
        return min(side / max(usual, 1e-9) for side, usual, is_cut in sides if is_cut)

    def may_return_as(self, box: Box, frame_size: tuple[int, int], lost_for: int = 0) -> bool:
        """Whether a target that was lost for some frames can have the size and shape of a box."""
        if self.size is None:
            return True
        w, h = box[2] / self.size[0], box[3] / self.size[1]
        change, aspect = math.sqrt(max(w * h, 1e-9)), w / max(h, 1e-9)
        larger = RETURN_CHANGE if lost_for <= LATE else LATE_CHANGE
        wider = CUT_ASPECT if any(_cut_by_edge(box, frame_size)) else RETURN_ASPECT
        return 1 / larger < change < larger and 1 / wider < aspect < wider


def closer_look(found: Box, last: Box) -> Box:
    """The box around which to look closer at what was found for a lost target.

    The network's first answer may be of any size; that of the target does not change so much.
    """
    x, y, w, h = found
    _, _, last_w, last_h = last
    change = math.sqrt(w * h / (last_w * last_h))
    bound = min(max(change, 1 / CLOSER_LOOK_CHANGE), CLOSER_LOOK_CHANGE)
    w1, h1 = last_w * bound, last_h * bound
    return x + (w - w1) / 2, y + (h - h1) / 2, w1, h1


def _cut_by_edge(box: Box, frame_size: tuple[int, int]) -> tuple[bool, bool]:
    """Whether the frame's edge may cut off a part of the width, and of the height."""
    (x, y, w, h), (width, height) = box, frame_size
    dx, dy = EDGE * width, EDGE * height
    return x < dx or x + w > width - dx, y < dy or y + h > height - dy
