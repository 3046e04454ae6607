"""Which other objects are shown for a target: none of them over and over."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import cv2
import numpy as np
import pytest

pytest.importorskip("torch")

from tests.training.data import rng
from tracker.training.pair_options import PairOptions
from tracker.training.pairs import PairSampler
from tracker.training.tracks import EncodedFrames, Source, Track

PLAIN = PairOptions(32, 64, shift=4)


def stills(first: int, count: int, kind: str | None = None) -> tuple[Track, ...]:
    """Pictures of one grey each, which is their number."""
    tracks = []
    for number in range(first, first + count):
        part = cv2.imencode(".png", np.full((40, 40, 3), number, np.uint8))[1].ravel()
        box = np.array([[10, 10, 20, 20]], np.float32)
        tracks.append(Track(EncodedFrames([part], str(number)), box, kind))
    return tuple(tracks)


def drawn(sampler: PairSampler, number: int = 0, times: int = 600) -> Counter[int]:
    return Counter(sampler._draw_negative(number, rng(seed)) for seed in range(times))


def test_the_one_clip_of_a_source_has_all_others_as_negatives() -> None:
    """Half of the draws are of the clip itself; none of the 30 others takes their place alone."""
    sources = [Source("clip", stills(0, 1)), Source("stills", stills(1, 30))]
    sampler = PairSampler(sources, PLAIN, 0)
    found = drawn(sampler)
    assert set(found) == set(range(1, 31)) and max(found.values()) < 45
    pictures = Counter(int(sampler._other_picture(0, rng(n))[0, 0, 0]) for n in range(600))
    assert set(pictures) == set(range(1, 31)) and max(pictures.values()) < 45


def test_a_clip_that_draws_itself_has_the_others_of_its_source_instead() -> None:
    """So that the weights of the sources are those of the negatives, too."""
    sources = [Source("clips", stills(0, 3), 3.0), Source("stills", stills(3, 40), 1.0)]
    for number in range(3):
        found = drawn(PairSampler(sources, replace(PLAIN, hard=0), 0), number)
        assert number not in found
        own = [found[n] for n in range(3) if n != number]
        assert 0.68 < sum(own) / 600 < 0.82 and max(own) < 1.3 * min(own)


def test_who_never_draws_itself_keeps_its_draws() -> None:
    sampler = PairSampler([Source("stills", stills(0, 12))], replace(PLAIN, hard=0), 0)
    others = [n for n in range(60) if sampler._draw_track(rng(n)) != 5]
    assert 40 < len(others) < 60
    assert all(sampler._draw_negative(5, rng(n)) == sampler._draw_track(rng(n)) for n in others)


def test_who_never_draws_itself_of_its_class_keeps_its_draws() -> None:
    tracks = (*stills(0, 8), *stills(8, 12, "cat"))
    sampler = PairSampler([Source("stills", tracks)], replace(PLAIN, hard=1), 0)

    def of_the_class(seed: int) -> int:
        numbers = rng(seed)
        assert numbers.random() < 1
        return 8 + int(numbers.integers(12))

    others = [n for n in range(60) if of_the_class(n) != 11]
    assert 40 < len(others) < 60
    assert all(sampler._draw_negative(11, rng(n)) == of_the_class(n) for n in others)


@pytest.mark.parametrize("size", [2, 3, 6])
def test_as_many_negatives_are_of_the_class_as_asked_for(size: int) -> None:
    """However few there are in it."""
    tracks = (*stills(0, 40), *stills(40, size, "cat"), *stills(60, 20))
    sampler = PairSampler([Source("stills", tracks)], replace(PLAIN, hard=0.5), 0)
    for number in (40, 40 + size - 1):
        found = drawn(sampler, number)
        cats = [found[n] for n in range(40, 40 + size) if n != number]
        assert number not in found
        assert 0.43 < sum(cats) / 600 < 0.59 and max(cats) < 1.6 * min(cats)


def test_negatives_that_are_confused_or_of_the_class_are_no_more_than_asked_for() -> None:
    """Of all that is hard what is confused comes first, where something is."""
    tracks = (*stills(0, 40), *stills(40, 3, "cat"))
    sampler = PairSampler([Source("stills", tracks)], replace(PLAIN, hard=0.5), 0)
    sampler.confused[40] = 7
    found = drawn(sampler, 40)
    assert 0.43 < found[7] / 600 < 0.59
    assert (found[41] + found[42]) / 600 < 0.08


def test_a_track_alone_has_no_other() -> None:
    assert set(drawn(PairSampler([Source("clip", stills(0, 1))], PLAIN, 0), times=5)) == {0}
