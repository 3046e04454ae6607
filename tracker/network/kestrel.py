"""Kestrel: one search pass, box regression, and a vector that says who it is.

The exemplar is compared with the search region twice: cell by cell (pixel-wise
correlation, Yan et al. 2021, "Alpha-Refine") and by a pooled vector that weighs the
channels of the search embedding (as depth-wise correlation of a 1x1 kernel, Li et al.
2019, "SiamRPN++"). The exemplar graph is told the target's box inside its crop: target
and surroundings are then told apart by what the user drew, not by position alone.

What the trunk has at stride 8 joins its last features: sides are placed, and look-alikes told
apart, by detail that stride 16 has lost.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tracker.network.backbone import FULL_WIDTHS, EfficientNetLiteTrunk
from tracker.network.correlation import pixelwise_correlation
from tracker.network.head import BoxHead, box_coverage
from tracker.network.norm import SharedBatchNorm2d
from tracker.network.preprocess import Preprocess


class Response(NamedTuple):
    """What one search pass gives, a cell for each 16 pixels of its crops.

    Attributes:
        score: logits (B, H / 16, W / 16) that the target's middle is at a cell.
        sides: (B, 4, H / 16, W / 16) distances left, top, right, bottom, search-crop pixels.
        identity: (B, D, H / 16, W / 16), averaged over a box and normalised: its identity vector.
    """

    score: Tensor
    sides: Tensor
    identity: Tensor


class Kestrel(nn.Module):
    """The flagship network.

    Args:
        channels: of the neck, the fused response and the towers.
        identity_channels: length of the verification embedding.
        tower_depth: separable blocks a tower.
        detail_channels: of what is taken from stride 8.
        trunk_widths: of the trunk's blocks; fewer than EfficientNet's own after pruning.
    """

    name = "kestrel"
    exemplar_size = 128
    search_size = 224
    stride = 16

    def __init__(
        self,
        channels: int = 96,
        identity_channels: int = 64,
        tower_depth: int = 4,
        detail_channels: int = 48,
        trunk_widths: Sequence[int] = FULL_WIDTHS,
    ) -> None:
        super().__init__()
        self.cells = self.exemplar_size // self.stride
        self.preprocess = Preprocess()
        self.trunk = EfficientNetLiteTrunk(trunk_widths)
        self.detail = nn.Sequential(
            # as the trunk's own last step: a cell looks at its own middle
            nn.ZeroPad2d((0, 1, 0, 1)),
            nn.Conv2d(self.trunk.fine_channels, detail_channels, 3, 2, bias=False),
            SharedBatchNorm2d(detail_channels),
            nn.ReLU(inplace=True),
        )
        self.feature_channels = self.trunk.out_channels + detail_channels
        self.neck = nn.Sequential(
            nn.Conv2d(self.feature_channels, channels, 1, bias=False),
            SharedBatchNorm2d(channels),
        )
        self.inside = CellGate(channels, 1.0)
        self.outside = CellGate(channels, 0.5)
        self.shape_hint = nn.Sequential(
            nn.Linear(2, 32), nn.ReLU(inplace=True), nn.Linear(32, channels)
        )
        rows = self.cells**2 + 1
        self.fuse = nn.Conv2d(2 * channels + rows, channels, 1, bias=False)
        self.fuse_norm = SharedBatchNorm2d(channels)
        self.head = BoxHead(channels, tower_depth, self.stride)
        self.identity = nn.Sequential(
            nn.Conv2d(self.feature_channels, 128, 1, bias=False),
            SharedBatchNorm2d(128),
            nn.ReLU(inplace=True),
            nn.Conv2d(128, identity_channels, 1),
        )

    def features(self, image: Tensor) -> Tensor:
        """uint8 BGR (B, H, W, 3) -> (B, feature_channels, H / 16, W / 16), of either branch."""
        return self.join(*self.trunk(self.preprocess(image)))

    def join(self, fine: Tensor, deep: Tensor) -> Tensor:
        """What the trunk has at strides 8 and 16 -> features of stride 16."""
        return torch.cat([deep, self.detail(fine)], 1)

    def exemplar(self, image: Tensor, box: Tensor) -> tuple[Tensor, Tensor]:
        """Embed the target.

        Args:
            image: uint8 BGR (B, 128, 128, 3).
            box: (B, 4) x1 y1 x2 y2 of the target in crop pixels.

        Returns:
            Embedding (B, 66, C): 64 cells, their mean inside the box, a hint of the
            box's shape. Identity (B, D): the unit verification vector.
        """
        return self.embed(self.features(image), box)

    def embed(self, features: Tensor, box: Tensor) -> tuple[Tensor, Tensor]:
        """What ``exemplar`` gives, from the features (B, F, 8, 8) of its crops."""
        mask = box_coverage(box, self.cells, self.stride)
        cells = self.neck(features).flatten(2).transpose(1, 2)  # (B, 64, C)
        weight = mask.flatten(1)[:, :, None]
        gated = self.inside(cells) * weight + self.outside(cells) * (1 - weight)
        pooled = (cells * weight).sum(1, keepdim=True) / weight.sum(1, keepdim=True).clamp_min(1e-3)
        size = (box[:, 2:] - box[:, :2]).clamp_min(1.0) / self.exemplar_size
        hint = self.shape_hint(torch.log(size))[:, None]
        embedding = torch.cat([gated, pooled, hint], 1)
        return embedding, pooled_identity(self.identity(features), mask)

    def search(self, embedding: Tensor, image: Tensor) -> Response:
        """Look for the target.

        Args:
            embedding: (1 or B, 66, C) of ``exemplar``.
            image: uint8 BGR (B, H, W, 3); in training 224 x 224, online also smaller by strides.
        """
        return self.respond(embedding, self.features(image))

    def respond(self, embedding: Tensor, features: Tensor) -> Response:
        """What ``search`` gives, from the features (B, F, H / 16, W / 16) of its crops."""
        embedded = self.neck(features)
        rows = embedding[:, :-1]
        pooled = rows[:, -1][:, :, None, None]
        hint = embedding[:, -1][:, :, None, None]
        response = pixelwise_correlation(rows, embedded)
        fused = self.fuse(torch.cat([embedded, embedded * pooled, response], 1))
        fused = F.relu(self.fuse_norm(fused) + hint, inplace=True)
        score, sides = self.head(fused)
        return Response(score, sides, self.identity(features))


class CellGate(nn.Module):
    """A learned gain and offset a channel, for cells inside or outside of the box."""

    def __init__(self, channels: int, gain: float) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.full((channels,), gain))
        self.offset = nn.Parameter(torch.zeros(channels))

    def forward(self, cells: Tensor) -> Tensor:
        """(B, N, C) -> (B, N, C)."""
        return cells * self.gain + self.offset


def pooled_identity(features: Tensor, mask: Tensor) -> Tensor:
    """Mean of (B, D, H, W) weighted by a mask (B, H, W), as unit vectors (B, D)."""
    summed = torch.einsum("bdhw,bhw->bd", features.float(), mask.float())
    # in autocast the sum is of half precision, in which the norm's smallest divisor is 0
    return F.normalize(summed.float(), dim=1)
