"""Two targets on one place: one of them is wrong, so neither is sure, and neither learns there."""

from __future__ import annotations

import pytest

from tests.online.scripted import SPEC, ScriptedNetwork, see_green
from tests.online.test_session import several
from tracker import Session, State
from tracker.crowd import Crowd, claimed
from tracker.target import CROSSING

LEFT, RIGHT = (100, 200, 50, 40), (400, 200, 50, 40)
NEAR_LEFT = (110, 200, 50, 40)


def test_who_was_apart_and_is_together_crowds() -> None:
    crowd = Crowd()
    assert crowd.see({1: LEFT, 2: RIGHT, 3: (700, 0, 9, 9)}) == set()
    assert crowd.see({1: LEFT, 2: NEAR_LEFT, 3: (700, 0, 9, 9)}) == {1, 2}
    assert crowd.see({1: LEFT, 3: (700, 0, 9, 9)}) == set(), "a lost one claims nothing"
    assert crowd.see({1: LEFT, 2: NEAR_LEFT}) == {1, 2}
    assert crowd.see({1: LEFT, 2: RIGHT}) == set()


def test_what_was_drawn_twice_crowds_once_it_was_apart() -> None:
    crowd = Crowd()
    for _ in range(3):
        assert crowd.see({4: LEFT, 7: NEAR_LEFT}) == set()
    assert crowd.see({4: LEFT, 7: RIGHT}) == set()
    assert crowd.see({4: LEFT, 7: NEAR_LEFT}) == {4, 7}


def test_a_target_added_on_another_one_is_drawn_twice() -> None:
    crowd = Crowd()
    crowd.see({1: LEFT, 2: RIGHT})
    assert crowd.see({1: LEFT, 2: RIGHT, 3: NEAR_LEFT}) == set()
    assert crowd.see({1: LEFT, 2: LEFT, 3: NEAR_LEFT}) == {1, 2, 3}, "2 was apart from both"
    crowd.keep({1, 3})
    assert crowd.see({1: LEFT, 3: NEAR_LEFT}) == set()


def test_a_part_of_another_target_does_not_crowd_it_however_large_it_becomes() -> None:
    crowd = Crowd()
    assert crowd.see({1: (100, 50, 60, 180), 2: (115, 55, 30, 36)}) == set()  # a face, far away
    assert crowd.see({1: (0, 0, 300, 240), 2: (40, 0, 220, 230)}) == set()  # and near


def test_nothing_of_a_target_that_was_removed_is_kept() -> None:
    session = Session(ScriptedNetwork(see_green))
    for number in range(1, 20):
        session.add(several(LEFT), LEFT)
        session.update(several(LEFT))
        if number > 2:
            session.remove(number - 2)
    session.update(several(LEFT))
    assert session._crowd._seen == {18, 19} and session._crowd._one == {(18, 19)}
    session.remove(session.add(several(LEFT), LEFT))  # never seen
    session.update(several(LEFT))
    assert session._crowd._one == {(18, 19)}


def test_what_touches_does_not_crowd() -> None:
    crowd = Crowd()
    crowd.see({1: LEFT, 2: RIGHT})
    for right in (125, 120):  # a third and three sevenths of both together are shared
        assert crowd.see({1: LEFT, 2: (right, 200, 50, 40)}) == set()


@pytest.mark.parametrize(
    ("box", "is_claimed"), [(NEAR_LEFT, True), (RIGHT, False), ((120, 200, 50, 40), False)]
)
def test_a_place_is_claimed_by_one_of_several(box: tuple, is_claimed: bool) -> None:
    assert claimed(box, [(0, 0, 9, 9), LEFT]) is is_claimed


def both_meet() -> Session:
    """Two targets; the one on the right is drawn away, so that both boxes are on the left."""
    session = Session(ScriptedNetwork(see_green))
    there = several(LEFT, RIGHT)
    session.add(there, LEFT)
    session.add(there, RIGHT)
    session.update(there)
    session._targets[2].box = NEAR_LEFT
    session.update(several(LEFT))  # both claim one place
    return session


def test_two_that_meet_are_uncertain_until_they_part() -> None:
    session = both_meet()
    states = {r.state for r in session.update(several(LEFT)).values()}
    assert states == {State.UNCERTAIN}
    session.remove(2)
    session.update(several(LEFT))
    assert session.update(several(LEFT))[1].state is State.TRACKING


def test_two_that_cross_learn_nothing_and_two_that_stay_go_on() -> None:
    session = both_meet()
    targets = list(session._targets.values())
    counted = [t._sure_frames for t in targets]  # it learns in every fourth of these
    for _ in range(CROSSING):
        session.update(several(LEFT))
        assert [t.exemplar.sure_frames for t in targets] == [0, 0]
    assert [t._sure_frames for t in targets] == counted
    for _ in range(CROSSING):
        states = {r.state for r in session.update(several(LEFT)).values()}
    assert states == {State.UNCERTAIN}
    assert [t.exemplar.sure_frames for t in targets] == [CROSSING] * 2


def test_a_target_that_rests_while_others_cross_it_does_not_learn_either() -> None:
    session = both_meet()
    session.update(several(LEFT))
    target = session._targets[1]
    assert target.rest().state is State.UNCERTAIN and target.exemplar.sure_frames == 0


@pytest.mark.parametrize("seen", [5, 0], ids=["seen together", "drawn alone"])
@pytest.mark.parametrize("other", [LEFT, (100, 200, 50, 30)], ids=["twice", "a part"])
def test_all_that_were_drawn_on_one_thing_return_to_it(other: tuple, seen: int) -> None:
    session = Session(ScriptedNetwork(see_green))
    for box in (LEFT, other):
        session.add(several(LEFT), box)
    for shown in [several(LEFT)] * seen + [several()] * 6 + [several(LEFT)] * 5:
        results = session.update(shown)
    assert [r.state for r in results.values()] == [State.TRACKING] * 2


@pytest.mark.parametrize("lost", [1, 2])
def test_one_of_two_on_one_thing_that_is_lost_alone_returns_to_the_other(lost: int) -> None:
    session = Session(ScriptedNetwork(see_green))
    for box in (LEFT, LEFT):
        session.add(several(LEFT), box)
    session.update(several(LEFT))
    session._targets[lost].presence.state = State.LOST
    states = [session.update(several(LEFT))[lost].state for _ in range(3)]
    assert states[-1] is State.TRACKING


def test_a_lost_target_is_not_taken_up_where_one_that_was_apart_from_it_walks() -> None:
    session = Session(ScriptedNetwork(see_green))
    for box in (LEFT, RIGHT):
        session.add(several(LEFT, RIGHT), box)
    walk = [several((100 + 15 * step, 200, 50, 40)) for step in range(21)]
    for shown in [several(LEFT, RIGHT)] * 5 + [several(LEFT)] * 6 + walk + walk[-1:] * 20:
        results = session.update(shown)
    assert results[1].state is State.TRACKING and results[1].box[0] == pytest.approx(400, abs=9)
    assert results[2].state is State.LOST, "the other one stands where it was lost"


def test_a_target_drawn_where_another_one_was_lost_keeps_its_place() -> None:
    session = Session(ScriptedNetwork(see_green))
    session.add(several(LEFT), LEFT)
    for shown in [several(LEFT)] * 5 + [several()] * 6:
        session.update(shown)
    session.add(several(LEFT), LEFT)
    for _ in range(9):
        results = session.update(several(LEFT))
    assert [r.state for r in results.values()] == [State.LOST, State.TRACKING]


def test_the_places_of_others_are_taken_and_those_of_the_same_thing_are_not() -> None:
    crowd = Crowd()
    crowd.draw(3, LEFT, {1: NEAR_LEFT, 2: RIGHT})
    assert crowd.taken(1, {2: RIGHT, 3: LEFT}) == [RIGHT]
    assert crowd.taken(3, {1: NEAR_LEFT, 2: RIGHT}) == [RIGHT]
    assert crowd.taken(2, {1: NEAR_LEFT, 3: LEFT}) == [NEAR_LEFT, LEFT]
    crowd.see({1: NEAR_LEFT, 2: LEFT, 3: RIGHT})
    assert crowd.taken(3, {1: NEAR_LEFT, 2: LEFT}) == [NEAR_LEFT, LEFT], "seen apart"


def test_a_target_drawn_where_another_one_was_is_judged_by_what_is_seen_next() -> None:
    crowd = Crowd()
    crowd.see({1: LEFT})
    crowd.draw(2, RIGHT, {1: LEFT})  # in a newer frame, into which the first one had moved
    assert crowd.see({1: RIGHT, 2: RIGHT}) == set()
    assert crowd.taken(1, {2: RIGHT}) == []


def test_one_target_alone_is_as_before() -> None:
    session = Session(ScriptedNetwork(see_green, spec=SPEC))
    session.add(several(LEFT), LEFT)
    assert [session.update(several(LEFT))[1].state for _ in range(5)] == [State.TRACKING] * 5
