"""Tables of a run, written as it goes, and their plot."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from tracker.errors import UserError
from tracker.files import write_atomic
from tracker.training.processes import mean_of_processes, process_rank


class Table:
    """A csv file that grows by rows; a resumed run drops what the checkpoint does not know.

    Args:
        path: of the file.
        step: rows of later steps are removed; 0 starts the file anew.
    """

    def __init__(self, path: Path, step: int) -> None:
        self.path = path
        if process_rank() != 0 or not path.exists():
            return
        rows = read_table(path) if step else []
        rows = [row for row in rows if float(row.get("step") or "inf") <= step]
        if rows:
            self._write(list(rows[0]), rows)
        else:
            path.unlink()

    def add(self, row: dict[str, Any]) -> None:
        """Append a row; the first one names the columns."""
        if process_rank() != 0:
            return
        fresh = not self.path.exists()
        try:
            columns = list(row) if fresh else self._widen(row)
            with self.path.open("a", newline="", encoding="utf-8") as file:
                writer = csv.DictWriter(file, columns)
                if fresh:
                    writer.writeheader()
                writer.writerow(row)
        except OSError as error:
            raise UserError(
                f"{self.path} cannot be written ({error.strerror}); the last checkpoint is kept"
            ) from None

    def _widen(self, row: dict[str, Any]) -> list[str]:
        """The columns of the file, with those of a row that measures more."""
        with self.path.open(newline="", encoding="utf-8") as file:
            columns = next(csv.reader(file), [])
        wider = columns + [name for name in row if name not in columns]
        if wider != columns:
            self._write(wider, read_table(self.path))
        return wider

    def _write(self, columns: list[str], rows: list[dict[str, str]]) -> None:
        """Write the file anew, in one step: a kill or a full disk takes no row."""
        text = io.StringIO(newline="")
        writer = csv.DictWriter(text, columns)
        writer.writeheader()
        writer.writerows(rows)
        write_atomic(self.path, text.getvalue())


def read_table(path: Path) -> list[dict[str, str]]:
    """Rows of a csv file with a header; of a file cut short, those that are whole."""
    with path.open(newline="", encoding="utf-8") as file:
        return [r for r in csv.DictReader(file) if None not in r.values() and None not in r]


class RunningMeans:
    """Means of the losses since the last row. They stay on their device until then."""

    def __init__(self) -> None:
        self.sums: dict[str, Tensor] = {}
        self.count = 0

    def add(self, parts: dict[str, Tensor]) -> None:
        """Count one step's losses in."""
        for name, value in parts.items():
            value = value.detach().double()
            self.sums[name] = self.sums[name] + value if name in self.sums else value
        self.count += 1

    def finite(self) -> bool:
        """Whether every loss so far was a number."""
        return all(bool(torch.isfinite(v)) for v in self.sums.values())

    def take(self) -> dict[str, float]:
        """The means, over all processes; then start anew."""
        names = list(self.sums)
        if not names:
            return {}
        means = mean_of_processes(torch.stack([self.sums[n] for n in names]) / self.count)
        self.sums, self.count = {}, 0
        return dict(zip(names, means.tolist(), strict=True))

    def state_dict(self) -> dict[str, Any]:
        """For a checkpoint between two rows."""
        return {"sums": {k: v.cpu() for k, v in self.sums.items()}, "count": self.count}

    def load_state_dict(self, state: dict[str, Any], device: torch.device) -> None:
        """Go on where ``state_dict`` was taken."""
        self.sums = {k: v.to(device) for k, v in state["sums"].items()}
        self.count = int(state["count"])


def plot_run(folder: Path) -> Path | None:
    """Draw ``log.csv`` and ``validation.csv`` of a run into ``losses.png``.

    Returns:
        The picture, or ``None`` without matplotlib, without a row, or on a full disk.
    """
    try:
        from matplotlib.figure import Figure
    except ModuleNotFoundError:
        return None
    files = {"loss": folder / "log.csv", "validation": folder / "validation.csv"}
    tables = {what: read_table(file) for what, file in files.items() if file.exists()}
    tables = {what: rows for what, rows in tables.items() if rows}
    if not tables:
        return None
    figure = Figure(figsize=(9, 1 + 3 * len(tables)), layout="constrained")
    grid = figure.subplots(len(tables), 1, squeeze=False, sharex=True)[:, 0]
    for axes, (what, rows) in zip(grid, tables.items(), strict=True):
        steps = [int(row["step"]) for row in rows]
        for name in [n for n in rows[0] if n not in ("step", "seconds", "lr", "waited")]:
            values = [float(row[name] or "nan") for row in rows]
            axes.plot(steps, values, label=name, marker="." if len(steps) < 30 else "")
        axes.set_ylabel(what)
        axes.grid(alpha=0.3)
        axes.legend(ncols=3, fontsize="small")
    grid[-1].set_xlabel("step")
    path = folder / "losses.png"
    partial = folder / "losses.partial.png"
    try:
        figure.savefig(partial, dpi=110)
        partial.replace(path)
    except OSError:  # the run itself is kept; its tables can be drawn later
        return None
    return path
