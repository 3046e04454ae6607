"""Losses of a batch, and values of its pairs.

A loss averages within each pair first, then over the pairs, so that two processes with half a
batch each agree with one process on the whole batch. What is called ``..._values`` is left to
the caller to average.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

FOCAL_ALPHA, FOCAL_GAMMA = 0.25, 2.0  # of Lin et al.


def balanced_logistic_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Logistic loss in which positive and negative cells weigh one half each.

    ``log(1 + exp(-y v))``, Bertinetto et al. 2016, section "Training with large search images".
    A map with one kind of cell only gives that kind the whole weight; cells labelled 0 are
    ignored.

    Args:
        logits: (B, ...) responses v.
        labels: (B, ...) of 1, -1 and 0.
    """
    loss = F.softplus(-labels * logits).flatten(1)
    flat = labels.flatten(1)
    positive, negative = _masked_mean(loss, flat > 0), _masked_mean(loss, flat < 0)
    both = ((flat > 0).any(1) & (flat < 0).any(1)).to(loss.dtype)
    return ((positive + negative) * (1 - 0.5 * both)).mean()


def hard_negative_bce(logits: Tensor, labels: Tensor, hardest: int = 16) -> Tensor:
    """Binary cross-entropy of positives, of all negatives and of the hardest negatives.

    The three means add up with weights 1, 1/2 and 1/2: the easy majority keeps the score
    calibrated, the hardest cells are the distractors (online hard example mining,
    Shrivastava et al. 2016).

    Args:
        logits: (B, ...) scores before the sigmoid.
        labels: (B, ...) of 1, -1 and 0 (ignored). Values between 0 and 1 are soft targets
            of a positive cell, such as the overlap of its box.
        hardest: negatives a pair in the third term.
    """
    flat, target = logits.flatten(1), labels.flatten(1)
    loss = F.binary_cross_entropy_with_logits(flat, target.clamp_min(0), reduction="none")
    negative = target < 0
    hard = torch.where(negative, loss, loss.new_full((), -1.0)).topk(hardest, dim=1).values
    return (
        _masked_mean(loss, target > 0)
        + 0.5 * _masked_mean(loss, negative)
        + 0.5 * _masked_mean(hard, hard >= 0)
    ).mean()


def focal_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """``-alpha_t (1 - p_t)^gamma log p_t``, a pair's sum over its number of positives.

    Lin et al. 2017, "Focal Loss for Dense Object Detection", equation 5.

    Args:
        logits: (B, ...); labels: (B, ...) of 1, -1 and 0 (ignored).
    """
    flat, target = logits.flatten(1), labels.flatten(1)
    log_p = F.logsigmoid(torch.where(target > 0, flat, -flat))
    weight = torch.where(target > 0, FOCAL_ALPHA, 1 - FOCAL_ALPHA)
    weight = weight * (1 - log_p.exp()).pow(FOCAL_GAMMA)
    loss = torch.where(target != 0, -weight * log_p, torch.zeros_like(log_p))
    return (loss.sum(1) / (target > 0).sum(1).clamp_min(1)).mean()


def giou(a: Tensor, b: Tensor) -> Tensor:
    """Generalised intersection over union of corner boxes, -1..1.

    Rezatofighi et al. 2019, "Generalized Intersection over Union", algorithm 1.

    Args:
        a, b: (..., 4) x1 y1 x2 y2 with positive size.
    """
    overlap, union = _overlap_and_union(a, b)
    hull = (torch.maximum(a[..., 2:], b[..., 2:]) - torch.minimum(a[..., :2], b[..., :2])).prod(-1)
    return overlap / union - (hull - union) / hull


def corner_iou(a: Tensor, b: Tensor) -> Tensor:
    """Intersection over union of corner boxes (..., 4), 0..1."""
    overlap, union = _overlap_and_union(a, b)
    return overlap / union


def giou_loss(predicted: Tensor, truth: Tensor, positive: Tensor) -> Tensor:
    """``1 - GIoU`` over the positive cells of each pair; pairs without one add nothing.

    Args:
        predicted: (B, 4, H, W) corners; truth: (B, 4) corners; positive: (B, H, W) bool.
    """
    value = 1 - giou(predicted.permute(0, 2, 3, 1), truth[:, None, None])
    return _masked_mean(value.flatten(1), positive.flatten(1)).mean()


def contrastive_values(a: Tensor, b: Tensor, same: Tensor, margin: float = 1.0) -> Tensor:
    """``y d^2 / 2 + (1 - y) max(0, m - d)^2 / 2`` of each pair; d is the Euclidean distance.

    Hadsell et al. 2006, "Dimensionality Reduction by Learning an Invariant Mapping",
    equation 4 (where y is 0 for like pairs).

    Args:
        a, b: (N, D) embeddings; same: (N,) bool.

    Returns:
        (N,).
    """
    distance = _distance(a, b)
    return torch.where(same, distance.square(), (margin - distance).clamp_min(0).square()) / 2


def triplet_values(
    anchor: Tensor,
    positive: Tensor,
    negatives: Tensor,
    valid: Tensor,
    margin: float = 0.3,
) -> Tensor:
    """``max(0, d(a, p) - d(a, n) + m)`` with a mined negative an anchor; d is Euclidean.

    The negative is semi-hard, the nearest one that is farther than the positive; where there is
    none, the nearest of all. Schroff et al. 2015, "FaceNet", equation 2 and section 3.2.

    Args:
        anchor, positive: (N, D).
        negatives: (N, K, D) candidates of each anchor, or (K, D) shared by all.
        valid: (N, K) bool: which candidates are another object.

    Returns:
        (N,), 0 for an anchor without a valid candidate.
    """
    to_positive = _distance(anchor, positive)
    to_negative = _distance(anchor[:, None], negatives)
    far = torch.full_like(to_negative, 1e4)
    nearest = torch.where(valid, to_negative, far).min(1).values
    semi = valid & (to_negative > to_positive[:, None])
    nearest_semi = torch.where(semi, to_negative, far).min(1).values
    chosen = torch.where(semi.any(1), nearest_semi, nearest)
    return (to_positive - chosen + margin).clamp_min(0)


def info_nce_values(
    anchor: Tensor,
    positive: Tensor,
    negatives: Tensor,
    valid: Tensor,
    temperature: float = 0.1,
) -> Tensor:
    """``-log(e^(a p / t) / (e^(a p / t) + sum of e^(a n / t)))``: who of all of them is it?

    van den Oord et al. 2018, "Representation Learning with Contrastive Predictive Coding",
    equation 4, with cosines as in Chen et al. 2020, "SimCLR", equation 1. All negatives count,
    the nearest ones most.

    Args:
        anchor, positive: (N, D) unit vectors.
        negatives: (N, K, D) candidates of each anchor.
        valid: (N, K) bool: which candidates are another object.

    Returns:
        (N,), 0 for an anchor without a valid candidate.
    """
    own = (anchor * positive).sum(-1, keepdim=True) / temperature
    others = torch.einsum("nd,nkd->nk", anchor, negatives) / temperature
    others = others.masked_fill(~valid, -torch.inf)
    return torch.cat([own, others], 1).logsumexp(1) - own[:, 0]


def _distance(a: Tensor, b: Tensor) -> Tensor:
    return (a - b).square().sum(-1).clamp_min(1e-12).sqrt()


def _overlap_and_union(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    size = torch.minimum(a[..., 2:], b[..., 2:]) - torch.maximum(a[..., :2], b[..., :2])
    overlap = size.clamp_min(0).prod(-1)
    area_a, area_b = (a[..., 2:] - a[..., :2]).prod(-1), (b[..., 2:] - b[..., :2]).prod(-1)
    return overlap, area_a + area_b - overlap


def _masked_mean(values: Tensor, mask: Tensor) -> Tensor:
    """Mean of (B, N) values where the mask holds, a row; 0 for an empty row."""
    kept = torch.where(mask, values, torch.zeros_like(values))
    return kept.sum(1) / mask.sum(1).clamp_min(1)
