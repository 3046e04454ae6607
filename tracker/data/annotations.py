"""Annotation files of one target: a tolerant reader that never runs or guesses anything.

Accepted, one line a frame: ``x,y,w,h``; VOT's four corners ``x1,y1,...,x4,y4`` and masks
``m<x>,<y>,<w>,<h>,<run lengths>``; a header row that names x, y, w and h (where it names
``frame`` as well, no frame may be left out or come twice). Numbers are parted by commas,
semicolons, tabs or spaces; UTF-8 with or without BOM, UTF-16 with BOM, Latin-1; any line
ends. ``nan`` in a line, a size of zero, and the single codes 0, 1, 2 of VOT mean that the
target is absent.
"""

from __future__ import annotations

import codecs
import csv
import itertools
import math
import re
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tracker.errors import UserError
from tracker.geometry import FloatArray, polygon_area, polygon_to_box
from tracker.results import Box

MAX_BYTES = 64 * 2**20
MAX_COORDINATE = 1e7
FRAME_COLUMNS = ("frame", "frame_id", "frame_index", "frame_number")
SUFFIXES = (".txt", ".csv", ".TXT", ".CSV", ".Txt", ".Csv")
_SEPARATORS = re.compile(r"[,;\s]+")
_AMBIGUOUS = re.compile(r"(\s*\d+,\d+\s*;){3}\s*\d+,\d+\s*")
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_ABSENT: Box = (math.nan, math.nan, math.nan, math.nan)


def annotation_of(video: Path) -> Path | None:
    """The annotation beside a video, which has its name; ``None`` if there is none.

    Its suffix may be in capitals, as cameras and some programs write them.
    """
    found = (video.with_suffix(suffix) for suffix in SUFFIXES)
    return next((path for path in found if path.is_file()), None)


def read_boxes(path: str | Path, one_based: bool = False) -> FloatArray:
    """Read the boxes of a target from a text file.

    Args:
        path: annotation file.
        one_based: the file counts pixels from 1 (OTB, UAV123, LaSOT); 1 is taken off x and y.

    Returns:
        (N, 4) float64 of (x, y, w, h), 0-based; rows of NaN where the target is absent.

    Raises:
        UserError: missing, empty, binary or malformed file; the line is named.
    """
    boxes = parse_boxes(read_text(path), str(path))
    if one_based:
        boxes[:, :2] -= 1
    return boxes


def read_outlines(path: str | Path, boxes: FloatArray) -> tuple[FloatArray | None, bool]:
    """What a file, of which ``read_boxes`` made the boxes, has besides: corners, and masks or not.

    Returns:
        (N, 4, 2) corners one after the other around the target, of a box where the line has one,
        NaN where the target is absent, or ``None`` if no line has 8 numbers, and of a table with a
        header; whether lines are masks.
    """
    lines = [line.strip() for line in re.split(r"\r\n|\n|\r", read_text(path))]
    if _header_columns(_splitter(lines[0])(lines[0])):
        return None, False
    numbers = [[w for w in _SEPARATORS.split(line) if w] for line in lines[: len(boxes)]]
    masks = any(line[:1] in ("m", "M") for line in lines)
    if masks or not any(len(words) == 8 for words in numbers):
        return None, masks
    ways = np.array([[0, 0], [1, 0], [1, 1], [0, 1]])
    corners = boxes[:, None, :2] + boxes[:, None, 2:] * ways
    for row, words in enumerate(numbers):
        if len(words) == 8 and np.isfinite(boxes[row]).all():
            ring = _around(np.array(words, dtype=np.float64).reshape(4, 2))
            if polygon_area(ring) > 0:  # a line has none: its box stands for it
                corners[row] = ring
    return corners, False


def _around(corners: FloatArray) -> FloatArray:
    """Corners (N, 2) in the order in which one meets them on the way around their middle."""
    x, y = (corners - corners.mean(axis=0)).T
    return corners[np.argsort(np.arctan2(y, x))]


def read_text(path: str | Path) -> str:
    """The text of a small file in UTF-8, UTF-16 with BOM, or Latin-1; UserError for others."""
    path = Path(path)
    try:
        if path.stat().st_size > MAX_BYTES:
            raise UserError(f"{path}: an annotation file has a few MB, this has more than 64 MB")
        raw = path.read_bytes()
    except OSError as error:
        reason = error.strerror or error
        raise UserError(f"{path}: the annotation file cannot be read ({reason})") from None
    if raw.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        text = raw.decode("utf-16", errors="replace")
    else:
        try:
            text = raw.decode("utf-8-sig")
        except UnicodeDecodeError:
            text = raw.decode("latin-1")
    if "\0" in text:
        raise UserError(f"{path}: this is a binary file, not a text with one box a line")
    return text


def read_flags(path: Path, length: int, whole: bool = False) -> FloatArray:
    """Numbers of a file, separated by anything; short files are filled with 0, as VOT does.

    Args:
        whole: the data set has a number for each frame, so that a short file is a damaged one.
    """
    words = [w for w in re.split(r"[,;\s]+", read_text(path)) if w]
    try:
        values = np.array([float(w) for w in words])
    except ValueError:
        raise UserError(f"{path}: expected one number a frame") from None
    if whole and len(values) < length:
        raise UserError(
            f"{path}: {len(values)} numbers for {length} frames; the file is cut short, get it anew"
        )
    flags = np.zeros(length)
    flags[: min(length, len(values))] = values[:length]
    return flags


def parse_boxes(text: str, name: str = "annotation") -> FloatArray:
    """Parse the text of an annotation file; ``name`` stands in error messages.

    Raises:
        UserError: nothing in it, or a line that is not a box.
    """
    # not str.splitlines: it also splits at form feeds and at Unicode's line separators
    lines = re.split(r"\r\n|\n|\r", text)
    while lines and not lines[-1].strip():
        lines.pop()
    if not lines:
        raise UserError(f"{name}: the annotation file is empty; expected one box x,y,w,h a line")
    split = _splitter(lines[0])
    columns = _header_columns(split(lines[0]))
    below = list(enumerate(lines, 1))
    if columns:
        _check_frames([split(line) for _, line in below], name)
        rows = [_parse_row(split(line), columns, f"{name}, line {n}") for n, line in below[1:]]
    else:
        rows = [_parse_line(line.strip(), f"{name}, line {n}") for n, line in below]
    if not rows:
        raise UserError(f"{name}: there is a header but no box below it")
    return np.array(rows, dtype=np.float64)


def check_start(truth: FloatArray, name: str) -> None:
    """Raise UserError if the first row, which starts the tracker, is no box."""
    if not np.isfinite(truth[0]).all():
        raise UserError(f"{name}: the first line has no box, but the first box starts the tracker")


def _splitter(header: str) -> Callable[[str], list[str]]:
    """How the cells of a table are told apart: as its header says, for cells may hold spaces."""
    mark = next((m for m in ",;\t" if m in header), None)
    if mark is None:
        return lambda line: _SEPARATORS.split(line.strip())

    def split(line: str) -> list[str]:
        try:
            return next(csv.reader([line], delimiter=mark), [])
        except csv.Error:  # a cell of more than 128 KiB
            return line.split(mark)

    return split


def _header_columns(cells: Sequence[str]) -> list[int] | None:
    words = [cell.strip().strip("\"'").lower() for cell in cells]
    named = {"x": ("x", "left", "xmin"), "y": ("y", "top", "ymin")}
    sizes = {"w": ("w", "width"), "h": ("h", "height")}
    columns = []
    for aliases in (*named.values(), *sizes.values()):
        found = [i for i, word in enumerate(words) if word in aliases]
        if not found:
            return None
        columns.append(found[0])
    return columns


def _check_frames(table: Sequence[list[str]], name: str) -> None:
    """Refuse a table whose column ``frame`` has gaps, repeats or a late start: a line is a frame.

    A column that holds anything but whole numbers, such as names of pictures, says nothing.

    Raises:
        UserError: the line at which it goes wrong is named.
    """
    words = [cell.strip().strip("\"'").lower() for cell in table[0]]
    column = next((i for i, word in enumerate(words) if word in FRAME_COLUMNS), None)
    if column is None:
        return
    cells = [row[column].strip() if column < len(row) else "" for row in table[1:]]
    if not cells or not all(c.isascii() and c.isdigit() and len(c) < 12 for c in cells):
        return
    numbers = [int(c) for c in cells]
    first = min(numbers[0], 1)
    for line, (found, wanted) in enumerate(zip(numbers, itertools.count(first), strict=False), 2):
        if found != wanted:
            raise UserError(
                f"{name}, line {line}: frame {found} where frame {wanted} is due; a line for each "
                "frame of one target is needed, nan,nan,nan,nan where it is absent"
            )


def _parse_row(cells: Sequence[str], columns: Sequence[int], where: str) -> Box:
    """A row of a table with a header."""
    if len(cells) <= max(columns):
        raise UserError(f"{where}: fewer columns than the header names: {','.join(cells)[:60]!r}")
    words = [cells[i].strip() for i in columns]
    if not any(words):
        return _ABSENT  # our own csv leaves the box empty where none is claimed
    return _box(words, where, ",".join(words))


def _parse_line(line: str, where: str) -> Box:
    if line[:1] in ("m", "M"):
        return _mask_box(line[1:], where)
    if _AMBIGUOUS.fullmatch(line):
        raise UserError(
            f"{where}: are these four numbers with decimal commas, or four corners? "
            f"write decimals with a point, or all numbers with commas between: {line[:60]!r}"
        )
    return _box([w for w in _SEPARATORS.split(line) if w], where, line)


def _box(words: Sequence[str], where: str, line: str) -> Box:
    """The box of one line, whose numbers are the words."""
    values = [_number(w, where) for w in words]
    if len(values) == 1 and values[0] in (0, 1, 2):
        return _ABSENT
    if len(values) not in (4, 8):
        raise UserError(
            f"{where}: a box has 4 numbers x,y,w,h (or 8, its corners), found {len(values)}; "
            f"name the columns in a header if there are others: {line[:60]!r}"
        )
    if any(math.isnan(v) for v in values):
        return _ABSENT
    x, y, w, h = values if len(values) == 4 else polygon_to_box(values)
    if w < 0 or h < 0:
        raise UserError(f"{where}: a box cannot have the negative size {w:g} x {h:g}")
    return (x, y, w, h) if w > 0 and h > 0 else _ABSENT


def _number(word: str, where: str) -> float:
    if word.lower() in ("nan", "+nan", "-nan"):
        return math.nan
    # float() alone would also take "1_0", "infinity" and digits of other scripts
    if len(word) > 40 or not _NUMBER.fullmatch(word):
        raise UserError(f"{where}: {word[:40]!r} is not a number; expected x,y,w,h")
    value = float(word)
    if abs(value) > MAX_COORDINATE:
        raise UserError(f"{where}: {word[:40]} is no pixel coordinate (beyond {MAX_COORDINATE:g})")
    return value


def _mask_box(body: str, where: str) -> Box:
    """Bounding box of VOT's mask form: offset, size, then lengths of runs of 0 and 1 by rows."""
    words = [w for w in _SEPARATORS.split(body.strip()) if w]
    if len(words) < 5 or not all(w.isascii() and w.isdigit() and len(w) < 9 for w in words):
        raise UserError(f"{where}: a mask is m<x>,<y>,<w>,<h>,<run lengths> in whole numbers")
    x, y, width, height, *runs = (int(w) for w in words)
    ends = np.cumsum(runs)
    if width < 1 or height < 1 or ends[-1] > width * height:
        raise UserError(f"{where}: the mask's runs do not fit its size of {width} x {height}")
    boxes = []
    for start, end in zip(ends[0::2], ends[1::2], strict=False):
        if end > start:
            top, bottom = start // width, (end - 1) // width
            whole_rows = bottom > top
            left = 0 if whole_rows else start % width
            right = width - 1 if whole_rows else (end - 1) % width
            boxes.append((left, top, right, bottom))
    if not boxes:
        return _ABSENT
    corners = np.array(boxes)
    left, top = corners[:, :2].min(axis=0)
    right, bottom = corners[:, 2:].max(axis=0)
    return float(x + left), float(y + top), float(right - left + 1), float(bottom - top + 1)


def mask_labels(picture: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Object numbers of a DAVIS annotation from its colours (Pascal VOC's palette).

    White (DAVIS 2016) is object 1; black is the background.

    Args:
        picture: (H, W, 3) BGR, as OpenCV decodes the palette.
    """
    blue, green, red = (picture[..., i].astype(np.int64) for i in range(3))
    label = np.zeros(picture.shape[:2], dtype=np.int64)
    for bit in range(8):
        # bits 0, 1, 2 of the number, then 3, 4, 5, ... go to red, green, blue from the top
        for offset, channel in enumerate((red, green, blue)):
            position = 3 * bit + offset
            if position < 8:
                label |= ((channel >> (7 - bit)) & 1) << position
    label[(red == 255) & (green == 255) & (blue == 255)] = 1
    return label


def label_box(label: NDArray[np.int64], number: int) -> Box:
    """The box around an object of ``mask_labels``; NaN where it has no pixel."""
    rows, columns = np.nonzero(label == number)
    if not len(rows):
        return _ABSENT
    x, y = int(columns.min()), int(rows.min())
    return float(x), float(y), float(columns.max() - x + 1), float(rows.max() - y + 1)
