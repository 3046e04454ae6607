"""A summary as the table that the command prints."""

from __future__ import annotations

import math
from collections.abc import Mapping

from tracker.evaluation.bootstrap import Interval
from tracker.evaluation.summary import Comparison, DatasetScore, Summary
from tracker.evaluation.tables import name_width, partly


def text_table(summary: Summary) -> str:
    """The table that the command prints: data sets one below the other, trackers in rows."""
    width = name_width(summary.trackers)
    lines = []
    for dataset, rows in summary.datasets.items():
        if not rows:
            continue
        count = max(row.sequences for row in rows.values())
        lines.append(f"{dataset} ({count} sequences)")
        columns = "AUC    95 % interval   prec.20  norm.prec.  at .20  misled     fps"
        lines.append(f"  {'tracker':<{width}}  {columns}")
        for tracker, row in rows.items():
            lines.append(
                f"  {tracker:<{width}}  {row.auc.mean:.3f}  {_bounds(row.auc):<14}  "
                f"{row.precision.mean:7.3f}  {row.normalised.mean:10.3f}  "
                f"{row.normalised20.mean:6.3f}  {row.misled:6.1%}  {speed(row.fps):>6}"
                + partly(row.sequences, row.expected)
            )
        lines += _absence_lines(rows, width)
        lines += [f"  {sentence(c)}" for c in summary.comparisons if c.dataset == dataset]
        lines.append("")
    return "\n".join(lines).rstrip()


def sentence(comparison: Comparison) -> str:
    """A comparison in words; inside the interval nothing is called a win."""
    d = comparison.difference
    return (
        f"{comparison.tracker} against {comparison.opponent}: AUC {d.mean:+.3f} "
        f"({d.low:+.3f} to {d.high:+.3f}): {comparison.verdict}"
    )


def speed(fps: float) -> str:
    """Frames a second; a tracker that does nothing has no speed worth a figure."""
    return f"{fps:.0f}" if fps < 10_000 else "-"


def _absence_lines(rows: Mapping[str, DatasetScore], width: int) -> list[str]:
    leaving = {t: r for t, r in rows.items() if r.long_term is not None}
    if not leaving:
        return []
    lines = [
        f"  {'':<{width}}  where the target leaves: F      P      R   "
        "lost said: gone  there   found again  after"
    ]
    for tracker, row in leaving.items():
        score, p = row.long_term, row.presence
        assert score is not None
        found = f"{p.found_again}/{p.returns}"
        delay = "-" if math.isnan(p.median_delay) else f"{p.median_delay:.0f} fr."
        lines.append(
            f"  {tracker:<{width}}  {'':<24} {score.f:.3f}  {score.precision:.3f}  "
            f"{score.recall:.3f}            {_percent(p.said_when_gone)}   "
            f"{_percent(p.said_when_there)}   {found:>11}  {delay}"
        )
    return lines


def _percent(share: float) -> str:
    return "   -" if math.isnan(share) else f"{100 * share:3.0f}%"


def _bounds(interval: Interval) -> str:
    if math.isnan(interval.low):
        return "-"
    return f"{interval.low:.3f} - {interval.high:.3f}"
