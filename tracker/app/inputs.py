"""Which files a run reads, and that none of them is one that it writes."""

from __future__ import annotations

import glob
import sys
from collections.abc import Iterator
from pathlib import Path

from tracker.app.outputs import located
from tracker.files import at_home
from tracker.frames import PICTURE_SUFFIXES
from tracker.weights import DEFAULT_MODEL, graph_files, weights_folder


def files_read(where: str | int) -> Iterator[Path | int]:
    """The files behind what ``open_source`` is given; nothing for cameras and streams."""
    if isinstance(where, int):
        return
    where = located(where)
    if where == "-":
        if sys.stdin is not None:
            yield 0
        return
    if "://" in where:
        return
    path = Path(where)
    try:
        if path.is_dir():
            yield from (p for p in path.iterdir() if p.suffix.lower() in PICTURE_SUFFIXES)
            return
        yield path
        if glob.has_magic(where) and not path.exists():
            found = [Path(p) for p in glob.iglob(where, recursive=True)]
            yield from [p for p in found if p.suffix.lower() in PICTURE_SUFFIXES] or found
    except (OSError, ValueError):  # what cannot be looked at is named when it is opened
        return


def files_of_model(model: str | None) -> list[Path]:
    """The files of a model, be it given by its path or by its name."""
    name = model or DEFAULT_MODEL
    stems = at_home(name), weights_folder() / name
    return [*stems, *(graph for stem in stems for graph in graph_files(stem))]
