"""Batch norm in the two forms that training here needs: frozen, and shared by processes."""

from __future__ import annotations

import torch
import torch.distributed as dist
import torch.distributed.nn.functional as dist_nn
import torch.nn.functional as F
from torch import Tensor, nn

from tracker.network.depthwise import depthwise_conv2d


class FrozenNormConv2d(nn.Module):
    """A convolution followed by batch norm with fixed statistics, as one convolution.

    The scale of the norm is multiplied into the kernel at every forward pass, so neither
    the forward nor the backward pass touches the feature map twice: with batches of
    32 pairs that is a third of the time of a pretrained trunk on a CPU. The affine part
    (``gamma``, ``beta``) still learns; running mean and variance never change.

    Args:
        in_channels, out_channels, kernel_size, stride: as in ``nn.Conv2d``.
        groups: 1, or one a channel (depthwise).
        padding: (left, right, top, bottom) in cells; ``None`` pads ``kernel_size // 2``.
    """

    running_mean: Tensor
    running_var: Tensor
    eps = 1e-3  # of the batch norm

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int = 1,
        stride: int = 1,
        groups: int = 1,
        padding: tuple[int, int, int, int] | None = None,
    ) -> None:
        super().__init__()
        self.stride, self.groups = stride, groups
        self.padding, self.margin = padding, kernel_size // 2
        self.weight = nn.Parameter(
            torch.empty(out_channels, in_channels // groups, kernel_size, kernel_size)
        )
        nn.init.kaiming_normal_(self.weight, mode="fan_out", nonlinearity="relu")
        self.gamma = nn.Parameter(torch.ones(out_channels))
        self.beta = nn.Parameter(torch.zeros(out_channels))
        self.register_buffer("running_mean", torch.zeros(out_channels))
        self.register_buffer("running_var", torch.ones(out_channels))

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C', H', W')."""
        scale = self.gamma * torch.rsqrt(self.running_var + self.eps)
        bias = self.beta - self.running_mean * scale
        weight = self.weight * scale[:, None, None, None]
        margin = self.margin
        if self.padding is not None:
            x, margin = F.pad(x, self.padding), 0
        if self.groups > 1:
            return depthwise_conv2d(x, weight, bias, self.stride, margin)
        return F.conv2d(x, weight, bias, self.stride, margin)


class SharedBatchNorm2d(nn.BatchNorm2d):
    """Batch norm whose batch is the whole of all processes' (torch's own is for CUDA only).

    With one process, and in evaluation, it is ``nn.BatchNorm2d``. Ioffe & Szegedy 2015,
    "Batch Normalization", algorithm 1, over the union of the processes' batches, which
    must be of one size.
    """

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W)."""
        if not (self.training and dist.is_initialized() and dist.get_world_size() > 1):
            return super().forward(x)
        world = dist.get_world_size()
        mean = dist_nn.all_reduce(x.float().mean((0, 2, 3))) / world
        # not the mean of squares less the square of the mean: rounding may make that negative
        var = dist_nn.all_reduce((x.float() - mean[:, None, None]).square().mean((0, 2, 3))) / world
        count = x.numel() // x.shape[1] * world
        self._update_running(mean.detach(), var.detach() * count / max(count - 1, 1))
        scale = self.weight * torch.rsqrt(var + self.eps)
        shift = self.bias - mean * scale
        # in float32: a mean far from 0 leaves bfloat16 no digits for what remains
        return (x.float() * scale[:, None, None] + shift[:, None, None]).to(x.dtype)

    @torch.no_grad()
    def _update_running(self, mean: Tensor, var: Tensor) -> None:
        assert self.running_mean is not None and self.running_var is not None
        momentum = self.momentum if self.momentum is not None else 0.1
        self.running_mean.lerp_(mean, momentum)
        self.running_var.lerp_(var, momentum)
        if self.num_batches_tracked is not None:
            self.num_batches_tracked.add_(1)
