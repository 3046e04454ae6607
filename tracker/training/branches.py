"""Both branches of a network as the online tracker asks them, and the record of it."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from tracker.network.head import sides_to_corners
from tracker.network.kestrel import Kestrel
from tracker.network.siamfc import SiamFC
from tracker.spec import ModelSpec, usual_online, usual_presence
from tracker.training.models import weights_hash


class ExemplarGraph(nn.Module):
    """The exemplar branch as it was trained: what an export is compared with."""

    def __init__(self, network: SiamFC | Kestrel) -> None:
        super().__init__()
        self.network = network

    def forward(self, *inputs: Tensor) -> Any:
        return self.network.exemplar(*inputs)


class SearchGraph(nn.Module):
    """The search branch as it was trained, with probabilities and corners instead of logits."""

    def __init__(self, network: SiamFC | Kestrel) -> None:
        super().__init__()
        self.network = network

    def forward(self, embedding: Tensor, image: Tensor) -> Any:
        if isinstance(self.network, SiamFC):
            return self.network.search(embedding, image)
        output = self.network.search(embedding, image)
        corners = sides_to_corners(output.sides, self.network.stride)
        return torch.sigmoid(output.score), corners, output.identity


def make_spec(network: SiamFC | Kestrel, training: dict[str, Any] | None = None) -> ModelSpec:
    """The record for a network, with the usual parameters and thresholds of its kind."""
    kind = "box" if isinstance(network, Kestrel) else "response"
    return ModelSpec(
        name=network.name,
        kind=kind,
        pair=weights_hash(network),
        exemplar_size=network.exemplar_size,
        search_size=network.search_size,
        stride=network.stride,
        online=usual_online(kind),
        presence=usual_presence(kind),
        training=training or {},
    )
