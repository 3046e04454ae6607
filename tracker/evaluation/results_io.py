"""Tracks on disk: our csv, and the text forms that the public toolkits score.

A csv has one row a frame: ``frame,x,y,w,h,score,state,seconds``; row 0 is the given box, with
the time that ``init`` took. Files appear whole or not at all.
"""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tracker.errors import UserError
from tracker.evaluation.vot import Code
from tracker.geometry import FloatArray

HEADER = ("frame", "x", "y", "w", "h", "score", "state", "seconds")
FORMATS = ("otb", "got10k", "vot")


@dataclass(frozen=True)
class Track:
    """A tracker's answers on the frames of a run.

    Attributes:
        frames: (N,) int, index of each frame in the sequence (falling for backward runs).
        boxes: (N, 4) pixels.
        scores: (N,) 0..1.
        states: N strings: ``tracking``, ``uncertain``, ``lost``; in runs with resets also
            ``initialised``, ``failed`` and ``skipped`` (``vot.Code``).
        seconds: (N,) time that the tracker took, without decoding.
    """

    frames: np.ndarray
    boxes: FloatArray
    scores: FloatArray
    states: tuple[str, ...]
    seconds: FloatArray

    @property
    def fps(self) -> float:
        """Updates per second: their number over the sum of their times (``init`` left out)."""
        total = float(self.seconds[1:].sum())
        return (len(self.seconds) - 1) / total if total > 0 else float("nan")


def track_to_csv(track: Track) -> str:
    """The text of a track's csv file."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(HEADER)
    rows = zip(track.frames, track.boxes, track.scores, track.states, track.seconds, strict=True)
    for frame, box, score, state, seconds in rows:
        numbers = [f"{v:.4f}" for v in box]
        writer.writerow([int(frame), *numbers, f"{score:.6f}", state, f"{seconds:.6f}"])
    return text.getvalue()


def read_track(path: Path) -> Track:
    """Read a csv that ``track_to_csv`` wrote; UserError if it is not one."""
    try:
        with open(path, newline="", encoding="utf-8") as file:
            rows = list(csv.reader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{path}: the result file cannot be read ({error})") from None
    if len(rows) < 2 or tuple(rows[0]) != HEADER or any(len(r) != len(HEADER) for r in rows):
        raise UserError(f"{path}: this is not a result file with the columns {','.join(HEADER)}")
    try:
        numbers = np.array([[*row[:6], row[7]] for row in rows[1:]], dtype=np.float64)
    except ValueError:
        raise UserError(f"{path}: the result file holds something that is no number") from None
    states = tuple(row[6] for row in rows[1:])
    for state in set(states):
        try:
            Code.of(state)
        except ValueError:
            raise UserError(
                f"{path}: the result file has {state!r:.80} in the place of a state"
            ) from None
    return Track(
        numbers[:, 0].astype(np.int64), numbers[:, 1:5], numbers[:, 5], states, numbers[:, 6]
    )


SUMMARIES = ("summary.json", "report.html", "roc.svg")
"""What an evaluation makes of all runs; a later one adds its own and writes them anew."""


def check_folder(root: Path, overwrite: bool = False) -> None:
    """Check that an evaluation may write into ``root``, before anything is run.

    Raises:
        UserError: a file is in the way of the folder, or a file that no evaluation wrote has
            the name of one that would be written.
    """
    there = next((p for p in (root, *root.parents) if os.path.lexists(p)), None)
    if there is not None and not there.is_dir():
        raise UserError(f"{there} is a file, and --out needs a folder; give another name")
    if overwrite or is_summary(root / "summary.json"):
        return
    for name in SUMMARIES:
        if os.path.lexists(root / name):
            raise UserError(
                f"{root / name}: this file was not written by an evaluation and would be replaced; "
                "give another --out, or --overwrite"
            )


def is_summary(path: Path) -> bool:
    """Whether a file is the ``summary.json`` of an evaluation, by what it contains."""
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        return {"date", "command", "frames"} <= set(record["header"]) and bool(
            {"datasets", "trackers", "models"} & set(record)
        )
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return False


def toolkit_files(form: str, tracker: str, sequence: str, track: Track) -> dict[str, str]:
    """Relative path -> text of a one-pass track in the form that a public toolkit reads.

    Args:
        form: ``otb`` (boxes from pixel 1; ``<tracker>/<sequence>.txt``), ``got10k``
            (``<tracker>/<sequence>/<sequence>_001.txt`` and times), or ``vot``
            (``<tracker>/longterm/<sequence>/<sequence>_001.txt`` with scores and times).
    """
    if form == "otb":
        shift = np.array([1.0, 1.0, 0.0, 0.0])
        return {
            f"{tracker}/{sequence}.txt": _lines(track.boxes + shift),
            f"{tracker}/times/{sequence}_time.txt": _column(track.seconds, 8),
        }
    if form == "got10k":
        base = f"{tracker}/{sequence}/{sequence}"
        return {
            f"{base}_001.txt": _lines(track.boxes),
            f"{base}_time.txt": _column(track.seconds, 8),
        }
    if form == "vot":
        base = f"{tracker}/longterm/{sequence}/{sequence}_001"
        boxes = _lines(track.boxes).splitlines(keepends=True)
        return {
            f"{base}.txt": "".join([f"{Code.INITIALISED:d}\n", *boxes[1:]]),
            f"{base}_confidence.value": _column(track.scores, 6),
            f"{base}_time.value": _column(track.seconds, 6),
        }
    raise ValueError(f"unknown form {form!r}; known: {', '.join(FORMATS)}")


def vot_run_files(
    tracker: str, sequence: str, track: Track, anchor: int | None = None
) -> dict[str, str]:
    """Relative path -> text of a run from an anchor, or with resets, as VOT's toolkit has it.

    Its codes (``vot.Code``) stand for a box in frames that start the tracker, fail or are skipped.

    Args:
        anchor: frame that the run starts from; ``None`` for a run with resets.
    """
    number = "001" if anchor is None else f"{anchor:08d}"
    base = f"{tracker}/baseline/{sequence}/{sequence}_{number}"
    codes = [Code.INITIALISED, *(Code.of(state) for state in track.states[1:])]
    lines = [
        box if code is Code.TRACKED else f"{code:d}"
        for code, box in zip(codes, _lines(track.boxes).splitlines(), strict=True)
    ]
    return {
        f"{base}.txt": "".join(line + "\n" for line in lines),
        f"{base}_time.value": _column(track.seconds, 6),
    }


def _lines(boxes: FloatArray) -> str:
    return "".join(",".join(f"{v:.3f}" for v in box) + "\n" for box in boxes)


def _column(values: Sequence[float] | FloatArray, digits: int) -> str:
    return "".join(f"{v:.{digits}f}\n" for v in values)
