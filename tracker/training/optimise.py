"""Optimiser, learning-rate schedules and the moving average of the weights."""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass

import torch
from torch import nn


@dataclass(frozen=True)
class OptimOptions:
    """How the weights move.

    Attributes:
        optimiser: ``adamw`` or ``sgd``.
        lr: learning rate of new layers at its peak.
        trunk_lr: factor on it for the pretrained trunk.
        weight_decay: for kernels; norms and biases have none.
        schedule: ``cosine``, ``step`` (a tenth at 60 and 85 %), ``exponential`` or ``constant``.
        warmup: share of the run in which the rate rises from 0.
        final: the rate at the end, relative to its peak (cosine, exponential).
        clip: largest norm of the gradient.
        ema: decay a step of the moving average of the weights.
    """

    optimiser: str = "adamw"
    lr: float = 1e-3
    trunk_lr: float = 0.1
    weight_decay: float = 1e-4
    schedule: str = "cosine"
    warmup: float = 0.02
    final: float = 0.01
    clip: float = 5.0
    ema: float = 0.998


def rate_factor(options: OptimOptions, done: float) -> float:
    """Factor on the learning rate when a share ``done`` (0..1) of the run is over.

    Cosine: Loshchilov & Hutter 2017, "SGDR", equation 5, without restarts.
    """
    if done < options.warmup:
        return done / options.warmup
    t = min((done - options.warmup) / (1 - options.warmup), 1.0)
    if options.schedule == "cosine":
        return options.final + (1 - options.final) * (1 + math.cos(math.pi * t)) / 2
    if options.schedule == "exponential":
        return float(options.final**t)
    if options.schedule == "step":
        return 1.0 if t < 0.6 else 0.1 if t < 0.85 else 0.01
    if options.schedule == "constant":
        return 1.0
    raise ValueError(
        f"schedule is cosine, step, exponential or constant, found {options.schedule!r}"
    )


def make_optimiser(network: nn.Module, options: OptimOptions) -> torch.optim.Optimizer:
    """Parameter groups: trunk or new, decayed or not; each remembers its own peak rate."""
    groups: dict[tuple[bool, bool], list[nn.Parameter]] = {}
    for name, parameter in network.named_parameters():
        if parameter.requires_grad:
            key = (name.startswith("trunk."), parameter.ndim > 1)
            groups.setdefault(key, []).append(parameter)
    settings = [
        {
            "params": parameters,
            "peak": options.lr * (options.trunk_lr if trunk else 1.0),
            "weight_decay": options.weight_decay if decayed else 0.0,
        }
        for (trunk, decayed), parameters in sorted(groups.items(), key=lambda item: item[0])
    ]
    if options.optimiser == "adamw":
        return torch.optim.AdamW(settings, lr=options.lr)
    if options.optimiser == "sgd":
        return torch.optim.SGD(settings, lr=options.lr, momentum=0.9, nesterov=True)
    raise ValueError(f"optimiser is adamw or sgd, found {options.optimiser!r}")


class MovingAverage:
    """Exponential moving average of weights and norm statistics."""

    def __init__(self, network: nn.Module, decay: float) -> None:
        self.decay = decay
        self.network = copy.deepcopy(network).eval().requires_grad_(False)

    @torch.no_grad()
    def update(self, network: nn.Module, step: int) -> None:
        """Move towards the network; young averages move faster."""
        decay = min(self.decay, (1 + step) / (10 + step))
        for mine, theirs in zip(
            self.network.state_dict().values(), network.state_dict().values()
        ):
            if mine.dtype.is_floating_point:
                mine.lerp_(theirs, 1 - decay)
            else:
                mine.copy_(theirs)
