"""Tracks as files: csv, json, json lines, OTB, GOT-10k and MOT text, complete after every frame.

What a lost target looks like differs by format, because a lost target claims no box:

=======  ============================================  ==========================
format   one row is                                    lost or not yet selected
=======  ============================================  ==========================
csv      one target in one frame                       x, y, w, h empty
jsonl    one frame with its targets                    ``"box": null``
json     the same rows as one list                     ``"box": null``
otb      ``x,y,w,h`` of one frame, one file a target   ``nan,nan,nan,nan``
got10k   the same                                      ``0,0,0,0`` (overlaps nothing)
mot      one target in one frame, counted from 1       no row
=======  ============================================  ==========================

Boxes are 0-based pixels but for MOT, whose frames and pixels count from 1.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tracker.app.outputs import claim
from tracker.app.row_file import STDOUT, RowFile
from tracker.errors import UserError
from tracker.results import Box, State, TrackResult

SUFFIX_OF = {
    "csv": ".csv", "json": ".json", "jsonl": ".jsonl",
    "otb": ".txt", "got10k": ".txt", "mot": ".txt",
}  # fmt: skip
FORMATS = tuple(SUFFIX_OF)
ONE_TARGET = ("otb", "got10k")
"""Formats whose files hold one target each."""
_BY_SUFFIX = {".csv": "csv", ".json": "json", ".jsonl": "jsonl", ".ndjson": "jsonl", ".txt": "otb"}
_ABSENT = {"otb": "nan,nan,nan,nan\n", "got10k": "0,0,0,0\n"}
_CSV_HEADER = "frame,time,id,label,x,y,w,h,score,state,similarity\n"


@dataclass(frozen=True)
class Row:
    """What is written of one target in one frame."""

    label: str
    result: TrackResult


Rows = Mapping[int, Row]


_AROUND = {"csv": (_CSV_HEADER, "", ""), "json": ("[\n", ",\n", "\n]\n")}
"""Header, separator of frames and footer of a format."""


class ResultsWriter:
    """Writes the results of each frame as it comes.

    What is written of a frame that is seen again (after a rewind) replaces what was.

    Args:
        path: output file. In the one-target formats further targets go to ``name_2.txt``, ...
        form: one of ``FORMATS``; None: by the ending of ``path``.
        overwrite: replace what exists.
        rewinds: the source can seek.

    Raises:
        UserError: unknown ending, or the file may not be written.
    """

    def __init__(
        self, path: Path, form: str | None = None, overwrite: bool = False, rewinds: bool = True
    ) -> None:
        self.path, self._overwrite, self._rewinds = path, overwrite, rewinds
        self.form = form or form_of(path)
        self._files: dict[int, RowFile] = {}
        claim(path, overwrite or path == STDOUT)
        self._shared = self._open(path)

    def _open(self, path: Path) -> RowFile:
        header, separator, footer = _AROUND.get(self.form, ("", "", ""))
        return RowFile(path, header, separator, footer, self._rewinds, self._overwrite)

    @property
    def takes_back(self) -> bool:
        """Whether what was written can be replaced; a pipe keeps it."""
        return self._shared.takes_back

    @property
    def unread(self) -> bool:
        """Whether all goes into pipes whose readers left."""
        return all(file.unread for file in (self._shared, *self._files.values()))

    def make_room(self, target: int) -> None:
        """Choose the file of a target, if each has its own.

        Raises:
            UserError: it exists.
        """
        if self.form in ONE_TARGET:
            self._file_for(target)

    def write(self, frame: int, time: float, rows: Rows) -> None:
        """Write all targets of one frame.

        Args:
            frame: 0-based number.
            time: seconds since the first frame.
            rows: by id of the target.
        """
        if self.form in ONE_TARGET:
            self._write_single(frame, rows)
        else:
            self._shared.put(frame, _MANY[self.form](frame, time, rows))

    def _write_single(self, frame: int, rows: Rows) -> None:
        absent = _ABSENT[self.form]
        for target in sorted(rows):
            self.make_room(target)
        files = dict(self._files.items()) or {0: self._shared}
        end = max([frame, *(file.next_frame for file in files.values())])
        for target, file in files.items():
            for skipped in range(file.next_frame, end):
                file.put(skipped, absent)
            box = rows[target].result.claimed_box if target in rows else None
            file.put(frame, absent if box is None else _line(box))

    def _file_for(self, target: int) -> RowFile:
        if target not in self._files:
            number = len(self._files) + 1
            self._files[target] = (
                self._shared
                if number == 1
                else self._open(claim(file_of(self.path, number), self._overwrite))
            )
        return self._files[target]

    def close(self) -> None:
        for file in (self._shared, *self._files.values()):
            file.close()

    def __enter__(self) -> ResultsWriter:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def file_of(path: Path, number: int) -> Path:
    """Where the ``number``-th target goes (from 1), in the one-target formats.

    Raises:
        UserError: there is only one place.
    """
    if number > 1 and path == STDOUT:
        raise UserError(
            "standard output takes one target of otb and got10k, which have a file for each; "
            "choose with --results-format csv|json|jsonl|mot"
        )
    return path if number == 1 else path.parent / f"{path.stem}_{number}{path.suffix}"


def files_for(path: Path, form: str, targets: int) -> list[Path]:
    """All files that results of so many targets make."""
    count = targets if form in ONE_TARGET else 1
    return [file_of(path, number) for number in range(1, max(count, 1) + 1)]


def form_of(path: Path) -> str:
    """The format that a file name asks for.

    Raises:
        UserError: its ending is none that is known.
    """
    form = _BY_SUFFIX.get(path.suffix.lower())
    if form is None:
        raise UserError(
            f"{path.name}: results go to a name ending in .csv, .json, .jsonl or .txt; "
            f"or choose with --results-format {'|'.join(FORMATS)}"
        )
    return form


def begun_otherwise(
    files: Sequence[Path],
    form: str,
    boxes: Sequence[tuple[Box, str | None]],
    frame: int = 0,
    time: float = 0.0,
) -> Path | None:
    """The first of some result files that does not begin as those of such targets would.

    Args:
        files: as of ``files_for``.
        form: one of ``FORMATS``.
        boxes: first boxes (x, y, w, h) in the frame, with their labels.
        frame, time: of the first frame, as ``ResultsWriter.write`` takes them.

    Raises:
        OSError: one cannot be read.
    """
    if form in ONE_TARGET:
        begins = [_ABSENT[form] * frame + _line(box) for box, _ in boxes]
        (other,) = (line for name, line in _ABSENT.items() if name != form)
        never = f"\n{other}"
    else:
        results = [(label, TrackResult(box, 1.0, State.TRACKING)) for box, label in boxes]
        rows = {n: Row(label or str(n), result) for n, (label, result) in enumerate(results, 1)}
        text = _MANY[form](frame, time, rows)
        begins = [_AROUND.get(form, ("",))[0] + text]
        never = begins[0] + text[: text.index(",") + 1]  # one more target in that frame
    for path, begin in zip(files, begins, strict=True):
        found = path.read_bytes()
        if not found.startswith(begin.encode()) or never.encode() in found:
            return path
    return None


def _line(box: Box) -> str:
    return ",".join(map(_number, box)) + "\n"


def _number(value: float) -> str:
    return f"{value:.3f}"


def _csv_rows(frame: int, time: float, rows: Rows) -> str:
    out = io.StringIO()
    table = csv.writer(out, lineterminator="\n")
    for target, row in sorted(rows.items()):
        result = row.result
        box = result.claimed_box
        table.writerow(
            [
                frame,
                f"{time:.4f}",
                target,
                row.label,
                *(map(_number, box) if box else ("",) * 4),
                f"{result.score:.4f}",
                result.state,
                "" if result.similarity is None else f"{result.similarity:.4f}",
            ]
        )
    return out.getvalue()


def _json_row(frame: int, time: float, rows: Rows) -> str:
    return json.dumps(
        {
            "frame": frame,
            "time": round(time, 4),
            "targets": [
                {
                    "id": target,
                    "label": row.label,
                    "box": _rounded(row.result.claimed_box),
                    "score": round(row.result.score, 4),
                    "state": str(row.result.state),
                    "similarity": None
                    if row.result.similarity is None
                    else round(row.result.similarity, 4),
                }
                for target, row in sorted(rows.items())
            ],
        }
    )


def _rounded(box: Box | None) -> list[float] | None:
    return None if box is None else [round(v, 3) for v in box]


def _mot_rows(frame: int, time: float, rows: Rows) -> str:
    lines = []
    for target, row in sorted(rows.items()):
        box = row.result.claimed_box
        if box is not None:
            x, y, w, h = box
            lines.append(
                f"{frame + 1},{target},{x + 1:.3f},{y + 1:.3f},{w:.3f},{h:.3f},"
                f"{row.result.score:.4f},-1,-1,-1\n"
            )
    return "".join(lines)


_MANY: dict[str, Callable[[int, float, Rows], str]] = {
    "csv": _csv_rows,
    "json": _json_row,
    "jsonl": lambda frame, time, rows: _json_row(frame, time, rows) + "\n",
    "mot": _mot_rows,
}
