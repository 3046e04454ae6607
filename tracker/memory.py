"""What a target looks like, and what its look-alikes look like.

Both are unit vectors of the verification embedding. An absolute threshold on similarity
cannot tell four people in dark coats apart; the comparison "more like the target, or more
like somebody who stood beside it?" often can.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]

RIVALS = 32
DUPLICATE = 0.97  # cosine from which a rival is one that is already remembered


class Memory:
    """Identities of one target and of its rivals.

    Args:
        first: (D,) unit vector of the exemplar; it is never dropped.
    """

    def __init__(self, first: Array) -> None:
        self.first = first
        self._recent: Array | None = None
        self._rivals = np.empty((0, len(first)), np.float32)

    def similarity(self, identity: Array) -> float:
        """Cosine similarity with the target: with the exemplar, or with how it looked since.

        The later look counts for less, since it may have been learned from a mistake.
        """
        first = float(self.first @ identity)
        if self._recent is None:
            return first
        return max(first, 0.5 * (first + float(self._recent @ identity)))

    def rival_similarity(self, identity: Array) -> float:
        """Cosine similarity with the nearest rival, -1 while none is known."""
        return float((self._rivals @ identity).max()) if len(self._rivals) else -1.0

    def remember_target(self, identity: Array, rate: float = 0.1) -> None:
        """Move the later look towards what was just seen; only to be called while sure."""
        mixed = identity if self._recent is None else (1 - rate) * self._recent + rate * identity
        self._recent = (mixed / np.float32(max(float(np.linalg.norm(mixed)), 1e-9))).astype(
            np.float32
        )

    def remember_rivals(self, identities: list[Array], target: Array) -> None:
        """Remember other objects of a frame in which the target was surely seen.

        Args:
            identities: of peaks apart from the target.
            target: (D,) identity of the target in the same frame: what is nearer to the
                exemplar than that is not taken for a rival.
        """
        own = float(self.first @ target)
        for identity in identities:
            known = self.rival_similarity(identity) > DUPLICATE
            if not known and float(self.first @ identity) < own:
                self._rivals = np.vstack([self._rivals, identity])[-RIVALS:]
