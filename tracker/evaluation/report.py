"""One self-contained HTML file: tables, plots and worst moments; no script, no network."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tracker.errors import UserError
from tracker.evaluation import plots
from tracker.evaluation.attributes import scores_by_attribute
from tracker.evaluation.bootstrap import Interval
from tracker.evaluation.moments import Moment, worst_moments
from tracker.evaluation.summary import Summary
from tracker.evaluation.summary_text import speed
from tracker.files import write_atomic

MAX_TIMELINES = 6


@dataclass(frozen=True)
class Figure:
    """A plot with its caption."""

    title: str
    caption: str
    svg: str


def write_report(path: Path, summary: Summary, header: Mapping[str, str]) -> None:
    """Render the report and write it whole or not at all.

    Raises:
        UserError: matplotlib or jinja2 is missing, or the place cannot be written to.
    """
    write_atomic(path, render(summary, header))


def render(summary: Summary, header: Mapping[str, str]) -> str:
    """The page as text.

    Args:
        header: what stands at the top: machine, versions, command, date.
    """
    try:
        import jinja2
    except ModuleNotFoundError:
        raise UserError(plots.MISSING) from None
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"score": _score, "bounds": _bounds, "percent": _percent, "speed": speed}
    order, shared = summary.trackers, _shared(summary)
    page: str = environment.get_template("report.html.j2").render(
        summary=summary,
        header=header,
        order=order,
        colours={t: plots.colour(i) for i, t in enumerate(order)},
        best=_best(summary),
        differences=_differences(summary, order),
        datasets=_datasets(summary, order),
        attributes=_radar(summary, shared),
        shared=len(shared),
        timelines=_timelines(summary, order),
        moments=_moments(summary, order),
        workers=max([s.workers for f in summary.scores.values() for s in f.values()], default=1),
    )
    return page


def _best(summary: Summary) -> set[tuple[str, str, str]]:
    """Data set, tracker and column of the figures to be set in bold: the best of whole rows.

    Who crashed on the hard clips has a better mean of the others.
    """
    best = set()
    for dataset, rows in summary.datasets.items():
        whole = {t: row for t, row in rows.items() if row.sequences == row.expected}
        for column in ("auc", "precision", "normalised", "normalised20"):
            figures = {t: getattr(row, column).mean for t, row in whole.items()}
            top = max(figures.values(), default=math.nan)
            best |= {(dataset, t, column) for t, figure in figures.items() if figure == top}
    return best


def _shared(summary: Summary) -> list[str]:
    """The sequences that all trackers were scored on."""
    return [k for k in summary.attributes if all(k in f for f in summary.scores.values())]


def _radar(summary: Summary, shared: list[str]) -> str:
    by_attribute = {
        tracker: scores_by_attribute(
            {key: found[key].one_pass.auc for key in shared}, summary.attributes
        )
        for tracker, found in summary.scores.items()
    }
    return plots.attribute_radar(by_attribute, summary.trackers)


def _differences(summary: Summary, order: list[str]) -> str:
    return plots.differences(list(summary.comparisons), order) if summary.comparisons else ""


def _datasets(summary: Summary, order: list[str]) -> list[dict[str, Any]]:
    found = []
    for dataset, rows in summary.datasets.items():
        if rows:
            keys = [k for k in summary.attributes if k.rpartition("/")[0] == dataset]
            found.append(
                {
                    "name": dataset,
                    "curves": plots.curves(rows, order),
                    "bars": plots.sequence_bars(summary.scores, keys, order),
                }
            )
    return found


def _timelines(summary: Summary, order: list[str]) -> list[Figure]:
    """Sequences in which the target leaves, those with most absent frames first."""
    leaving: dict[str, int] = {}
    for found in summary.scores.values():
        for key, score in found.items():
            if score.has_absence:
                leaving[key] = score.presence.absent
    chosen = sorted(leaving, key=lambda k: -leaving[k])[:MAX_TIMELINES]
    figures = []
    for key in chosen:
        rows = {t: summary.scores[t][key] for t in order if key in summary.scores[t]}
        caption = f"{leaving[key]} of {len(next(iter(rows.values())).overlaps)} frames without it"
        figures.append(Figure(key, caption, plots.timeline(rows, order)))
    return figures


def _moments(summary: Summary, order: list[str]) -> list[Moment]:
    return worst_moments(list(summary.scores[order[0]].values())) if order else []


def _score(value: float) -> str:
    return "–" if not math.isfinite(value) else f"{value:.3f}"


def _bounds(interval: Interval) -> str:
    if not math.isfinite(interval.low):
        return ""
    return f"{interval.low:.3f} – {interval.high:.3f}"


def _percent(share: float) -> str:
    return "–" if not math.isfinite(share) else f"{100 * share:.0f} %"
