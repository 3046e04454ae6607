"""Accuracy against speed: the table and the plot that a choice between models is made from."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tracker.errors import UserError
from tracker.evaluation import plots
from tracker.evaluation.speed import Speed
from tracker.evaluation.timing import PARTS

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MARKS = "osD^v"


@dataclass(frozen=True)
class Point:
    """One tracker with one number of threads.

    Attributes:
        name: as its accuracy is filed under.
        threads: as asked for; ``None`` for the tracker's own choice.
        speed: its figures.
        auc: by data set, for those that are known.
    """

    name: str
    threads: int | None
    speed: Speed
    auc: Mapping[str, float]


def read_accuracy(path: Path) -> dict[str, dict[str, float]]:
    """Success AUC by tracker and data set from a ``summary.json`` of ``tools/evaluate.py``.

    Raises:
        UserError: no such file, or not one of those.
    """
    found: dict[str, dict[str, float]] = {}
    try:
        datasets = json.loads(path.read_text(encoding="utf-8"))["datasets"]
        for dataset, rows in datasets.items():
            for tracker, row in rows.items():
                found.setdefault(tracker, {})[dataset] = float(row["auc"]["mean"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(
            f"{path} cannot be read as a summary.json of tools/evaluate.py ({error})"
        ) from None
    return found


def markdown_table(points: list[Point]) -> str:
    """One row a tracker and number of threads; times are p50 / p95 in milliseconds."""
    datasets = list(dict.fromkeys(name for p in points for name in p.auc))
    head = ["tracker", "precision", "threads", *(f"AUC {name}" for name in datasets), *PARTS,
            "whole update", "frames/s", "outside network", "first box, s"]  # fmt: skip
    rows = [_row(point, datasets) for point in points]
    lines = [head, ["---", "---", *["--:"] * (len(head) - 2)], *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _row(point: Point, datasets: list[str]) -> list[str]:
    speed = point.speed
    share = speed.outside_network
    return [
        point.name,
        speed.told.get("precision", "-"),
        str(point.threads or speed.told.get("threads", "own")),
        *(f"{point.auc[name]:.3f}" if name in point.auc else "-" for name in datasets),
        *(_times(speed, stage) for stage in (*PARTS, "update")),
        f"{speed.update_fps:.0f}",
        "-" if math.isnan(share) else f"{100 * share:.0f} %",
        f"{speed.startup:.2f}",
    ]


def _times(speed: Speed, stage: str) -> str:
    found = speed.stages.get(stage)
    return "-" if found is None else f"{found[0]:.2f} / {found[1]:.2f}"


def plot(points: list[Point]) -> str:
    """A panel for each data set: AUC over frames a second, one mark a tracker, as SVG text.

    Raises:
        UserError: no accuracy is known, or matplotlib is not installed.
    """
    datasets = list(dict.fromkeys(name for p in points for name in p.auc))
    if not datasets:
        raise UserError("a plot needs --accuracy with a summary.json that has these trackers")
    figure = plots.make_figure(4.6 * len(datasets) + 1.4, 3.6)  # it says if matplotlib is missing
    from matplotlib.lines import Line2D
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    names = list(dict.fromkeys(p.name for p in points if p.auc))
    threads = list(dict.fromkeys(p.threads for p in points))
    for place, dataset in enumerate(datasets):
        axes = figure.add_subplot(1, len(datasets), place + 1)
        for name in names:
            own = [p for p in points if p.name == name and dataset in p.auc]
            if own:
                _draw(axes, own, dataset, plots.colour(names.index(name)), threads)
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.margins(0.18)
        axes.set(title=dataset, xlabel="frames a second, tracker alone", ylabel="success AUC")
    handles = [
        Line2D([], [], color=plots.colour(number), linewidth=4, label=name)
        for number, name in enumerate(names)
    ]
    if len(threads) > 1:
        handles += [
            Line2D([], [], color="#555555", marker=MARKS[i % len(MARKS)], linestyle="",
                   label="own choice" if n is None else f"{n} thread{'s' * (n > 1)}")
            for i, n in enumerate(threads)
        ]  # fmt: skip
    # beside the panels: names at the marks cover one another where trackers are alike
    figure.legend(handles=handles, loc="outside right upper", frameon=False)
    return plots.to_svg(figure)


def _draw(
    axes: Axes, points: list[Point], dataset: str, colour: str, threads: list[int | None]
) -> None:
    """One tracker: a mark for each number of threads."""
    places = sorted((p.speed.update_fps, threads.index(p.threads)) for p in points)
    auc = points[0].auc[dataset]
    axes.plot([x for x, _ in places], [auc] * len(places), color=colour, linewidth=1)
    for x, number in places:
        axes.plot(x, auc, MARKS[number % len(MARKS)], markersize=7, color=colour)
