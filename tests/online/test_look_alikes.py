"""What stood beside the target is not the target, however much it scores a frame later."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from tests.online.scripted import SPEC, ScriptedNetwork, both, response, scene, see_both
from tracker import Session, SiameseTracker, State
from tracker.box_policy import Candidate
from tracker.crop import Region
from tracker.geometry import iou
from tracker.look_alikes import Look, unless_exchanged
from tracker.results import Box

Place = tuple[float, float]
START = (300.0, 200.0, 50.0, 40.0)
BESIDE = [(360.0, 205.0), (240.0, 195.0), (305.0, 150.0)]
WEAK, STRONG = 0.55, 0.95  # the window's share is .3: the weaker one in the middle has a lower rank


def started(seen: list[np.ndarray], other: float = 0.6) -> tuple[SiameseTracker, ScriptedNetwork]:
    """A tracker of the green thing at ``START`` after some frames; what is beside scores less."""
    network = ScriptedNetwork(see_both(0.9, other))
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
    network.see = see_both(SPEC.presence.likely - 0.05, STRONG)
    result = tracker.update(both(START, other))
    assert float(iou(result.box, (*other, 50.0, 40.0))) > 0.8


@pytest.mark.parametrize(
    ("beside", "score", "state"),
    [
        (True, 0.6, State.LOST),
        (True, 0.4, State.TRACKING),  # what is not surely alike was no rival
        (False, 0.6, State.TRACKING),
    ],
)
def test_what_stood_beside_the_target_is_not_taken_for_it_later(
    beside: bool, score: float, state: State
) -> None:
    other, nowhere = BESIDE[0], (0.0, 0.0, 0.0, 0.0)
    later = both(START, other) if beside else scene(START)
    tracker, network = started([scene(START)] * 4 + [later] * 4, score)
    network.see = see_both(0.9, 0.6)
    states = [tracker.update(both(nowhere, other)).state for _ in range(4)]
    assert states[-1] is state


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


def test_who_draws_on_what_was_looked_at_changes_no_track() -> None:
    network = ScriptedNetwork(see_both(0.9, 0.6))
    session, image = Session(network), both(START, BESIDE[0])
    number = session.add(image, START)
    for _ in range(3):
        session.update(image)
    view, picture = session.debug(number), session.exemplar(number)
    assert view is not None
    view.response[:] = 0
    picture[:] = 0
    network.see = see_both(WEAK, STRONG)
    assert float(iou(session.update(image)[number].box, START)) > 0.8
    assert session.exemplar(number).any()


def look(*things: tuple[Box, float]) -> Look:
    """A look at the first 256 x 256 pixels of the frame, where things have that score."""
    output = response(0.001, (0, 0, 1, 1))
    assert output.boxes is not None
    for (x, y, w, h), score in things:
        row, column = int((y + h / 2) // 16), int((x + w / 2) // 16)
        output.score[0, row, column] = score
        output.boxes[0, :, row, column] = x, y, x + w, y + h
    return Look(output, 0, Region(128, 128, 256))


def square(x: float, side: float = 40.0) -> Box:
    return x, 108.0, side, side


HERE, THERE = square(108.0), square(158.0)


def chosen(before: Look, now: Look, candidate: Box, last: Box = HERE, share: float = 1.0) -> Box:
    spec = dataclasses.replace(SPEC, presence=SPEC.presence.asking(share))
    return unless_exchanged(spec, before, now, last, Candidate(candidate, 0.9, 1.0)).box


@pytest.mark.parametrize("share", [1.0, 0.5, 0.2])
def test_of_a_target_that_scores_little_from_the_start_less_is_asked(share: float) -> None:
    before = look((HERE, 0.95 * share), (THERE, 0.93 * share))
    kept = chosen(before, look((HERE, 0.9 * share), (THERE, 0.96 * share)), THERE, share=share)
    assert kept[0] == pytest.approx(HERE[0])
    gone = chosen(before, look((HERE, 0.4 * share), (THERE, 0.96 * share)), THERE, share=share)
    assert gone == THERE


def test_of_two_things_in_its_place_the_likelier_one_stays() -> None:
    now = look((square(100.0), 0.6), (square(124.0), 0.8), (THERE, 0.9))
    assert chosen(look((HERE, 0.9), (THERE, 0.6)), now, THERE) == pytest.approx(square(124.0))


def test_what_was_only_likely_to_be_there_before_is_a_look_alike_too() -> None:
    before = look((HERE, 0.9), (THERE, SPEC.presence.doubt + 0.01))
    assert chosen(before, look((HERE, 0.6), (THERE, 0.9)), THERE) == pytest.approx(HERE)


def test_a_look_alike_elsewhere_says_nothing_of_a_leap() -> None:
    before = look((HERE, 0.9), (THERE, 0.6))
    assert chosen(before, look((HERE, 0.6)), square(50.0)) == square(50.0)


def test_a_step_on_which_it_overlaps_itself_is_no_leap() -> None:
    before, candidate = look((HERE, 0.9), (square(140.0), 0.6)), square(122.0)
    assert chosen(before, look((HERE, 0.6)), candidate) == candidate


def test_a_look_alike_may_hide_a_part_of_it() -> None:
    last, there = square(88.0, 80.0), square(144.0, 80.0)  # they share 24 / 136
    before, now = look((last, 0.9), (there, 0.6)), look((last, 0.6), (there, 0.9))
    assert chosen(before, now, there, last) == pytest.approx(last)


def test_what_is_rather_where_the_look_alike_was_does_not_stay() -> None:
    last, there, between, candidate = (square(88.0 + step, 80.0) for step in (0, 50, 30, 60))
    before, now = look((last, 0.9), (there, 0.6)), look((between, 0.6))
    assert chosen(before, now, candidate, last) == candidate


def test_a_leap_is_long_for_the_side_along_which_it_goes() -> None:
    """A person leaps to the one beside with a step that is short for a height."""
    last, beside = (100.0, 58.0, 24.0, 140.0), (133.0, 58.0, 24.0, 140.0)
    before, now = look((last, 0.9), (beside, 0.6)), look((last, 0.6), (beside, 0.9))
    assert chosen(before, now, beside, last) == pytest.approx(last)


def test_the_size_of_what_stays_is_smoothed() -> None:
    small = square(112.0, 32.0)
    now = look((small, 0.6), (THERE, 0.9))
    found = chosen(look((HERE, 0.9), (THERE, 0.6)), now, THERE)
    assert 32 < found[2] < 40 and found[0] + found[2] / 2 == pytest.approx(128)
