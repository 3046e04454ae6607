"""Is the target still there? A state with hysteresis from the evidence of each frame."""

from __future__ import annotations

from tracker.results import State
from tracker.spec import PresencePolicy


class Presence:
    """Follows the evidence of one target.

    A frame is *good* when the score reaches ``sure`` and the identity is not another
    object's; it is *missing* when the score falls below ``doubt`` or the identity is
    ``different``. A good frame makes the target tracked; ``patience`` missing frames in a
    row make it lost; what lies between is uncertain. A lost target is taken up again only
    with ``return_score`` and an identity that is the ``same``.
    """

    def __init__(self, policy: PresencePolicy) -> None:
        self.policy = policy
        self.state = State.TRACKING
        self._missing = 0

    def update(self, score: float, similarity: float | None = None, rival: float = -1.0) -> State:
        """Take in one frame's evidence and return the state.

        Args:
            score: raw similarity of the candidate, 0..1.
            similarity: cosine of its identity with the target's; ``None`` if unknown.
            rival: cosine of its identity with the nearest known look-alike.
        """
        policy = self.policy
        if self.state is State.LOST:
            known = similarity is None or (
                similarity >= policy.same and similarity + policy.rival_margin / 2 >= rival
            )
            if score >= policy.return_score and known:
                self.state, self._missing = State.TRACKING, 0
            return self.state
        other = similarity is not None and (
            similarity < policy.different or rival > similarity + policy.rival_margin
        )
        missing = score < policy.doubt or other
        self._missing = self._missing + 1 if missing else 0
        if self._missing >= policy.patience:
            self.state = State.LOST
        elif score >= policy.sure and not other:
            self.state = State.TRACKING
        else:
            self.state = State.UNCERTAIN
        return self.state
