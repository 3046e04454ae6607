"""What a network said of the regions of a clip, kept so that it need not be asked twice.

Runs of one model with nearby settings look at nearly the same places. When the places are
rounded to a grid (``lockstep``) they are often the very same ones, and one answer serves all.
An answer is kept for the current frame in memory and, if wanted, for later runs in a file.

The file: a header of 512 bytes (JSON, what a record is), then records of one length. It only
grows, so that an interrupt costs at most what was not written yet.
"""

from __future__ import annotations

import hashlib
import json
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tracker.crop import Region
from tracker.errors import UserError
from tracker.files import write_atomic
from tracker.runtime import SearchOutput

Record = NDArray[np.void]
PARTS = ("score", "boxes", "identity")
HALF = ("identity",)  # only means over many of its cells are compared: 16 bits are enough
HEADER = 512
AT_ONCE = 64  # records a write


class OutputCache:
    """Answers of the search graph to regions of one clip.

    They are the same whether they come from the network, from memory or from the file: all
    are rounded as the file has them.

    Args:
        path: file that keeps them; ``None`` for the current frame only. Its name must change
            with the model and the clip.
        cells: a side of the largest answer; smaller ones are filled up, since all records of a
            file have one length.

    Attributes:
        asked: regions that were asked for.
        computed: those that the network had to look at.

    Raises:
        UserError: a file that is not one of these.
    """

    def __init__(self, path: Path | None = None, cells: int = 0) -> None:
        self.asked = self.computed = 0
        self._path, self._cells, self._frame = path, cells, 0
        self._here: dict[bytes, SearchOutput] = {}
        self._kept: Record | None = None
        self._rows: dict[bytes, int] = {}
        self._unwritten: list[bytes] = []
        if path is not None and path.is_file():
            self._kept = _open(path)
            self._rows = {k.tobytes(): row for row, k in enumerate(np.array(self._kept["key"]))}

    def begin(self, frame: int) -> None:
        """Go on to another frame; answers of the last one are forgotten or in the file."""
        self._frame = frame
        self._here.clear()
        if len(self._unwritten) >= AT_ONCE:
            self.flush()

    def answer(
        self, region: Region, size: int, exemplar: bytes, compute: Callable[[], SearchOutput]
    ) -> SearchOutput:
        """The answer for one region (a batch of one).

        Args:
            size: pixels a side of its crop.
            exemplar: digest of the exemplar's embedding.
            compute: asks the network.
        """
        self.asked += 1
        place = struct.pack("<2q3d", self._frame, size, region.cx, region.cy, region.side)
        key = hashlib.blake2b(place + exemplar, digest_size=16).digest()
        found = self._here.get(key)
        if found is None and key in self._rows and self._kept is not None:
            found = _output(self._kept[self._rows[key]])
        if found is None:
            found = self._compute(key, compute)
        self._here[key] = found
        return found

    def flush(self) -> None:
        """Write what is not in the file yet.

        Raises:
            UserError: the disk is full, or the place cannot be written to.
        """
        if self._path is None or not self._unwritten:
            return
        length = len(self._unwritten[0])
        try:
            with open(self._path, "ab") as file:
                # a record that was cut short must not shift those behind it
                file.truncate(HEADER + (file.tell() - HEADER) // length * length)
                file.write(b"".join(self._unwritten))
        except OSError as error:
            raise UserError(f"{self._path}: cannot be written ({error.strerror})") from None
        self._unwritten.clear()

    def _compute(self, key: bytes, compute: Callable[[], SearchOutput]) -> SearchOutput:
        self.computed += 1
        record = _record(key, compute(), self._cells)
        if self._path is not None:
            if not self._path.is_file():
                _create(self._path, record.dtype)
            self._unwritten.append(record.tobytes())
        return _output(record)


def _create(path: Path, form: np.dtype[np.void]) -> None:
    header = json.dumps([[name, kind, list(*shape)] for name, kind, *shape in form.descr])
    write_atomic(path, header.encode().ljust(HEADER))  # half of it would be refused for ever


def _open(path: Path) -> Record:
    try:
        with open(path, "rb") as file:
            fields = json.loads(file.read(HEADER))
        form = np.dtype([(str(n), str(kind), tuple(shape)) for n, kind, shape in fields])
        count = (path.stat().st_size - HEADER) // form.itemsize
        if count < 1:
            return np.zeros(0, form)
        return np.memmap(path, form, "r", HEADER, (count,))
    except (OSError, ValueError, TypeError) as error:
        raise UserError(
            f"{path}: this is not a file of cached outputs ({error}); delete it, or give "
            "another --cache"
        ) from None


def _record(key: bytes, output: SearchOutput, cells: int) -> Record:
    parts = {p: v for p in PARTS if (v := getattr(output, p)) is not None}
    rows = output.score.shape[-1]
    sides = (max(rows, cells),) * 2
    fields = [(p, "<f2" if p in HALF else "<f4", v.shape[1:-2] + sides) for p, v in parts.items()]
    record = np.zeros((), np.dtype([("key", "|u1", (16,)), ("rows", "<u2", ()), *fields]))
    record["key"], record["rows"] = np.frombuffer(key, np.uint8), rows
    for part, values in parts.items():
        record[part][..., :rows, :rows] = values[0]
    return record


def _output(record: Record) -> SearchOutput:
    names, rows = record.dtype.names or (), int(record["rows"])
    score, boxes, identity = (
        np.array(record[part][..., :rows, :rows], np.float32)[None] if part in names else None
        for part in PARTS
    )
    assert score is not None
    return SearchOutput(score, boxes, identity)
