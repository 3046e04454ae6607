"""The search runs ahead of what glides, and stays with what dances."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest

from tests.online.scripted import SPEC, ScriptedNetwork, scene, see_green
from tracker import Session, SiameseTracker, State
from tracker.geometry import iou
from tracker.motion import Motion
from tracker.spec import BoxPolicy


def after(steps: list[tuple[float, float]]) -> tuple[float, float]:
    motion = Motion()
    for step in steps:
        motion.observe(*step)
    return motion.expected_step()


def test_nothing_is_expected_of_what_was_not_seen_to_move() -> None:
    assert after([]) == (0, 0)
    assert after([(0, 0)] * 5) == (0, 0)


def test_a_first_step_is_not_believed() -> None:
    assert after([(9, -4)]) == (0, 0)


def test_a_steady_step_is_believed_more_and_more() -> None:
    shares = [after([(9, -4)] * n)[0] / 9 for n in (2, 4, 8, 40)]
    assert shares == sorted(shares) and shares[-1] == pytest.approx(1, abs=0.01)
    dx, dy = after([(9, -4)] * 40)
    assert dy / dx == pytest.approx(-4 / 9)


def test_what_dances_is_expected_where_it_is() -> None:
    assert after([(7, 0), (-7, 0)] * 20) == (0, 0)
    shaken = np.random.default_rng(0).normal(0, 5, (60, 2)).tolist()
    assert math.hypot(*after(shaken)) < 2


@pytest.mark.parametrize("motion", [0.0, 1.0])
def test_a_target_that_outruns_its_search_region_is_followed(motion: float) -> None:
    """It ends with 90 pixels a frame; its search region reaches 80 to each side."""
    online = BoxPolicy(window=0.3, penalty=0.05, size_rate=1.0, motion=motion, blend=0.0)
    network = ScriptedNetwork(see_green, spec=dataclasses.replace(SPEC, online=online))
    tracker = SiameseTracker(network)
    places = [(20.0 + 2.5 * n * n, 100.0, 40.0, 40.0) for n in range(19)]
    tracker.init(scene(places[0], 1000, 240), places[0])
    for box in places[1:]:
        result = tracker.update(scene(box, 1000, 240))
    followed = result.state is State.TRACKING and float(iou(result.box, places[-1])) > 0.8
    assert followed == (motion > 0)


def test_a_return_from_elsewhere_is_no_step() -> None:
    """What was lost is believed to glide on as soon as it does, wherever it came back."""
    online = BoxPolicy(window=0.3, penalty=0.05, size_rate=1.0, blend=0.0)
    network = ScriptedNetwork(see_green, spec=dataclasses.replace(SPEC, online=online))
    session = Session(network)
    target = session.add(scene((40, 100, 40, 40), 1000, 240), (40, 100, 40, 40))
    absent = [session.update(scene(None, 1000, 240))[target].state for _ in range(20)]
    assert absent[-1] is State.LOST
    for n in range(12):  # the first few are needed to find it
        box = (600.0 + 9 * n, 100.0, 40.0, 40.0)
        result = session.update(scene(box, 1000, 240))[target]
    assert result.state is State.TRACKING
    session.update(scene(box, 1000, 240))
    view = session.debug(target)
    assert view is not None
    x, _, width, _ = view.search_region
    ahead = x + width / 2 - (box[0] + box[2] / 2)
    assert 5 < ahead < 9
