"""The progress line says how far, how fast and how long still."""

import io
import os

from tracker.app import progress
from tracker.app.progress import Progress


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_the_line_has_part_rate_and_time_left(monkeypatch):
    now = [0.0]
    bar = Progress("clip", 100, stream=Terminal())
    bar._meter._clock = lambda: now[0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    for _ in range(25):
        bar.tick()
        now[0] += 0.1
    assert bar.line() == "clip  [#####...............]  25 %  25/100  10 fps  0:08 left"
    assert Progress("pipe", None).line() == "pipe  0 frames  0 fps"


def test_quiet_writes_nothing_and_a_terminal_is_left_clean():
    for quiet in (True, False):
        stream = Terminal()
        bar = Progress("clip", 10, stream=stream, quiet=quiet)
        bar._next = 0.0
        bar.tick()
        bar.clear()
        assert stream.getvalue() == "" if quiet else stream.getvalue().endswith(" \r")


def test_long_times_have_hours():
    assert progress._clock(3725) == "1:02:05" and progress._clock(59.6) == "1:00"


def test_wide_letters_do_not_break_the_line(monkeypatch):
    size = os.terminal_size((70, 24))
    monkeypatch.setattr(progress.shutil, "get_terminal_size", lambda: size)
    stream = Terminal()
    bar = Progress("東京の交差点で撮影した歩行者の映像その一完全版", 1000, stream=stream)
    for _ in range(3):
        bar._next = 0.0
        bar.tick()
    bar.clear()
    *lines, empty = stream.getvalue().split("\r")[1:]
    assert empty == "" and "3/1000" in lines[2] and "版  [" in lines[2]
    wide = [sum(1 + (ord(c) > 0x2E7F) for c in line) for line in lines]
    assert max(wide) <= 69 and wide[-1] >= wide[-2]
