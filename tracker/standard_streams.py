"""Standard output and error that outlive whoever reads them: work goes on when nobody listens."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import sys
import time
from typing import Any

from tracker.errors import UserError

READER_LEFT = (errno.EPIPE, errno.EINVAL) if sys.platform == "win32" else (errno.EPIPE,)
"""Numbers of the errors of a pipe that nobody reads any more."""


class Lasting(io.RawIOBase):
    """Passes on what is written; after an error the rest is dropped, and the error is kept.

    Attributes:
        error: why nothing is passed on any more, or None.
    """

    def __init__(self, raw: Any) -> None:
        self._raw = raw
        self.error: OSError | None = None

    def write(self, data: Any) -> int:
        while self.error is None:
            try:
                written: int | None = self._raw.write(data)
            except OSError as error:
                self.error = error
                break
            if written is not None:
                return written
            time.sleep(0.01)  # a pipe that does not block and is full
        return len(data)

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        descriptor: int = self._raw.fileno()
        return descriptor

    def isatty(self) -> bool:
        return bool(self._raw.isatty())


def lasting_text(raw: Any, encoding: str = "utf-8", unbuffered: bool = False) -> io.TextIOWrapper:
    """A text stream over ``raw`` that never raises, whatever the letters and the reader do.

    Args:
        unbuffered: pass every line on at once; else on a terminal only, and blocks elsewhere.
    """
    binary = io.BufferedWriter(Lasting(raw))
    return io.TextIOWrapper(
        binary, encoding, "backslashreplace",
        line_buffering=unbuffered or raw.isatty(), write_through=unbuffered,
    )  # fmt: skip


def make_lasting() -> None:
    """Replace this process's own streams; where one is closed, nothing is written to it.

    A closed descriptor would be given to the next file that is opened, and what a library
    says on it would go into that file.
    """
    for descriptor in (0, 1, 2):
        try:
            os.fstat(descriptor)
        except OSError:
            with contextlib.suppress(OSError):
                os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)  # takes the lowest number
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115
        elif stream is getattr(sys, f"__{name}__") and hasattr(stream, "buffer"):
            raw = getattr(stream.buffer, "raw", stream.buffer)
            unbuffered = name == "stderr" or stream.write_through
            setattr(sys, name, lasting_text(raw, stream.encoding, unbuffered))


def bar_interval() -> float:
    """Seconds between two states of a progress bar: a log would be filled with them."""
    return 0.1 if sys.stderr.isatty() else 10.0


def check_printed() -> None:
    """Write out what waits in standard output.

    Raises:
        UserError: some of it was lost; but not where its reader left, as ``head`` does.
    """
    sys.stdout.flush()
    lasting = getattr(getattr(sys.stdout, "buffer", None), "raw", None)
    error = lasting.error if isinstance(lasting, Lasting) else None
    if error is not None and error.errno not in READER_LEFT:
        raise UserError(
            f"what is printed cannot be written to standard output ({error.strerror}); "
            "the files are complete"
        )
