"""Targets that score little even on the frame that they were drawn on: a word, a key."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from tests.online.scripted import SPEC, ScriptedNetwork, scene, see_green
from tracker import SiameseTracker, State
from tracker.exemplar import look_at_itself
from tracker.levels import View
from tracker.runtime import SearchOutput
from tracker.spec import BoxPolicy, PresencePolicy

LEARNS = dataclasses.replace(SPEC, online=BoxPolicy(size_rate=1.0, blend=0.4, refresh=5))
BOX = (300.0, 200.0, 60.0, 40.0)
Cell = tuple[int, int]


def network(score: float, beside: float = 0.0, at: Cell = (0, 0)) -> ScriptedNetwork:
    """Gives the green rectangle so much of the usual score, and a cell far from it another."""

    def see(crop: np.ndarray) -> SearchOutput:
        output = see_green(crop)
        output.score[:] *= score
        output.score[0][at] = max(beside, output.score[0][at])
        return output

    return ScriptedNetwork(see, spec=LEARNS)


def states(net: ScriptedNetwork) -> list[State]:
    """Ten frames with the target, five without it, ten with it again."""
    tracker = SiameseTracker(net)
    tracker.init(scene(BOX), BOX)
    shown = [BOX] * 10 + [None] * 5 + [BOX] * 10
    return [tracker.update(scene(box)).state for box in shown]


def test_what_scores_little_from_the_start_is_followed_lost_and_found_by_its_own_measure() -> None:
    found = states(network(0.2))
    assert set(found[:10]) == {State.TRACKING}
    assert found[14] is State.LOST and found[-1] is State.TRACKING


def test_what_its_surroundings_outdo_is_never_sure() -> None:
    assert State.TRACKING not in states(network(0.2, beside=0.15))


@pytest.mark.parametrize(
    ("score", "beside", "share"),
    [
        (1.0, 0.0, 1),
        (1.0, 0.9, 1),
        (0.85, 0.0, 1),
        (0.5, 0.1, 0.475),
        (0.5, 0.22, 0.475),
        (0.5, 0.25, 1),
        (0.5, 0.4, 1),
        (0.05, 0.0, 1),
    ],
)
def test_the_share_of_the_usual_scores(score: float, beside: float, share: float) -> None:
    view = View(scene(BOX), fill=(90, 90, 90))
    own = look_at_itself(network(score, beside), np.zeros((1, 66, 4), np.float32), view, BOX)
    assert own.score == pytest.approx(0.95 * score)
    assert own.elsewhere == pytest.approx(max(beside, 0.001), abs=0.001)
    assert own.share == pytest.approx(share)


@pytest.mark.parametrize("at", [(0, 8), (8, 0), (8, 15), (15, 8)])
def test_what_is_straight_beside_it_is_elsewhere_too(at: Cell) -> None:
    view = View(scene(BOX), fill=(90, 90, 90))
    own = look_at_itself(network(0.5, 0.4, at), np.zeros((1, 66, 4), np.float32), view, BOX)
    assert own.elsewhere == pytest.approx(0.4) and own.share == 1


def test_a_share_is_of_scores_alone() -> None:
    usual = PresencePolicy()
    half = usual.asking(0.5)
    scores = ("sure", "doubt", "gone", "likely", "return_score")
    assert [getattr(half, s) for s in scores] == [getattr(usual, s) / 2 for s in scores]
    assert dataclasses.replace(half, **{s: getattr(usual, s) for s in scores}) == usual
    assert usual.asking(1.0) == usual
