"""A depthwise convolution whose gradient is fast in bfloat16 on a CPU.

oneDNN's bfloat16 kernels for two gradients are 5 to 30 times slower than its float32
ones (two cores, channels-last, batch 32: data gradient of a strided 3x3 on 96 x 128 x 128
229 ms against 16, weight gradient of a 5x5 on 672 x 16 x 16 92 ms against 22). They were
80 % of a training step; here those two go through float32.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

_conv_backward = torch.ops.aten.convolution_backward


class _DepthwiseConv(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, stride: int, pad: int) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.stride, ctx.pad = stride, pad
        return F.conv2d(x, weight, bias, stride, pad, 1, weight.shape[0])

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        (grad,) = grads
        x, weight = ctx.saved_tensors
        need_x, need_weight, need_bias = ctx.needs_input_grad[:3]
        grad_x = grad_w = grad_b = None
        if need_x:
            dtype = torch.float32 if ctx.stride > 1 else x.dtype
            # only the shape of x matters here: it is not worth a conversion
            shape = x if dtype is x.dtype else torch.empty_like(x, dtype=dtype)
            grad_x = _gradient(ctx, grad.to(dtype), shape, weight.to(dtype), 0).to(x.dtype)
        if need_weight:
            dtype = torch.float32 if weight.shape[-1] > 3 else x.dtype
            wide = (grad.to(dtype), x.to(dtype), weight.to(dtype))
            grad_w = _gradient(ctx, *wide, 1).to(weight.dtype)
        if need_bias:
            grad_b = grad.sum((0, 2, 3), dtype=torch.float32).to(weight.dtype)
        return grad_x, grad_w, grad_b, None, None


def _gradient(ctx: Any, grad: Tensor, x: Tensor, weight: Tensor, which: int) -> Tensor:
    """The gradient of the data (0) or of the weight (1)."""
    geometry = ([ctx.stride] * 2, [ctx.pad] * 2, [1, 1], False, [0, 0], weight.shape[0])
    wanted = [which == 0, which == 1, False]
    result: Tensor = _conv_backward(grad, x, weight, [0], *geometry, wanted)[which]
    return result


def depthwise_conv2d(x: Tensor, weight: Tensor, bias: Tensor, stride: int, padding: int) -> Tensor:
    """``F.conv2d`` with one group a channel.

    Args:
        x: (B, C, H, W); weight: (C, 1, k, k); bias: (C,).
    """
    on_cpu = x.device.type == "cpu" and torch.is_grad_enabled()
    if on_cpu and torch.is_autocast_enabled("cpu"):
        dtype = torch.get_autocast_dtype("cpu")
        with torch.autocast("cpu", enabled=False):
            args = (x.to(dtype), weight.to(dtype), bias.to(dtype), stride, padding)
            result: Tensor = _DepthwiseConv.apply(*args)
            return result
    return F.conv2d(x, weight, bias, stride, padding, 1, weight.shape[0])


class DepthwiseConv2d(nn.Conv2d):
    """``nn.Conv2d`` with one group a channel, without bias, through ``depthwise_conv2d``."""

    no_bias: Tensor

    def __init__(self, channels: int, kernel: int) -> None:
        super().__init__(
            channels, channels, kernel, padding=kernel // 2, groups=channels, bias=False
        )
        self.register_buffer("no_bias", torch.zeros(channels), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W)."""
        return depthwise_conv2d(x, self.weight, self.no_bias, 1, self.kernel_size[0] // 2)
