"""What a target looks like, and what its look-alikes look like.

Both are unit vectors of the verification embedding. An absolute threshold on similarity
cannot tell four people in dark coats apart; the comparison "more like the target, or more
like somebody who stood beside it?" often can.
"""

from __future__ import annotations

import math

import numpy as np

from tracker.image import Array

RIVALS = 32
RATE = 0.19  # how fast the later look follows; set together with LEARN_EVERY of target.py
DUPLICATE = 0.97  # cosine from which a rival is one that is already remembered


class Memory:
    """Identities of one target and of its rivals.

    Args:
        first: (D,) unit vector of the exemplar; it is never dropped.
    """

    def __init__(self, first: Array) -> None:
        self.first = first
        self._known = np.stack([first, first])  # first, later look, rivals: one product asks all
        self._seen_since = False

    def similarity(self, identity: Array) -> float:
        """Cosine similarity with the target: with the exemplar, or with how it looked since.

        The later look counts for less, since it may have been learned from a mistake.
        """
        return self.compare(identity)[0]

    def rival_similarity(self, identity: Array) -> float:
        """Cosine similarity with the nearest rival, -1 while none is known."""
        return self.compare(identity)[1]

    def compare(self, identity: Array) -> tuple[float, float]:
        """``similarity`` and ``rival_similarity`` in one go."""
        first, recent, *rivals = self._known.dot(identity).tolist()
        return max(first, 0.5 * (first + recent)), max(rivals, default=-1.0)

    def remember_target(self, identity: Array) -> None:
        """Move the later look towards what was just seen; only to be called while sure."""
        mixed = identity
        if self._seen_since:
            mixed = (1 - RATE) * self._known[1] + RATE * identity
        self._known[1] = mixed * np.float32(1 / max(math.sqrt(float(mixed.dot(mixed))), 1e-9))
        self._seen_since = True

    def remember_rivals(self, identities: list[Array], target: Array) -> None:
        """Remember other objects of a frame in which the target was surely seen.

        Args:
            identities: of peaks apart from the target.
            target: (D,) identity of the target in the same frame: what is nearer to the
                exemplar than that is not taken for a rival.
        """
        if not identities:
            return
        own = float(self.first.dot(target))
        for identity in identities:
            known = self.rival_similarity(identity) > DUPLICATE
            if not known and float(self.first.dot(identity)) < own:
                others = self._known[2:][1 - RIVALS :]
                self._known = np.vstack([self._known[:2], others, identity])
