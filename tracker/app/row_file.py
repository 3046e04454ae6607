"""A text file of rows that is complete after every frame, and a pipe of them."""

from __future__ import annotations

import contextlib
import io
import os
import stat
from array import array
from pathlib import Path

from tracker.errors import UserError
from tracker.files import open_alone
from tracker.standard_streams import READER_LEFT

STDOUT = Path("/dev/stdout")
"""Where ``-`` leads; it is written to as a pipe is, whatever the shell has made of it."""


class RowFile:
    """A text file of rows in the order of their frames, complete after every ``put``.

    Args:
        path: the file; it is created (or emptied) by the first ``put``.
        header, footer: text around the rows; the footer is rewritten behind each row.
        separator: text between rows.
        rewinds: earlier frames may come again; costs 16 bytes a frame to remember where.
        overwrite: replace what exists, and what another program makes in the meantime.

    Attributes:
        unread: it is a pipe whose reader left; what is put into it is dropped from then on.
    """

    def __init__(
        self,
        path: Path,
        header: str = "",
        separator: str = "",
        footer: str = "",
        rewinds: bool = True,
        overwrite: bool = False,
    ) -> None:
        self._path, self._header = path, header.encode()
        self._separator, self._footer = separator.encode(), footer.encode()
        self._file: io.FileIO | None = None
        self._is_file, self.unread = True, False
        self._end = len(self._header)
        self._rewinds, self._overwrite = rewinds, overwrite
        # Frame numbers and the offsets of their first bytes; then those of the frames behind the
        # one written last, nearest last, whose rows are so many bytes from the end of all rows.
        self._frames, self._starts = array("q"), array("q")
        self._later, self._backs = array("q"), array("q")

    def put(self, frame: int, text: str) -> None:
        """Write the rows of ``frame``, in the place of older ones; other frames keep theirs.

        Raises:
            UserError: they cannot be written; of a file the rows so far are kept.
        """
        self._go_to(frame)
        again = bool(self._later) and self._later[-1] == frame
        start, behind = self._later_start(1), self._later_start(2 if again else 1)
        old = self._read(start)
        data = (self._separator if start > len(self._header) else b"") + text.encode()
        # what stood first has no separator yet
        gap = self._separator if len(self._header) == behind < self._end else b""
        tail = gap + old[behind - start :]
        self._exchange(start, old, data + tail)
        if again:
            self._later.pop()
            self._backs.pop()
        if gap:
            self._backs[-1] += len(gap)
        if not self._rewinds:
            del self._frames[:], self._starts[:]
        self._frames.append(frame)
        self._starts.append(start)
        self._end = start + len(data) + len(tail)

    def _exchange(self, start: int, old: bytes, new: bytes) -> None:
        """Make ``new`` the rows from an offset on, or leave the old ones there."""
        if self.unread:
            return
        try:
            self._write_at(start, new + self._footer)
        except BaseException as error:
            # Cut off half a row, so that what is there stays readable.
            self._restore(start, old)
            if not isinstance(error, OSError):  # ctrl-c
                raise
            self.unread = not self._is_file and error.errno in READER_LEFT
            if not self.unread:
                kept = "; the rows so far are kept" if self._is_file else ""
                raise UserError(
                    f"{self._path} cannot be written ({error.strerror}){kept}"
                ) from None

    def _go_to(self, frame: int) -> None:
        """Divide the frames written into those before this one and the later ones."""
        while self._frames and self._frames[-1] >= frame:
            self._later.append(self._frames.pop())
            self._backs.append(self._end - self._starts.pop())
        while self._later and self._later[-1] < frame:
            self._frames.append(self._later.pop())
            self._starts.append(self._end - self._backs.pop())
        if not self._is_file:  # what was given away is not taken back
            del self._later[:], self._backs[:]

    def _later_start(self, number: int) -> int:
        """Where the rows of the first, second, ... of the later frames begin."""
        return self._end - (self._backs[-number] if number <= len(self._backs) else 0)

    def _read(self, start: int) -> bytes:
        """The rows from an offset on."""
        if self._file is None or start == self._end:
            return b""
        self._file.seek(start)
        return self._file.read(self._end - start)

    def _write_at(self, offset: int, data: bytes) -> None:
        """Make ``data`` the end of the file, from ``offset`` on."""
        if self._file is None:
            ours = self._path == STDOUT  # open, and perhaps not empty: what is there stays
            descriptor = os.dup(1) if ours else open_alone(self._path, self._overwrite)
            self._file = io.FileIO(descriptor, "r+")
            self._is_file = not ours and stat.S_ISREG(os.fstat(descriptor).st_mode)
            data, offset = self._header + data, 0
            if self._is_file:
                self._file.truncate(0)
        if not self._is_file:  # a pipe or a device keeps what it was given
            data = data.removesuffix(self._footer)
        else:
            self._file.seek(offset)
        left = memoryview(data)
        while left:
            left = left[self._file.write(left) :]
        if self._is_file:
            self._file.truncate()

    def _restore(self, start: int, rows: bytes) -> None:
        if self._file is None or not self._is_file:
            return
        with contextlib.suppress(OSError):
            self._file.truncate(start)
            self._write_at(start, rows + self._footer)

    @property
    def takes_back(self) -> bool:
        """Whether rows can be replaced; of a pipe it is known once something was written."""
        return self._is_file

    @property
    def next_frame(self) -> int:
        """One more than the last frame written."""
        last = self._later[:1] or self._frames[-1:]
        return last[0] + 1 if last else 0

    def close(self) -> None:
        file, self._file = self._file, None  # one that is closed already has nothing to add
        if file is None:
            return
        if not self._is_file:
            with contextlib.suppress(OSError):
                file.write(self._footer)
        file.close()
