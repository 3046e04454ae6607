"""Is the target still there? A state with hysteresis from the evidence of each frame."""

from __future__ import annotations

from typing import NamedTuple

from tracker.results import State
from tracker.spec import PresencePolicy

MOST_EXCUSED = 30  # frames in a row by colours: something of the same may stand there for ever
USUAL_RATE = 0.19
"""How fast the usual similarity follows, each time the identity is asked for: set together with
``ASK_EVERY`` of ``target.py``."""


class Evidence(NamedTuple):
    """What one frame says of a target.

    Attributes:
        score: raw similarity of the candidate, 0..1.
        sharpness: 0..1, how far its peak stands out from the rest of the response.
        similarity: cosine of its identity with the target's; ``None`` if unknown.
        rival: cosine of its identity with the nearest known look-alike.
        visible: share of the target's usual width or height that the frame's edge leaves, 1
            away from edges.
        coloured: whether it has the target's colours; ``False`` if nobody looked.
        in_place: whether a lost target is surely there where it was lost.
    """

    score: float
    sharpness: float = 1.0
    similarity: float | None = None
    rival: float = -1.0
    visible: float = 1.0
    coloured: bool = False
    in_place: bool = False


class Presence:
    """Follows the evidence of one target.

    A frame is *missing* when the score falls below ``doubt``, or for some frames below half of
    it where the target's colours are still there (below ``gone`` it counts twice), when too
    little of the target is ``visible`` at the frame's edge, or when the candidate is another
    object: its identity is ``different``, or is suddenly less like the target than usual
    (``drop``), or is more like a known look-alike (``rival_margin``). A frame that is not
    missing, reaches ``sure`` and has a ``sharp`` response makes the target tracked; ``patience``
    missing frames in a row make it lost; what lies between is uncertain. A lost target is taken
    up again with ``return_score`` and an identity that is the ``same``, and nearly as similar as
    was usual before it was lost (``return_drop``), for however long that was. Where it was lost,
    it need be no more similar than one that is followed (``drop``): light may have changed.
    """

    def __init__(self, policy: PresencePolicy) -> None:
        self._policy = policy
        self.state = State.TRACKING
        self._missing = self._doubted = 0
        self._usual = -1.0

    def update(self, evidence: Evidence) -> State:
        """Take in one frame's evidence and return the state."""
        policy = self._policy
        if self.state is State.LOST:
            if self._returned(evidence):
                self.state, self._missing, self._doubted = State.TRACKING, 0, 0
            return self.state
        self._doubted = self._doubted + 1 if evidence.score < policy.doubt else 0
        missing = self._is_missing(evidence)
        if missing:
            self._missing += 2 if evidence.score < policy.gone else 1
        else:
            self._missing = 0
        if self._missing >= policy.patience:
            self.state = State.LOST
        elif evidence.score >= policy.sure and evidence.sharpness >= policy.sharp and not missing:
            self.state = State.TRACKING
            self._get_used_to(evidence.similarity)
        else:
            self.state = State.UNCERTAIN
        return self.state

    def looks_as_usual(self, similarity: float | None) -> bool:
        """Whether a look is typical enough to be learned: nothing covers the target, say.

        Args:
            similarity: as of ``Evidence``.
        """
        return similarity is None or similarity >= self._usual - self._policy.unusual

    def _is_missing(self, evidence: Evidence) -> bool:
        policy = self._policy
        excused = evidence.coloured and self._doubted <= MOST_EXCUSED
        return (
            evidence.score < (policy.doubt / 2 if excused else policy.doubt)
            or evidence.visible < policy.visible
            or self._other(evidence.similarity, evidence.rival)
        )

    def _returned(self, evidence: Evidence) -> bool:
        policy, similarity = self._policy, evidence.similarity
        drop = policy.drop if evidence.in_place else policy.return_drop
        least = max(policy.same, self._usual - drop)
        known = similarity is None or (
            similarity >= least and similarity + policy.rival_margin / 2 >= evidence.rival
        )
        there = evidence.visible >= policy.visible
        return evidence.score >= policy.return_score and known and there

    def _other(self, similarity: float | None, rival: float) -> bool:
        if similarity is None:
            return False
        policy = self._policy
        return (
            similarity < policy.different
            or similarity < self._usual - policy.drop
            or similarity < rival - policy.rival_margin
        )

    def _get_used_to(self, similarity: float | None) -> None:
        if similarity is not None:
            first = self._usual < 0
            self._usual += (1.0 if first else USUAL_RATE) * (similarity - self._usual)
