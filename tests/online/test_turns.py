"""Many targets: those that are where they were expected are looked at in turns."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from tests.online.scripted import SPEC, ScriptedNetwork, scene, see_green
from tracker import Session, State
from tracker.geometry import iou
from tracker.results import Box, TrackResult
from tracker.spec import ScalePolicy
from tracker.target import Target

CALM = dataclasses.replace(
    SPEC, online=dataclasses.replace(SPEC.online, narrow=160, motion=1.0, refresh=5)
)
LEARNS = dataclasses.replace(CALM, online=dataclasses.replace(CALM.online, blend=0.4))
START = (300.0, 200.0, 50.0, 40.0)
SETTLED = 40  # frames after which a target is known to stay where it is expected


def followed(network: ScriptedNetwork, count: int, frames: int = SETTLED) -> Session:
    """A session with so many targets on one still object, after some frames."""
    session = Session(network)
    for _ in range(count):
        session.add(scene(START), START)
    for _ in range(frames):
        session.update(scene(START))
    network.calls.clear()
    return session


def test_four_targets_are_looked_at_in_every_frame() -> None:
    network = ScriptedNetwork(see_green, CALM)
    session = followed(network, 4)
    for _ in range(6):
        session.update(scene(START))
    assert network.calls == [4] * 6


def test_of_five_calm_targets_every_second_one_is_looked_at() -> None:
    network = ScriptedNetwork(see_green, CALM)
    session = followed(network, 5)
    for _ in range(6):
        results = session.update(scene(START))
        assert all(float(iou(r.box, START)) > 0.95 for r in results.values())
        assert {r.state for r in results.values()} == {State.TRACKING}
    assert sorted(network.calls) == [2, 2, 2, 3, 3, 3] and network.calls[0] != network.calls[1]


def test_no_target_waits_twice_when_others_are_dropped() -> None:
    session = followed(ScriptedNetwork(see_green, CALM), 9)
    responses, waited, ever = {}, set[int](), set[int]()
    for frame in range(6):
        session.update(scene(START))
        seen = {number: session._targets[number].response for number in session.labels}
        now = {number for number, response in seen.items() if response is responses.get(number)}
        assert not now & waited
        responses, waited = seen, now
        ever |= now
        if frame % 2:
            session.remove(min(session.labels))
    assert len(ever) > 4


def test_between_two_looks_the_box_goes_on_as_the_target_does() -> None:
    network = ScriptedNetwork(see_green, CALM)
    session, overlaps = Session(network), []
    boxes = [(100.0 + 2.0 * i, 100.0 + i, 50.0, 40.0) for i in range(120)]
    for _ in range(6):
        session.add(scene(boxes[0]), boxes[0])
    for box in boxes[1:]:
        results = session.update(scene(box))
        overlaps.append([float(iou(r.box, box)) for r in results.values()])
    assert network.calls[-2:] == [3, 3]
    assert np.min(overlaps[60:]) > 0.93, "a box that stayed would have .88"


def test_a_target_that_leaps_is_looked_at_in_every_frame() -> None:
    network = ScriptedNetwork(see_green, CALM)
    session = followed(network, 6)
    leapt = (START[0] + 30, START[1] + 10, *START[2:])
    session.update(scene(leapt))
    session.update(scene(leapt))
    network.calls.clear()
    results = session.update(scene(leapt))
    assert sum(network.calls) == 6
    assert all(float(iou(r.box, leapt)) > 0.9 for r in results.values())


def test_a_target_in_doubt_is_looked_at_in_every_frame() -> None:
    network = ScriptedNetwork(see_green, CALM)
    session = followed(network, 6)
    network.see = lambda crop: see_green(crop)._replace(score=see_green(crop).score * 0.4)
    for _ in range(3):
        network.calls.clear()
        results = session.update(scene(START))
    assert {r.state for r in results.values()} == {State.UNCERTAIN}
    assert sum(network.calls) == 6


def test_targets_that_vanish_are_lost_at_most_a_frame_later() -> None:
    def frames_until_lost(count: int) -> list[int]:
        session = followed(ScriptedNetwork(see_green, CALM), count)
        history = [session.update(scene(None)) for _ in range(12)]
        return [[h[n].state for h in history].index(State.LOST) for n in session.labels]

    alone, many = frames_until_lost(1)[0], frames_until_lost(6)
    assert set(many) == {alone, alone + 1}


def test_another_frame_size_is_looked_at_at_once() -> None:
    network = ScriptedNetwork(see_green, CALM)
    session = followed(network, 6)
    session.update(scene(START, 800, 600))
    assert sum(network.calls) == 6


def test_no_frame_pays_for_the_exemplars_of_all_targets() -> None:
    class Counting(ScriptedNetwork):
        embedded = 0

        def embed(self, crops, boxes):  # type: ignore[no-untyped-def]
            self.embedded += 1
            return super().embed(crops, boxes)

    network = Counting(see_green, LEARNS)
    session = followed(network, 30, 0)
    per_frame, latest = [], {}
    for _ in range(90):
        before = network.embedded
        session.update(scene(START))
        per_frame.append(network.embedded - before)
        for number in session.labels:
            latest[number] = session._targets[number].exemplar.sure_frames
    assert max(per_frame) == 2
    assert max(latest.values()) < 25, "all had their turn, which takes fifteen frames"


def test_no_exemplar_is_cut_where_nobody_looked(monkeypatch: pytest.MonkeyPatch) -> None:
    waited, refresh = [], Target.refresh

    def watched(target: Target, network: ScriptedNetwork, image: np.ndarray) -> None:
        waited.append(target._rested)
        refresh(target, network, image)

    monkeypatch.setattr(Target, "refresh", watched)
    followed(ScriptedNetwork(see_green, LEARNS), 7, SETTLED + 20)
    assert not any(waited)
    assert len(waited) > 60, "frames without a look count, too"


@pytest.mark.parametrize("count", [1, 5])
def test_a_network_without_crops_of_several_sizes_is_asked_in_every_frame(count: int) -> None:
    spec = dataclasses.replace(SPEC, kind="response", online=ScalePolicy(), search_size=256)
    network = ScriptedNetwork(see_green, spec)
    session = followed(network, count, 10)
    session.update(scene(START))
    assert len(network.calls) == count, "a pass for each target"


def test_a_box_at_rest_stays_in_the_frame() -> None:
    network = ScriptedNetwork(see_green, CALM)
    session = Session(network)
    boxes: list[Box] = [(540.0 + i, 200.0, 50.0, 40.0) for i in range(70)]
    for _ in range(6):
        session.add(scene(boxes[0]), boxes[0])
    results: list[TrackResult] = []
    for box in boxes[1:]:
        results += session.update(scene(box)).values()
    assert network.calls[-2:] == [3, 3]
    assert all(r.box[0] + r.box[2] <= 640 for r in results)
