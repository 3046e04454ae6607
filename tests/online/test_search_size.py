"""How much of the surroundings is searched: as much as the target's motion asks for."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.online.scripted import SPEC, ScriptedNetwork, response, scene, see_green
from tests.online.test_reference_decision import some_output
from tracker import Session, SiameseTracker, State
from tracker.box_policy import decide, search_region, search_size, smallest_will_do
from tracker.geometry import context_side, iou
from tracker.runtime import SearchOutput

NARROW = dataclasses.replace(SPEC, online=dataclasses.replace(SPEC.online, narrow=160))
START = (300.0, 200.0, 50.0, 40.0)


def narrowing() -> tuple[SiameseTracker, ScriptedNetwork]:
    network = ScriptedNetwork(see_green, NARROW)
    return SiameseTracker(network), network


def test_a_still_target_is_searched_in_small_crops_after_a_while() -> None:
    tracker, network = narrowing()
    tracker.init(scene(START), START)
    for _ in range(40):
        assert float(iou(tracker.update(scene(START)).box, START)) > 0.95
    assert network.sizes[0] == 256 and network.sizes[-1] == 160
    assert network.sizes == sorted(network.sizes, reverse=True)  # trust only grows
    assert {*network.sizes} <= {256, 224, 192, 160}


def test_after_a_leap_the_whole_region_is_searched_again() -> None:
    tracker, network = narrowing()
    tracker.init(scene(START), START)
    for _ in range(40):
        tracker.update(scene(START))
    there = (340.0, 200.0, 50.0, 40.0)  # most of its width; a small crop still shows it
    result = tracker.update(scene(there))
    assert network.sizes[-1] == 160 and float(iou(result.box, there)) > 0.8
    tracker.update(scene(there))
    assert network.sizes[-1] == 256


@pytest.mark.parametrize("rests", [1, 5])
def test_a_target_that_leaps_about_is_searched_in_whole_crops(rests: int) -> None:
    tracker, network = narrowing()
    tracker.init(scene(START), START)
    for step in range(40):  # frames in one place
        box = (300.0 + 30 * (step // rests % 2), 200.0, 50.0, 40.0)
        assert float(iou(tracker.update(scene(box)).box, box)) > 0.6
    assert {*network.sizes} == {256}


def test_while_it_is_not_sure_the_whole_region_is_searched() -> None:
    tracker, network = narrowing()
    tracker.init(scene(START), START)
    for _ in range(40):
        tracker.update(scene(START))
    assert tracker.update(scene(None)).state is State.UNCERTAIN
    tracker.update(scene(None))
    assert network.sizes[-2:] == [160, 256]
    for _ in range(10):
        assert tracker.update(scene(None)).state is not State.TRACKING
    assert {*network.sizes[-10:]} == {256}


def test_of_what_is_found_again_nothing_is_known_of_how_it_moves() -> None:
    tracker, network = narrowing()
    tracker.init(scene(START), START)
    for _ in range(40):
        tracker.update(scene(START))
    network.see = lambda crop: see_green(crop)._replace(identity=-see_green(crop).identity)
    states = [tracker.update(scene(START)).state for _ in range(6)]
    assert states[-1] is State.LOST, "it seems to be another, in its place"
    network.see = see_green
    assert [tracker.update(scene(START)).state for _ in range(3)] == [State.TRACKING] * 3
    assert network.sizes[-2:] == [256, 256]


def test_what_is_doubted_where_it_was_expected_is_searched_in_a_whole_crop() -> None:
    tracker, network = narrowing()
    tracker.init(scene(START), START)
    for _ in range(40):
        tracker.update(scene(START))

    def see_faintly(crop: np.ndarray) -> SearchOutput:
        return see_green(crop)._replace(score=see_green(crop).score * np.float32(0.4))

    network.see = see_faintly
    assert [tracker.update(scene(START)).state for _ in range(2)] == [State.UNCERTAIN] * 2
    assert network.sizes[-2:] == [160, 256]


@pytest.mark.parametrize("narrow", [64, 160, 176, 256])
def test_a_target_may_wait_only_where_the_smallest_crop_will_do(narrow: int) -> None:
    spec = dataclasses.replace(SPEC, online=dataclasses.replace(SPEC.online, narrow=narrow))
    smallest = {64: 64, 160: 160, 176: 192, 256: None}[narrow]
    for miss in np.linspace(0, 60, 121):
        for side in (20.0, 50.0, 90.0):
            box = (100.0, 100.0, side, side / 4)
            size = search_size(spec, box, float(miss))
            assert smallest_will_do(spec, box, float(miss)) == (size == smallest)


def test_several_targets_are_a_batch_for_each_size() -> None:
    network = ScriptedNetwork(see_green, NARROW)
    session = Session(network)
    image = scene(START)
    calm = session.add(image, START)
    for _ in range(40):
        session.update(image)
    late = session.add(image, START)
    network.calls.clear()
    network.sizes.clear()
    results = session.update(image)
    assert sorted(network.sizes) == [160, 256] and network.calls == [1, 1]
    assert all(float(iou(results[n].box, START)) > 0.95 for n in (calm, late))
    for _ in range(40):
        session.update(image)
    assert network.sizes[-1] == 160 and network.calls[-1] == 2


@given(
    w=st.floats(4, 800), h=st.floats(4, 800), miss=st.floats(0, 2000), more=st.floats(0, 500)
)  # fmt: skip
def test_a_crop_holds_the_target_and_its_reach_or_is_whole(
    w: float, h: float, miss: float, more: float
) -> None:
    size = search_size(NARROW, (10.0, 20.0, w, h), miss)
    assert size in (256, 224, 192, 160)
    scale = 128 / context_side(w, h)
    if size < 256:
        assert size / 2 >= (max(w, h) / 2 + 3 * miss) * scale + 16 - 1e-6
    assert search_size(NARROW, (10.0, 20.0, w, h), miss + more) >= size
    assert search_size(SPEC, (10.0, 20.0, w, h), miss) == 256


@pytest.mark.parametrize("seed", range(8))
def test_a_place_is_worth_the_same_in_a_small_crop(seed: int) -> None:
    # the middle of a whole answer, as a smaller crop of the same scale would give it
    whole = some_output(seed, 0.9)
    assert whole.boxes is not None and whole.identity is not None
    score = np.zeros_like(whole.score)
    score[..., 3:13, 3:13] = whole.score[..., 3:13, 3:13]  # the best is in the middle
    middle = np.s_[..., 3:13, 3:13]
    small = SearchOutput(
        whole.score[middle], whole.boxes[middle] - 48, whole.identity[middle]
    )  # fmt: skip
    last = (380.0, 160.0, 64.0, 40.0)
    large_region = search_region(NARROW, last)
    small_region = search_region(NARROW, last, 160)
    a = decide(NARROW, SearchOutput(score, whole.boxes, whole.identity), 1, large_region, last)
    b = decide(NARROW, small, 1, small_region, last)
    np.testing.assert_allclose(a.box, b.box, atol=1e-3)
    assert a.score == b.score


def test_a_response_of_any_size_stands_where_its_region_is() -> None:
    region = search_region(NARROW, START, 160)
    corners = (60.0, 50.0, 100.0, 110.0)
    found = decide(NARROW, response(0.9, corners, size=160), 0, region, START)
    x, y, w, h = found.box
    scale = region.side / 160
    left, top, _, _ = region.box
    assert (x + w / 2, y + h / 2) == pytest.approx((left + 80 * scale, top + 80 * scale))
