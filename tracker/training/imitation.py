"""Learning from another network alone: distillation of a trunk.

Romero et al. 2015, "FitNets", section 2.2: the hints are features. A pruned trunk so gets back
what a whole one gives, without labels, and with none of the forgetting of a training on the few
pictures at hand.
"""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from tracker.network.kestrel import Kestrel, Response
from tracker.training.spoil import spoiled


def only_trunk_learns(network: Kestrel) -> None:
    """Keep all but the trunk: what a teacher and its pupil share."""
    network.requires_grad_(False)
    network.trunk.requires_grad_(True)


class ImitationObjective(nn.Module):
    """How far features and responses of a network are from those of its teacher.

    Features are compared relative to their variance, scores as probabilities, and sides, in
    strides, where the teacher sees the target.

    Args:
        network: the pupil; of another width of the trunk at most.
        teacher: copied; does not learn.
        spoil: share of the pairs that the network sees in bad conditions, and the teacher does not.
    """

    def __init__(self, network: Kestrel, teacher: Kestrel, spoil: float = 0.0) -> None:
        super().__init__()
        self.network, self.spoil = network, spoil
        self.teacher = copy.deepcopy(teacher).requires_grad_(False)

    def train(self, mode: bool = True) -> ImitationObjective:
        """Stay in evaluation mode: the norms behind the trunk are to stay the teacher's."""
        return super().train(False)

    def forward(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """Errors by name; ``loss`` is their sum."""
        with torch.no_grad():
            wanted, response = hints(self.teacher, batch)
        if self.spoil:
            exemplar, search = spoiled(batch["exemplar"], batch["search"], self.spoil)
            batch = batch | {"exemplar": exemplar, "search": search}
        found, answer = hints(self.network, batch)
        parts = {name: relative_error(found[name], wanted[name]) for name in found}
        score = response.score.float().sigmoid()
        parts["score"] = relative_error(answer.score.float().sigmoid()[:, None], score[:, None])
        off = (answer.sides.float() - response.sides.float()).abs().mean(1) / self.network.stride
        parts["sides"] = (off * score).sum() / score.sum().clamp_min(1e-6)
        return parts | {"loss": torch.stack(list(parts.values())).sum()}


def hints(network: Kestrel, batch: dict[str, Tensor]) -> tuple[dict[str, Tensor], Response]:
    """What is compared of both branches, and the response that they make together.

    Features are those of all stages from stride 4 on, and what neck and identity make of them:
    of search crops under their names, of exemplar crops the last ones.
    """
    stages = network.trunk.stage_outputs(network.preprocess(batch["search"]))
    features = network.join(stages[2], stages[4])
    exemplar = network.features(batch["exemplar"])
    embedding, _ = network.embed(exemplar, batch["exemplar_box"])
    compared = {f"stage{number}": stages[number] for number in range(1, len(stages))}
    compared |= {"neck": network.neck(features), "identity": network.identity(features)}
    compared |= {"exemplar": network.neck(exemplar)}
    return compared, network.respond(embedding, features)


def relative_error(found: Tensor, wanted: Tensor) -> Tensor:
    """Squared error of features (B, C, H, W) relative to their variance within channels."""
    found, wanted = found.float(), wanted.float()
    spread = (wanted - wanted.mean((0, 2, 3), keepdim=True)).square().mean()
    return (found - wanted).square().mean() / spread.clamp_min(1e-12)
