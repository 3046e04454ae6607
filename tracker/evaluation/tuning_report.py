"""A search from its options to its verdict, and what is said of it."""

from __future__ import annotations

import dataclasses
import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tracker.data import datasets
from tracker.errors import UserError
from tracker.evaluation import tuning
from tracker.evaluation.bootstrap import Interval
from tracker.evaluation.tuning import Found, Gain, Setting
from tracker.evaluation.tuning_runs import Book, Figures, How, presence_rates
from tracker.files import check_writable
from tracker.runtime import open_network
from tracker.spec import ModelSpec, read_parameters
from tracker.standard_streams import bar_interval

PARTS = ("online", "presence")


@dataclass(frozen=True)
class Plan:
    """What is searched and how: the options of the command by their names."""

    search: tuple[str, ...]
    steps: int = 5
    method: str = "coordinate"
    rounds: int = 2
    folds: int = 5
    seed: int = 0
    presence_weight: float = 0.0
    jobs: int = 1
    quiet: bool = False


@dataclass(frozen=True)
class Outcome:
    """What a search came to.

    Attributes:
        gained: whether the winner is kept.
        kept: all parameters to be used from now on, as ``tools/export.py`` takes them.
        record: all figures, as plain types.
        notes: the short form of them that goes into a model's record.
        text: for people.
    """

    gained: bool
    kept: dict[str, Any]
    record: dict[str, Any]
    notes: dict[str, Any]
    text: str


def start_from(path: Path) -> dict[str, dict[str, float]]:
    """``{"online": {...}, "presence": {...}}`` of an earlier search.

    Raises:
        UserError: unreadable, or nothing of the kind.
    """
    content = read_parameters(path)
    found = {part: content[part] for part in PARTS if part in content}
    for part, values in found.items():
        if not isinstance(values, dict):
            raise UserError(f"{path}: {part} is no object of parameters by their names")
    if not found:
        raise UserError(f"{path} has no parameters; it needs the parts {' and '.join(PARTS)}")
    return found


def flat(parameters: Mapping[str, Mapping[str, float]]) -> Setting:
    """Both parts in one."""
    return tuple(sorted((n, v) for part in parameters.values() for n, v in part.items()))


def nested(spec: ModelSpec) -> dict[str, Any]:
    """All parameters of a model as ``tools/export.py`` takes them."""
    return {part: dataclasses.asdict(getattr(spec, part)) for part in PARTS}


def tune(
    how: How,
    plan: Plan,
    sequences: Sequence[datasets.Sequence],
    scores: Path,
    places: Sequence[Path] = (),
) -> Outcome:
    """Search, validate, and run the winner as it would ship.

    Args:
        how: with a grid.
        scores: file that keeps what was run.
        places: folders that are written to afterwards.

    Raises:
        UserError: unknown parameters, too few sequences, a sequence that cannot be run, or a
            place that takes no files.
    """
    from tqdm import tqdm

    own = open_network(how.model, how.device, how.threads).spec
    spec = start_spec(own, how.start)
    axes = [tuning.parse_axis(text, spec, plan.steps) for text in plan.search]
    if len({a.name for a in axes}) < len(axes):
        raise UserError("--search names a parameter twice; give all of its values at once")
    groups = {s.key: s.dataset for s in sequences}
    clips = {s.key: s.source.clip() for s in sequences}
    folds = tuning.make_folds(groups, plan.folds, plan.seed, clips)
    for place in places:
        check_writable(place)
    with tqdm(
        total=0, unit=" frames", unit_scale=True, disable=plan.quiet, smoothing=0.05,
        mininterval=bar_interval(),
    ) as bar:  # fmt: skip

        def begin(count: int) -> None:
            bar.total = (bar.total or 0) + count
            bar.refresh()

        def book_for(how: How) -> Book:
            return Book(scores, how, sequences, plan.jobs, lambda count: bar.update(count), begin)

        book = book_for(how)
        value = objective(book, plan.presence_weight)
        found = tuning.search(
            axes, tuning.parameters(spec), groups, folds, book.evaluate, value,
            plan.method, plan.rounds,
        )  # fmt: skip
        bar.set_postfix_str("start and choices without the grid")
        shipped = book_for(dataclasses.replace(how, grid=None, cache=None))
        shipped.evaluate(list(dict.fromkeys([(), found.winner])))
        for fold, setting in zip(found.folds, found.chosen, strict=True):
            shipped.evaluate([setting], fold)  # where it is held out
    return conclude(how, plan, spec, groups, found, book, shipped)


def start_spec(spec: ModelSpec, start: Setting) -> ModelSpec:
    """The model's record under the parameters to start from.

    Raises:
        UserError: parameters that it does not have.
    """
    unknown = sorted({n for n, _ in start} - set(tuning.parameters(spec)))
    if unknown:
        raise UserError(f"--start has the parameter {unknown[0]!r}, which {spec.name} has not")
    return tuning.apply(spec, start)


def objective(book: Book, weight: float) -> tuning.Value:
    """The objective over what a book knows."""
    return lambda setting, key: book.figures(setting, key).objective(weight)


def conclude(
    how: How,
    plan: Plan,
    spec: ModelSpec,
    groups: Mapping[str, str],
    found: Found,
    book: Book,
    shipped: Book,
) -> Outcome:
    """Gains, verdict and words.

    Args:
        spec: with the parameters that the search started from.
        groups: sequence key -> folder.
        book: what was run on the grid.
        shipped: what was run without it.
    """
    value, exact = (objective(b, plan.presence_weight) for b in (book, shipped))
    gains = {
        "on_all": tuning.gain_of(lambda key: found.winner, groups, exact, plan.seed),
        "held_out": tuning.held_out_gain(found, groups, exact, plan.seed),
        "on_all_grid": tuning.gain_of(lambda key: found.winner, groups, value, plan.seed),
        "held_out_grid": tuning.held_out_gain(found, groups, value, plan.seed),
    }
    said = tuning.verdict(gains["held_out"], gains["on_all"])
    winner = tuning.apply(spec, found.winner)
    by_fold = tuning.fold_gains(found, gains["held_out"], groups)
    rows = _rows(groups, found.winner, book, shipped)
    record = {
        **_plan_json(how, plan),
        "verdict": said,
        "start": nested(spec),
        "winner": nested(winner),
        "changes": dict(found.winner),
        "gain": {name: _gain_json(gain) for name, gain in gains.items()},
        "folds": [
            {"held_out": list(fold), "chosen": dict(setting), "gain": gain}
            for fold, setting, gain in zip(found.folds, found.chosen, by_fold, strict=True)
        ],
        "figures": {name: _figures_json(row, groups) for name, row in rows.items()},
        "regions": {"asked": book.asked, "computed": book.computed},
    }
    notes = {
        "changes": dict(found.winner),
        "sequences": len(groups),
        "folds": len(found.folds),
        "gain_held_out": [round(v, 4) for v in dataclasses.astuple(gains["held_out"].interval)],
    }
    gained = said == "gain"
    lines = [
        *_head(spec, plan, groups, found), "",
        *_gain_lines(gains, by_fold), "",
        *_table(rows, groups), "",
        *_cost(rows, groups),
        _regions(book), "",
        f"verdict: {said}" + ("" if gained else "; the parameters stay as they are"),
    ]  # fmt: skip
    return Outcome(gained, nested(winner if gained else spec), record, notes, "\n".join(lines))


def _rows(
    groups: Mapping[str, str], winner: Setting, book: Book, shipped: Book
) -> dict[str, dict[str, Figures]]:
    """The rows of the table: figures by sequence, without the grid and on it."""
    return {
        name: {k: b.figures(setting, k) for k in sorted(groups)}
        for name, b, setting in (
            ("start", shipped, ()),
            ("winner", shipped, winner),
            ("start, grid", book, ()),
            ("winner, grid", book, winner),
        )
    }


def _plan_json(how: How, plan: Plan) -> dict[str, Any]:
    return {
        "model": how.model,
        "plan": dataclasses.asdict(plan),
        "max_frames": how.max_frames,
        "grid": None if how.grid is None else dataclasses.asdict(how.grid),
    }


def _head(spec: ModelSpec, plan: Plan, groups: Mapping[str, str], found: Found) -> list[str]:
    counts = {g: list(groups.values()).count(g) for g in sorted(set(groups.values()))}
    clips = ", ".join(f"{name} {count}" for name, count in counts.items())
    start = tuning.parameters(spec)
    weight = f" - {plan.presence_weight:g} x presence errors" if plan.presence_weight else ""
    lines = [
        f"{spec.name} on {len(groups)} sequences ({clips}), {len(found.folds)} folds",
        f"objective: success AUC{weight}, mean over folders",
        f"winner on all: {_words(found.winner, start)}",
    ]
    return lines + [
        f"without {', '.join(fold)}: {_words(setting, start)}"
        for fold, setting in zip(found.folds, found.chosen, strict=True)
    ]


def _words(setting: Setting, start: Mapping[str, float]) -> str:
    return ", ".join(f"{n} {start[n]:g} -> {v:g}" for n, v in setting) or "nothing changes"


def _gain_lines(gains: Mapping[str, Gain], by_fold: list[float]) -> list[str]:
    words = {name: _interval(gain.interval) for name, gain in gains.items()}
    spread = (
        f"{min(by_fold):+.4f} to {max(by_fold):+.4f}, deviation {statistics.stdev(by_fold):.4f}"
    )
    return [
        f"gain on all sequences       {words['on_all']}",
        f"gain on held-out sequences  {words['held_out']}; by fold {spread}",
        f"the same as searched, on the grid: {words['on_all_grid']}; {words['held_out_grid']}",
    ]


def _interval(interval: Interval) -> str:
    if math.isnan(interval.low):
        return f"{interval.mean:+.4f}"
    return f"{interval.mean:+.4f} ({interval.low:+.4f} to {interval.high:+.4f})"


def _table(rows: Mapping[str, Mapping[str, Figures]], groups: Mapping[str, str]) -> list[str]:
    folders = sorted(set(groups.values()))
    lines = [
        f"{'success AUC':<14}" + "".join(f"{f:>12}" for f in folders) + "   lost said: gone  there"
    ]
    for name, row in rows.items():
        means = [_auc({k: f for k, f in row.items() if groups[k] == folder}) for folder in folders]
        line = f"{name:<14}" + "".join(f"{m:12.4f}" for m in means)
        rates = presence_rates(row)
        if rates:
            line += (f"{100 * rates['lost_said_when_gone']:17.0f} %"
                     f"{100 * rates['lost_said_when_there']:5.0f} %")  # fmt: skip
        lines.append(line)
    return lines


def _auc(row: Mapping[str, Figures]) -> float:
    return math.fsum(f.auc for f in row.values()) / len(row)


def _cost(rows: Mapping[str, Mapping[str, Figures]], groups: Mapping[str, str]) -> list[str]:
    lines = []
    for name in ("start", "winner"):
        change = {k: rows[f"{name}, grid"][k].auc - f.auc for k, f in rows[name].items()}
        size = math.fsum(abs(v) for v in change.values()) / len(change)
        lines.append(
            f"the grid changes the AUC of the {name} by {tuning.folder_mean(change, groups):+.4f}, "
            f"that of a sequence by {size:.4f} on average"
        )
    return lines


def _regions(book: Book) -> str:
    if not book.asked:
        return "all figures were known from an earlier run"
    share = 100 * book.computed / book.asked
    return (
        f"{book.asked} search regions, of which the network looked at {book.computed} "
        f"({share:.0f} %)"
    )


def _gain_json(gain: Gain) -> dict[str, Any]:
    plain = {
        n: v if math.isfinite(v) else None for n, v in dataclasses.asdict(gain.interval).items()
    }
    return {**plain, "by_sequence": dict(gain.by_sequence)}


def _figures_json(row: Mapping[str, Figures], groups: Mapping[str, str]) -> dict[str, Any]:
    folders = sorted(set(groups.values()))
    return {
        "auc": {f: _auc({k: v for k, v in row.items() if groups[k] == f}) for f in folders},
        **presence_rates(row),
        "by_sequence": {k: dataclasses.asdict(v) for k, v in row.items()},
    }
