"""The life of a target that stays in sight, and what a tracker refuses, on scripted scenes."""

from __future__ import annotations

import math

import numpy as np
import pytest

from tests.online.scripted import (
    ResponseNetwork,
    ScriptedNetwork,
    green_tracker,
    scene,
    see_green,
)
from tracker import Session, SiameseTracker, State
from tracker.geometry import iou
from tracker.runtime import SearchOutput


def path(count: int, speed: float = 7.0) -> list[tuple[float, float, float, float]]:
    return [(100 + speed * t, 200 + 30 * math.sin(t / 8), 48 + t / 4, 40) for t in range(count)]


def test_a_moving_target_that_grows_is_followed() -> None:
    tracker, _ = green_tracker()
    boxes = path(60)
    tracker.init(scene(boxes[0]), boxes[0])
    for box in boxes[1:]:
        result = tracker.update(scene(box))
        assert float(iou(result.box, box)) > 0.8
        assert result.state is State.TRACKING and result.score == pytest.approx(0.95)
        assert result.claimed_box == result.box


def test_the_debug_view_of_siamfc_is_where_the_exemplar_was_compared() -> None:
    session = Session(
        ResponseNetwork(lambda crop: SearchOutput(np.full((1, 17, 17), 3, np.float32)))
    )
    number = session.add(scene(None), (300.0, 200.0, 60.0, 60.0))
    session.update(scene(None))
    view = session.debug(number)
    assert view is not None and view.response[0, 0] == pytest.approx(1 / (1 + math.exp(-3)))
    x, y, w, h = view.search_region
    assert w == pytest.approx(120 * 255 / 127 / 1.0375 * 17 * 8 / 255, rel=1e-3)
    assert (x + w / 2, y + h / 2) == pytest.approx((330, 230), abs=2)


def test_a_size_that_is_not_said_anew_survives_the_frames_edge() -> None:
    """SiamFC only changes the last size a little: what the edge cuts off must not be forgotten."""

    def see(crop: np.ndarray) -> SearchOutput:
        maps = np.full((1, 17, 17), -6, np.float32)
        ys, xs = np.nonzero((crop[..., 1] > 127) & (crop[..., 2] < 100))
        column = round((xs.max() - 26.5 - 127.5) / 8 + 8)  # its right edge is always seen
        maps[0, round((ys.mean() - 127.5) / 8 + 8), min(max(column, 0), 16)] = 4
        return SearchOutput(maps)

    tracker = SiameseTracker(ResponseNetwork(see))
    tracker.init(scene((200.0, 200.0, 60.0, 80.0)), (200.0, 200.0, 60.0, 80.0))
    lefts = [*np.linspace(200, -28, 40), *[-28] * 10, *np.linspace(-28, 200, 40)]
    results = [tracker.update(scene((left, 200.0, 60.0, 80.0))) for left in lefts]
    assert all(r.box[0] >= 0 for r in results) and min(r.box[2] for r in results) < 50
    assert results[-1].state is State.TRACKING
    assert results[-1].box[2:] == pytest.approx((60, 80), rel=0.1)


def test_siamfc_looks_where_the_target_was_also_while_it_is_lost() -> None:
    """It has no identity by which something far away could be known."""

    def see(crop: np.ndarray) -> SearchOutput:
        maps = np.full((1, 17, 17), -6, np.float32)
        ys, xs = np.nonzero((crop[..., 1] > 127) & (crop[..., 2] < 100))
        if len(xs):
            maps[0, round((ys.mean() - 127.5) / 8 + 8), round((xs.mean() - 127.5) / 8 + 8)] = 4
        return SearchOutput(maps)

    session, start = Session(ResponseNetwork(see)), (200.0, 200.0, 60.0, 60.0)
    number = session.add(scene(start), start)
    boxes = [(200.0 + 6 * i, 200.0, 60.0, 60.0) for i in range(10)]
    last, states = start, []
    for shown in [*boxes, *[None] * 8, *[boxes[-1]] * 3]:
        result = session.update(scene(shown))[number]
        view = session.debug(number)
        assert view is not None
        x, y, side, _ = view.search_region
        assert (x + side / 2, y + side / 2) == pytest.approx((last[0] + 30, last[1] + 30), abs=1)
        last = result.box if shown else last
        states.append(result.state)
    assert states[9] is State.TRACKING and states[17] is State.LOST
    assert states[-1] is State.TRACKING


@pytest.mark.parametrize(
    "box",
    [(-20.0, 200.0, 50.0, 40.0), (610.0, 200.0, 60.0, 40.0), (300.0, -15.0, 50.0, 40.0),
     (300.0, 455.0, 50.0, 60.0), (0.0, 0.0, 640.0, 480.0), (320.0, 240.0, 1.0, 1.0)],
)  # fmt: skip
def test_targets_at_the_border_and_of_odd_sizes(box: tuple[float, float, float, float]) -> None:
    tracker, _ = green_tracker()
    tracker.init(scene(box), box)
    for _ in range(5):
        x, y, w, h = tracker.update(scene(box)).box
        assert math.isfinite(x + y + w + h) and w > 0 and h > 0
        assert x < 640 and y < 480 and x + w > 0 and y + h > 0


@pytest.mark.parametrize(
    ("box", "size"),
    [((150.0, 60.0, 60.0, 500.0), (360, 640)), ((60.0, 150.0, 500.0, 60.0), (640, 360))],
)
def test_a_target_may_be_longer_than_the_frames_other_side(
    box: tuple[float, float, float, float], size: tuple[int, int]
) -> None:
    tracker, _ = green_tracker()
    image = scene(box, *size)
    tracker.init(image, box)
    for _ in range(5):
        result = tracker.update(image)
    assert float(iou(result.box, box)) > 0.95


def test_the_size_of_the_frame_may_change() -> None:
    tracker, _ = green_tracker()
    start = (300.0, 200.0, 50.0, 40.0)
    tracker.init(scene(start), start)
    x, y, w, h = tracker.update(scene((100.0, 60.0, 50.0, 40.0), 200, 120)).box
    assert x + w <= 200 and y + h <= 120


@pytest.mark.parametrize("scale", [0.25, 0.5, 2.0])
def test_a_stream_in_another_resolution_shows_the_same_target(scale: float) -> None:
    network = ScriptedNetwork(see_green)
    session, start = Session(network), (450.0, 350.0, 60.0, 40.0)
    small = tuple(scale * v for v in start)
    frame, other = scene(start), scene(small, round(640 * scale), round(480 * scale))
    number = session.add(frame, start)
    for shown, box in [(frame, start)] * 30 + [(other, small)] * 30 + [(frame, start)] * 30:
        result = session.update(shown)[number]
        assert result.state is State.TRACKING
        assert float(iou(result.box, box)) > 0.85
        view = session.debug(number)
        assert view is not None
        x, y, side, _ = view.search_region
        assert (x + side / 2, y + side / 2) == pytest.approx(
            (box[0] + box[2] / 2, box[1] + box[3] / 2), abs=0.03 * side
        )


def test_a_lost_target_of_a_stream_in_another_resolution_has_its_usual_size() -> None:
    tracker, _ = green_tracker()
    start = (300.0, 200.0, 60.0, 40.0)
    tracker.init(scene(start), start)
    for shown in [start] * 10 + [None] * 10:
        tracker.update(scene(shown))
    large = (800.0, 500.0, 120.0, 80.0)
    states = [tracker.update(scene(large, 1280, 960)).state for _ in range(20)]
    assert states[-1] is State.TRACKING
    assert float(iou(tracker.update(scene(large, 1280, 960)).box, large)) > 0.85


@pytest.mark.parametrize("size", [(640, 300), (640, 360), (480, 480)])
def test_a_frame_of_another_form_is_another_cut(size: tuple[int, int]) -> None:
    session, start = Session(ScriptedNetwork(see_green)), (300.0, 160.0, 60.0, 60.0)
    number = session.add(scene(start), start)
    session.update(scene(start))
    assert float(iou(session.update(scene(start, *size))[number].box, start)) > 0.9
    view = session.debug(number)
    assert view is not None
    x, y, side, _ = view.search_region  # where the target was, and as large
    assert (x + side / 2, y + side / 2) == pytest.approx((330, 190), abs=2)
    assert side == pytest.approx(2 * 2 * 60, rel=0.02)


@pytest.mark.parametrize(
    ("image", "found"),
    [
        (None, "NoneType"),
        (np.zeros((10, 10), np.uint8), r"\(10, 10\)"),
        (np.zeros((10, 10, 4), np.uint8), r"\(10, 10, 4\)"),
        (np.zeros((10, 10, 3), np.float32), "float32"),
        (np.zeros((10, 10, 3), np.uint16), "uint16"),
        (np.zeros((0, 10, 3), np.uint8), r"\(0, 10, 3\)"),
    ],
)
def test_an_image_that_cannot_be_used_is_named(image: object, found: str) -> None:
    tracker, _ = green_tracker()
    with pytest.raises(ValueError, match=found):
        tracker.init(image, (1, 1, 5, 5))
    tracker.init(scene(None), (10, 10, 50, 50))
    with pytest.raises(ValueError, match=found):
        tracker.update(image)


def test_update_before_init_says_what_to_do() -> None:
    tracker, _ = green_tracker()
    with pytest.raises(RuntimeError, match="init"):
        tracker.update(scene(None))


def test_the_caller_may_reuse_or_spoil_the_frame() -> None:
    tracker, _ = green_tracker()
    boxes = path(10)
    frame = scene(boxes[0])
    tracker.init(frame, boxes[0])
    for box in boxes[1:]:
        frame[:] = scene(box)
        result = tracker.update(frame)
        frame[:] = 0
        assert float(iou(result.box, box)) > 0.8


@pytest.mark.parametrize("kind", [SiameseTracker, Session])
@pytest.mark.parametrize("threads", [1.5, "2", -1, 257, 10**15])
def test_threads_that_cannot_be_had_are_named(kind: type, threads: object) -> None:
    with pytest.raises(ValueError, match=f"a whole number of 1 to 256, .* found {threads!r}"):
        kind(threads=threads)


@pytest.mark.parametrize("kind", [SiameseTracker, Session])
@pytest.mark.parametrize("model", [3, b"kestrel"])
def test_a_model_that_is_none_is_named(kind: type, model: object) -> None:
    with pytest.raises(ValueError, match=r"a model is a name or a path .*found"):
        kind(model)
