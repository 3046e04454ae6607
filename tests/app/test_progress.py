"""The progress line says how far, how fast and how long still."""

import io
import os
import re

import pytest

from tracker.app import progress
from tracker.app.progress import Progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_the_line_has_part_rate_and_time_left(monkeypatch) -> None:
    now = [0.0]
    bar = Progress("clip", 100, stream=Terminal())
    bar._meter._clock = lambda: now[0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    for _ in range(25):
        bar.tick()
        now[0] += 0.1
    assert bar.line() == "clip  [#####...............]  25 %  25/100  10 fps  0:08 left"
    assert Progress("pipe", None).line() == "pipe  0 frames  0 fps"


@pytest.mark.parametrize(
    "kind, at", [(io.StringIO, [10, 20, 30, 40]), (Terminal, [1 + 0.25 * i for i in range(157)])]
)
def test_a_log_gets_a_line_every_ten_seconds_and_a_terminal_several_a_second(
    monkeypatch, kind, at
) -> None:
    now, stream = [0.0], kind()
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    bar = Progress("pipe", None, stream=stream)
    for _ in range(320):
        now[0] += 0.125
        bar.tick()
    written = re.findall(r"pipe  (\d+) frames", stream.getvalue())
    assert [0.125 * int(frames) for frames in written] == at
    assert stream.getvalue().count("\n") == (0 if stream.isatty() else len(at))


def test_quiet_writes_nothing_and_a_terminal_is_left_clean() -> None:
    for quiet in (True, False):
        stream = Terminal()
        bar = Progress("clip", 10, stream=stream, quiet=quiet)
        bar._next = 0.0
        bar.tick()
        bar.clear()
        assert stream.getvalue() == "" if quiet else stream.getvalue().endswith(" \r")


def test_long_times_have_hours() -> None:
    assert progress._clock(3725) == "1:02:05" and progress._clock(59.6) == "1:00"


def screen(written, columns):
    """What a terminal of one line shows after it: one entry a column."""
    row = [" "] * columns
    for line in written.split("\r"):
        at = 0
        for letter in line:
            for column in range(at, at + 1 + (ord(letter) > 0x2E7F)):
                row[column] = letter
                at = column + 1
    return row


@pytest.mark.parametrize("seconds", [0.005, 0.05, 0.5, 5.0])
def test_wide_letters_do_not_break_the_line(monkeypatch, seconds) -> None:
    now = [0.0]
    size = os.terminal_size((70, 24))
    monkeypatch.setattr(progress.shutil, "get_terminal_size", lambda: size)
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    stream = Terminal()
    bar = Progress("東京の交差点で撮影した歩行者の映像その一完全版", 1000, stream=stream)
    bar._meter._clock = lambda: now[0]
    for done in range(1, 4):
        bar._next = 0.0
        bar.tick()
        shown = "".join(screen(stream.getvalue(), 69))
        assert f"{done}/1000" in shown and "版版  [" in shown and shown.count("left") == 1
        now[0] += seconds * done
    bar.clear()
    assert screen(stream.getvalue(), 69) == [" "] * 69
