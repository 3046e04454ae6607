"""The table and the plot of accuracy against speed."""

from __future__ import annotations

import builtins
import json
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import numpy as np
import pytest

from tracker.errors import UserError
from tracker.evaluation import plots, speed
from tracker.evaluation.tradeoff import Point, markdown_table, plot, read_accuracy


def figures(milliseconds: float, **told: str) -> speed.Speed:
    times = [milliseconds / 1000] * 4
    stages = {"update": times, "total": [2 * t for t in times], "crop": [t * 0.1 for t in times],
              "network": [t * 0.8 for t in times], "decide": [t * 0.1 for t in times]}  # fmt: skip
    return speed.summarise([{"startup": 0.5, "stages": stages, "told": told}])


def points() -> list[Point]:
    ours = figures(4, precision="fp32", threads="2")
    return [
        Point("kestrel", 1, ours, {"otb": 0.6123, "uav": 0.5}),
        Point("kestrel", 2, figures(2, precision="fp32"), {"otb": 0.6123, "uav": 0.5}),
        Point("csrt", None, figures(30), {"otb": 0.53}),
    ]


def test_the_table_has_what_is_known_and_dashes_for_the_rest() -> None:
    head, rule, *rows = markdown_table(points()).splitlines()
    assert head.startswith("| tracker | precision | threads | AUC otb | AUC uav |")
    assert {line.count("|") for line in (head, rule, *rows)} == {head.count("|")}
    first = [cell.strip() for cell in rows[0].split("|")]
    assert first[1:6] == ["kestrel", "fp32", "1", "0.612", "0.500"]
    names = (cell.strip() for cell in head.split("|"))
    assert dict(list(zip(names, first, strict=True))[6:-1]) == {
        "crop": "0.40 / 0.40",
        "network": "3.20 / 3.20",
        "decide": "0.40 / 0.40",
        "whole update": "4.00 / 4.00",
        "frames/s": "250",
        "outside network": "20 %",
        "first box, s": "0.50",
    }
    last = [cell.strip() for cell in rows[2].split("|")]
    assert last[1:6] == ["csrt", "-", "own", "0.530", "-"]


def test_accuracy_is_read_from_a_summary(tmp_path: Path) -> None:
    rows = {"otb": {"kestrel": {"auc": {"mean": 0.61}}}, "uav": {"csrt": {"auc": {"mean": 0.4}}}}
    path = tmp_path / "summary.json"
    path.write_text(json.dumps({"datasets": rows}))
    assert read_accuracy(path) == {"kestrel": {"otb": 0.61}, "csrt": {"uav": 0.4}}
    for text in ("{}", "[]", "no json", '{"datasets": {"otb": {"kestrel": {}}}}'):
        path.write_text(text)
        with pytest.raises(UserError, match=r"summary\.json cannot be read"):
            read_accuracy(path)
    with pytest.raises(UserError, match="cannot be read"):
        read_accuracy(tmp_path / "missing.json")


def test_the_plot_names_every_tracker_in_a_panel_for_each_data_set() -> None:
    pytest.importorskip("matplotlib")
    text = plot([*points(), Point("unknown", 1, figures(5), {})])
    ElementTree.fromstring(text)
    assert "unknown" not in text  # it has no accuracy, so no mark either
    for word in (
        "otb",
        "uav",
        "kestrel",
        "csrt",
        "1 thread",
        "2 threads",
        "own choice",
        "success AUC",
    ):
        assert word in text
    with pytest.raises(UserError, match="--accuracy"):
        plot([Point("kestrel", 1, figures(4), {})])


def test_marks_stand_at_the_rate_of_the_tracker_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("matplotlib")
    shown = []
    monkeypatch.setattr(plots, "to_svg", lambda figure: shown.append(figure) or "")
    plot(points())
    marks = [
        [(float(line.get_xdata()[0]), float(line.get_ydata()[0])) for line in axes.lines
         if line.get_marker() != "None"]
        for axes in shown[0].axes
    ]  # fmt: skip
    otb, uav = (sorted(found) for found in marks)
    np.testing.assert_allclose(otb, [(1000 / 30, 0.53), (250, 0.6123), (500, 0.6123)])
    np.testing.assert_allclose(uav, [(250, 0.5), (500, 0.5)])


def test_a_library_that_ctrl_c_kept_from_loading_is_not_called_missing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What is interrupted in a compiled part ends as an ImportError."""

    def broken(name: str, *arguments: object) -> object:
        if not name.startswith("matplotlib"):
            return imported(name, *arguments)
        try:
            raise KeyboardInterrupt
        except KeyboardInterrupt:
            raise ImportError("initialization failed") from None

    imported = builtins.__import__
    monkeypatch.setattr(builtins, "__import__", broken)
    with pytest.raises(ImportError):
        plots.make_figure(1, 1)
    monkeypatch.undo()
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(UserError, match="need matplotlib"):
        plots.make_figure(1, 1)


def test_as_many_trackers_as_we_measure_have_colours_of_their_own() -> None:
    ours = figures(4)
    svg = plot([Point(f"tracker {n}", None, ours, {"otb": 0.5}) for n in range(9)])
    assert all(plots.colour(n).lower() in svg for n in range(9))
    assert len({plots.colour(n) for n in range(9)}) == 9
