"""Pictures as a camera makes them in bad conditions: dark, noisy, foggy, out of focus.

For a pupil that is to answer as its teacher does who saw the good ones (``imitation.py``). The two
crops of a pair are of one camera and mostly of one light, which may be switched between them.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

SWITCHED = 0.25  # of the pairs: light changes between exemplar and search region


def spoiled(exemplar: Tensor, search: Tensor, share: float) -> tuple[Tensor, Tensor]:
    """Both crops of a batch, a share of the pairs in bad conditions.

    Randomness is that of torch on the CPU, which a checkpoint keeps.

    Args:
        exemplar, search: (B, S, S, 3) uint8, each with its own S.

    Returns:
        Two uint8 tensors of the same shapes.
    """
    count = len(exemplar)
    chosen = torch.rand(count) < share
    conditions = _draw(count, exemplar.device)
    others = _draw(count, exemplar.device)
    switched = (torch.rand(count) < SWITCHED).to(exemplar.device)
    chosen = chosen.to(exemplar.device)
    light = {
        name: torch.where(switched, others[name], value) if name in ("gain", "fog") else value
        for name, value in conditions.items()
    }
    return _apply(exemplar, conditions, chosen), _apply(search, light, chosen)


def _draw(count: int, device: torch.device) -> dict[str, Tensor]:
    """Conditions of each pair: gain and fog (a share of grey) of the light, blur and noise."""

    def some(odds: float, values: Tensor, usual: float) -> Tensor:
        return torch.where(torch.rand(count) < odds, values, torch.full((count,), usual))

    dark = torch.exp(torch.empty(count).uniform_(math.log(0.1), math.log(0.8)))
    bright = torch.empty(count).uniform_(1.2, 2.2)
    drawn = {
        "gain": some(0.6, torch.where(torch.rand(count) < 0.8, dark, bright), 1.0),
        "fog": some(0.25, torch.empty(count).uniform_(0.2, 0.7), 0.0),
        "grey": torch.empty(count).uniform_(40, 200),
        "blur": some(0.2, torch.empty(count).uniform_(0.4, 1.0), 0.0),
        "noise": some(0.5, torch.empty(count).uniform_(2, 24), 0.0),
    }
    return {name: value.to(device) for name, value in drawn.items()}


def _apply(image: Tensor, conditions: dict[str, Tensor], chosen: Tensor) -> Tensor:
    def each(name: str) -> Tensor:
        return conditions[name].reshape(-1, 1, 1, 1)

    pixels = image.permute(0, 3, 1, 2).float()
    pixels = torch.lerp(pixels, _smooth(pixels), each("blur"))
    pixels = torch.lerp(pixels, each("grey"), each("fog")) * each("gain")
    grain = each("noise") * each("gain").clamp(max=1).sqrt()  # less light, less noise of its own
    pixels = pixels + grain * _noise(pixels)
    changed = pixels.round().clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 1)
    return torch.where(chosen.reshape(-1, 1, 1, 1), changed, image)


def _noise(pixels: Tensor) -> Tensor:
    """Normal noise of that shape, drawn where the pixels are.

    No checkpoint keeps a GPU's own generator, and the CPU would take longer than the step.
    """
    generator = torch.Generator(pixels.device)
    generator.manual_seed(int(torch.randint(2**62, ())))
    return torch.randn(pixels.shape, generator=generator, device=pixels.device)


def _smooth(pixels: Tensor) -> Tensor:
    """The same at a quarter of the resolution."""
    small = functional.avg_pool2d(pixels, 4)
    return functional.interpolate(small, pixels.shape[-2:], mode="bilinear", align_corners=False)
