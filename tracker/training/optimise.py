"""Optimiser, learning-rate schedules and the moving average of the weights."""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn


@dataclass(frozen=True)
class OptimOptions:
    """How the weights move.

    Attributes:
        optimiser: ``adamw`` or ``sgd``.
        lr: learning rate of new layers at its peak.
        trunk_lr: factor on it for the pretrained trunk; several: one for the stem and one
            for each stage of the trunk.
        weight_decay: for kernels; norms and biases have none.
        schedule: ``cosine``, ``step`` (a tenth at 60 and 85 %), ``exponential`` or ``constant``.
        warmup: share of the run in which the rate rises from 0.
        final: the rate at the end, relative to its peak (cosine, exponential; there more than 0).
        clip: largest norm of the gradient; 0 for any.
        ema: decay a step of the moving average of the weights.
    """

    optimiser: str = "adamw"
    lr: float = 1e-3
    trunk_lr: float | tuple[float, ...] = 0.1
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
    """An optimiser of what learns: trunk or new, decayed or not; see ``add_learning``.

    Raises:
        ValueError: unknown optimiser, or factors that do not fit the trunk.
    """
    settings = _groups(network, options, known=set())
    if options.optimiser == "adamw":
        return torch.optim.AdamW(settings, lr=options.lr)
    if options.optimiser == "sgd":
        return torch.optim.SGD(settings, lr=options.lr, momentum=0.9, nesterov=True)
    raise ValueError(f"optimiser is adamw or sgd, found {options.optimiser!r}")


def add_learning(
    optimiser: torch.optim.Optimizer, network: nn.Module, options: OptimOptions
) -> None:
    """Take up the parameters that learn since stages of the trunk were unfrozen."""
    known = {id(p) for group in optimiser.param_groups for p in group["params"]}
    for group in _groups(network, options, known):
        optimiser.add_param_group(group)


def _groups(network: nn.Module, options: OptimOptions, known: set[int]) -> list[dict[str, Any]]:
    """Groups of one rate and decay; each remembers its own peak rate and its names."""
    groups: dict[tuple[int, bool], list[tuple[str, nn.Parameter]]] = {}
    for name, parameter in network.named_parameters():
        if parameter.requires_grad and id(parameter) not in known:
            stage = trunk_stage(name) if isinstance(options.trunk_lr, tuple) else 0
            part = 1 + stage if name.startswith("trunk.") else 0
            groups.setdefault((part, parameter.ndim > 1), []).append((name, parameter))
    return [
        {
            "params": [parameter for _, parameter in members],
            "names": [name for name, _ in members],
            "peak": options.lr * _factor(options.trunk_lr, part),
            "weight_decay": options.weight_decay if decayed else 0.0,
        }
        for (part, decayed), members in sorted(groups.items(), key=lambda item: item[0])
    ]


def _factor(trunk_lr: float | tuple[float, ...], part: int) -> float:
    if part == 0:
        return 1.0
    if not isinstance(trunk_lr, tuple):
        return trunk_lr
    if part > len(trunk_lr):
        raise ValueError(
            f"the trunk has a stem and 5 stages: give 1 or 6 factors, found {len(trunk_lr)}"
        )
    return trunk_lr[part - 1]


def trunk_stage(name: str) -> int:
    """Number of the trunk's part that a parameter belongs to: 0 the stem, 1 the first stage."""
    parts = name.split(".")
    return int(parts[2]) + 1 if parts[:2] == ["trunk", "stages"] else 0


def restore_optimiser(optimiser: torch.optim.Optimizer, state: dict[str, Any]) -> list[str]:
    """Take over the moments of a saved optimiser, by the names of the parameters.

    Rates and decays stay those of ``optimiser``: a resumed run may change them.

    Args:
        state: ``state_dict`` of an optimiser; of another kind, nothing fits.

    Returns:
        Names of the learning parameters that ``state`` has nothing for.
    """
    groups = state["param_groups"]
    numbers = [number for group in groups for number in group["params"]]
    names = [name for group in groups for name in group["names"]]
    saved = dict(zip(names, numbers, strict=True))
    fresh = optimiser.state_dict()
    wanted = [name for group in optimiser.param_groups for name in group["names"]]
    moments = "momentum_buffer" if isinstance(optimiser, torch.optim.SGD) else "exp_avg"
    fresh["state"] = {
        index: state["state"][saved[name]]
        for index, name in enumerate(wanted)
        if name in saved and moments in state["state"].get(saved[name], {})
    }
    optimiser.load_state_dict(fresh)
    return [name for index, name in enumerate(wanted) if index not in fresh["state"]]


class MovingAverage:
    """Exponential moving average of weights and norm statistics."""

    def __init__(self, network: nn.Module, decay: float) -> None:
        self.decay = decay
        self.network = copy.deepcopy(network).eval().requires_grad_(False)

    @torch.no_grad()
    def update(self, network: nn.Module, step: int) -> None:
        """Move towards the network; young averages move faster."""
        decay = min(self.decay, (1 + step) / (10 + step))
        mine_and_theirs = (self.network.state_dict().values(), network.state_dict().values())
        for mine, theirs in zip(*mine_and_theirs, strict=True):
            if mine.dtype.is_floating_point:
                mine.lerp_(theirs, 1 - decay)
            else:
                mine.copy_(theirs)
