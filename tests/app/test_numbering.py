"""Numbers of the frames of a video, told from times alone: no decoder is asked."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tracker.app.numbering import Numbering
from tracker.frames import LONGEST_HOLE

FPS = 25.0


def at(index: int) -> float:
    """Seconds at which a frame of a video with a steady rate is shown, as a decoder states it."""
    return 0.08 + index / FPS


def begun(frames: int) -> Numbering:
    numbers = Numbering(FPS)
    for index in range(frames):
        assert numbers.count(at(index)) == (index, [])
    return numbers


@given(st.sets(st.integers(2, 59)), st.integers(0, 2))
def test_pictures_keep_their_numbers_behind_those_that_failed(gone: set[int], early: int) -> None:
    """A decoder fails early: it still has pictures from before the damage to give."""
    numbers, counted, told = Numbering(FPS), [], []
    fails = [max(index - early, 2) for index in gone]
    for index in range(61):
        for _ in range(fails.count(index)):
            numbers.fail()
        if index not in gone:
            number, news = numbers.count(at(index))
            counted.append(number)
            told += news
    assert counted == [index for index in range(61) if index not in gone]
    assert told == sorted(gone)


def test_one_failure_may_stand_for_a_lost_piece() -> None:
    numbers = begun(30)
    numbers.fail()
    assert numbers.count(at(42)) == (42, list(range(30, 42)))
    assert numbers.count(at(43)) == (43, []) and numbers.times.known(43)
    numbers.fail()
    assert numbers.count(at(1000))[0] == 44 + LONGEST_HOLE


def test_a_gap_where_nothing_failed_is_a_pause() -> None:
    assert begun(30).count(at(42)) == (30, [])
    numbers = begun(29)
    numbers.fail()
    assert numbers.count(at(30)) == (30, [29])
    assert numbers.count(at(42)) == (31, []), "that failure has its place"


@pytest.mark.parametrize("stated", [0.0, math.nan])
def test_without_times_each_failure_is_a_frame(stated: float) -> None:
    numbers = Numbering(FPS)
    assert numbers.count(stated) == (0, [])
    numbers.fail()
    numbers.fail()
    assert numbers.count(stated) == (3, [1, 2])
    assert numbers.last_time == pytest.approx(3 / FPS)
    numbers.fail()
    numbers.jump(2)
    assert numbers.count(stated) == (2, []), "what failed before a jump stands elsewhere"


def test_where_frames_come_unevenly_each_failure_is_a_frame() -> None:
    numbers = begun(3)
    numbers.count(at(10))
    numbers.fail()
    assert numbers.count(at(10) + 0.01) == (5, [4])


def test_after_a_jump_holes_are_known_and_not_told_again() -> None:
    numbers = begun(20)
    numbers.fail()
    assert numbers.count(at(21)) == (21, [20])
    assert not numbers.jumped
    numbers.jump(10)
    assert numbers.jumped and numbers.next == 10
    assert [numbers.count(at(index)) for index in range(10, 20)] == [(i, []) for i in range(10, 20)]
    assert numbers.count(at(21)) == (21, []), "here the decoder passed over it in silence"


def test_a_jump_lands_where_the_time_of_its_picture_says() -> None:
    numbers = begun(50)
    assert numbers.land(at(17), aim=19, target=20)
    assert numbers.next == 18
    # short of its aim: a picture that cannot be decoded stands before it
    assert numbers.count(at(19)) == (19, [18])


@pytest.mark.parametrize("stated", [at(20), at(30), 0.0, math.nan])
def test_a_landing_behind_the_target_or_nowhere_changes_nothing(stated: float) -> None:
    numbers = begun(50)
    assert not numbers.land(stated, aim=19, target=20)
    assert (numbers.next, numbers.jumped) == (50, False)


def test_a_frame_behind_a_hole_is_reached_from_the_start_of_the_hole() -> None:
    numbers = begun(30)
    numbers.fail()
    numbers.count(at(33))
    assert [numbers.start_of(index) for index in (29, 30, 32, 33, 34)] == [29, 30, 30, 30, 34]
