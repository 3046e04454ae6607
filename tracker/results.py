"""What a tracker says of one frame."""

from __future__ import annotations

import enum
from dataclasses import dataclass

Box = tuple[float, float, float, float]
"""(x, y, w, h) in pixels of the frame: float, 0-based, top-left corner first."""


class State(str, enum.Enum):
    """Whether the target is still the object that was selected."""

    TRACKING = "tracking"
    UNCERTAIN = "uncertain"
    LOST = "lost"

    def __str__(self) -> str:
        return self.value


@dataclass(frozen=True)
class TrackResult:
    """The tracker's answer for one frame.

    Attributes:
        box: best estimate (x, y, w, h) in pixels; always finite and touching the frame.
            What trembles about a target at rest is smoothed (``tracker/steady.py``).
            While ``state`` is ``lost`` it is where the target was last believed to be:
            a guess to search from, not a claim.
        score: raw similarity of the best candidate, 0..1, before window and penalties.
        state: ``tracking``, ``uncertain`` or ``lost``.
        similarity: how alike the target the last checked patch is, -1..1, by cosines of the
            verification embedding: the larger of that with the exemplar and of its mean with
            that with how the target looked since (``Memory.compare``). ``None`` for a model
            without one, before the first check, and where nothing looked like a lost target.
    """

    box: Box
    score: float
    state: State
    similarity: float | None = None

    @property
    def claimed_box(self) -> Box | None:
        """The box when the tracker stands by it, ``None`` while the target is lost."""
        return None if self.state is State.LOST else self.box
