"""What a batch of pairs asks of a network: labels, and the sum of losses."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.distributed.nn.functional as dist_nn
from torch import Tensor, nn

from tracker.network.head import box_coverage, cell_centres, sides_to_corners
from tracker.network.kestrel import Kestrel, Response, pooled_identity
from tracker.network.losses import (
    balanced_logistic_loss,
    contrastive_values,
    corner_iou,
    focal_loss,
    giou_loss,
    hard_negative_bce,
    info_nce_values,
    triplet_values,
)
from tracker.network.siamfc import SiamFC
from tracker.training.hiding import GONE, KNOWN
from tracker.training.imitation import ImitationObjective
from tracker.training.processes import gather_all, process_count

Batch = dict[str, Tensor]


@dataclass(frozen=True)
class LossOptions:
    """Weights and forms of the losses.

    Attributes:
        score: ``bce`` (with hard negatives) or ``focal``.
        box: weight of the GIoU loss.
        quality: share of the box's overlap in the target of a positive cell: 0 asks for 1,
            1 asks for the overlap itself (Zhang et al. 2021, "VarifocalNet", section 3.2).
        clear: share of a target to be seen from which its score is to be 1; it falls to 0 at
            an eighth.
        contrastive, triplet: weights of the verification losses.
        margin: of the triplet loss.
        nce: weight of the loss that asks for the nearest of all objects of a batch.
        blend: share of a later exemplar, where a pair has one: as the online tracker blends.
        radius: pixels around the target's middle that are positive, for SiamFC; the cell nearest
            to it always is.
        spoil: share of the pairs that a pupil sees in bad conditions; see ``spoil.py``.
    """

    score: str = "bce"
    box: float = 1.5
    quality: float = 0.0
    clear: float = 0.5
    contrastive: float = 0.15
    triplet: float = 0.3
    margin: float = 0.3
    nce: float = 0.0
    blend: float = 0.4
    radius: float = 16.0
    spoil: float = 0.0


def ellipse_labels(corners: Tensor, cells: int, stride: int) -> Tensor:
    """Labels of the cells of a search region.

    Inside the ellipse with half the axes of the box: 1; between it and the ellipse that
    fills the box: 0 (ignored); outside: -1. The cell nearest to the middle is always 1.
    Chen et al. 2020, "Siamese Box Adaptive Network", section "Ground-truth and loss".

    Args:
        corners: (B, 4) x1 y1 x2 y2 in crop pixels.

    Returns:
        (B, cells, cells) float of 1, 0, -1.
    """
    places = cell_centres(cells, stride, corners.device)
    middle = (corners[:, :2] + corners[:, 2:]) / 2
    half = ((corners[:, 2:] - corners[:, :2]) / 2).clamp_min(1e-3)
    dx = ((places[None] - middle[:, :1]) / half[:, :1]).square()
    dy = ((places[None] - middle[:, 1:]) / half[:, 1:]).square()
    radius = dy[:, :, None] + dx[:, None, :]
    labels = torch.where(radius <= 0.25, 1.0, torch.where(radius <= 1.0, 0.0, -1.0))
    nearest = (middle / stride - 0.5).round().long().clamp(0, cells - 1)
    labels[torch.arange(len(corners)), nearest[:, 1], nearest[:, 0]] = 1.0
    return labels


def disc_labels(corners: Tensor, cells: int, stride: int, size: int, radius: float) -> Tensor:
    """Labels of SiamFC's response: 1 within ``radius`` pixels of the target's middle, else -1.

    Bertinetto et al. 2016, section "Training with large search images". Cell i of the response
    stands for the offset ``stride (i - (cells - 1) / 2)`` from the crop's middle. The cell
    nearest to a middle within the response is always 1.

    Args:
        corners: (B, 4) in pixels of a crop of ``size`` pixels.
    """
    offsets = (torch.arange(cells, device=corners.device) - (cells - 1) / 2) * stride
    middle = (corners[:, :2] + corners[:, 2:]) / 2 - size / 2
    dx, dy = offsets[None] - middle[:, :1], offsets[None] - middle[:, 1:]
    square = dy.square()[:, :, None] + dx.square()[:, None, :]
    labels = torch.where(square <= radius**2, 1.0, -1.0)
    nearest = (middle / stride + (cells - 1) / 2).round().long()
    inside = ((nearest >= 0) & (nearest < cells)).all(1).nonzero()[:, 0]
    labels[inside, nearest[inside, 1], nearest[inside, 0]] = 1.0
    return labels


def disc_reach(half: float, stride: int, radius: float) -> float:
    """Largest shift (pixels, in x and y) with which ``disc_labels`` gives each target a cell.

    Args:
        half: from the middle of the response to the middle of its last cell.
    """
    return half + max(stride / 2, radius / math.sqrt(2))


class SiamFCObjective(nn.Module):
    """Logistic loss on the response map."""

    def __init__(self, network: SiamFC, options: LossOptions) -> None:
        super().__init__()
        self.network, self.options = network, options

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """Losses by name; ``loss`` is their weighted sum."""
        net = self.network
        logits = net.search(net.exemplar(batch["exemplar"]), batch["search"]).float()
        labels = disc_labels(
            batch["search_box"], logits.shape[-1], net.stride, net.search_size, self.options.radius
        )
        labels = torch.where(to_be_found(batch)[:, None, None], labels, -torch.ones_like(labels))
        return {"loss": balanced_logistic_loss(logits, labels)}


@dataclass(frozen=True)
class Seen:
    """What the last batch looked like to the network; for mining and for validation.

    Attributes:
        anchor: (B, D) identities of the exemplars; track: (B,) their tracks.
        shown: (B, D) identities of the objects shown; shown_track: (B,) their tracks, or -1
            for one that is hidden by more than a half.
        positive: (B,) whether the two are one object.
        score: (B, H, W) logits; boxes: (B, 4, H, W) predicted corners.
    """

    anchor: Tensor
    track: Tensor
    shown: Tensor
    shown_track: Tensor
    positive: Tensor
    score: Tensor
    boxes: Tensor


class KestrelObjective(nn.Module):
    """Score, box and identity losses. ``seen`` tells of the last batch."""

    def __init__(self, network: Kestrel, options: LossOptions) -> None:
        super().__init__()
        self.network, self.options = network, options
        self.seen: Seen | None = None

    def train(self, mode: bool = True) -> KestrelObjective:
        """As of a module; parts that do not learn keep the statistics of their norms."""
        super().train(mode)
        for part in self.network.children():
            if not any(p.requires_grad for p in part.parameters()):
                part.eval()
        return self

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """Losses by name; ``loss`` is their weighted sum."""
        net, options = self.network, self.options
        embedding, identity = self._embed(batch)
        output = Response(*(t.float() for t in net.search(embedding, batch["search"])))
        boxes = sides_to_corners(output.sides, net.stride)
        labels = ellipse_labels(batch["search_box"], output.score.shape[-1], net.stride)
        labels = torch.where(to_be_found(batch)[:, None, None], labels, -torch.ones_like(labels))
        exact = batch["exact"] & (batch["visible"] >= KNOWN)
        parts = {
            "score": self._score_loss(output.score, labels, boxes, batch),
            "box": giou_loss(boxes, batch["search_box"], (labels > 0) & exact[:, None, None]),
        }
        parts |= self._identity_losses(identity.float(), output, boxes, batch)
        parts["loss"] = (
            parts["score"]
            + options.box * parts["box"]
            + options.contrastive * parts["contrastive"]
            + options.triplet * parts["triplet"]
            + options.nce * parts["nce"]
        )
        return parts

    def _embed(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Embeddings, with later exemplars blended in where there are any, and identities."""
        rows = batch["later_box"].isfinite().all(1).nonzero()[:, 0]
        count = len(batch["exemplar"])
        embedding, identity = self.network.exemplar(
            torch.cat([batch["exemplar"], batch["later"][rows]]),
            torch.cat([batch["exemplar_box"], batch["later_box"][rows]]),
        )
        first, later = embedding[:count], embedding[count:]
        first = first.index_add(0, rows, self.options.blend * (later - first[rows]))
        return first, identity[:count]

    def _score_loss(self, score: Tensor, labels: Tensor, boxes: Tensor, batch: Batch) -> Tensor:
        if self.options.score == "focal":
            return focal_loss(score, labels)
        soft = visibility(batch["visible"], self.options.clear)[:, None, None]
        if self.options.quality:
            truth = batch["search_box"][:, None, None]
            overlap = corner_iou(boxes.detach().permute(0, 2, 3, 1), truth)
            soft = soft * (1 - self.options.quality * (1 - overlap.clamp(0.05, 1)))
        labels = torch.where(labels > 0, soft, labels)
        return hard_negative_bce(score, labels)

    def _identity_losses(
        self, anchor: Tensor, output: Response, boxes: Tensor, batch: Batch
    ) -> dict[str, Tensor]:
        """The same object later, against other objects, like ones in the frame and false peaks."""
        net = self.network
        same = to_be_found(batch)
        # what is half hidden is neither the same for sure nor another
        told = ~same | (batch["visible"] >= KNOWN)
        cells = output.score.shape[-1]
        shown = pooled_identity(
            output.identity, box_coverage(batch["search_box"], cells, net.stride)
        )
        false_box = false_peak(output.score.detach(), boxes.detach(), batch["search_box"])
        false = pooled_identity(output.identity, box_coverage(false_box, cells, net.stride))
        known = batch["beside_box"].isfinite().all(1)
        beside = pooled_identity(
            output.identity, box_coverage(batch["beside_box"].nan_to_num(), cells, net.stride)
        )
        everyone, numbers = shown, batch["shown"]
        if self.training:
            everyone, numbers = _gather(shown), _gather(numbers)
        in_sight = torch.where(batch["visible"] >= KNOWN, batch["shown"], -1)
        self.seen = Seen(
            anchor.detach(), batch["track"], shown.detach(), in_sight, same,
            output.score.detach(), boxes.detach(),
        )  # fmt: skip
        other = numbers[None] != batch["track"][:, None]
        of_frame = torch.stack([false, beside], 1)
        candidates = torch.cat([everyone[None].expand(len(anchor), -1, -1), of_frame], 1)
        valid = torch.cat([other, torch.ones_like(known)[:, None], known[:, None]], 1)
        triplets = triplet_values(anchor, shown, candidates, valid, self.options.margin)
        nearest = info_nce_values(anchor, shown, candidates, valid)
        unlike = torch.zeros_like(same)
        contrast = (
            contrastive_values(anchor, shown, same) * told
            + 0.5 * contrastive_values(anchor, false, unlike)
            + 0.5 * contrastive_values(anchor, beside, unlike) * known
        )
        known_same = same & told
        return {
            "triplet": (triplets * known_same).mean(),
            "nce": (nearest * known_same).mean(),
            "contrastive": contrast.mean(),
        }


def to_be_found(batch: Batch) -> Tensor:
    """Pairs (B,) whose search crop shows something of the target."""
    return batch["positive"] & (batch["visible"] > GONE)


def visibility(visible: Tensor, clear: float) -> Tensor:
    """Score that a target is to have of which a share (B,) is to be seen: (B,) in 0..1.

    Args:
        clear: share from which it is 1.
    """
    return ((visible - GONE) / (clear - GONE)).clamp(0, 1)


def false_peak(score: Tensor, boxes: Tensor, truth: Tensor) -> Tensor:
    """The box of the best cell that is not the shown object: the distractor of the frame.

    Args:
        score: (B, H, W); boxes: (B, 4, H, W) corners; truth: (B, 4) corners.

    Returns:
        (B, 4) corners.
    """
    overlap = corner_iou(boxes.permute(0, 2, 3, 1), truth[:, None, None])
    apart = torch.where(overlap < 0.1, score, torch.full_like(score, -1e4)).flatten(1)
    best = apart.argmax(1)
    return boxes.flatten(2).gather(2, best[:, None, None].expand(-1, 4, 1))[:, :, 0]


def _gather(values: Tensor) -> Tensor:
    """The values of all processes, so that mining does not depend on their number."""
    if process_count() == 1 or not values.is_floating_point():
        return gather_all(values)
    return torch.cat(dist_nn.all_gather(values))  # with the gradient


def only_identity_learns(network: Kestrel) -> None:
    """Keep all but what makes the verification embedding of features: tracking stays as it is."""
    network.requires_grad_(False)
    network.identity.requires_grad_(True)


def make_objective(
    network: nn.Module, options: LossOptions, teacher: Kestrel | None = None
) -> nn.Module:
    """The objective that belongs to a network, or that of learning from a teacher alone."""
    if isinstance(network, Kestrel):
        if teacher is not None:
            return ImitationObjective(network, teacher, options.spoil)
        return KestrelObjective(network, options)
    if isinstance(network, SiamFC):
        return SiamFCObjective(network, options)
    raise ValueError(f"no training objective for {type(network).__name__}")
