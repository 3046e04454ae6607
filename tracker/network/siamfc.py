"""SiamFC: the fully convolutional Siamese network that started the family.

Bertinetto, Valmadre, Henriques, Vedaldi, Torr 2016, "Fully-Convolutional Siamese
Networks for Object Tracking".
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from tracker.network.backbone import AlexTrunk
from tracker.network.correlation import SIMILARITIES
from tracker.network.preprocess import Preprocess

# What fresh responses are multiplied with, so that logits spread by about one half within a crop:
# sums of 6 x 6 x 256 products saturate the loss in the first step, and cosines (-1..1) would
# never leave the middle of the sigmoid.
FIRST_SCALE = {"dot": 1e-3, "cosine": 10.0, "euclidean": 0.05, "manhattan": 7e-4}


class SiamFC(nn.Module):
    """Twin AlexNet trunks, one dense cross-correlation, a learned scale and bias.

    Args:
        similarity: a name in ``SIMILARITIES``; the paper's is ``dot``.
    """

    name = "siamfc"
    exemplar_size = 127
    search_size = 255
    stride = 8

    def __init__(self, similarity: str = "dot") -> None:
        super().__init__()
        if similarity not in SIMILARITIES:
            raise ValueError(f"similarity is one of {sorted(SIMILARITIES)}, found {similarity!r}")
        self.similarity = similarity
        self.preprocess = Preprocess()
        self.trunk = AlexTrunk()
        # Its logarithm is learned: a step of the optimiser on the scale itself may be as large as
        # the scale, and may turn its sign.
        self.log_scale = nn.Parameter(torch.tensor(math.log(FIRST_SCALE[similarity])))
        self.bias = nn.Parameter(torch.zeros(()))

    def exemplar(self, image: Tensor) -> Tensor:
        """uint8 BGR (B, 127, 127, 3) -> embedding (B, 256, 6, 6)."""
        embedding: Tensor = self.trunk(self.preprocess(image))
        return embedding

    def search(self, embedding: Tensor, image: Tensor) -> Tensor:
        """Embedding (1 or B, 256, 6, 6) and uint8 BGR (B, 255, 255, 3) -> logits (B, 17, 17)."""
        response = SIMILARITIES[self.similarity](embedding, self.trunk(self.preprocess(image)))
        return (response * self.log_scale.exp() + self.bias)[:, 0]
