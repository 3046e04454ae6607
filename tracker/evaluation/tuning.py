"""A search of online parameters that does not fool itself: cross-validation over sequences.

The search is one over a few values of each parameter: all combinations (``grid``), or one
parameter after the other in rounds (``coordinate``). It is made once on all sequences, and once
for each fold on the sequences outside of that fold alone; the gain that may be believed is the
one on the sequences that a choice has not seen (Stone 1974, "Cross-Validatory Choice and
Assessment of Statistical Predictions"; here the whole search is inside of the validation).
"""

from __future__ import annotations

import dataclasses
import itertools
import math
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tracker.errors import UserError
from tracker.evaluation.bootstrap import MIN_SEQUENCES, Interval, grouped_interval
from tracker.spec import ModelSpec, with_parameters

Setting = tuple[tuple[str, float], ...]
"""Parameters that differ from the starting ones, sorted by name; ``()`` is the start."""

Value = Callable[[Setting, str], float]
"""The objective of a setting on a sequence (by key), larger is better."""

MOST_VALUES = 50


@dataclass(frozen=True)
class Axis:
    """A parameter and the values that it may take."""

    name: str
    values: tuple[float, ...]


def parse_axis(text: str, spec: ModelSpec, steps: int = 5) -> Axis:
    """Read ``window=.2,.3,.4``, ``window=.1:.5`` (``steps`` values) or ``window=.1:.5:9``.

    Raises:
        UserError: an unknown parameter, no numbers, or values that the model cannot have.
    """
    name, _, listed = text.partition("=")
    name = name.strip()
    if name not in parameters(spec):
        raise UserError(
            f"--search {text}: {spec.name} has no online parameter {name!r}; it has "
            f"{', '.join(parameters(spec))}"
        )
    try:
        values = _values(listed, steps)
        if _is_whole(spec, name):
            values = [float(round(v)) for v in values]
    except (ValueError, OverflowError):  # round() of nan and of infinity
        raise UserError(
            f"--search {text}: values are numbers, such as {name}=.2,.3,.4 or a range "
            f"{name}=.1:.5 or {name}=.1:.5:9 for nine values in it"
        ) from None
    values = list(dict.fromkeys(values))
    if len(values) > MOST_VALUES:
        raise UserError(f"--search {text}: more than {MOST_VALUES} values; give fewer")
    for value in values:
        apply(spec, ((name, value),))
    return Axis(name, tuple(values))


def _values(text: str, steps: int) -> list[float]:
    parts = text.split(":")
    if len(parts) in (2, 3):
        low, high = float(parts[0]), float(parts[1])
        count = int(parts[2]) if len(parts) == 3 else steps
        if not (math.isfinite(low) and math.isfinite(high) and low < high and count >= 2):
            raise ValueError
        return [round(float(v), 6) for v in np.linspace(low, high, min(count, MOST_VALUES + 1))]
    return [float(v) for v in text.split(",")]


def parameters(spec: ModelSpec) -> dict[str, float]:
    """All online parameters and thresholds of a model by name."""
    return {**dataclasses.asdict(spec.online), **dataclasses.asdict(spec.presence)}


def apply(spec: ModelSpec, setting: Setting) -> ModelSpec:
    """The model's record with a setting.

    Raises:
        UserError: a value that the record cannot hold.
    """
    parts = {
        part: {n: v for n, v in setting if n in dataclasses.asdict(getattr(spec, part))}
        for part in ("online", "presence")
    }
    return with_parameters(spec, parts, f"these parameters of {spec.name}")


def _is_whole(spec: ModelSpec, name: str) -> bool:
    return isinstance(parameters(spec)[name], int)


def setting_of(changes: Mapping[str, float], start: Mapping[str, float]) -> Setting:
    """The changes that are ones, in a form that can be compared."""
    return tuple(sorted((n, float(v)) for n, v in changes.items() if v != start[n]))


def make_folds(
    groups: Mapping[str, str],
    count: int,
    seed: int = 0,
    clips: Mapping[str, str] | None = None,
) -> list[tuple[str, ...]]:
    """Parts of the sequences, each with its share of every folder, by chance.

    Targets of one clip stay together: they are no clips that a choice has not seen.

    Args:
        groups: sequence key -> folder.
        count: at most as many as there are clips.
        clips: sequence key -> clip (``Frames.clip``); ``None`` where each is one of its own.

    Raises:
        UserError: fewer than two sequences or folds.
    """
    if len(groups) < 2 or count < 2:
        raise UserError(
            f"cross-validation needs two sequences and two folds at least, found {len(groups)} "
            f"sequences and {count} folds"
        )
    rng = random.Random(seed)
    together: dict[str, list[str]] = {}
    for key in sorted(groups):
        together.setdefault(clips[key] if clips else key, []).append(key)
    order: list[list[str]] = []
    for group in sorted(set(groups.values())):
        targets = [keys for keys in together.values() if groups[keys[0]] == group]
        rng.shuffle(targets)
        order += targets
    count = min(count, len(order))
    if count < 2:
        raise UserError("cross-validation needs two clips at least, found targets of one")
    return [tuple(sorted(itertools.chain(*order[i::count]))) for i in range(count)]


def folder_mean(values: Mapping[str, float], groups: Mapping[str, str]) -> float:
    """Mean over sequences in each folder, then over folders."""
    by_folder: dict[str, list[float]] = {}
    for key, value in values.items():
        by_folder.setdefault(groups[key], []).append(value)
    return math.fsum(math.fsum(v) / len(v) for v in by_folder.values()) / len(by_folder)


@dataclass(frozen=True)
class Found:
    """What a search came to.

    Attributes:
        winner: chosen on all sequences.
        chosen: for each fold, chosen without it.
        folds: sequence keys of each fold.
    """

    winner: Setting
    chosen: tuple[Setting, ...]
    folds: tuple[tuple[str, ...], ...]


def search(
    axes: Sequence[Axis],
    start: Mapping[str, float],
    groups: Mapping[str, str],
    folds: Sequence[tuple[str, ...]],
    evaluate: Callable[[list[Setting]], None],
    value: Value,
    method: str = "coordinate",
    rounds: int = 2,
) -> Found:
    """Search on all sequences and, without each fold in turn, on the others.

    Args:
        axes: parameters and their values.
        start: all parameters as they are.
        groups: sequence key -> folder.
        evaluate: called with settings before their values are asked for.
        value: objective of a setting that was evaluated.
        method: ``coordinate`` or ``grid``.
        rounds: over the axes, for ``coordinate``; it ends early when nothing changes.
    """
    every = tuple(sorted(groups))
    seen_by = [every, *(tuple(k for k in every if k not in fold) for fold in folds)]
    best: list[Setting] = [()] * len(seen_by)
    evaluate([()])
    steps = _steps(axes, method)
    for _ in range(1 if method == "grid" else rounds):
        before = list(best)
        for step in steps:
            offers = [
                list(dict.fromkeys(
                    [now, *(setting_of({**start, **dict(now), **c}, start) for c in step)]
                ))
                for now in best
            ]  # fmt: skip
            evaluate(list(dict.fromkeys(itertools.chain.from_iterable(offers))))
            best = [
                _best(offer, keys, groups, value)
                for offer, keys in zip(offers, seen_by, strict=True)
            ]
        if best == before:
            break
    return Found(best[0], tuple(best[1:]), tuple(folds))


def _best(
    offer: Sequence[Setting], keys: Sequence[str], groups: Mapping[str, str], value: Value
) -> Setting:
    """The best on these sequences; the first of equals, so that what does not help stays."""
    return max(offer, key=lambda setting: folder_mean({k: value(setting, k) for k in keys}, groups))


def _steps(axes: Sequence[Axis], method: str) -> list[list[dict[str, float]]]:
    """Changes that are compared with each other, step by step."""
    if method == "grid":
        names = [axis.name for axis in axes]
        product = itertools.product(*(axis.values for axis in axes))
        return [[dict(zip(names, values, strict=True)) for values in product]]
    return [[{axis.name: v} for v in axis.values] for axis in axes]


@dataclass(frozen=True)
class Gain:
    """By how much a choice is better than the start, averaged over folders.

    Attributes:
        interval: bootstrap over sequences, drawn within their folders.
        by_sequence: gain on each.
    """

    interval: Interval
    by_sequence: Mapping[str, float]


def gain_of(
    choice: Callable[[str], Setting], groups: Mapping[str, str], value: Value, seed: int = 0
) -> Gain:
    """The gain of the setting that ``choice`` names for each sequence."""
    gains = {key: value(choice(key), key) - value((), key) for key in sorted(groups)}
    folders = [groups[key] for key in gains]
    return Gain(grouped_interval(list(gains.values()), folders, seed=seed), gains)


def held_out_gain(found: Found, groups: Mapping[str, str], value: Value, seed: int = 0) -> Gain:
    """The gain on each sequence of the setting that was chosen without it."""
    choice = {k: s for fold, s in zip(found.folds, found.chosen, strict=True) for k in fold}
    return gain_of(choice.__getitem__, groups, value, seed)


def fold_gains(found: Found, gain: Gain, groups: Mapping[str, str]) -> list[float]:
    """The held-out gain of each fold."""
    return [folder_mean({k: gain.by_sequence[k] for k in fold}, groups) for fold in found.folds]


def verdict(held_out: Gain, on_all: Gain) -> str:
    """``gain``, or why there is none to be believed.

    Args:
        held_out: of the choices that had not seen the sequences.
        on_all: of the winner.
    """
    if len(held_out.by_sequence) < MIN_SEQUENCES:
        return f"no gain shown: fewer than {MIN_SEQUENCES} sequences tell nothing"
    if math.isnan(held_out.interval.low):
        return "no gain shown: folders of one sequence each say nothing of how much others differ"
    if not held_out.interval.low > 0:
        return "no gain shown: the interval on sequences that were held out has zero in it"
    if not on_all.interval.mean > 0:
        return "no gain shown: the winner itself is no better on all sequences"
    return "gain"
