"""Names of files: nothing is overwritten unless asked for."""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import unquote, urlsplit

from tracker.errors import UserError, files_told
from tracker.files import at_home, it_exists


def claim(path: Path, overwrite: bool) -> Path:
    """Check that ``path`` may be written, before any work is done.

    Raises:
        UserError: it exists and ``overwrite`` is off, it is a folder, or its folder is missing.
    """
    if path.is_dir():
        raise UserError(f"{path} is a folder; give the name of a file to write")
    if not path.parent.is_dir():
        raise UserError(f"the folder {path.parent} for {path.name} does not exist; make it first")
    if path.is_file() and not overwrite:  # /dev/null takes everything
        raise it_exists(path)
    return path


def located(where: str) -> str:
    """What a person typed for a file, with ``file://`` and ``~`` resolved; URLs and ``-`` stay."""
    if where.lower().startswith("file://"):
        path = unquote(urlsplit(where).path)
        return path[1:] if os.name == "nt" else path  # /C:/clip.mp4
    # only where there is something to resolve: ./0 is no camera, as 0 is
    return str(at_home(where)) if where.startswith("~") else where


def unused(path: Path) -> Path:
    """``path``, or the first of ``name_2``, ``name_3``, ... that does not exist.

    Raises:
        UserError: the folder cannot be looked into: no permission, a share that is gone.
    """
    candidate, number = path, 1
    with files_told():
        while candidate.exists():
            number += 1
            candidate = path.with_name(f"{path.stem}_{number}{path.suffix}")
    return candidate
