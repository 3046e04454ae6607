"""A target that is gone: where it is looked for, and what is taken for it when it returns."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.online.scripted import (
    SPEC,
    ScriptedNetwork,
    both,
    green_tracker,
    response,
    scene,
    see_both,
    see_green,
)
from tracker import Session, SiameseTracker, State
from tracker.geometry import iou
from tracker.runtime import SearchOutput
from tracker.usual_size import CLOSER_LOOK_CHANGE


def left(
    network: ScriptedNetwork, start: tuple[float, float, float, float], frames: int
) -> SiameseTracker:
    """A tracker whose target was seen five times and then not for some frames."""
    tracker = SiameseTracker(network)
    tracker.init(scene(start), start)
    for shown in [start] * 5 + [None] * frames:
        tracker.update(scene(shown))
    return tracker


def test_a_target_that_leaves_is_lost_and_claims_no_box() -> None:
    tracker, _ = green_tracker()
    start = (300.0, 200.0, 50.0, 40.0)
    tracker.init(scene(start), start)
    states = [tracker.update(scene(None)) for _ in range(40)]
    assert states[0].state is State.UNCERTAIN
    assert states[-1].state is State.LOST and states[-1].claimed_box is None
    assert all(np.isfinite(s.box).all() and s.score < 0.1 for s in states)


def test_where_nothing_is_a_lost_target_stays_lost_whatever_a_return_asks() -> None:
    presence = replace(SPEC.presence, return_score=0.0)
    tracker = SiameseTracker(ScriptedNetwork(see_green, replace(SPEC, presence=presence)))
    start = (300.0, 200.0, 50.0, 40.0)
    tracker.init(scene(start), start)
    states = [tracker.update(scene(None)).state for _ in range(9)]
    assert set(states[3:]) == {State.LOST}


@pytest.mark.parametrize("place", [(310.0, 205.0), (20.0, 20.0), (580.0, 420.0), (560.0, 10.0)])
def test_a_lost_target_is_found_wherever_it_returns(place: tuple[float, float]) -> None:
    tracker, _ = green_tracker()
    start, back = (300.0, 200.0, 50.0, 40.0), (*place, 50.0, 40.0)
    tracker.init(scene(start), start)
    for _ in range(30):
        tracker.update(scene(None))
    states = [tracker.update(scene(back)).state for _ in range(40)]
    assert states[-1] is State.TRACKING
    assert float(iou(tracker.update(scene(back)).box, back)) > 0.7


@pytest.mark.parametrize("wider", [1, 2])
def test_a_target_lost_for_long_may_come_back_in_any_size(wider: int) -> None:
    """What it was thought to look like at the end may have been a mistake.

    A stream that changes its resolution meanwhile is no new loss.
    """
    tracker, _ = green_tracker()
    start, back = (300.0, 200.0, 50.0, 40.0), (245.0, 145.0, 160.0, 150.0)
    tracker.init(scene(start), start)
    for shown in [start] * 10 + [None] * 10:
        tracker.update(scene(shown))
    shortly_after = [tracker.update(scene(back)).state for _ in range(80)]
    assert set(shortly_after) == {State.LOST}
    x, y, w, h = (side * wider for side in back)
    image = scene((x, y, w, h), 640 * wider, 480 * wider)
    long_after = [tracker.update(image).state for _ in range(30)]
    assert long_after[-1] is State.TRACKING
    assert float(iou(tracker.update(image).box, (x, y, w, h))) > 0.7


@pytest.mark.parametrize("place", [(310.0, 205.0), (20.0, 20.0), (600.0, 440.0), (590.0, 10.0)])
def test_a_target_may_come_back_half_as_large(place: tuple[float, float]) -> None:
    """It went far away meanwhile: too small to show where the frame is looked at coarsely."""

    def see_what_is_large_enough(crop: np.ndarray) -> SearchOutput:
        answer = see_green(crop)
        x1, _, x2, _ = answer.boxes[0, :, 0, 0]  # type: ignore[index]
        return answer if x2 - x1 > 25 else response(0.01, (96, 96, 160, 160), 0.0)

    tracker = SiameseTracker(ScriptedNetwork(see_what_is_large_enough))
    start, back = (300.0, 200.0, 50.0, 40.0), (*place, 25.0, 20.0)
    tracker.init(scene(start), start)
    for shown in [start] * 10 + [None] * 40:
        tracker.update(scene(shown))
    states = [tracker.update(scene(back)).state for _ in range(50)]
    assert states[-1] is State.TRACKING
    assert float(iou(tracker.update(scene(back)).box, back)) > 0.7


def test_the_debug_view_is_of_the_last_frame_also_while_lost() -> None:
    session = Session(ScriptedNetwork(see_green))
    box = (300.0, 200.0, 50.0, 40.0)
    number = session.add(scene(box), box)
    views = []
    for shown in [box] * 3 + [None] * 12:
        session.update(scene(shown))
        views.append(session.debug(number))
    assert len({id(view.response) for view in views if view}) == len(views)
    assert all(view.response.max() < 0.1 for view in views[3:] if view)


@pytest.mark.parametrize("way", [(-1, 0), (1, 0), (0, -1), (0, 1)])
def test_a_target_that_slips_behind_an_edge_is_lost_and_taken_up_again(
    way: tuple[int, int],
) -> None:
    tracker, _ = green_tracker()
    x, y, w, h = box = (300.0, 220.0, 60.0, 40.0)
    tracker.init(scene(box), box)
    steps = 240 if way[1] else 310
    states = []
    for step in range(0, steps + 60, 4):
        place = (x + way[0] * step, y + way[1] * step, w, h)
        states.append((step, tracker.update(scene(place)).state))
    whole = {
        step
        for step, _ in states
        if 0 <= x + way[0] * step <= 580 and 0 <= y + way[1] * step <= 440
    }
    assert all(state is State.TRACKING for step, state in states if step in whole)
    assert states[-1][1] is State.LOST
    # the same way back
    for step in range(steps + 60, 0, -8):
        back = tracker.update(scene((x + way[0] * step, y + way[1] * step, w, h)))
    assert back.state is State.TRACKING


def test_searching_for_a_lost_target_costs_a_bounded_number_of_crops() -> None:
    tracker, network = green_tracker()
    start = (300.0, 200.0, 30.0, 20.0)
    tracker.init(scene(start, 1920, 1080), start)
    for _ in range(60):
        tracker.update(scene(None, 1920, 1080))
    assert max(network.calls) <= 2 and len(network.calls) == 60


def test_how_long_it_is_lost_is_counted_from_the_last_time_it_was_seen() -> None:
    start, large = (300.0, 200.0, 50.0, 40.0), (270.0, 170.0, 120.0, 96.0)
    tracker = left(ScriptedNetwork(see_green), start, frames=20)
    states = [tracker.update(scene(start)).state for _ in range(6)]
    assert states[-1] is State.TRACKING
    for _ in range(15):
        tracker.update(scene(None))
    assert {tracker.update(scene(large)).state for _ in range(10)} == {State.LOST}


def test_a_target_lost_again_is_looked_for_where_it_was_last_seen() -> None:
    session = Session(ScriptedNetwork(see_green))
    places = (300.0, 200.0, 50.0, 40.0), (60.0, 60.0, 50.0, 40.0)
    number = session.add(scene(places[0]), places[0])
    for shown in [None] * 20 + [places[1]] * 30 + [None] * 10:
        session.update(scene(shown))
    view = session.debug(number)
    assert view is not None
    x, y, w, h = view.search_region
    assert (x + w / 2, y + h / 2) == pytest.approx((85, 80), abs=5)


def test_a_lost_target_is_looked_for_at_its_usual_size() -> None:
    """What misled the tracker at the end may have been of any size."""
    session, box = Session(ScriptedNetwork(see_green)), (300.0, 200.0, 50.0, 40.0)
    number, sides = session.add(scene(box), box), []
    session.network.see = lambda crop: (  # type: ignore[attr-defined]
        see_green(crop) if len(sides) < 10 else response(0.2, (0, 0, 250, 250), 0.9)
    )
    for _ in range(16):
        session.update(scene(box))
        view = session.debug(number)
        assert view is not None
        sides.append(view.search_region[2])
    assert max(sides) > 1.3 * sides[0]
    assert sides[-1] == pytest.approx(sides[0], rel=0.03)


def test_a_closer_look_at_an_answer_of_absurd_size_is_of_a_possible_one() -> None:
    session, box = Session(ScriptedNetwork(see_green)), (300.0, 200.0, 50.0, 40.0)
    number, sides = session.add(scene(box), box), []
    session.network.see = lambda crop: (  # type: ignore[attr-defined]
        see_green(crop) if len(sides) < 8 else response(0.9, (0, 0, 256, 256))
    )
    for shown in [box] * 3 + [None] * 6:
        session.update(scene(shown))
        view = session.debug(number)
        assert view is not None
        sides.append(view.search_region[2])
    assert sides[-1] == pytest.approx(CLOSER_LOOK_CHANGE * sides[0], rel=0.03)


def test_a_lost_target_is_looked_for_in_all_of_a_frame_that_grew() -> None:
    start, back = (40.0, 30.0, 30.0, 24.0), (1700.0, 900.0, 30.0, 24.0)
    tracker = SiameseTracker(ScriptedNetwork(see_green))
    tracker.init(scene(start, 160, 120), start)
    for shown in [start] * 5 + [None] * 10:
        tracker.update(scene(shown, 160, 120))
    states = [tracker.update(scene(back, 1920, 1080)).state for _ in range(200)]
    assert states[-1] is State.TRACKING


def test_what_several_regions_show_is_looked_at_once() -> None:
    def see(crop: np.ndarray) -> SearchOutput:  # the farther away, the weaker and the liker
        answer = see_green(crop)
        x1, y1, x2, y2 = answer.boxes[0, :, 0, 0]
        if answer.score.max() < 0.5:
            return answer
        score, identity = (0.9, 0.99) if x2 - x1 < 60 else (0.95, 0.9)
        return response(score, (x1, y1, x2, y2), identity, len(crop))

    network, start = ScriptedNetwork(see), (300.0, 200.0, 50.0, 40.0)
    tracker = left(network, start, frames=2)
    network.calls.clear()
    assert tracker.update(scene(start)).state is State.TRACKING
    assert network.calls == [2, 1], "the last place, and around it; then one closer look"


def test_something_else_is_not_taken_for_the_lost_target() -> None:
    tracker, network = green_tracker()
    start = (300.0, 200.0, 50.0, 40.0)
    tracker.init(scene(start), start)
    for _ in range(30):
        tracker.update(scene(None))
    network.see = lambda crop: response(0.99, (96, 96, 160, 160), identity=0.1)
    for _ in range(20):
        assert tracker.update(scene(start)).state is State.LOST


@pytest.mark.parametrize("swapped", [4, 5])
def test_another_object_in_the_targets_place_is_noticed_a_frame_late_at_most(swapped: int) -> None:
    network, start = ScriptedNetwork(see_green), (300.0, 200.0, 50.0, 40.0)
    tracker = SiameseTracker(network)
    tracker.init(scene(start), start)
    assert all(tracker.update(scene(start)).state is State.TRACKING for _ in range(swapped))
    network.see = lambda crop: response(0.95, (96, 96, 160, 160), identity=0.1, size=len(crop))
    results = [tracker.update(scene(start)) for _ in range(1 + SPEC.presence.patience)]
    doubted = next(i for i, r in enumerate(results) if r.state is not State.TRACKING)
    assert doubted <= 1 and results[-1].state is State.LOST
    assert [r.similarity for r in results[:doubted]] == [1.0] * doubted, "that of the last check"
    assert results[doubted].similarity == pytest.approx(0.1, abs=0.01)


@pytest.mark.parametrize("other", [(390.0, 205.0), (200.0, 205.0), (300.0, 130.0)])
def test_of_two_alike_the_lost_target_is_the_one_of_its_identity(
    other: tuple[float, float],
) -> None:
    network, start = ScriptedNetwork(see_both(0.8, 0.95)), (300.0, 200.0, 50.0, 40.0)
    tracker = left(network, start, frames=20)
    results = [tracker.update(both(start, other)) for _ in range(20)]
    assert results[-1].state is State.TRACKING
    assert float(iou(results[-1].box, start)) > 0.7
    assert max(network.calls) <= 2  # two regions, and at most two closer looks


def test_what_scores_too_little_to_return_does_not_hinder_what_returns() -> None:
    network, start = ScriptedNetwork(see_green), (300.0, 200.0, 50.0, 40.0)
    tracker = left(network, start, frames=6)
    network.see = see_both(0.9, 0.4, identity=0.7)  # the other one is liker
    assert tracker.update(both(start, (355.0, 205.0))).state is State.TRACKING


def test_the_strongest_answer_is_looked_at_closer_though_another_seems_liker() -> None:
    network, start, other = ScriptedNetwork(see_green), (300.0, 200.0, 50.0, 40.0), (390.0, 205.0)
    tracker = left(network, start, frames=6)
    network.calls.clear()
    network.see = lambda crop: see_both(0.95, 0.6, 0.95 if len(network.calls) > 1 else 0.5)(crop)
    assert float(iou(tracker.update(both(start, other)).box, start)) > 0.7
    assert network.calls == [2, 2]
