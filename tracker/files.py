"""Files that are there whole or not at all, and that two programs never write at once."""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
import time
from collections.abc import Hashable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tracker.errors import UserError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

if sys.platform != "win32":
    import fcntl


def at_home(where: str) -> Path:
    """A path with ``~`` and ``~name`` resolved; as it stands where nobody has that name."""
    try:
        return Path(where).expanduser()
    except (RuntimeError, ValueError):
        return Path(where)


def write_atomic(path: Path, data: str | bytes) -> None:
    """Write a file so that it is there whole or not at all, also after a crash.

    Raises:
        UserError: the disk is full, or the place cannot be written to.
    """
    # names of files may be no text at all; what tells of them stays readable
    raw = data.encode(errors="backslashreplace") if isinstance(data, str) else data
    part = partial_name(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(part, "wb") as file:
            file.write(raw)
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)
    except OSError as error:
        raise UserError(f"{path}: the result cannot be written ({error.strerror})") from None
    finally:  # ctrl-c included
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)


def it_exists(path: Path) -> UserError:
    """What is said, to be raised, where nothing may be overwritten."""
    return UserError(f"{path} exists; add --overwrite to replace it, or give another name")


def refuse_existing(paths: Iterable[Path], overwrite: bool) -> None:
    """Check that none of some outputs is there already, before any work is done.

    Raises:
        UserError: one is (without ``overwrite``), or is a folder, a pipe or a device, which no
            file may take the place of.
    """
    for path in paths:
        if os.path.exists(path) and not os.path.isfile(path):
            raise UserError(f"{path} is a folder, a pipe or a device; give the name of a file")
        if os.path.lexists(path) and not overwrite:
            raise it_exists(path)


def make_folder(folder: Path) -> None:
    """Make the folder of results, if it is not there yet.

    Raises:
        UserError: it cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"the folder {folder} cannot be made ({error.strerror})") from None


def check_writable(folder: Path) -> None:
    """Check that files can be made in a folder, before hours are spent on what goes there.

    Raises:
        UserError: they cannot.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise UserError(
            f"{folder}: no results can be written here ({error.strerror}); give another place"
        ) from None


def check_picture(path: Path, overwrite: bool) -> None:
    """Check that a picture may be written to ``path``, before any work is done.

    Raises:
        UserError: it exists (without ``overwrite``), or its ending is no kind of picture.
    """
    import cv2

    if os.path.lexists(path) and not overwrite:
        raise it_exists(path)
    known = path.suffix and path.suffix.isascii() and cv2.haveImageWriter(f"a{path.suffix}")
    if not known:
        raise UserError(f"{path.name}: the name of a picture ends in .png or .jpg")


def write_picture(path: Path, image: NDArray[np.uint8]) -> None:
    """Write an (H, W, 3) uint8 BGR picture whole or not at all, as its ending says.

    Raises:
        UserError: it cannot be written.
    """
    import cv2

    write_atomic(path, cv2.imencode(path.suffix, image)[1].tobytes())


def partial_name(path: Path) -> Path:
    """Where a file is written before it is moved to ``path``; another one for each process."""
    return path.with_name(f".{path.name}.{os.getpid()}.part")


def open_alone(path: Path, overwrite: bool) -> int:
    """Open a file for writing that nobody else writes to; returns its descriptor.

    The lock (where the system has one) lives as long as the descriptor and its copies in
    other processes. What was in the file is left to the caller.

    Raises:
        UserError: it exists (without ``overwrite``), another program writes to it, or it
            cannot be made.
    """
    flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0)
    try:
        if path.exists() and not path.is_file():
            descriptor = _open_stream(path)
        else:
            # not only a look before: another program may make it in between
            descriptor = os.open(path, flags if overwrite else flags | os.O_EXCL, 0o666)
    except FileExistsError:
        raise it_exists(path) from None
    except OSError as error:
        raise UserError(f"{path} cannot be written ({error.strerror})") from None
    if not lock(descriptor):
        os.close(descriptor)
        raise UserError(f"{path} is being written by another program; give another name")
    return descriptor


def _open_stream(path: Path) -> int:
    """Open a pipe or a device, to write alone: who reads a pipe is never told that others left."""
    if sys.platform == "win32":
        return os.open(path, os.O_WRONLY)
    # A pipe of a shell has no name; nobody will come to read it, as to one in a folder.
    named = os.path.exists(os.path.realpath(path))
    descriptor = os.open(path, os.O_WRONLY | (0 if named else os.O_NONBLOCK))
    os.set_blocking(descriptor, True)
    return descriptor


def lock(descriptor: int, wait: bool = False) -> bool:
    """Take a file or folder for this program alone; False when another one has it."""
    if sys.platform != "win32":
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            return False
        except OSError:  # a file system without locks
            pass
    return True


@contextlib.contextmanager
def hold_folder(folder: Path, patience: float | None = None) -> Iterator[None]:
    """Keep a folder that exists for this program alone; others that ask for it wait.

    Args:
        folder: what is kept.
        patience: seconds to wait for another program that has it (default: until it is done).

    Raises:
        UserError: another program has it for longer than that.
    """
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError:  # Windows opens no folders
        yield
        return
    try:
        end = time.monotonic() + (patience or 0.0)
        while not lock(descriptor, wait=patience is None):
            if time.monotonic() >= end:
                raise UserError(
                    f"another program writes to {folder}; wait for it, or give another folder"
                )
            time.sleep(0.2)
        yield
    finally:
        os.close(descriptor)


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
