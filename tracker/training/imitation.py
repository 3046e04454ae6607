"""Learning from another network alone: distillation of a trunk.

Romero et al. 2015, "FitNets", section 2.2: the hints are features. A pruned trunk so gets back
what a whole one gives, without labels, and with none of the forgetting of a training on the few
pictures at hand.
"""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from tracker.network.kestrel import Kestrel


def only_trunk_learns(network: Kestrel) -> None:
    """Keep all but the trunk: what a teacher and its pupil share."""
    network.requires_grad_(False)
    network.trunk.requires_grad_(True)


class ImitationObjective(nn.Module):
    """How far the features of a network are from those of its teacher, in search crops.

    Args:
        network: the pupil; of another width of the trunk at most.
        teacher: copied; does not learn.
    """

    def __init__(self, network: Kestrel, teacher: Kestrel) -> None:
        super().__init__()
        self.network = network
        self.teacher = copy.deepcopy(teacher).requires_grad_(False)

    def train(self, mode: bool = True) -> ImitationObjective:
        """Stay in evaluation mode: the norms behind the trunk are to stay the teacher's."""
        return super().train(False)

    def forward(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """Relative errors by name; ``loss`` is their sum."""
        with torch.no_grad():
            wanted = hints(self.teacher, batch["search"])
        found = hints(self.network, batch["search"])
        parts = {name: relative_error(found[name].float(), wanted[name].float()) for name in found}
        return parts | {"loss": torch.stack(list(parts.values())).sum()}


def hints(network: Kestrel, image: Tensor) -> dict[str, Tensor]:
    """What is compared: all stages from stride 4 on, and what the branches take from them.

    Args:
        image: uint8 BGR search crops (B, S, S, 3).
    """
    stages = network.trunk.stage_outputs(network.preprocess(image))
    features = network.join(stages[2], stages[4])
    named = {f"stage{number}": stages[number] for number in range(1, len(stages))}
    return named | {"neck": network.neck(features), "identity": network.identity(features)}


def relative_error(found: Tensor, wanted: Tensor) -> Tensor:
    """Squared error of features (B, C, H, W) relative to their variance within channels."""
    spread = (wanted - wanted.mean((0, 2, 3), keepdim=True)).square().mean()
    return (found - wanted).square().mean() / spread.clamp_min(1e-12)
