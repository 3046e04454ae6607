"""The two trunks: SiamFC's AlexNet, and EfficientNet-Lite0 to stride 16."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from tracker.network.norm import FrozenNormConv2d, SharedBatchNorm2d


class AlexTrunk(nn.Sequential):
    """Five convolutions without padding, total stride 8, 256 channels.

    Bertinetto et al. 2016, table 1: 127 x 127 -> 6 x 6 and 255 x 255 -> 22 x 22.
    Batch norm after every convolution but the last; groups of two as in AlexNet.
    """

    out_channels = 256
    stride = 8

    def __init__(self) -> None:
        def conv(i: int, o: int, k: int, stride: int = 1, groups: int = 1) -> list[nn.Module]:
            return [
                nn.Conv2d(i, o, k, stride, groups=groups),
                SharedBatchNorm2d(o, eps=1e-6, momentum=0.05),
                nn.ReLU(inplace=True),
            ]

        super().__init__(
            *conv(3, 96, 11, 2),
            nn.MaxPool2d(3, 2),
            *conv(96, 256, 5, groups=2),
            nn.MaxPool2d(3, 2),
            *conv(256, 384, 3),
            *conv(384, 384, 3, groups=2),
            nn.Conv2d(384, 256, 3, groups=2),
        )
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
                assert module.bias is not None
                nn.init.constant_(module.bias, 0.1)


class InvertedResidual(nn.Module):
    """Expand 1x1, depthwise k x k, project 1x1; ReLU6; a skip where shapes allow.

    Sandler et al. 2018, "MobileNetV2", section 3.3, as EfficientNet-Lite uses it.
    """

    def __init__(
        self,
        inp: int,
        out: int,
        middle: int,
        kernel: int,
        stride: int,
        expand: bool = True,
        padding: tuple[int, int, int, int] | None = None,
    ) -> None:
        super().__init__()
        self.expand = FrozenNormConv2d(inp, middle) if expand else None
        self.depthwise = FrozenNormConv2d(
            middle, middle, kernel, stride, groups=middle, padding=padding
        )
        self.project = FrozenNormConv2d(middle, out)
        self.skip = expand and stride == 1 and inp == out

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C', H / stride, W / stride)."""
        y = self.project(self.widened(x))
        return x + y if self.skip else y

    def widened(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, middle, H / stride, W / stride): what the projection sums up."""
        y = x
        if self.expand is not None:
            y = nn.functional.hardtanh(self.expand(y), 0.0, 6.0, inplace=True)
        return nn.functional.hardtanh(self.depthwise(y), 0.0, 6.0, inplace=True)


FULL_WIDTHS = (32, 96, 144, 144, 240, 240, 480, 480, 480, 672, 672)
"""Channels between expansion and projection of EfficientNet-Lite0's blocks to stride 16."""


class EfficientNetLiteTrunk(nn.Module):
    """EfficientNet-Lite0 up to stride 16: 112 channels there, and 40 at stride 8.

    Tan & Le 2019, "EfficientNet", in the Lite form (no squeeze-excitation, ReLU6).
    All convolutions pad symmetrically but the last with stride two, which pads at the
    right and bottom: cell (i, j) then looks at pixel (16 i + 8, 16 j + 8), its own middle.

    Args:
        widths: channels inside each of the 11 blocks; the first block has those of the stem.

    Raises:
        ValueError: not 11 positive widths.
    """

    out_channels = 112
    fine_channels = 40
    stride = 16
    # (repeats, kernel, stride, output channels) of a stage
    stage_table = ((1, 3, 1, 16), (2, 3, 2, 24), (2, 5, 2, 40), (3, 3, 2, 80), (3, 5, 1, 112))

    def __init__(self, widths: Sequence[int] = FULL_WIDTHS) -> None:
        super().__init__()
        if len(widths) != len(FULL_WIDTHS) or min(widths) < 1:
            raise ValueError(f"the trunk takes {len(FULL_WIDTHS)} widths, found {list(widths)}")
        self.stem = FrozenNormConv2d(3, widths[0], 3, 2)
        stages, inp, left = [], widths[0], iter(widths)
        for index, (repeats, kernel, stride, out) in enumerate(self.stage_table):
            pad = (0, 1, 0, 1) if index == 3 else None
            blocks = [InvertedResidual(inp, out, next(left), kernel, stride, index > 0, pad)]
            blocks += [
                InvertedResidual(out, out, next(left), kernel, 1) for _ in range(repeats - 1)
            ]
            stages.append(nn.Sequential(*blocks))
            inp = out
        self.stages = nn.ModuleList(stages)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(B, 3, H, W) normalised RGB -> (B, 40, H / 8, W / 8) and (B, 112, H / 16, W / 16).

        H and W are multiples of 16.
        """
        outputs = self.stage_outputs(x)
        return outputs[2], outputs[4]

    def stage_outputs(self, x: Tensor) -> list[Tensor]:
        """What each of the five stages gives; arguments as of ``forward``."""
        outputs = [nn.functional.hardtanh(self.stem(x), 0.0, 6.0, inplace=True)]
        for stage in self.stages:
            outputs.append(stage(outputs[-1]))
        return outputs[1:]

    def blocks(self) -> list[InvertedResidual]:
        """All blocks, in order."""
        return [module for module in self.modules() if isinstance(module, InvertedResidual)]

    def freeze_stages(self, count: int) -> None:
        """Stop learning in the stem and the first ``count - 1`` stages (0: learn all)."""
        groups = [self.stem, *self.stages]
        if not 0 <= count <= len(groups):
            raise ValueError(
                f"0 to {len(groups)} parts of this trunk can be frozen, its stem and "
                f"{len(self.stages)} stages; found {count}"
            )
        for index, group in enumerate(groups):
            group.requires_grad_(index >= count)

    @torch.no_grad()
    def load_imagenet(self, state: Mapping[str, Tensor]) -> None:
        """Take ImageNet weights in the naming of ``efficientnet_lite_pytorch``.

        Raises:
            KeyError: a layer is missing in ``state``.
        """
        _copy_norm_conv(self.stem, state, "_conv_stem", "_bn0")
        for number, block in enumerate(self.blocks()):
            prefix = f"_blocks.{number}."
            if block.expand is not None:
                _copy_norm_conv(block.expand, state, prefix + "_expand_conv", prefix + "_bn0")
            _copy_norm_conv(block.depthwise, state, prefix + "_depthwise_conv", prefix + "_bn1")
            _copy_norm_conv(block.project, state, prefix + "_project_conv", prefix + "_bn2")


def _copy_norm_conv(
    module: FrozenNormConv2d, state: Mapping[str, Tensor], conv: str, norm: str
) -> None:
    module.weight.copy_(state[f"{conv}.weight"])
    module.gamma.copy_(state[f"{norm}.weight"])
    module.beta.copy_(state[f"{norm}.bias"])
    module.running_mean.copy_(state[f"{norm}.running_mean"])
    module.running_var.copy_(state[f"{norm}.running_var"])
