"""Which other object the network takes each object for: negatives mined while it learns.

The identities of recently shown objects wait in a queue; every exemplar is compared with
those of other tracks, and the nearest is remembered. What was found in a round of steps
becomes the sampler's table ``confused`` at its end and not before, so that the pairs of a
round do not depend on when a loader process was started: a resumed run equals an unbroken one.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from tracker.training.objective import Seen
from tracker.training.processes import gather_all

QUEUE = 2048


class ConfusionMiner:
    """Keeps the queue and the findings of the present round.

    Args:
        tracks: how many tracks there are.
        size: identities in the queue.
    """

    def __init__(self, tracks: int, size: int = QUEUE) -> None:
        self.size = size
        self.identities: Tensor | None = None  # (K, D), the oldest first
        self.numbers = torch.zeros(0, dtype=torch.int64)
        self.nearest = torch.full((tracks,), -2.0)
        self.found = torch.full((tracks,), -1, dtype=torch.int64)

    @torch.no_grad()
    def add(self, seen: Seen) -> None:
        """Take in a batch (of all processes): queue what was shown, then look for confusions."""
        anchor, track = gather_all(seen.anchor).float().cpu(), gather_all(seen.track).cpu()
        shown, number = gather_all(seen.shown).float().cpu(), gather_all(seen.shown_track).cpu()
        old = self.identities if self.identities is not None else shown[:0]
        self.identities = torch.cat([old, shown])[-self.size :]
        self.numbers = torch.cat([self.numbers, number])[-self.size :]
        alike = anchor @ self.identities.T
        own = track[:, None] == self.numbers[None]
        alike[own | (self.numbers < 0)[None]] = -2.0
        best, place = alike.max(1)
        for t, value, other in zip(track, best, self.numbers[place], strict=True):
            if value > self.nearest[t]:
                self.nearest[t], self.found[t] = value, other

    def finish_round(self, confused: Tensor) -> int:
        """Write the findings into the table and begin anew; returns how many there were."""
        new = self.found >= 0
        confused[new] = self.found[new]
        self.nearest.fill_(-2.0)
        self.found.fill_(-1)
        return int(new.sum())

    def state_dict(self) -> dict[str, Any]:
        """Everything, for a checkpoint."""
        return {
            "identities": self.identities,
            "numbers": self.numbers,
            "nearest": self.nearest,
            "found": self.found,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on where ``state_dict`` was taken."""
        self.identities, self.numbers = state["identities"], state["numbers"]
        self.nearest.copy_(state["nearest"])
        self.found.copy_(state["found"])
