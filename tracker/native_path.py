"""Names of files for native libraries, which know them only as UTF-8 text.

A file's name is bytes. OpenCV crashes the process on a name that is not UTF-8 (such as one from
an old archive), and on any name that is not ASCII where the locale is C; FFmpeg takes what
stands before a colon for the name of a protocol.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tracker.errors import UserError


@contextmanager
def native_path(path: str | Path) -> Iterator[str]:
    """What to call a file while a native library opens it; what is open stays so afterwards.

    Where its own name will not do, that is a symbolic link which lives as long as this context.

    Raises:
        UserError: it needs a link, and none can be made.
    """
    own = os.path.join(".", path)  # an absolute path stays as it is
    try:
        text = os.fsencode(own).decode("utf-8")
    except UnicodeDecodeError:
        pass
    else:
        yield text
        return
    try:
        folder = tempfile.TemporaryDirectory(prefix="siamtrack-")
    except OSError:
        raise _unusable(path) from None
    with folder as place:
        suffix = os.path.splitext(own)[1]
        link = os.path.join(place, "file" + (suffix if suffix.isascii() else ""))
        try:
            os.symlink(os.path.join(os.getcwd(), path), link)
            text = os.fsencode(link).decode("utf-8")
        except (OSError, UnicodeDecodeError):
            raise _unusable(path) from None
        yield text


def native_text(text: str) -> str:
    """Text that a native library can take: what is no UTF-8 in it becomes a question mark."""
    return text.encode("utf-8", "replace").decode()


def _unusable(path: str | Path) -> UserError:
    return UserError(
        f"the name of {path} is not UTF-8 text, and no link to it can be made in the folder for "
        "temporary files; rename the file"
    )
