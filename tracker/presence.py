"""Is the target still there? A state with hysteresis from the evidence of each frame."""

from __future__ import annotations

from tracker.results import State
from tracker.spec import PresencePolicy

USUAL_RATE = 0.05  # how fast the usual similarity follows a changing look


class Presence:
    """Follows the evidence of one target.

    A frame is *missing* when the score falls below ``doubt``, or when the candidate is
    another object: its identity is ``different``, or is suddenly less like the target than
    usual (``drop``), or is more like a known look-alike (``rival_margin``). A frame that is
    not missing and reaches ``sure`` makes the target tracked; ``patience`` missing frames
    in a row make it lost; what lies between is uncertain. A lost target is taken up again
    with ``return_score`` and an identity that is the ``same``.
    """

    def __init__(self, policy: PresencePolicy) -> None:
        self.policy = policy
        self.state = State.TRACKING
        self._missing = 0
        self._usual = -1.0

    def update(self, score: float, similarity: float | None = None, rival: float = -1.0) -> State:
        """Take in one frame's evidence and return the state.

        Args:
            score: raw similarity of the candidate, 0..1.
            similarity: cosine of its identity with the target's; ``None`` if unknown.
            rival: cosine of its identity with the nearest known look-alike.
        """
        if self.state is State.LOST:
            if self._returned(score, similarity, rival):
                self.state, self._missing = State.TRACKING, 0
            return self.state
        policy = self.policy
        missing = score < policy.doubt or self._other(similarity, rival)
        self._missing = self._missing + 1 if missing else 0
        if self._missing >= policy.patience:
            self.state = State.LOST
        elif score >= policy.sure and not missing:
            self.state = State.TRACKING
            self._get_used_to(similarity)
        else:
            self.state = State.UNCERTAIN
        return self.state

    def _returned(self, score: float, similarity: float | None, rival: float) -> bool:
        known = similarity is None or (
            similarity >= self.policy.same and similarity + self.policy.rival_margin / 2 >= rival
        )
        return score >= self.policy.return_score and known

    def _other(self, similarity: float | None, rival: float) -> bool:
        if similarity is None:
            return False
        policy = self.policy
        return (
            similarity < policy.different
            or similarity < self._usual - policy.drop
            or similarity < rival - policy.rival_margin
        )

    def _get_used_to(self, similarity: float | None) -> None:
        if similarity is not None:
            first = self._usual < 0
            self._usual += (1.0 if first else USUAL_RATE) * (similarity - self._usual)
