"""A narrower trunk: which channels to drop, and how the others make up for them.

Inside a block of the trunk many channels say nearly the same. Those that the others can stand in
for are dropped one by one, and the projection behind them is solved anew, so that the block
still gives what the whole network gives there (He et al. 2017, "Channel Pruning for
Accelerating Very Deep Neural Networks", section 3; here without its penalty, since blocks are
small enough for the exact greedy choice).
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from tracker.network.backbone import EfficientNetLiteTrunk, InvertedResidual
from tracker.network.kestrel import Kestrel
from tracker.network.norm import FrozenNormConv2d
from tracker.training.imitation import relative_error

CELLS = 200
"""Places a picture that a block is solved on; more of them change nothing."""
RIDGE = 1e-4
BATCH = 8


@dataclass(frozen=True)
class Elimination:
    """Channels that stay, and how to sum them up.

    Attributes:
        kept: their numbers, ascending.
        weight: (out, kept), bias: (out,): of the least-squares sum.
        error: squared error of the sum relative to the variance of the target.
    """

    kept: Tensor
    weight: Tensor
    bias: Tensor
    error: float


def eliminate(middle: Tensor, target: Tensor, keep: int) -> Elimination:
    """Drop channels of ``middle`` while a sum of the others gives ``target`` as well as it can.

    In every step the channel goes whose loss adds least to the squared error, all other weights
    following: w^2 / [H^-1]_cc, as in Hassibi & Stork 1993, "Optimal Brain Surgeon", equation 5,
    here summed over the outputs.

    Args:
        middle: (samples, channels); target: (samples, out).
        keep: channels that stay.

    Raises:
        ValueError: more than there are, or none.
    """
    channels = middle.shape[1]
    if not 1 <= keep <= channels:
        raise ValueError(f"1 to {channels} channels can stay, found {keep}")
    x, y = middle.double(), target.double()
    x_mean, y_mean = x.mean(0), y.mean(0)
    x, y = x - x_mean, y - y_mean
    gram = x.T @ x
    gram += RIDGE * gram.diagonal().mean().clamp_min(1e-12) * torch.eye(channels).double()
    cross = x.T @ y
    kept = torch.arange(channels)
    inverse = torch.linalg.inv(gram)
    weight = inverse @ cross
    while len(kept) > keep:
        worst = int((weight.square().sum(1) / inverse.diagonal()).argmin())
        column = inverse[:, worst] / inverse[worst, worst]
        weight = weight - column[:, None] * weight[worst]
        inverse = inverse - column[:, None] * inverse[worst]
        stay = torch.arange(len(kept)) != worst
        kept, weight, inverse = kept[stay], weight[stay], inverse[stay][:, stay]
    weight = torch.linalg.solve(gram[kept][:, kept], cross[kept])  # without what rounding added up
    error = (y - x[:, kept] @ weight).square().sum() / y.square().sum().clamp_min(1e-12)
    bias = y_mean - x_mean[kept] @ weight
    return Elimination(kept, weight.T.float(), bias.float(), float(error))


@torch.no_grad()
def prune(network: Kestrel, widths: Sequence[int], pictures: Tensor) -> tuple[Kestrel, list[float]]:
    """The network with a narrower trunk, solved block by block; everything else as it was.

    Each block is solved on what the narrow trunk before it gives, for what the whole trunk gives
    after it: it makes up for the errors of the blocks before.

    Args:
        network: stays as it is.
        widths: of the blocks, none above the network's own.
        pictures: uint8 BGR (N, S, S, 3) search crops, S a multiple of 16.

    Returns:
        The narrow network, and after each block the squared error of its features relative to
        their variance.

    Raises:
        ValueError: a block would be wider than it is.
    """
    narrow = copy.deepcopy(network).eval()
    narrow.trunk = EfficientNetLiteTrunk(widths).eval()
    pairs = list(zip(network.trunk.blocks(), narrow.trunk.blocks(), strict=True))
    pixels = [network.preprocess(part) for part in pictures.split(BATCH)]
    whole_inputs = [_stem(network.trunk, x) for x in pixels]
    inputs, errors = whole_inputs, []
    for number, ((whole, block), width) in enumerate(zip(pairs, widths, strict=True)):
        targets = [whole(x) for x in whole_inputs]
        kept = _solve(whole, block, inputs, targets, width)
        if number == 0:
            _take(narrow.trunk.stem, network.trunk.stem, kept)
            inputs = [_stem(narrow.trunk, x) for x in pixels]
        inputs, whole_inputs = [block(x) for x in inputs], targets
        errors.append(float(relative_error(torch.cat(inputs), torch.cat(targets))))
    return narrow, errors


def _stem(trunk: EfficientNetLiteTrunk, pixels: Tensor) -> Tensor:
    return F.hardtanh(trunk.stem(pixels), 0.0, 6.0)


def _solve(
    whole: InvertedResidual,
    block: InvertedResidual,
    inputs: Sequence[Tensor],
    targets: Sequence[Tensor],
    width: int,
) -> Tensor:
    """Fill a narrow block from the whole one; the channels that stay."""
    channels = whole.depthwise.weight.shape[0]
    if width == channels:
        block.load_state_dict(whole.state_dict())
        return torch.arange(channels)
    rng = torch.Generator().manual_seed(0)
    middles, rests = [], []
    for x, y in zip(inputs, targets, strict=True):
        middle, rest = whole.widened(x), y - x if whole.skip else y
        places = torch.randperm(rest[0, 0].numel(), generator=rng)[:CELLS]
        middles.append(_samples(middle, places))
        rests.append(_samples(rest, places))
    found = eliminate(torch.cat(middles), torch.cat(rests), width)
    if whole.expand is not None and block.expand is not None:
        _take(block.expand, whole.expand, found.kept)
    _take(block.depthwise, whole.depthwise, found.kept)
    project = block.project
    project.weight.copy_(found.weight[:, :, None, None])
    project.beta.copy_(found.bias)
    project.gamma.fill_((1 + project.eps) ** 0.5)  # the solution holds the scale of the norm
    return found.kept


def _samples(features: Tensor, places: Tensor) -> Tensor:
    """(B, C, H, W) -> (B * places, C)."""
    return features.flatten(2)[:, :, places].transpose(1, 2).reshape(-1, features.shape[1])


def _take(narrow: FrozenNormConv2d, whole: FrozenNormConv2d, kept: Tensor) -> None:
    """The kernels and norms of some output channels."""
    narrow.load_state_dict({name: value[kept] for name, value in whole.state_dict().items()})
