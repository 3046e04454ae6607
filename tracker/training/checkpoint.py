"""Checkpoints: everything that a run needs to go on, whole or not there at all."""

from __future__ import annotations

import contextlib
import os
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from tracker.errors import UserError

FORMAT = 1


def beginning(name: str, state: dict[str, Any], record: dict[str, Any]) -> dict[str, Any]:
    """What a checkpoint holds of a network of which no training has any state yet."""
    return {"network": name, "model": state, "average": state, "record": record}


def save_checkpoint(path: Path, content: dict[str, Any]) -> None:
    """Write tensors and plain values to ``path`` in one step.

    The file is written beside its place, flushed to the disk and renamed, so a process
    killed at any moment leaves the old checkpoint or the new one.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    try:
        with partial.open("wb") as file:
            torch.save({"format": FORMAT, **content}, file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)
    except (OSError, RuntimeError) as error:  # torch hides the disk's error in one of its own
        reason = getattr(error, "strerror", None) or "is the disk full?"
        raise UserError(
            f"the checkpoint {path} could not be written ({reason}); the previous one is untouched"
        ) from None
    finally:  # it may be what fills the disk, and ctrl-c leaves none either
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)


def load_checkpoint(path: Path) -> dict[str, Any]:
    """Read a checkpoint; nothing in it is executed (``weights_only``).

    Raises:
        UserError: missing, damaged, or not a checkpoint of this project.
    """
    if not path.is_file():
        raise UserError(f"there is no checkpoint at {path}")
    try:
        with zipfile.ZipFile(path) as archive:  # torch itself compares no checksum
            broken = archive.testzip()
        if broken is not None:
            raise ValueError(broken)
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception:  # a damaged pickle raises nearly anything
        raise UserError(
            f"the checkpoint {path} is damaged or is not one of this project; "
            "resume from another or start anew"
        ) from None
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        found = content.get("format") if isinstance(content, dict) else type(content).__name__
        raise UserError(f"{path} is not a checkpoint of format {FORMAT}, found {found!r}")
    return content


@contextlib.contextmanager
def reading(path: Path) -> Iterator[None]:
    """What is wrong with the contents of a checkpoint becomes one sentence."""
    try:
        yield
    except (LookupError, TypeError, ValueError, AttributeError, RuntimeError,
            ArithmeticError) as error:  # fmt: skip
        said = str(error).partition("\n")[0]
        raise UserError(
            f"{path} is not a checkpoint of a training run ({type(error).__name__}: {said:.80})"
        ) from None
