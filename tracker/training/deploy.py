"""The graphs as they run: what the training needs apart is multiplied together once.

Between the trunk and the towers Kestrel is linear in the search features: neck, pixel-wise
correlation, pooled vector and the convolution that fuses them are products with things that
the exemplar alone decides. So the exemplar graph multiplies them into one matrix, and the
search graph is left with a single 1x1 convolution whose kernel is the target: 7.9 of the 10.7
million multiplications of that part are gone, and so are many small operators, which cost
more time than their arithmetic.
"""

from __future__ import annotations

import copy
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tracker.network.kestrel import Kestrel
from tracker.network.preprocess import PIXEL_MEAN, PIXEL_STD
from tracker.network.siamfc import SiamFC
from tracker.training.branches import ExemplarGraph, SearchGraph

# ONNX Runtime's CPU adds up so many products at once however many threads share a matrix
# product; of longer sums the number of threads decides where they are cut, and so the rounding.
MOST_TERMS = 128


class RawPixels(nn.Module):
    """uint8 (B, H, W, 3) -> float (B, 3, H, W) around 0: what is left of the preprocessing."""

    def forward(self, image: Tensor) -> Tensor:
        return image.permute(0, 3, 1, 2).to(torch.float32) - PIXEL_MEAN


class KestrelExemplar(nn.Module):
    """Exemplar crops and boxes -> the target's kernel and bias (B, C, D + 1), identity.

    With trunk features f (D), neck e = N f + n and the fused response
    W [e; e * p; R e / sqrt(C)] + w + hint (rows R and pooled vector p of the exemplar), the
    kernel is (W1 + W2 diag(p) + W3 R / sqrt(C)) N and the bias follows from n. Both are affine in
    the exemplar, so kernels may be averaged as embeddings may.
    """

    neck: Tensor
    neck_bias: Tensor
    fuse_plain: Tensor
    fuse_pooled: Tensor
    fuse_cells: Tensor
    fuse_bias: Tensor

    def __init__(self, network: Kestrel) -> None:
        super().__init__()
        self.network = network
        conv, norm = network.neck[0], network.neck[1]
        assert isinstance(conv, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d)
        neck, neck_bias = _folded(conv, norm)
        fuse, fuse_bias = _folded(network.fuse, network.fuse_norm)
        self.channels = neck.shape[0]
        for name, value in (
            ("neck", neck),
            ("neck_bias", neck_bias[:, None]),
            ("fuse_plain", fuse[:, : self.channels]),
            ("fuse_pooled", fuse[:, self.channels : 2 * self.channels]),
            ("fuse_cells", fuse[:, 2 * self.channels :] * self.channels**-0.5),
            ("fuse_bias", fuse_bias[:, None]),
        ):
            self.register_buffer(name, value.detach().clone())

    def forward(self, image: Tensor, box: Tensor) -> tuple[Tensor, Tensor]:
        embedding, identity = self.network.exemplar(image, box)
        rows, hint = embedding[:, :-1], embedding[:, -1:]
        pooled = rows[:, -1:]
        kernel = self.fuse_plain + self.fuse_pooled * pooled + torch.matmul(self.fuse_cells, rows)
        bias = torch.matmul(kernel, self.neck_bias) + self.fuse_bias + hint.transpose(1, 2)
        return torch.cat([torch.matmul(kernel, self.neck), bias], 2), identity


class KestrelSearch(nn.Module):
    """A target's kernel (1 or B, C, D + 1) and search crops -> scores, corners, identity.

    Scores are probabilities (B, H, W), corners x1 y1 x2 y2 are crop pixels (B, 4, H, W). Crops
    are as large as the network's search size, or smaller by whole strides.
    """

    centres: Tensor
    signs: Tensor

    def __init__(self, network: Kestrel) -> None:
        super().__init__()
        self.network, cells = network, network.search_size // network.stride
        channels = network.feature_channels
        # said outright: the exporter does not know how wide the features are
        self.terms = [min(MOST_TERMS, channels - first) for first in range(0, channels, MOST_TERMS)]
        middles = (torch.arange(cells, dtype=torch.float32) + 0.5) * network.stride
        xs = middles[None, :].expand(cells, -1)
        ys = middles[:, None].expand(-1, cells)
        self.register_buffer("centres", torch.stack([xs, ys, xs, ys])[None].contiguous())
        self.register_buffer("signs", torch.tensor([-1.0, -1.0, 1.0, 1.0])[None, :, None, None])

    def forward(self, embedding: Tensor, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        net = self.network
        features = net.features(image)
        rows, columns = features.shape[2:]
        *kernels, bias = embedding.split([*self.terms, 1], 2)
        parts = features.flatten(2).split(self.terms, 1)
        products = [torch.matmul(k, f) for k, f in zip(kernels, parts, strict=True)]
        fused = F.relu(sum(products[1:], products[0]) + bias)
        score, sides = net.head(fused.reshape(-1, net.fuse.out_channels, rows, columns))
        corners = self.centres[:, :, :rows, :columns] + self.signs * sides
        return torch.sigmoid(score), corners, net.identity(features)


def deployed_graphs(network: SiamFC | Kestrel) -> dict[str, nn.Module]:
    """The modules to export, by role; the network itself stays as it is.

    The first kernel does the colour order and the scale of the preprocessing. The mean stays
    outside: the padding of the first convolution is worth the mean, not 0.
    """
    deployed = copy.deepcopy(network).eval()
    first: Any = deployed.trunk.stem if isinstance(deployed, Kestrel) else deployed.trunk[0]
    with torch.no_grad():
        first.weight.copy_(first.weight.flip(1) / PIXEL_STD)
    deployed.preprocess = RawPixels()  # type: ignore[assignment]
    graphs: dict[str, nn.Module]
    if isinstance(deployed, Kestrel):
        graphs = {"exemplar": KestrelExemplar(deployed), "search": KestrelSearch(deployed)}
    else:
        graphs = {"exemplar": ExemplarGraph(deployed), "search": SearchGraph(deployed)}
    # torch's exporter puts a module back into the mode that it found, and batch norm learns
    return {role: graph.eval() for role, graph in graphs.items()}


def _folded(conv: nn.Conv2d, norm: nn.BatchNorm2d) -> tuple[Tensor, Tensor]:
    """A 1x1 convolution without bias and the batch norm behind it, as matrix and bias."""
    assert norm.running_mean is not None and norm.running_var is not None
    scale = norm.weight * torch.rsqrt(norm.running_var + norm.eps)
    return conv.weight[:, :, 0, 0] * scale[:, None], norm.bias - norm.running_mean * scale
