"""The one exception that command lines turn into a sentence and exit status 2."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator


class UserError(Exception):
    """Input that a person can mend: a wrong path, a damaged file, a missing package.

    The message is one sentence: what was wrong, what was found, what to do.
    Who calls the library sees it as any exception; ``tracker.cli.run_main`` prints it
    without a traceback and exits with status 2.
    """


_FULL = (errno.ENOSPC, errno.EDQUOT)
_ADVICE = {
    errno.ENAMETOOLONG: "give a shorter name",
    errno.EACCES: "ask its owner for permission, or give another place",
    errno.EPERM: "ask its owner for permission, or give another place",
    errno.ENOSPC: "make room, or give another place",
    errno.EDQUOT: "make room, or give another place",
    errno.EROFS: "give another place",
    errno.ELOOP: "mend the links, or give another place",
    errno.ENOENT: "check the path",
    errno.ENOTDIR: "check the path",
    errno.EISDIR: "give the name of a file",
}


def told(error: OSError) -> str | None:
    """What the system refused, as one sentence; None where it is nothing about a file."""
    advice = _ADVICE.get(error.errno or 0)
    reason = error.strerror or type(error).__name__
    if isinstance(error.filename, (str, bytes)):
        return f"{os.fsdecode(error.filename)}: {reason}" + (f"; {advice}" if advice else "")
    return f"a file cannot be written: {reason}; {advice}" if error.errno in _FULL else None


@contextlib.contextmanager
def files_told() -> Iterator[None]:
    """Turn what the system refuses about a file (OSError) into UserError."""
    try:
        yield
    except OSError as error:
        sentence = told(error)
        if sentence is None:
            raise
        raise UserError(sentence) from None
