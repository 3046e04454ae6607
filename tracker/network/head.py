"""What turns a fused response into scores and boxes: two light convolution towers."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from tracker.network.depthwise import DepthwiseConv2d
from tracker.network.norm import SharedBatchNorm2d


class SeparableBlock(nn.Sequential):
    """Depthwise k x k, then 1x1, each with batch norm; ReLU after the second."""

    def __init__(self, channels: int, kernel: int) -> None:
        super().__init__(
            DepthwiseConv2d(channels, kernel),
            SharedBatchNorm2d(channels),
            nn.Conv2d(channels, channels, 1, bias=False),
            SharedBatchNorm2d(channels),
            nn.ReLU(inplace=True),
        )


class BoxHead(nn.Module):
    """Target score and distances to the four sides, at every cell.

    Tian et al. 2019, "FCOS", section 3.1, for the distances; exponential, in units of
    the stride, so that a new layer starts at two cells.

    Args:
        channels: of the fused response and of the towers.
        depth: blocks a tower, with kernels of 5 and of 3 in turns.
        stride: pixels of the search crop a cell.
    """

    def __init__(self, channels: int, depth: int, stride: int) -> None:
        super().__init__()

        def tower() -> nn.Sequential:
            blocks = [SeparableBlock(channels, (5, 3)[i % 2]) for i in range(depth)]
            return nn.Sequential(*blocks)

        self.stride = stride
        self.score_tower, self.box_tower = tower(), tower()
        self.score = nn.Conv2d(channels, 1, 1)
        self.sides = nn.Conv2d(channels, 4, 1)
        nn.init.normal_(self.score.weight, std=0.01)
        assert self.score.bias is not None and self.sides.bias is not None
        nn.init.constant_(self.score.bias, -4.0)  # few cells are the target
        nn.init.normal_(self.sides.weight, std=0.01)
        nn.init.constant_(self.sides.bias, 0.7)  # half of a 64 px target is exp(.7) cells

    def forward(self, fused: Tensor) -> tuple[Tensor, Tensor]:
        """(B, C, H, W) -> score logits (B, H, W), distances l t r b (B, 4, H, W) in pixels."""
        score = self.score(self.score_tower(fused))[:, 0]
        sides = self.sides(self.box_tower(fused)).clamp(-6.0, 3.0)
        return score, torch.exp(sides) * self.stride


def cell_centres(count: int, stride: int, device: torch.device | None = None) -> Tensor:
    """Pixel coordinates (count,) of the middles of a row of cells: stride (i + 1/2)."""
    return (torch.arange(count, dtype=torch.float32, device=device) + 0.5) * stride


def sides_to_corners(sides: Tensor, stride: int) -> Tensor:
    """Distances l t r b (B, 4, H, W) -> corners x1 y1 x2 y2 (B, 4, H, W), crop pixels."""
    ys = cell_centres(sides.shape[2], stride, sides.device)[:, None]
    xs = cell_centres(sides.shape[3], stride, sides.device)[None, :]
    left, top, right, bottom = sides.unbind(1)
    return torch.stack([xs - left, ys - top, xs + right, ys + bottom], 1)


def box_coverage(box: Tensor, cells: int, stride: int) -> Tensor:
    """Share of each cell that a box covers.

    Args:
        box: (B, 4) x1 y1 x2 y2 in crop pixels.
        cells: cells a row and a column.

    Returns:
        (B, cells, cells), 0..1.
    """
    edges = torch.arange(cells, dtype=box.dtype, device=box.device) * stride
    x1, y1, x2, y2 = (v[:, None] for v in box.unbind(1))
    cover_x = (torch.minimum(x2, edges + stride) - torch.maximum(x1, edges)).clamp(0, stride)
    cover_y = (torch.minimum(y2, edges + stride) - torch.maximum(y1, edges)).clamp(0, stride)
    return cover_y[:, :, None] * cover_x[:, None, :] / stride**2
