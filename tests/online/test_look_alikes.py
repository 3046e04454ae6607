"""What stood beside the target is not the target, however much it scores a frame later."""

from __future__ import annotations

import numpy as np
import pytest

from tests.online.scripted import ScriptedNetwork, both, scene, see_both
from tracker import Session, SiameseTracker, State
from tracker.geometry import iou
from tracker.look_alikes import LIKELY

Place = tuple[float, float]
START = (300.0, 200.0, 50.0, 40.0)
BESIDE = [(360.0, 205.0), (240.0, 195.0), (305.0, 150.0)]
WEAK, STRONG = 0.55, 0.95  # the window's share is .3: the weaker one in the middle has a lower rank


def started(seen: list[np.ndarray]) -> tuple[SiameseTracker, ScriptedNetwork]:
    """A tracker of the green thing at ``START`` after some frames."""
    network = ScriptedNetwork(see_both(0.9, 0.6))
    tracker = SiameseTracker(network)
    tracker.init(scene(START), START)
    for image in seen:
        assert tracker.update(image).state is State.TRACKING
    return tracker, network


@pytest.mark.parametrize("other", BESIDE)
@pytest.mark.parametrize("step", [0.0, 8.0])
def test_a_look_alike_that_scores_more_for_a_frame_is_not_taken(other: Place, step: float) -> None:
    tracker, network = started([both(START, other)] * 3)
    moved = (START[0] + step, START[1] - step, *START[2:])
    network.see = see_both(WEAK, STRONG)
    result = tracker.update(both(moved, (other[0] + step, other[1] - step)))
    assert float(iou(result.box, moved)) > 0.8
    assert result.score == pytest.approx(WEAK)
    assert result.similarity == pytest.approx(0.975, abs=0.01)  # with the mean look
    network.see = see_both(0.9, 0.6)
    result = tracker.update(both(moved, (other[0] + step, other[1] - step)))
    assert result.state is State.TRACKING and float(iou(result.box, moved)) > 0.8


@pytest.mark.parametrize("other", BESIDE)
def test_where_nothing_stood_a_leap_is_a_leap(other: Place) -> None:
    tracker, network = started([scene(START)] * 3)
    network.see = see_both(WEAK, STRONG)
    result = tracker.update(both(START, other))
    assert float(iou(result.box, (*other, 50.0, 40.0))) > 0.8


@pytest.mark.parametrize("other", BESIDE)
def test_where_nothing_of_the_target_is_left_the_candidate_stays(other: Place) -> None:
    tracker, network = started([both(START, other)] * 3)
    network.see = see_both(LIKELY - 0.05, STRONG)
    result = tracker.update(both(START, other))
    assert float(iou(result.box, (*other, 50.0, 40.0))) > 0.8


def test_what_was_seen_before_a_frame_of_another_size_counts_for_nothing() -> None:
    other = BESIDE[0]
    tracker, network = started([both(START, other)] * 3)
    network.see = see_both(WEAK, STRONG)
    result = tracker.update(both(START, other)[:470])
    assert float(iou(result.box, (*other, 50.0, 40.0))) > 0.8


def test_each_of_several_targets_stays_where_it_is() -> None:
    """The targets of a session are each other's look-alikes."""
    other = BESIDE[0]
    network = ScriptedNetwork(see_both(0.9, 0.6))
    session, image = Session(network), both(START, other)
    first, second = session.add(image, START), session.add(image, (*other, 50.0, 40.0))
    for target, bright in ((0.9, 0.6), (WEAK, STRONG), (STRONG, WEAK), (0.9, 0.6)):
        network.see = see_both(target, bright)
        results = session.update(image)
        assert float(iou(results[first].box, START)) > 0.8
        assert float(iou(results[second].box, (*other, 50.0, 40.0))) > 0.8
