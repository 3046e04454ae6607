"""Which files a run reads, and that none of them is one that it writes."""

from __future__ import annotations

import glob
import os
import sys
from collections.abc import Hashable, Iterable, Iterator, Sequence
from pathlib import Path

from tracker.app.outputs import at_home, located
from tracker.errors import UserError
from tracker.frames import PICTURE_SUFFIXES
from tracker.weights import DEFAULT_MODEL, ROLES, weights_folder


def keep_apart(outputs: Sequence[tuple[str, Path]], inputs: Iterable[Path | int]) -> None:
    """Check that every output is a file of its own, and that no input is written over.

    The same file may have several names (links, ``a/../b``); it is the file that counts.

    Args:
        outputs: what each is, for the message, and where it goes.
        inputs: paths, or descriptors that are open already.

    Raises:
        UserError: two outputs are one file, or an output is an input, whatever was typed
            about overwriting.
    """
    taken: dict[Hashable, tuple[str, Path]] = {}
    for what, path in outputs:
        if os.path.exists(path) and not os.path.isfile(path):
            continue  # /dev/null and pipes take everything
        other = taken.setdefault(_identity(path), (what, path))
        if other != (what, path):
            raise UserError(
                f"{other[0]} and {what} would both be written to {path}; give them other names"
            )
    for source in inputs:
        found = taken.get(_identity(source))
        if found:
            raise UserError(
                f"{found[0]} would be written over {found[1]}, which is read; write it elsewhere"
            )


def _identity(file: Path | int) -> Hashable:
    """Equal for two names of one file, be it there or not."""
    try:
        facts = os.stat(file)
        return facts.st_dev, facts.st_ino
    except (OSError, ValueError):
        if isinstance(file, int):
            return file
    try:
        return os.path.realpath(file)
    except OSError:  # the current folder is gone
        return str(file)


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
    graphs = [s.parent / f"{s.name}.{role}.onnx" for s in stems for role in ROLES]
    return [*stems, *graphs]
