"""Several targets of one session: each is found, lost and told apart for itself."""

from __future__ import annotations

import copy
import pickle
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from tests.online.scripted import (
    SPEC,
    ResponseNetwork,
    ScriptedNetwork,
    scene,
    see_green,
)
from tracker import Session, SiameseTracker, State, searcher
from tracker.geometry import iou
from tracker.runtime import SearchOutput, open_network


def test_a_session_follows_each_target_and_loses_only_the_one_that_left() -> None:
    network = ScriptedNetwork(see_green)
    session = Session(network)
    left, right = (80.0, 200.0, 40.0, 40.0), (500.0, 200.0, 40.0, 40.0)
    both = np.maximum(scene(left), scene(right))
    both[:, :, (0, 2)] = np.minimum(scene(left), scene(right))[:, :, (0, 2)]
    first, second = session.add(both, left, "left"), session.add(both, right)
    assert session.labels == {first: "left", second: None}
    for _ in range(10):
        results = session.update(both)
    assert float(iou(results[first].box, left)) > 0.9
    assert float(iou(results[second].box, right)) > 0.9
    assert network.calls == [2] * 10, "the crops of both targets are one batch"
    for _ in range(30):
        results = session.update(scene(left))
    assert results[first].state is State.TRACKING and results[second].state is State.LOST
    session.remove(second)
    assert list(session.update(scene(left))) == [first]
    assert session.add(both, right) not in (first, second)
    with pytest.raises(KeyError):
        session.remove(second)


def several(*boxes: tuple[int, int, int, int]) -> np.ndarray:
    image = scene(None)
    for x, y, w, h in boxes:
        image[y : y + h, x : x + w] = (40, 220, 40)
    return image


@pytest.mark.parametrize("leaves_first", [False, True])
def test_of_several_targets_the_lost_one_is_found_where_it_returns(leaves_first: bool) -> None:
    session = Session(ScriptedNetwork(see_green))
    stays, leaves, back = (80, 200, 40, 40), (500, 200, 40, 40), (420, 60, 40, 40)
    starts, ends = [stays, leaves], [stays, back]
    if leaves_first:
        starts, ends = starts[::-1], ends[::-1]
    for box in starts:
        session.add(several(*starts), box)
    for shown in [several(*starts)] * 5 + [several(stays)] * 4 + [several(*ends)] * 12:
        results = session.update(shown)
    for result, box in zip(results.values(), ends, strict=True):
        assert result.state is State.TRACKING and float(iou(result.box, box)) > 0.8


def test_lost_targets_that_return_in_one_frame_are_told_apart() -> None:
    session = Session(ScriptedNetwork(see_green))
    starts, ends = [(80, 200, 40, 40), (480, 200, 90, 36)], [(99, 185, 40, 40), (455, 212, 90, 36)]
    for box in starts:
        session.add(several(*starts), box)
    for shown in [several(*starts)] * 5 + [several()] * 6 + [several(*ends)]:
        results = session.update(shown)
    for result, box in zip(results.values(), ends, strict=True):
        assert result.state is State.TRACKING and float(iou(result.box, box)) > 0.8


def test_one_thing_that_turns_up_is_not_two_lost_targets() -> None:
    session, boxes = Session(ScriptedNetwork(see_green)), [(300, 200, 50, 40), (450, 200, 50, 40)]
    between = (375, 200, 50, 40)
    for box in boxes:
        session.add(several(*boxes), box)
    for shown in [several(*boxes)] * 5 + [several()] * 6 + [several(between)] * 5:
        results = session.update(shown)
    assert [r.state for r in results.values()] == [State.TRACKING, State.LOST]


def test_each_target_of_siamfc_is_sought_with_its_own_exemplar_in_its_own_crops() -> None:
    class Coloured(ResponseNetwork):
        """Compares colours: an exemplar is the one in its middle."""

        def embed(self, crops, boxes):  # type: ignore[no-untyped-def]
            return crops[:, 63:64, 63:64].astype(np.float32), None

        def search(self, embedding, crops):  # type: ignore[no-untyped-def]
            maps = np.full((len(crops), 17, 17), -6, np.float32)
            for answer, crop in zip(maps, crops, strict=True):
                ys, xs = np.nonzero((crop == embedding[0]).all(2))
                if len(xs):
                    answer[round((ys.mean() - 127) / 8 + 8), round((xs.mean() - 127) / 8 + 8)] = 4
            return SearchOutput(maps)

    session = Session(Coloured(see_green))
    for step in range(12):
        green, red = (100 + 5 * step, 100, 60, 60), (400 - 5 * step, 300, 60, 60)
        image = several(green)
        image[red[1] : red[1] + 60, red[0] : red[0] + 60] = (40, 40, 220)
        if step == 0:
            numbers = [session.add(image, box) for box in (green, red)]
        results = session.update(image)
    for number, box in zip(numbers, (green, red), strict=True):
        assert float(iou(results[number].box, box)) > 0.6


def test_the_times_of_its_stages_are_those_of_a_frame() -> None:
    session, box = Session(ScriptedNetwork(see_green)), (300, 200, 50, 40)
    session.add(several(box), box)
    began = time.perf_counter()
    session.update(several(box))
    took = time.perf_counter() - began
    assert min(session.timings[stage] for stage in ("crop", "network", "decide")) > 0
    assert sum(session.timings.values()) <= took


def test_a_session_tells_what_it_looked_at() -> None:
    session = Session(ScriptedNetwork(see_green))
    number = session.add(scene((300, 200, 40, 40)), (300.0, 200.0, 40.0, 40.0))
    assert session.debug(number) is None
    assert session.exemplar(number).shape == (SPEC.exemplar_size, SPEC.exemplar_size, 3)
    session.update(scene((300, 200, 40, 40)))
    view = session.debug(number)
    assert view is not None and view.response.shape == (16, 16)
    x, _y, w, h = view.search_region
    assert w == h == pytest.approx(160) and x + w / 2 == pytest.approx(320)


def test_a_session_without_targets_has_no_results() -> None:
    session = Session(ScriptedNetwork(see_green))
    assert session.update(scene(None)) == {}
    for _ in range(2):
        session.add(scene(None), (300, 200, 40, 40))
    for number in session.labels:  # a copy: they are dropped meanwhile
        session.remove(number)
    assert session.update(scene(None)) == {}


@pytest.mark.parametrize("kind", [SiameseTracker, Session])
def test_a_copy_cannot_be_made_of_what_onnx_runtime_holds(kind: type) -> None:
    tracker = kind(device="cpu")
    for copied in (copy.deepcopy, pickle.dumps):
        with pytest.raises(TypeError, match="make trackers in the process that uses them"):
            copied(tracker)
    with pytest.raises(TypeError, match="a tracker or its network cannot be copied"):
        copy.copy(open_network(device="cpu"))


def test_a_copy_goes_its_own_way_where_the_network_can_be_copied() -> None:
    session = Session(ScriptedNetwork(see_green))
    there, elsewhere = (300, 200, 50, 40), (330, 200, 50, 40)
    number = session.add(several(there), there)
    again = pickle.loads(pickle.dumps(session))
    assert float(iou(again.update(several(elsewhere))[number].box, elsewhere)) > 0.8
    assert float(iou(session.update(several(there))[number].box, there)) > 0.9


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda own: pickle.loads(pickle.dumps(own))])
@pytest.mark.parametrize("kind", [SiameseTracker, Session])
def test_a_copy_that_is_made_while_targets_are_lost_goes_on_as_the_original(
    kind: type, copied: Callable[[Any], Any]
) -> None:
    tracker = kind(ScriptedNetwork(see_green))
    there, back = (300, 200, 50, 40), (90, 60, 50, 40)
    for _ in range(2):
        (tracker.add if kind is Session else tracker.init)(several(there), there)
    for shown in [several(there)] * 5 + [several()] * 6:
        tracker.update(shown)
    again = copied(tracker)
    for shown in [several()] * 20 + [several(back)] * 20:
        result = tracker.update(shown)
        assert again.update(shown) == result
    assert {r.state for r in (result.values() if kind is Session else [result])} == {State.TRACKING}


@pytest.mark.parametrize("kind", [SiameseTracker, Session])
def test_a_copy_that_would_share_its_targets_is_refused(kind: type) -> None:
    with pytest.raises(TypeError, match="given this one's network as its model"):
        copy.copy(kind(ScriptedNetwork(see_green)))


class Meeting(ScriptedNetwork):
    """Waits for a second call while one is under way, and counts those that are at once."""

    inside = most = 0

    def __init__(self) -> None:
        super().__init__(see_green)
        self.met = threading.Event()

    def embed(self, crops, boxes):  # type: ignore[no-untyped-def]
        self.meet()
        return super().embed(crops, boxes)

    def search(self, embedding, crops):  # type: ignore[no-untyped-def]
        self.meet()
        return super().search(embedding, crops)

    def meet(self) -> None:
        self.inside += 1
        self.most = max(self.most, self.inside)
        if self.inside > 1:
            self.met.set()
        self.met.wait(0.1)
        self.inside -= 1


def test_threads_that_are_first_in_a_copy_get_one_lock(monkeypatch: pytest.MonkeyPatch) -> None:
    network = ScriptedNetwork(see_green)
    again = pickle.loads(pickle.dumps(searcher.Searcher(network)))
    made, second = [], threading.Event()

    def lock() -> object:
        """Waits for a second one that is made meanwhile."""
        made.append(again._turn)
        if len(made) > 1:
            second.set()
        second.wait(0.1)
        return threading.RLock()

    ours = SimpleNamespace(RLock=lock)
    monkeypatch.setattr(searcher, "threading", ours)
    with ThreadPoolExecutor(2) as pool:
        turns = [call.result(30) for call in [pool.submit(again.turn) for _ in range(2)]]
    assert turns[0] is turns[1] is not None and made == [None]


@pytest.mark.parametrize("kind", [SiameseTracker, Session])
@pytest.mark.parametrize("selects", [False, True])
def test_threads_take_turns_with_one_tracker(kind: type, selects: bool) -> None:
    network, box = Meeting(), (300.0, 200.0, 50.0, 40.0)
    tracker, image = kind(network), scene(box)
    select = tracker.add if kind is Session else tracker.init
    select(image, box)
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(tracker.update, image)
        other = pool.submit(select, image, box) if selects else pool.submit(tracker.update, image)
        for call in (first, other):
            call.result(30)
    assert network.most == 1
    found = tracker.update(image)
    for result in found.values() if kind is Session else [found]:
        assert float(iou(result.box, box)) > 0.9
