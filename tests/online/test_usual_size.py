"""How large a target usually is, and what follows from it."""

from __future__ import annotations

import pytest

from tracker.usual_size import LATE, UsualSize, closer_look

FRAME = (640, 480)


def test_it_follows_what_is_seen_and_slowly_what_the_edge_may_cut() -> None:
    inside, leaving = UsualSize((50.0, 40.0)), UsualSize((50.0, 40.0))
    inside.follow((200.0, 100.0, 60.0, 20.0), FRAME)
    leaving.follow((0.0, 100.0, 20.0, 40.0), FRAME)
    assert inside.size == pytest.approx((51.0, 38.0))
    assert leaving.size == pytest.approx((49.4, 40.0))


def test_the_first_box_is_the_usual_one() -> None:
    usual = UsualSize()
    usual.follow((0.0, 100.0, 20.0, 40.0), FRAME)
    assert usual.size == pytest.approx((20.0, 40.0))


def test_what_is_not_known_excludes_nothing() -> None:
    usual, sliver = UsualSize((50.0, 40.0)), (0.0, 100.0, 2.0, 300.0)
    assert not usual.may_return_as(sliver, FRAME)
    usual.forget()
    assert usual.may_return_as(sliver, FRAME)
    assert usual.visible(sliver, FRAME) == 1.0
    assert usual.around(sliver) == sliver


def test_the_usual_size_is_put_around_the_same_middle() -> None:
    assert UsualSize((50.0, 40.0)).around((100.0, 100.0, 10.0, 80.0)) == (80.0, 120.0, 50.0, 40.0)


@pytest.mark.parametrize(
    ("found", "looked"),
    [
        ((200.0, 100.0, 90.0, 40.0), (215.0, 90.0, 60.0, 60.0)),  # the same area
        ((0.0, 0.0, 400.0, 400.0), (75.0, 75.0, 250.0, 250.0)),  # four times as large: 2.5
        ((0.0, 0.0, 10.0, 10.0), (-15.0, -15.0, 40.0, 40.0)),  # a tenth: 1 / 2.5
    ],
)
def test_a_closer_look_has_the_shape_of_the_target_and_about_its_size(
    found: tuple[float, float, float, float], looked: tuple[float, float, float, float]
) -> None:
    last = (300.0, 300.0, 100.0, 100.0)
    assert closer_look(found, last) == pytest.approx(looked)


@pytest.mark.parametrize(
    ("box", "visible"),
    [
        ((200.0, 100.0, 10.0, 10.0), 1.0),  # away from the edges any size is whole
        ((5.0, 100.0, 20.0, 40.0), 0.4),  # two fifths of the width are left near the left edge
        ((615.0, 100.0, 20.0, 40.0), 0.4),  # and near the right one
        ((300.0, 3.0, 50.0, 16.0), 0.4),  # of the height near the upper one
        ((300.0, 461.0, 50.0, 16.0), 0.4),
        ((0.0, 100.0, 50.0, 10.0), 1.0),  # a height that no edge cuts may be any
        ((0.0, 100.0, 20.0, 120.0), 0.4),  # as it comes nearer: the area would be 1.2
        ((600.0, 470.0, 40.0, 10.0), 0.25),  # in a corner the smaller share counts
        ((300.0, -30.0, 50.0, 40.0), 0.25),  # what lies outside is not seen
    ],
)
def test_how_much_the_frames_edge_leaves_of_a_target(
    box: tuple[float, float, float, float], visible: float
) -> None:
    assert UsualSize((50.0, 40.0)).visible(box, FRAME) == pytest.approx(visible)


@pytest.mark.parametrize(
    ("box", "alike"),
    [
        ((200.0, 100.0, 50.0, 40.0), True),
        ((200.0, 100.0, 85.0, 68.0), True),  # 1.7 times as large
        ((200.0, 100.0, 95.0, 76.0), False),  # 1.9 times
        ((200.0, 100.0, 50.0, 23.5), False),  # flatter by more than two thirds
        ((200.0, 100.0, 50.0, 25.0), True),
        ((200.0, 100.0, 46.0, 68.0), False),  # narrower: a part of something else
        ((0.0, 100.0, 40.0, 60.0), True),  # the same at the edge: half of it has come in
        ((0.0, 100.0, 30.0, 50.0), False),
    ],
)
def test_what_shape_a_target_may_come_back_with(
    box: tuple[float, float, float, float], alike: bool
) -> None:
    assert UsualSize((50.0, 40.0)).may_return_as(box, FRAME) == alike


@pytest.mark.parametrize(("factor", "late"), [(0.3, False), (0.4, True), (2.5, True), (3.1, False)])
def test_what_is_gone_for_longer_may_come_back_nearer_or_farther_away(
    factor: float, late: bool
) -> None:
    box = (200.0, 100.0, 50.0 * factor, 40.0 * factor)
    assert not UsualSize((50.0, 40.0)).may_return_as(box, FRAME, lost_for=LATE)
    assert UsualSize((50.0, 40.0)).may_return_as(box, FRAME, lost_for=LATE + 1) == late
