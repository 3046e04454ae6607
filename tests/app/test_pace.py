"""The pace of a file's frames."""

from __future__ import annotations

import pytest

from tracker.app.pace import SPEEDS, Pace


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def pace(clock: Clock) -> Pace:
    return Pace(25.0, clock)


def test_a_first_frame_is_due_at_once(pace: Pace) -> None:
    assert pace.remaining == 0


def test_frames_come_at_their_times(pace: Pace, clock: Clock) -> None:
    pace.frame_shown(0.1)
    assert pace.remaining == pytest.approx(0.1)
    clock.now += 0.07
    assert pace.remaining == pytest.approx(0.03)
    pace.frame_shown(0.5)  # early: the plan goes on from when it was due
    assert pace.remaining == pytest.approx(0.53)


def test_a_late_frame_does_not_make_the_next_ones_hurry(pace: Pace, clock: Clock) -> None:
    pace.frame_shown(0.1)
    clock.now += 3
    pace.frame_shown(0.1)
    assert pace.remaining == 0
    pace.frame_shown(0.1)
    assert pace.remaining == pytest.approx(0.1)


@pytest.mark.parametrize("step", [0.0, -1.0, 2.0, 3600.0])
def test_times_that_tell_no_pace_leave_it_to_the_rate(pace: Pace, step: float) -> None:
    pace.frame_shown(step)
    assert pace.remaining == pytest.approx(1 / 25)


def test_speeds_have_two_ends(pace: Pace) -> None:
    for _ in SPEEDS:
        pace.change(1)
    assert pace.speed == SPEEDS[-1] == 8
    pace.frame_shown(0.4)
    assert pace.remaining == pytest.approx(0.05)
    for _ in range(2 * len(SPEEDS)):
        pace.change(-1)
    assert pace.speed == SPEEDS[0] == 0.125
    assert pace.remaining == 0, "another speed begins with a frame"
    pace.frame_shown(0.1)
    assert pace.remaining == pytest.approx(0.8)


def test_a_restart_forgets_what_was_planned(pace: Pace) -> None:
    pace.frame_shown(1.5)
    pace.restart()
    assert pace.remaining == 0
