"""A progress bar for clips that run without a window."""

from __future__ import annotations

import shutil
import sys
import time
import unicodedata
from typing import TextIO

from tracker.app.meter import RateMeter


class Progress:
    """One line on a terminal, a line every ten seconds in a log; silent for the first second.

    Args:
        name: what is being worked on.
        total: number of frames, None when unknown.
    """

    def __init__(
        self, name: str, total: int | None, stream: TextIO | None = None, quiet: bool = False
    ) -> None:
        self._name, self._total, self._stream = name, total, stream or sys.stderr
        self._quiet, self._bar = quiet, self._stream.isatty()
        self._meter, self._done = RateMeter(window=5.0), 0
        self._next = time.monotonic() + (1.0 if self._bar else 10.0)
        self._width = 0

    def tick(self) -> None:
        """One more frame is done."""
        self._done += 1
        self._meter.tick()
        now = time.monotonic()
        if self._quiet or now < self._next:
            return
        self._next = now + (0.2 if self._bar else 10.0)
        line = self.line()
        if self._bar:
            line = _last_columns(line, shutil.get_terminal_size().columns - 1)
            width = _columns(line)
            self._stream.write("\r" + line + " " * (self._width - width))
            self._width = width
        else:
            self._stream.write(line + "\n")
        self._stream.flush()

    def line(self) -> str:
        """Such as ``clip  [######....]  62 %  744/1200  58 fps  0:08 left``."""
        rate = self._meter.rate
        if not self._total:
            return f"{self._name}  {self._done} frames  {rate:.0f} fps"
        part = min(self._done / self._total, 1.0)
        bar = "#" * round(20 * part)
        left = (self._total - self._done) / rate if rate else 0.0
        return (
            f"{self._name}  [{bar:.<20}]  {100 * part:.0f} %  {self._done}/{self._total}"
            f"  {rate:.0f} fps  {_clock(max(left, 0))} left"
        )

    def clear(self) -> None:
        """Take the bar off the terminal, so that other words start on a clean line."""
        if self._width:
            self._stream.write("\r" + " " * self._width + "\r")
            self._stream.flush()
            self._width = 0


def _columns(text: str) -> int:
    """How much room a text takes on a terminal: letters of East Asia are two columns wide."""
    wide = sum(unicodedata.east_asian_width(letter) in "WF" for letter in text)
    marks = sum(unicodedata.combining(letter) > 0 for letter in text)
    return len(text) + wide - marks


def _last_columns(text: str, columns: int) -> str:
    """The end of a text that has room; what stands first is the name, which may be long."""
    while text and _columns(text) > columns:
        text = text[1:]
    return text


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
