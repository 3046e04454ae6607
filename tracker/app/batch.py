"""Many clips in one run: a csv of first boxes in, a file of results a clip out."""

from __future__ import annotations

import glob
import itertools
import math
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tracker.app.inputs import files_read
from tracker.app.outputs import claim
from tracker.app.table import Row, read_table
from tracker.errors import UserError
from tracker.files import at_home, keep_apart
from tracker.results import Box

COLUMNS = ("video", "x", "y", "w", "h")


@dataclass(frozen=True)
class Clip:
    """One clip of a batch.

    Attributes:
        where: path, folder, glob or URL; relative paths are taken from the csv's folder.
        name: unique stem for its outputs.
        boxes: first boxes (x, y, w, h) with their labels.
    """

    where: str
    name: str
    boxes: tuple[tuple[Box, str | None], ...]


def read_batch(path: Path) -> list[Clip]:
    """Read a csv with the columns video, x, y, w, h and optionally label.

    Rows of the same video are several targets of one clip.

    Raises:
        UserError: the file cannot be read, or a row is not as it should be (with its line).
    """
    boxes: dict[str, list[tuple[Box, str | None]]] = {}
    for row in read_table(path, COLUMNS, ("label",)):
        where = _place(row.fields["video"], path.parent, row.place)
        boxes.setdefault(where, []).append((_box(row), row.fields.get("label") or None))
    if not boxes:
        raise UserError(f"{path} names no clip; add lines of {','.join(COLUMNS)}")
    return _named(boxes)


def _place(video: str, folder: Path, line: str) -> str:
    if not video:
        raise UserError(f"{line}: the column video is empty")
    if "://" in video or at_home(video).is_absolute():
        return video
    if glob.has_magic(video) and not os.path.exists(folder / video):
        folder = Path(glob.escape(str(folder)))  # only what is in the table is a pattern
    return os.path.join(".", folder / video)  # 0 is no camera here, and - no pipe


def _box(row: Row) -> Box:
    try:
        x, y, w, h = (float(row.decimal(name)) for name in "xywh")
    except ValueError:
        found = " ".join(row.fields[name] for name in "xywh")[:60]
        raise UserError(
            f"{row.place}: x,y,w,h are four numbers in pixels, found {found!r}; "
            "write decimals with a point"
        ) from None
    if not all(map(math.isfinite, (x, y, w, h))) or w <= 0 or h <= 0:
        raise UserError(
            f"{row.place}: a box is finite with positive w and h, found {x:g},{y:g},{w:g},{h:g}"
        )
    return x, y, w, h


def _named(boxes: dict[str, list[tuple[Box, str | None]]]) -> list[Clip]:
    clips, taken = [], set()
    for where, rows in boxes.items():
        path = Path(where)
        name = path.stem if path.suffix else path.name
        stem = name = "".join(c if c.isalnum() or c in "-_. " else "_" for c in name) or "clip"
        number = 1
        while name.casefold() in taken:
            number += 1
            name = f"{stem}_{number}"
        taken.add(name.casefold())
        clips.append(Clip(where, name, tuple(rows)))
    return clips


def outputs_of(
    clip: Clip, folder: Path, suffix: str, own_files: bool = False, videos: bool = False
) -> dict[Path, Path]:
    """Files of a clip by the names that they are made under, complete ones by their final names.

    Args:
        own_files: each target has a file of its own.
        videos: there is an annotated video as well.

    Returns:
        Final name to the name while it is made; the first is that of the results.
    """
    outputs = {}
    for number in range(1, 1 + (len(clip.boxes) if own_files else 1)):
        target = f"_{number}" if number > 1 else ""
        outputs[folder / f"{clip.name}{target}{suffix}"] = (
            folder / f"{clip.name}.part{target}{suffix}"
        )
    if videos:
        outputs[folder / f"{clip.name}.mp4"] = folder / f"{clip.name}.part.mp4"
    return outputs


def check_batch(
    clips: Sequence[Clip], plans: Sequence[Mapping[Path, Path]], inputs: Iterable[Path]
) -> None:
    """Refuse a table some of whose results would take the place of others, or of an input.

    Args:
        inputs: what is read beside the clips.

    Raises:
        UserError: names the clip and the file.
    """
    makers: dict[str, Clip] = {}
    for clip, plan in zip(clips, plans, strict=True):
        for path in (*plan, *plan.values()):
            # by letters alone: there are file systems to which A.csv and a.csv are one
            other = makers.setdefault(str(path).casefold(), clip)
            if other is not clip:
                raise UserError(
                    f"results of {other.name} and of {clip.name} would both be written to "
                    f"{path}; rename one of the clips, or take a --results-format with all "
                    "targets in one file (csv, json, jsonl, mot)"
                )
    keep_apart(
        [(path.name, path) for plan in plans for path in (*plan, *plan.values())],
        itertools.chain(inputs, *(files_read(clip.where) for clip in clips)),
    )


def run_batch(
    clips: Sequence[Clip],
    plans: Sequence[Mapping[Path, Path]],
    follow: Callable[[Clip, Path], int],
    say: Callable[[str], None],
    overwrite: bool = False,
    foreign: Callable[[Clip, Sequence[Path]], Path | None] = lambda clip, files: None,
) -> None:
    """Follow every clip; one whose files are all there is skipped, one that fails stops no other.

    Args:
        plans: the files of each clip, of ``outputs_of``; they get their final names when
            the clip is complete, so that an interrupted one is done again.
        follow: follows a clip and writes its results to a path; returns the frames done.
        foreign: which of a clip's files that exist is none of this table's results.

    Raises:
        UserError: clips failed, or have a part of their files only, or such of others (how many;
            each was named).
    """
    failed = 0
    for number, (clip, plan) in enumerate(zip(clips, plans, strict=True), 1):
        head = f"[{number}/{len(clips)}] {clip.name}"
        done = next(iter(plan))
        before = {path: _stamp(path) for path in plan.values()}
        try:
            if not overwrite and _is_done(plan):
                _refuse(foreign(clip, list(plan)))
                say(f"{head}: {done} exists, skipped (--overwrite does it again)")
                continue
            for path in plan:
                claim(path, overwrite)
            frames = follow(clip, plan[done])
            for path, part in reversed(list(plan.items())):
                part.replace(path)
        except UserError as error:
            failed += 1
            begun = [str(p) for p, stamp in before.items() if _stamp(p) not in (None, stamp)]
            where = f" (in {' and '.join(begun)})" if begun else ""
            say(f"{head}: {error}{where}")
        except OSError as error:
            failed += 1
            say(f"{head}: {error.filename or done} cannot be used ({error.strerror})")
        else:
            say(f"{head}: {frames} frames -> {done}")
    if failed:
        raise UserError(f"{failed} of {len(clips)} clips failed; they are named above")


def _stamp(path: Path) -> tuple[int, ...] | None:
    """What changes when a file is written; None where there is none."""
    try:
        facts = path.stat()
    except OSError:
        return None
    return facts.st_ino, facts.st_size, facts.st_mtime_ns


def _refuse(foreign: Path | None) -> None:
    if foreign:
        raise UserError(f"{foreign} was made with another box or format; --overwrite does it again")


def _is_done(plan: Mapping[Path, Path]) -> bool:
    there = [path for path in plan if path.exists()]
    missing = [path for path in plan if path not in there]
    if there and missing:  # of another run: without videos, with fewer targets
        raise UserError(
            f"{missing[0]} is missing and {there[0]} exists; add --overwrite to do the clip again, "
            "or give another --out"
        )
    return not missing
