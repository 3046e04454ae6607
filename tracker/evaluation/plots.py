"""The report's plots, as SVG text that stands inside the page."""

from __future__ import annotations

import io
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from tracker.errors import UserError
from tracker.evaluation.metrics import (
    DISTANCE_THRESHOLDS,
    NORMALISED_THRESHOLDS,
    OVERLAP_THRESHOLDS,
    PRECISION_PIXELS,
)
from tracker.evaluation.summary import Comparison, DatasetScore, SequenceScore
from tracker.evaluation.tables import partly

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from tracker.evaluation.verification import VerificationScore

# Okabe and Ito's palette, told apart also by the colour-blind, and a purple and a brown
COLOURS = (
    "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#7F7F7F", "#000000",
    "#6A3D9A", "#8C510A",
)  # fmt: skip
STYLES = ("-", "--", "-.", ":")
MISSING = (
    "plots and reports need matplotlib and jinja2: pip install matplotlib jinja2 "
    "(tools/evaluate.py can do without: --no-report)"
)


def colour(index: int) -> str:
    """The colour of the tracker with this place in the command line."""
    return COLOURS[index % len(COLOURS)]


def curves(rows: Mapping[str, DatasetScore], order: list[str]) -> str:
    """Success, precision and normalised precision of a data set, best tracker first."""
    figure = make_figure(12.6, 3.9 + 0.18 * math.ceil(len(rows) / 2))
    panels = (
        ("Success", "overlap threshold", OVERLAP_THRESHOLDS, "success", "AUC"),
        ("Precision", "centre error, pixels", DISTANCE_THRESHOLDS, "precision", "at 20 px"),
        ("Normalised precision", "error / target size", NORMALISED_THRESHOLDS, "normalised", "AUC"),
    )
    for place, (title, label, thresholds, name, legend) in enumerate(panels):
        axes = figure.add_subplot(1, 3, place + 1)
        scores = {
            t: (r.mean.auc, r.mean.precision20, r.mean.normalised_precision)[place]
            for t, r in rows.items()
        }
        for tracker in sorted(scores, key=lambda t: -scores[t]):
            index = order.index(tracker)
            axes.plot(
                thresholds,
                getattr(rows[tracker].mean, name),
                color=colour(index),
                linestyle=STYLES[(index // len(COLOURS)) % len(STYLES)],
                linewidth=2.6 if index == 0 else 1.6,
                label=f"{tracker}  {scores[tracker]:.3f}"
                + partly(rows[tracker].sequences, rows[tracker].expected),
            )
        if name == "precision":
            axes.axvline(PRECISION_PIXELS, color="#bbbbbb", linewidth=1, zorder=0)
        axes.set(title=title, xlabel=label, ylim=(0, 1.02), xlim=(thresholds[0], thresholds[-1]))
        axes.set_ylabel("share of frames" if place == 0 else "")
        # below the axes: inside, the boxes of many trackers would hide the low curves
        axes.legend(
            title=legend,
            loc="upper center",
            bbox_to_anchor=(0.5, -0.15),
            ncols=2 if len(rows) > 1 else 1,
            fontsize=8.5,
            title_fontsize=8.5,
            frameon=False,
        )
    return to_svg(figure)


def roc_curves(scores: Mapping[str, VerificationScore]) -> str:
    """Receiver operating characteristic of each model, and the area that its table has."""
    figure = make_figure(5.4, 5.0)
    axes = figure.add_subplot()
    for index, (name, score) in enumerate(scores.items()):
        false_accept, true_accept = np.array(score.roc).T
        axes.plot(
            false_accept,
            true_accept,
            color=colour(index),
            linewidth=2.6 if index == 0 else 1.6,
            label=f"{name}  {score.auc:.3f}",
        )
    axes.plot([0, 1], [1, 0], color="#bbbbbb", linewidth=1, zorder=0)  # errors are equal here
    axes.set(title="Same object or not", xlim=(0, 1), ylim=(0, 1.02), aspect="equal")
    axes.set(xlabel="false pairs that are accepted", ylabel="true pairs that are accepted")
    axes.legend(title="area", loc="lower right", fontsize=8, title_fontsize=8)
    return to_svg(figure)


def sequence_bars(
    scores: Mapping[str, Mapping[str, SequenceScore]], keys: list[str], order: list[str]
) -> str:
    """AUC of every tracker on every sequence, hardest (for the first tracker) at the bottom."""
    first = order[0]

    def rank(key: str) -> float:
        own = scores[first].get(key)
        return own.one_pass.auc if own else math.inf

    keys = sorted(keys, key=rank)
    bar = 0.84 / len(order)
    figure = make_figure(12.6, 0.9 + len(keys) * (0.12 + 0.075 * len(order)))
    axes = figure.add_subplot()
    for index, tracker in enumerate(order):
        found = scores.get(tracker, {})
        places = [i + 0.42 - bar * (index + 0.5) for i, k in enumerate(keys) if k in found]
        values = [found[k].one_pass.auc for k in keys if k in found]
        axes.barh(places, values, height=bar * 0.92, color=colour(index), label=tracker)
    axes.set_yticks(range(len(keys)), [k.partition("/")[2] for k in keys])
    axes.set(xlim=(0, 1), ylim=(-0.5, len(keys) - 0.5), xlabel="success AUC")
    axes.legend(loc="lower right", fontsize=8, framealpha=0.9)
    return to_svg(figure)


def attribute_radar(
    by_attribute: Mapping[str, Mapping[str, tuple[float, int]]], order: list[str]
) -> str:
    """Mean AUC by attribute; needs at least three attributes to be a figure."""
    names = list(dict.fromkeys(n for found in by_attribute.values() for n in found))
    if len(names) < 3:
        return ""
    counts = {n: max(f[n][1] for f in by_attribute.values() if n in f) for n in names}
    angles = np.linspace(0, 2 * np.pi, len(names), endpoint=False)
    figure = make_figure(8.6, 5.6)
    axes = figure.add_subplot(projection="polar")
    axes.set_theta_offset(np.pi / 2)  # type: ignore[attr-defined]
    axes.set_theta_direction(-1)  # type: ignore[attr-defined]
    top = 0.0
    for index, tracker in enumerate(order):
        found = by_attribute.get(tracker, {})
        values = [found[n][0] if n in found else math.nan for n in names]
        top = max([top, *(v for v in values if math.isfinite(v))])
        axes.plot(
            [*angles, angles[0]],
            [*values, values[0]],
            color=colour(index),
            linewidth=2.6 if index == 0 else 1.5,
            marker="o",
            markersize=3.5,
            label=tracker,
        )
    axes.set_xticks(angles, [f"{n}\n({counts[n]} seq.)" for n in names], fontsize=9)
    axes.tick_params(axis="x", pad=10)
    for label, angle in zip(axes.get_xticklabels(), angles, strict=True):
        aside = math.sin(angle)  # the circle begins at the top and goes clockwise
        label.set_horizontalalignment(
            "left" if aside > 0.2 else "right" if aside < -0.2 else "center"
        )
    axes.set_ylim(0, min(1.0, math.ceil(top * 10 + 0.2) / 10))
    axes.set_rlabel_position(180 / len(names))  # type: ignore[attr-defined]
    axes.tick_params(axis="y", labelsize=7.5, labelcolor="#7a8694")
    axes.legend(loc="center left", bbox_to_anchor=(1.22, 0.5), fontsize=9, frameon=False)
    return to_svg(figure)


def differences(comparisons: list[Comparison], order: list[str]) -> str:
    """Paired differences with their intervals; those that hold zero are hollow."""
    rows = list(reversed(comparisons))
    figure = make_figure(12.6, 0.9 + 0.34 * len(rows))
    axes = figure.add_subplot()
    for place, row in enumerate(rows):
        tint = colour(order.index(row.opponent))
        d = row.difference
        axes.plot([d.low, d.high], [place, place], color=tint, linewidth=2)
        fill = tint if row.decided else "white"
        axes.plot(d.mean, place, "o", color=tint, markerfacecolor=fill, markersize=7)
    axes.axvline(0, color="#333333", linewidth=1)
    axes.set_yticks(range(len(rows)), [f"{c.dataset}: against {c.opponent}" for c in rows])
    axes.set(ylim=(-0.6, len(rows) - 0.4), xlabel=f"AUC of {rows[0].tracker} minus the other's")
    return to_svg(figure)


def timeline(score_by_tracker: Mapping[str, SequenceScore], order: list[str]) -> str:
    """One strip a tracker: overlap by colour, absence of the target hatched, lost marked."""
    from matplotlib.colors import LinearSegmentedColormap

    shades = LinearSegmentedColormap.from_list("overlap", ["#c0392b", "#f4d35e", "#2a9d5c"])
    shades.set_bad("#e3e6ea")
    rows = [t for t in order if t in score_by_tracker]
    length = max(len(score_by_tracker[t].overlaps) for t in rows)
    figure = make_figure(12.6, 0.75 + 0.42 * len(rows))
    axes = figure.add_subplot()
    for place, tracker in enumerate(reversed(rows)):
        score = score_by_tracker[tracker]
        strip = np.ma.masked_invalid(score.overlaps[None])
        extent = (0, strip.shape[1], place - 0.36, place + 0.36)
        axes.imshow(
            strip, aspect="auto", extent=extent, cmap=shades, vmin=0, vmax=0.8,
            interpolation="nearest",
        )  # fmt: skip
        lost = np.array([s == "lost" for s in score.track.states])
        for start, stop in spans(lost):
            axes.plot([start, stop], [place - 0.43] * 2, color="black", linewidth=3,
                      solid_capstyle="butt")  # fmt: skip
    axes.set_yticks(range(len(rows)), list(reversed(rows)))
    axes.set(xlim=(0, length), ylim=(-0.55, len(rows) - 0.45), xlabel="frame")
    return to_svg(figure)


def spans(mask: np.ndarray) -> list[tuple[int, int]]:
    """[start, stop) of the runs of True."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], mask.astype(np.int8), [0]])))
    return [(int(a), int(b)) for a, b in zip(edges[0::2], edges[1::2], strict=True)]


def make_figure(width: float, height: float) -> Figure:
    """An empty figure, inches; UserError without matplotlib."""
    try:
        from matplotlib.figure import Figure
    except ModuleNotFoundError:
        raise UserError(MISSING) from None
    return Figure(figsize=(width, height), layout="constrained")


def to_svg(figure: Figure) -> str:
    """A figure in the report's look, as text that starts with ``<svg``."""
    from matplotlib import rc_context
    from matplotlib.text import Text

    for axes in figure.axes:
        _plain_look(axes)
    for words in figure.findobj(Text):
        words.set_parse_math(False)  # names may hold $
    text = io.StringIO()
    # text stays text: smaller, and it can be searched and copied
    with rc_context(
        {"svg.fonttype": "none", "font.family": "sans-serif", "text.parse_math": False}
    ):
        figure.savefig(text, format="svg", metadata={"Date": None})
    return text.getvalue()[text.getvalue().index("<svg") :]


def _plain_look(axes: Axes) -> None:
    if axes.name != "polar":
        axes.spines[["top", "right"]].set_visible(False)
    if not axes.images:  # strips of colour need no grid
        axes.grid(color="#dddddd", linewidth=0.7)
    axes.set_axisbelow(True)
    axes.title.set_fontsize(11)
