"""Is the target still there? A state with hysteresis from the evidence of each frame."""

from __future__ import annotations

from tracker.results import State
from tracker.spec import PresencePolicy


class Presence:
    """Follows the evidence of one target.

    A frame is *good* when the score reaches ``sure``, *missing* when it falls below
    ``doubt``. One good frame makes the target tracked; ``patience`` missing frames in a
    row make it lost; what lies between is uncertain and changes nothing for the worse.
    """

    def __init__(self, policy: PresencePolicy) -> None:
        self.policy = policy
        self.state = State.TRACKING
        self._missing = 0

    def update(self, score: float) -> State:
        """Take in one frame's evidence and return the state."""
        policy = self.policy
        if self.state is State.LOST:
            if score >= policy.return_score:
                self.state, self._missing = State.TRACKING, 0
            return self.state
        self._missing = self._missing + 1 if score < policy.doubt else 0
        if self._missing >= policy.patience:
            self.state = State.LOST
        elif score >= policy.sure:
            self.state = State.TRACKING
        elif score < policy.doubt or self.state is State.UNCERTAIN:
            self.state = State.UNCERTAIN
        return self.state
