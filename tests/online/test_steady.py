"""A box that is shown: still where the target rests, at once where it moves."""

from __future__ import annotations

import math

import numpy as np
import pytest

from tests.online.scripted import green_tracker, scene
from tracker import Session, SiameseTracker, State
from tracker.app.sample import load_sample
from tracker.frames import Video
from tracker.results import Box
from tracker.steady import SteadyBox

START: Box = (100.0, 80.0, 40.0, 90.0)
SIZE = math.sqrt(40 * 90)


def shown(boxes: list[Box]) -> np.ndarray:
    steady = SteadyBox()
    return np.array([steady.follow(box) for box in boxes])


def centres(boxes: np.ndarray) -> np.ndarray:
    return boxes[:, :2] + boxes[:, 2:] / 2


def moved(dx: float = 0.0, dy: float = 0.0, dw: float = 0.0, dh: float = 0.0) -> Box:
    """The first box, its middle moved and its sides changed."""
    x, y, w, h = START
    return x + dx - dw / 2, y + dy - dh / 2, w + dw, h + dh


def test_a_first_box_is_shown_as_it_is() -> None:
    assert SteadyBox().follow(START) == pytest.approx(START)


@pytest.mark.parametrize(
    "there", [moved(dx=SIZE / 13, dh=3), moved(dy=-SIZE), moved(9, -9, 7, -12)]
)
def test_a_large_change_is_shown_at_once(there: Box) -> None:
    assert shown([START, there])[1] == pytest.approx(there)


def test_place_and_size_are_weighed_apart() -> None:
    leap = moved(dx=SIZE, dw=0.1)
    x, _, w, _ = shown([START, leap])[1]
    assert x + w / 2 == pytest.approx(leap[0] + leap[2] / 2)
    assert 40 < w < 40.02, "a small change of size beside a leap is still a small one"
    x, _, w, h = shown([START, moved(dx=0.1, dh=20)])[1]
    assert 120 < x + w / 2 < 120.02 and h == pytest.approx(110)


def test_a_small_change_is_shown_in_small_steps_and_in_the_end() -> None:
    there = moved(0.5, -0.5, 0.2, -0.3)
    boxes = shown([START, *[there] * 60])
    steps = np.abs(np.diff(centres(boxes), axis=0))
    assert (steps[0] < 0.15).all() and (np.diff(steps, axis=0) <= 1e-9).all()
    assert boxes[-1] == pytest.approx(there, abs=0.02)


def test_what_trembles_by_a_hundredth_of_its_size_stands_nearly_still() -> None:
    rng = np.random.default_rng(0)
    noise = rng.normal(0, 0.006, (400, 4)) * (SIZE, SIZE, 40, 90)
    found = [moved(*row) for row in noise]
    before, after = np.array(found), shown(found)
    for what in (centres, lambda boxes: boxes[:, 2:]):
        trembling = [np.abs(np.diff(what(boxes)[20:], axis=0)).mean() for boxes in (before, after)]
        assert trembling[1] < trembling[0] / 3
    assert centres(after).mean(0) == pytest.approx(centres(before).mean(0), abs=0.002 * SIZE)


@pytest.mark.parametrize("speed", [0.001, 0.004, 0.01, 0.02, 0.05, 0.2])
def test_what_glides_is_hardly_behind(speed: float) -> None:
    boxes = [moved(dx=speed * SIZE * n) for n in range(200)]
    behind = (centres(np.array(boxes)) - centres(shown(boxes)))[:, 0] / SIZE
    assert np.abs(behind).max() < 0.017
    assert abs(behind[-1]) < (0.0116 if speed < 0.01 else 1e-4)


@pytest.mark.parametrize("speed", [0.005, 0.02, 0.05])
def test_what_glides_and_trembles_is_shown_gliding(speed: float) -> None:
    noise = np.random.default_rng(0).normal(0, 0.006 * SIZE, (300, 2))
    boxes = [moved(speed * SIZE * n + dx, dy) for n, (dx, dy) in enumerate(noise)]
    true = np.array([moved(speed * SIZE * n) for n in range(300)])
    trembling = [
        np.abs(np.diff(centres(each) - centres(true), axis=0))[50:].mean()
        for each in (np.array(boxes), shown(boxes))
    ]
    assert trembling[1] < 0.4 * trembling[0]


def test_what_stops_is_overshot_by_little() -> None:
    boxes = [moved(dx=0.1 * SIZE * min(n, 30)) for n in range(60)]
    ahead = (centres(shown(boxes)) - centres(np.array(boxes)))[:, 0] / SIZE
    assert ahead.max() < 0.025 and abs(ahead[-1]) < 0.002


def test_what_is_shaken_is_shown_without_delay() -> None:
    boxes = [moved(dx=0.05 * SIZE * (-1) ** n) for n in range(20)]
    assert shown(boxes) == pytest.approx(np.array(boxes))


def test_a_target_ten_times_as_large_moves_ten_times_as_far() -> None:
    rng = np.random.default_rng(1)
    boxes = [moved(*row) for row in rng.normal(0, 0.5, (30, 4))]
    large = [tuple(10 * v for v in box) for box in boxes]
    assert shown(large) == pytest.approx(10 * shown(boxes))  # type: ignore[arg-type]


def test_what_is_forgotten_was_not_moving_either() -> None:
    steady = SteadyBox()
    for n in range(20):
        steady.follow(moved(dx=0.02 * SIZE * n))
    steady.forget()
    assert [steady.follow(START) for _ in range(3)] == [pytest.approx(START)] * 3


HERE, THERE = (100.0, 200.0, 60.0, 40.0), (101.0, 200.0, 60.0, 40.0)


def found(tracker: SiameseTracker) -> Box:
    """The box that the tracker goes on with."""
    assert tracker._target is not None
    return tracker._target.box


@pytest.fixture
def resting() -> SiameseTracker:
    """A tracker whose target is at ``HERE``, and was there in the frame before."""
    tracker, _ = green_tracker()
    tracker.init(scene(HERE), HERE)
    assert tracker.update(scene(HERE)).box == pytest.approx(found(tracker))
    return tracker


def test_a_small_step_is_shown_by_a_part_and_searched_from_in_full(
    resting: SiameseTracker,
) -> None:
    before = found(resting)
    shown_left = resting.update(scene(THERE)).box[0]
    step, seen = found(resting)[0] - before[0], shown_left - before[0]
    assert step > 0.3 and 0 < seen < 0.5 * step


def test_a_target_that_comes_back_is_shown_where_it_is(resting: SiameseTracker) -> None:
    while resting.update(scene(None)).state is not State.LOST:
        pass
    while (back := resting.update(scene(THERE))).state is State.LOST:
        pass
    assert back.box == pytest.approx(found(resting))


def test_in_a_frame_of_another_size_the_box_is_shown_where_it_is(
    resting: SiameseTracker,
) -> None:
    assert resting.update(scene(THERE, 800, 600)).box == pytest.approx(found(resting))


def test_a_box_at_the_frames_edge_stays_inside() -> None:
    tracker, _ = green_tracker()
    boxes = [(580.0 + 3 * n, 200.0, 60.0, 40.0) for n in range(12)]
    tracker.init(scene(boxes[0]), boxes[0])
    for box in boxes[1:]:
        x, _, w, _ = tracker.update(scene(box)).box
        assert x + w <= 640


@pytest.mark.parametrize("several", [1, 6])
def test_a_noisy_picture_of_a_target_at_rest(several: int) -> None:
    """With the shipped model; six targets of one session are looked at in turns."""
    clip, first = load_sample()
    image = next(Video(clip).read(range(1)))
    rng = np.random.default_rng(0)
    session = Session(threads=1)
    numbers = [session.add(image, first) for _ in range(several)]
    inner, said = [], []
    for _ in range(50):
        noisy = np.clip(image + rng.normal(0, 5, image.shape), 0, 255).astype(np.uint8)
        said.append(session.update(noisy)[numbers[0]].box)
        inner.append(session._targets[numbers[0]].box)
    inside, outside = (
        np.abs(np.diff(centres(np.array(boxes))[10:], axis=0)).mean() for boxes in (inner, said)
    )
    assert outside < 0.4 * inside
    assert outside < 0.003 * math.sqrt(first[2] * first[3])
