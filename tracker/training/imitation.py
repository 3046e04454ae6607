"""Learning from another network: distillation.

Hinton et al. 2015, "Distilling the Knowledge in a Neural Network", and Romero et al. 2015,
"FitNets", whose hints are features. Here a narrow network keeps what a wide one has learned,
where the few pictures at hand would not teach it again.
"""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from tracker.network.kestrel import Kestrel, SearchOutput


class Teacher(nn.Module):
    """A network that does not learn any more.

    Args:
        network: copied.
    """

    def __init__(self, network: Kestrel) -> None:
        super().__init__()
        self.network = copy.deepcopy(network).eval().requires_grad_(False)

    def train(self, mode: bool = True) -> Teacher:
        """Stay in evaluation mode, whatever the network that learns does."""
        return super().train(False)

    @torch.no_grad()
    def forward(self, exemplar: Tensor, box: Tensor, search: Tensor) -> SearchOutput:
        """What it sees in search crops (B, S, S, 3), uint8 BGR, of targets in exemplar crops."""
        embedding, _ = self.network.exemplar(exemplar, box)
        return SearchOutput(*(t.float() for t in self.network.search(embedding, search)))


def imitation_loss(found: SearchOutput, wanted: SearchOutput) -> Tensor:
    """How far outputs are from a teacher's: of features, identities and scores, in the mean.

    Each is the squared difference relative to the variance of the teacher's within a channel,
    so none needs a weight of its own; scores are compared as probabilities.
    """
    score = (found.score.sigmoid()[:, None], wanted.score.sigmoid()[:, None])
    maps = [(found.features, wanted.features), (found.identity, wanted.identity), score]
    return torch.stack([relative_error(a, b) for a, b in maps]).mean()


def relative_error(found: Tensor, wanted: Tensor) -> Tensor:
    """Squared error of features (B, C, H, W) relative to their variance within channels."""
    spread = (wanted - wanted.mean((0, 2, 3), keepdim=True)).square().mean()
    return (found - wanted).square().mean() / spread.clamp_min(1e-12)
