"""Answers of a network that are kept: the same from the network, from memory and from a file."""

from __future__ import annotations

import errno
import os

import numpy as np
import pytest

from tests.online.scripted import ScriptedNetwork, scene, see_green
from tracker.crop import Region
from tracker.errors import UserError
from tracker.evaluation.lockstep import CachedSearcher, Grid
from tracker.evaluation.output_cache import OutputCache
from tracker.levels import Levels
from tracker.runtime import SearchOutput


def output(seed: int) -> SearchOutput:
    rng = np.random.default_rng(seed)
    return SearchOutput(
        rng.random((1, 4, 4), np.float32),
        rng.random((1, 4, 4, 4), np.float32) * 256,
        rng.standard_normal((1, 8, 4, 4), np.float32),
    )


def same(a: SearchOutput, b: SearchOutput) -> bool:
    parts = [(a.score, b.score), (a.boxes, b.boxes), (a.identity, b.identity)]
    return all((x is y is None) or np.array_equal(x, y) for x, y in parts)


def never() -> SearchOutput:
    raise AssertionError("the network was asked for what is known")


HERE, THERE = Region(40.0, 30.0, 90.0), Region(40.5, 30.0, 90.0)


def test_one_place_is_computed_once_a_frame_and_counted():
    cache = OutputCache()
    first = cache.answer(HERE, 64, b"z", lambda: output(1))
    assert cache.answer(Region(40.0, 30.0, 90.0), 64, b"z", never) is first
    # another place, crop, exemplar and frame are other questions
    assert not same(cache.answer(HERE, 48, b"z", lambda: output(6)), first)
    assert not same(cache.answer(THERE, 64, b"z", lambda: output(2)), first)
    assert not same(cache.answer(HERE, 64, b"y", lambda: output(3)), first)
    cache.begin(1)
    assert not same(cache.answer(HERE, 64, b"z", lambda: output(4)), first)
    assert (cache.asked, cache.computed) == (6, 5)


def test_answers_are_those_of_the_network():
    given = output(5)
    found = OutputCache().answer(HERE, 64, b"z", lambda: given)
    assert np.array_equal(found.score, given.score) and np.array_equal(found.boxes, given.boxes)
    assert found.identity.dtype == np.float32
    np.testing.assert_allclose(found.identity, given.identity, rtol=1e-3, atol=1e-4)


def test_a_file_gives_back_the_same_to_the_last_bit(tmp_path):
    path = tmp_path / "otb" / "clip.outputs"
    cache = OutputCache(path)
    first = []
    for frame in range(3):
        cache.begin(frame)
        first.append(cache.answer(HERE, 64, b"z", lambda frame=frame: output(frame)))
    cache.flush()
    again = OutputCache(path)
    for frame in range(3):
        again.begin(frame)
        assert same(again.answer(HERE, 64, b"z", never), first[frame])
    assert (again.asked, again.computed) == (3, 0)
    new = again.answer(THERE, 64, b"z", lambda: output(9))
    again.flush()
    third = OutputCache(path)
    third.begin(2)
    assert same(third.answer(THERE, 64, b"z", never), new)
    assert same(third.answer(HERE, 64, b"z", never), first[2])


def test_a_response_without_boxes(tmp_path):
    path = tmp_path / "clip.outputs"
    cache = OutputCache(path)
    cache.answer(HERE, 64, b"z", lambda: SearchOutput(np.full((1, 17, 17), -3.5, np.float32)))
    cache.flush()
    found = OutputCache(path).answer(HERE, 64, b"z", never)
    assert found.boxes is None and found.identity is None and found.score[0, 3, 3] == -3.5


def test_smaller_answers_share_a_file_with_whole_ones(tmp_path):
    path = tmp_path / "clip.outputs"
    cache, whole = OutputCache(path, cells=4), output(1)
    small = SearchOutput(*(part[..., :3, :3] for part in output(2)))
    first = cache.answer(HERE, 48, b"z", lambda: small), cache.answer(HERE, 64, b"z", lambda: whole)
    cache.flush()
    again = OutputCache(path, cells=4)
    found = again.answer(HERE, 48, b"z", never), again.answer(HERE, 64, b"z", never)
    assert same(found[0], first[0]) and same(found[1], first[1])
    assert found[0].score.shape == (1, 3, 3) and np.array_equal(found[0].boxes, small.boxes)


def test_a_record_cut_short_is_dropped_and_what_follows_is_whole(tmp_path):
    path = tmp_path / "clip.outputs"
    cache = OutputCache(path)
    kept = cache.answer(HERE, 64, b"z", lambda: output(1))
    cache.answer(THERE, 64, b"z", lambda: output(2))
    cache.flush()
    path.write_bytes(path.read_bytes()[:-100])
    second = OutputCache(path)
    assert same(second.answer(HERE, 64, b"z", never), kept)
    again = second.answer(THERE, 64, b"z", lambda: output(2))
    second.flush()
    third = OutputCache(path)
    assert same(third.answer(HERE, 64, b"z", never), kept)
    assert same(third.answer(THERE, 64, b"z", never), again)


def test_a_file_that_cannot_be_begun_is_not_left_half(tmp_path, monkeypatch):
    def full(*arguments):
        raise OSError(errno.ENOSPC, "No space left on device")

    path = tmp_path / "clip.outputs"
    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        with pytest.raises(UserError, match="No space left"):
            OutputCache(path).answer(HERE, 64, b"z", lambda: output(1))
    assert not list(tmp_path.iterdir())
    OutputCache(path).answer(HERE, 64, b"z", lambda: output(1))


def test_a_foreign_file_is_refused(tmp_path):
    path = tmp_path / "clip.outputs"
    path.write_text("mine")
    with pytest.raises(UserError, match="not a file of cached outputs"):
        OutputCache(path)


@pytest.mark.parametrize("seed", range(3))
def test_the_grid_moves_a_region_by_at_most_half_a_step(seed):
    rng, grid = np.random.default_rng(seed), Grid(0.04, 0.03)
    for _ in range(200):
        region = Region(*rng.uniform(-50, 1500, 2), float(rng.uniform(8, 2000)))
        near = grid.nearest(region)
        assert abs(near.side / region.side - 1) <= 0.0205
        assert abs(near.cx - region.cx) <= 0.0151 * near.side
        assert abs(near.cy - region.cy) <= 0.0151 * near.side
        assert grid.nearest(near) == near


def test_crops_in_another_light_are_other_questions():
    cache, box = OutputCache(), (300.0, 200.0, 60.0, 40.0)
    searcher = CachedSearcher(ScriptedNetwork(see_green), cache)
    target = searcher.select(scene(box), box)
    searcher.begin()
    requests = [(target, target.begin_frame(640, 480))]
    for levels in (Levels(), Levels(2.0), Levels(2.0, -30.0), Levels()):
        target.light.levels = levels
        searcher.search(scene(box), requests)
    assert (cache.asked, cache.computed) == (4, 3)


def test_another_exemplar_is_another_question(tmp_path):
    searcher = CachedSearcher(ScriptedNetwork(see_green), OutputCache(tmp_path / "c", 16))
    one, other = np.zeros((1, 66, 4), np.float32), np.ones((1, 66, 4), np.float32)
    first = searcher._digest_of(one)
    assert searcher._digest_of(other) != first == searcher._digest_of(one.copy())
