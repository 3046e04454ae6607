"""The progress line says how far, how fast and how long still."""

import io

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
