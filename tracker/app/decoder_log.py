"""Catches what FFmpeg writes to the process's stderr, so that damage can be named in a sentence.

FFmpeg conceals broken pictures and tells nobody but file descriptor 2, in lines such as
``[mpeg4 @ 0x55ef7c57d280] ac-tex damaged at 15 7``. While a ``DecoderLog`` is active such
lines are counted instead of shown; everything else is passed on.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import sys
import threading

from tracker.standard_streams import lasting_text

_EARLY_END = re.compile(rb"end(ed|s) prematurely|partial file")
_MARK = b"\0decoder log\0"
_FFMPEG_LINE = re.compile(rb"^\[[\w, ./:-]+ @ (?:0x)?[0-9A-Fa-f]+\] (.*)")


class DecoderLog:
    """Context manager for a program's main; does nothing where stderr has no descriptor.

    Attributes:
        count: error lines of FFmpeg since ``begin``.
        first: the text of the first.
        early_ends: how many of them say that a file is not all there.
    """

    def __init__(self) -> None:
        self.count = self.early_ends = 0
        self.first = ""
        self._excused = False
        self._marked = threading.Event()
        self._saved = -1
        self._thread: threading.Thread | None = None

    def __enter__(self) -> DecoderLog:
        try:
            sys.stderr.flush()
            if sys.stderr.fileno() != 2:
                return self
            self._saved = os.dup(2)
        except (AttributeError, OSError, ValueError):  # no stderr, or one that a test put there
            return self
        reading, writing = os.pipe()
        os.dup2(writing, 2)
        os.close(writing)
        # Python's own words, tracebacks among them, take the direct way.
        self._python_stderr = sys.stderr
        sys.stderr = lasting_text(io.FileIO(self._saved, "w", closefd=False), unbuffered=True)
        self._thread = threading.Thread(target=self._sort, args=(reading,), daemon=True)
        self._thread.start()
        return self

    def _sort(self, reading: int) -> None:
        with open(reading, "rb", buffering=0) as pipe:
            rest = b""
            while chunk := pipe.read(65536):
                *lines, rest = (rest + chunk).split(b"\n")
                for line in lines:
                    self._take(line)
            if rest:
                self._take(rest)

    def begin(self) -> None:
        """Count anew from here on."""
        self.catch_up()
        self.count, self.early_ends, self.first = 0, 0, ""

    def excuse(self, excused: bool) -> None:
        """Whether errors from here on are no damage; early ends are counted all the same."""
        if excused is not self._excused:
            self.catch_up()
            self._excused = excused

    def catch_up(self) -> None:
        """Wait until all that was reported before is counted."""
        if self._thread is not None:
            self._marked.clear()
            os.write(2, _MARK + b"\n")
            self._marked.wait(timeout=1.0)

    def _take(self, line: bytes) -> None:
        if line.endswith(_MARK):
            self._marked.set()
            line = line.removesuffix(_MARK)
            if not line:
                return
        found = _FFMPEG_LINE.match(line)
        if found is None:
            with contextlib.suppress(OSError):  # nobody listens; reading must go on
                os.write(self._saved, line + b"\n")
            return
        self.early_ends += _EARLY_END.search(line) is not None
        if self._excused:
            return
        if not self.count:
            self.first = found.group(1).decode("utf-8", "replace").strip()
        self.count += 1

    def __exit__(self, *_: object) -> None:
        if self._thread is None:
            return
        sys.stderr.flush()
        sys.stderr = self._python_stderr
        os.dup2(self._saved, 2)  # closes the pipe's last writer here, which ends the thread
        self._thread.join(timeout=1.0)
        os.close(self._saved)
