"""From the pixels of a crop to the numbers that a trunk sees."""

from __future__ import annotations

import torch
from torch import Tensor, nn

# ImageNet statistics of RGB in 0..255, which the pretrained trunk was trained with.
# efficientnet-lite0 (TensorFlow) subtracts 127 and divides by 128 for every channel.
PIXEL_MEAN = 127.0
PIXEL_STD = 128.0


class Preprocess(nn.Module):
    """uint8 BGR images (B, H, W, 3) -> float RGB (B, 3, H, W), about -1..1.

    It lives inside the exported graphs, so that a runtime hands over raw pixels.
    """

    def forward(self, image: Tensor) -> Tensor:
        rgb = image.permute(0, 3, 1, 2).flip(1)
        return (rgb.to(torch.float32) - PIXEL_MEAN) * (1.0 / PIXEL_STD)
