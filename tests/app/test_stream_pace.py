"""Frames that come in bursts are shown at the pace of life, and no delay builds up."""

import itertools
import random

import pytest

from tracker.app.stream_pace import CREDIT, StreamPace


def shown(arrivals):
    """When frames are shown that arrive so and state such times: (arrival, stated) in seconds."""
    pace, now, times = StreamPace(), 1000.0, []
    for arrival, stated in arrivals:
        now = max(now, 1000.0 + arrival)
        now += pace.wait(stated, now)
        times.append(now - 1000.0)
    return times


def published(segments, late=lambda number: 0.0, ahead=0, fps=10, seconds=4):
    """Frames that arrive by segments, ``ahead`` of them with the first one."""
    for index in range(segments * seconds * fps):
        number = index // (seconds * fps)
        at = max(number - ahead, 0) * seconds
        yield at + (late(number) if at else 0.0), index / fps


def passed_over(times):
    """Frames that gave nobody time to take them."""
    return sum(after - before < 0.02 for before, after in itertools.pairwise(times))


@pytest.mark.parametrize("ahead", [0, 2])
def test_segments_are_shown_frame_by_frame(ahead) -> None:
    times = shown(published(100, ahead=ahead))
    assert passed_over(times) == 0
    assert times[-1] - 399.9 < 0.1


def test_segments_that_are_not_published_to_the_second_lose_little() -> None:
    draw = random.Random(1)
    jitter = [draw.uniform(0, 2) for _ in range(400)]
    times = shown(published(400, late=lambda number: jitter[number]))
    assert passed_over(times) == 0
    assert max(at - index / 10 for index, at in enumerate(times)) < CREDIT


def test_a_silence_leaves_little_delay_however_often_it_comes() -> None:
    """What was sent in the meantime queues up, unless it is passed over."""
    silent = [(60 * minute, 60 * minute + 8) for minute in range(1, 60)]
    frames = []
    for index in range(36000):
        at = index / 10
        end = next((end for start, end in silent if start <= at < end), at)
        frames.append((end, at))
    times = shown(frames)
    delays = [at - stated for at, (arrival, stated) in zip(times, frames, strict=True)]
    assert max(d for d, (a, s) in zip(delays, frames, strict=True) if a == s) < CREDIT + 0.5


@pytest.mark.parametrize("rate", [0.2, 0.5, 0.97])
def test_a_source_that_is_slower_than_its_times_never_waits_long(rate) -> None:
    frames = [(index / 10, rate * index / 10) for index in range(5000)]
    assert max(at - arrival for at, (arrival, _) in zip(shown(frames), frames, strict=True)) < 0.11
    frames = [(index / 10 / rate, index / 10) for index in range(5000)]
    assert max(at - arrival for at, (arrival, _) in zip(shown(frames), frames, strict=True)) < 0.11


@pytest.mark.parametrize("drift", [-5e-5, 5e-5])
def test_clocks_that_differ_build_up_no_delay(drift) -> None:
    times = shown(
        (arrival * (1 + drift), stated) for arrival, stated in published(20000, ahead=2, fps=2)
    )
    delays = [at - index / 2 * (1 + drift) for index, at in enumerate(times)]
    assert max(delays) < CREDIT and passed_over(times) < 0.02 * len(times)


def test_times_that_jump_or_are_not_stated_hold_nothing_up() -> None:
    assert shown([(0, 0), (0, 0.5), (0, 90000.0), (0, 90000.5), (0, 3.0)])[2:] == pytest.approx(
        [0.5, 1.0, 1.0], abs=0.01
    )
    assert shown([(0, 0.0)] * 50)[-1] == 0
    assert shown([(0, float("nan"))] * 3)[-1] == 0
