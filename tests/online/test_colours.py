"""Colours of a target against those around it, and what they say where the network doubts."""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np
import pytest

from tests.online.scripted import ScriptedNetwork, scene, see_green
from tests.online.test_exemplar import LEARNS, Recording
from tracker import SiameseTracker
from tracker.absence import LONG_LOST
from tracker.colours import BINS, EVEN, ColourModel
from tracker.results import State
from tracker.runtime import SearchOutput

BOX = (300.0, 200.0, 60.0, 40.0)
RED, WHITE = (30, 30, 220), (250, 250, 250)
AWAY = (100.0, 60.0, 60.0, 40.0)  # outside of the search region at the first box


def painted(colour: tuple[int, int, int], box: tuple[float, ...] = BOX) -> np.ndarray:
    """The grey scene with something of that colour in a box."""
    image, (x, y, w, h) = scene(None), (round(v) for v in box)
    image[y : y + h, x : x + w] = colour
    return image


def test_the_share_is_the_mean_chance_of_the_targets_colours() -> None:
    colours = ColourModel(painted(RED), BOX)
    whole = 1 / (1 + EVEN / BINS**3)  # all of the target is red, nothing around it
    assert colours.usual == pytest.approx(whole, abs=1e-6)
    half = (300.0, 200.0, 30.0, 40.0)  # what a box shows of it when a wall hides its right half
    assert colours.share(painted(RED, half), BOX) == pytest.approx(whole / 2, abs=0.02)
    assert colours.share(scene(None), BOX) == 0.0, "the colour of the surroundings"
    assert colours.share(painted(WHITE), BOX) == 0.0, "a colour that was never seen"


def test_a_colour_of_target_and_surroundings_says_half() -> None:
    image = np.full((480, 640, 3), RED, np.uint8)
    assert ColourModel(image, BOX).usual == pytest.approx(1 / (2 + EVEN / BINS**3), abs=1e-6)


@pytest.mark.parametrize("channel", range(3))
def test_a_colour_differs_in_any_of_its_channels(channel: int) -> None:
    dark, bright = [30, 30, 30], [30, 30, 30]
    bright[channel] = 220
    assert ColourModel(painted(tuple(bright)), BOX).share(painted(tuple(dark)), BOX) == 0.0


def test_the_surroundings_are_three_boxes_wide_and_high() -> None:
    image = painted(RED, (240.0, 160.0, 180.0, 120.0))
    image[180:260, 270:390] = 90  # within two boxes: 3 boxes of grey, then 5 of red
    image[200:240, 300:360] = RED
    whole = 1 / (1 + 5 / 8 + EVEN / BINS**3)
    assert ColourModel(image, BOX).usual == pytest.approx(whole, abs=0.02)


def test_slow_changes_are_followed() -> None:
    colours = ColourModel(painted(RED), BOX)
    assert colours.share(painted(WHITE), BOX) == 0.0
    for _ in range(10):
        colours.learn(painted(WHITE), BOX)
    assert colours.share(painted(WHITE), BOX) > 0.99
    assert colours.usual > 0.9
    assert colours.share(painted(RED), BOX) > 0.8, "how it was is not forgotten at once"
    everything_white = np.full_like(scene(None), 250)
    for _ in range(10):
        colours.learn(everything_white, BOX)
    assert colours.share(painted(WHITE), BOX) == pytest.approx(0.5, abs=0.02)
    assert colours.usual == pytest.approx(0.5, abs=0.02)


@pytest.mark.parametrize(
    "box", [(-500.0, -500.0, 20.0, 20.0), (900.0, 20.0, 5.0, 5.0), (630.0, 470.0, 0.4, 0.3)]
)
def test_where_nothing_of_a_box_is_to_be_seen_there_are_no_colours(
    box: tuple[float, float, float, float],
) -> None:
    assert ColourModel(painted(RED), BOX).share(painted(RED), box) == 0.0


@pytest.mark.parametrize("size", [(1, 1), (2, 3), (1, 400)])
def test_tiny_frames_and_boxes_have_colours_too(size: tuple[int, int]) -> None:
    image = np.full((*size, 3), RED, np.uint8)
    colours = ColourModel(image, (0.0, 0.0, 1.0, 1.0))
    colours.learn(image, (0.0, 0.0, 1.0, 1.0))
    assert 0 <= colours.usual <= 1


def follow(
    colour: float,
    looks: list[np.ndarray],
    cosines: list[float],
    score: float = 0.95,
    sure: float = 0.5,
) -> tuple[list[State], int]:
    """States of a target that keeps its place, and how many later exemplars were taken."""
    answers = itertools.chain(cosines, itertools.repeat(1.0))
    ready = False

    def see(crop: np.ndarray) -> SearchOutput:
        output = see_green(np.where(crop == 90, crop, np.array([40, 220, 40], np.uint8)))
        assert output.identity is not None
        cosine = next(answers) if ready else 1.0
        output.identity[:, 0], output.identity[:, 1] = cosine, np.sqrt(1 - cosine**2)
        if ready:
            output.score[output.score > 0.5] = score
        return output

    presence = dataclasses.replace(
        LEARNS.presence,
        colour_drop=colour,
        return_colour_drop=0.3 if colour else 1.0,
        patience=2,
        doubt=0.4,
        sure=sure,
    )
    network = Recording(see, spec=dataclasses.replace(LEARNS, presence=presence))
    tracker = SiameseTracker(network)
    tracker.init(painted(RED), BOX)
    ready = True
    states = [tracker.update(look).state for look in looks]
    return states, len(network.embedded) - 1  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("colour", "look", "taken"), [(0.05, RED, 5), (0.05, WHITE, 0), (0.0, RED, 0)]
)
def test_an_unusual_look_is_learned_where_the_colours_are_the_targets(
    colour: float, look: tuple[int, int, int], taken: int
) -> None:
    cosines = [1.0, 1.0, 1.0, 1.0, 0.8] * 5  # every fifth look is less alike than usual
    shown = [painted(RED)] * 4 + [painted(look)]
    states, found = follow(colour, shown * 5, cosines)
    assert set(states) == {State.TRACKING}
    assert found == taken


@pytest.mark.parametrize(
    ("colour", "look", "score", "state"),
    [
        (0.05, RED, 0.3, State.UNCERTAIN),
        (0.05, WHITE, 0.3, State.LOST),
        (0.05, RED, 0.15, State.LOST),  # below half of the doubt
        (0.0, RED, 0.3, State.LOST),
    ],
)
def test_a_low_score_is_no_loss_where_the_colours_are_the_targets(
    colour: float, look: tuple[int, int, int], score: float, state: State
) -> None:
    states, _ = follow(colour, [painted(look)] * 2, [], score)
    assert states == [State.UNCERTAIN, state]


@pytest.mark.parametrize(
    ("colour", "look", "state"),
    [
        (0.05, RED, State.TRACKING),
        (0.05, WHITE, State.LOST),
        (0.0, WHITE, State.TRACKING),
    ],
)
def test_a_lost_target_does_not_come_back_in_other_colours(
    colour: float, look: tuple[int, int, int], state: State
) -> None:
    states, _ = follow(colour, [painted(RED), scene(None), *[painted(look, AWAY)] * 12], [])
    assert states[:2] == [State.TRACKING, State.LOST]
    assert set(states[2:]) == {state}


@pytest.mark.parametrize(
    ("look", "sure", "state"),
    [
        (WHITE, 0.94, State.TRACKING),
        (WHITE, 0.96, State.LOST),  # what is not surely there is to have its colours
        (RED, 0.96, State.TRACKING),
    ],
)
def test_where_it_was_lost_a_target_comes_back_in_another_light(
    look: tuple[int, int, int], sure: float, state: State
) -> None:
    states, _ = follow(0.05, [painted(RED), scene(None), painted(look)], [], 0.95, sure)
    assert states[1:] == [State.LOST, state]


def test_after_a_long_time_the_light_may_have_changed() -> None:
    gone = [scene(None)] * (LONG_LOST + 1)
    states, _ = follow(0.05, [painted(RED), *gone, *[painted(WHITE, AWAY)] * 40], [])
    assert states[LONG_LOST + 1] is State.LOST and states[-1] is State.TRACKING


def test_a_model_that_asks_for_no_colours_looks_at_none() -> None:
    tracker = SiameseTracker(ScriptedNetwork(see_green))
    tracker.init(scene(BOX), BOX)
    assert tracker._target is not None and tracker._target.colours is None


def test_colours_are_learned_with_every_second_later_exemplar() -> None:
    presence = dataclasses.replace(LEARNS.presence, return_colour_drop=0.3)
    network = Recording(see_green, spec=dataclasses.replace(LEARNS, presence=presence))
    tracker, learned = SiameseTracker(network), []
    tracker.init(scene(BOX), BOX)
    assert tracker._target is not None and tracker._target.colours is not None
    tracker._target.colours.learn = lambda image, box: learned.append(box)  # type: ignore[method-assign]
    for _ in range(6 * 5):
        tracker.update(scene(BOX))
    assert len(network.embedded) == 1 + 6 and len(learned) == 3  # type: ignore[attr-defined]
