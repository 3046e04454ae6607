"""Whatever is handed to the tracker: the documented errors, or a box that touches the frame."""

from __future__ import annotations

import argparse
import math

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from tests.online.scripted import ScriptedNetwork, scene, see_green
from tests.reliability.checks import check_result, effort
from tracker import Session, SiameseTracker, State
from tracker.cli import join_boxes, number, parse_box, positive, whole
from tracker.geometry import check_box, clip_box, iou
from tracker.image import check_image
from tracker.runtime import OnnxNetwork, open_network

MODELS = ("kestrel", "siamfc")
RANDOM = np.random.default_rng(0)


@pytest.fixture(scope="module", params=MODELS)
def network(request: pytest.FixtureRequest) -> OnnxNetwork:
    return open_network(request.param, "cpu", 1)


def noise(height: int, width: int, seed: int = 0) -> np.ndarray:
    small = np.random.default_rng(seed).integers(0, 256, (9, 12, 3), dtype=np.uint8)
    return cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC)


# --- arrays -------------------------------------------------------------------------------

VIEWS = {
    "flipped": lambda a: a[:, ::-1],
    "channels flipped": lambda a: a[..., ::-1],
    "turned": lambda a: a[::-1, ::-1],
    "every second": lambda a: a[::2, ::2],
    "by columns": np.asfortranarray,
    "transposed": lambda a: a.transpose(1, 0, 2),
    "three of four channels": lambda a: np.dstack([a, a[..., :1]])[..., :3],
    "one pixel repeated": lambda a: np.broadcast_to(a[:1, :1], a.shape),
    "a part": lambda a: a[7:, 5:],
}


@pytest.mark.parametrize("view", VIEWS)
def test_any_layout_in_memory_gives_the_track_of_a_plain_copy(view: str) -> None:
    network = open_network("kestrel", "cpu", 1)
    image = VIEWS[view](noise(180, 240))
    frozen = image.view()
    frozen.flags.writeable = False
    before = image.copy()
    answers = []
    for each in (image, frozen, before):
        tracker = SiameseTracker(network)
        tracker.init(each, (20, 10, 30, 30))
        answers.append([tracker.update(each) for _ in range(2)])
    assert answers[0] == answers[1] == answers[2]
    assert (image == before).all(), "a frame of the caller's is never written to"


@pytest.mark.parametrize(
    ("height", "width"), [(1, 1), (1, 400), (400, 1), (2, 3), (4320, 7680)]
)  # fmt: skip
def test_frames_of_any_size(network: OnnxNetwork, height: int, width: int) -> None:
    if network.spec.kind == "response" and width > 1000:
        pytest.skip("the same crops as the flagship's, and three times the work")
    image = noise(height, width)
    for box in [(0, 0, width, height), (width - 1, height - 1, 50, 50), (-5, -5, 5.5, 5.5)]:
        tracker = SiameseTracker(network)
        tracker.init(image, box)
        for _ in range(2):
            check_result(tracker.update(image), width, height)


NUMBERS = [np.uint8, np.int8, np.uint16, np.float32, np.float64, np.bool_]
SHAPES = array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=5)


@settings(max_examples=effort(200))
@given(
    arrays(st.sampled_from(NUMBERS), SHAPES, fill=st.just(0))
    | arrays(object, SHAPES, elements=st.none() | st.integers(0, 255), fill=st.just(0))
    | st.none() | st.text(max_size=3) | st.lists(st.integers(0, 255), max_size=3)
)  # fmt: skip
def test_an_image_is_taken_or_refused_by_what_it_is(value: object) -> None:
    good = (
        isinstance(value, np.ndarray)
        and value.dtype == np.uint8
        and value.ndim == 3
        and value.shape[2] == 3
        and value.size > 0
    )
    if good:
        assert check_image(value) is value
    else:
        with pytest.raises(ValueError, match="an image is"):
            check_image(value)


# --- boxes --------------------------------------------------------------------------------

any_number = st.floats() | st.sampled_from([0.0, -0.0, 1e-300, -1e-300, 1e300, -1e300, 5e-324])
near = st.floats(-60, 300) | any_number
boxes = st.tuples(near, near, near, near)


def usable(box: tuple[float, ...], width: int, height: int) -> bool:
    """What the interface says of a box, in other words than the code's."""
    x, y, w, h = box
    return (
        all(math.isfinite(v) for v in box)
        and w > 0
        and h > 0
        and -w < x < width
        and -h < y < height
    )


@settings(max_examples=effort(200))
@given(boxes, st.integers(1, 9000), st.integers(1, 9000))
@example((0.0, 0.0, 1e308, 1e308), 10, 10)
@example((-1e308, 0.0, 1e308, 5.0), 10, 10)
def test_a_box_is_taken_or_refused_by_what_it_is(
    box: tuple[float, float, float, float], width: int, height: int
) -> None:
    try:
        checked = check_box(box, width, height)
    except ValueError as error:
        assert "\n" not in str(error)
        x, y, w, h = box
        # x + w rounds where -w < x does not
        assert not usable(box, width, height) or x + w <= 0 or y + h <= 0
        return
    assert usable(box, width, height)
    x, y, w, h = clip_box(checked, width, height)
    assert x >= 0 and y >= 0 and w > 0 and h > 0
    assert x + w <= width + 1e-6 and y + h <= height + 1e-6


@settings(max_examples=effort(100))
@given(st.lists(boxes, min_size=1, max_size=4), st.lists(boxes, min_size=1, max_size=4))
def test_overlap_is_a_share_whatever_the_boxes(
    a: list[tuple[float, ...]], b: list[tuple[float, ...]]
) -> None:
    with np.errstate(over="ignore", invalid="ignore"):
        found = iou(np.array(a)[:, None], np.array(b)[None])
    assert found.shape == (len(a), len(b)) and ((found >= 0) & (found <= 1)).all()


@settings(max_examples=effort(150))
@given(
    st.text(max_size=30) | st.text("0123456789.,-+ eEnaif_x", max_size=30)
    | boxes.map(lambda box: ",".join(map(repr, box)))
)  # fmt: skip
def test_a_box_string_is_four_finite_numbers_or_refused(text: str) -> None:
    try:
        box = parse_box(text)
    except argparse.ArgumentTypeError as error:
        assert "a box is four numbers" in str(error)
        return
    assert len(box) == 4 and all(math.isfinite(v) for v in box)


@pytest.mark.parametrize(
    "text", ["", ",,,", "1,2,3", "1,2,3,4,5", "1;2;3;4", "1 2 3 4", "a,b,c,d", "nan,1,2,3",
             "1,2,inf,4", "1,2,3,1e999", "0x1,2,3,4", "(1,2,3,4)"],
)  # fmt: skip
def test_box_strings_in_the_wrong_form(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="four numbers"):
        parse_box(text)


def test_numbers_of_a_range_are_read() -> None:
    assert whole(0, 100_000)("1e5") == 100_000 and number(0.5, 2)("2") == 2.0


@pytest.mark.parametrize("text", ["", "many", "-1", "11", "nan", "inf", "-inf", "1e400"])
def test_numbers_out_of_a_range_are_refused(text: str) -> None:
    for parse in (whole(0, 10), number(0, 10)):
        with pytest.raises(argparse.ArgumentTypeError, match=r"number of 0 to 10 is needed, found"):
            parse(text)


@pytest.mark.parametrize("text", ["", "many", "-1", "0", "nan", "inf", "1e400"])
def test_a_number_without_a_most_is_finite_and_its_least_may_be_none(text: str) -> None:
    for parse, words in (
        (positive, "a whole number above 0 is needed"),
        (number(0, above=True), "a number above 0 is needed"),
        (number(0, 1.5, "share", above=True), "a share above 0, up to 1.5, is needed"),
        (whole(1), "a whole number of at least 1 is needed"),
    ):
        with pytest.raises(argparse.ArgumentTypeError, match=f"^{words}, found {text}$"):
            parse(text)
    assert positive("1e5") == 100_000 and number(0, 1, above=True)("1") == 1


@pytest.mark.parametrize(
    ("text", "words"),
    [("-1", "of at least 0"), ("many", "of at least 0"), ("2e12", "of 0 to 1e[+]12")],
)
def test_a_most_that_nobody_reaches_is_named_where_it_was_reached(text: str, words: str) -> None:
    for parse, name in ((number(0, 1e12), "number"), (whole(0, 1e12), "whole number")):
        expected = f"^a {name} {words} is needed, found {text}$"
        with pytest.raises(argparse.ArgumentTypeError, match=expected):
            parse(text)


def test_a_part_is_no_whole_number() -> None:
    with pytest.raises(argparse.ArgumentTypeError, match=r"whole number of 0 to 10 .* found 2\.5"):
        whole(0, 10)("2.5")


@pytest.mark.parametrize(
    ("words", "joined"),
    [
        (["--init-box", "-5,10,20,30"], ["--init-box=-5,10,20,30"]),
        (["--init", "-.5,1,2,3", "--quiet"], ["--init=-.5,1,2,3", "--quiet"]),
        (["--init-box", "5,-1,2,3"], ["--init-box", "5,-1,2,3"]),
        (["--init-box", "--quiet"], ["--init-box", "--quiet"]),
        (["--init-box=-5,1,2,3", "-7"], ["--init-box=-5,1,2,3", "-7"]),
        (["--fps", "-3"], ["--fps", "-3"]),
        (["-5,10,20,30"], ["-5,10,20,30"]),
    ],
)
def test_a_box_that_begins_left_of_the_frame_is_one_word(
    words: list[str], joined: list[str]
) -> None:
    """argparse takes "-5,10,20,30" for an option."""
    assert join_boxes(words) == joined


# --- the tracker as a whole ---------------------------------------------------------------

pictures = st.one_of(
    st.builds(noise, st.integers(1, 120), st.integers(1, 160), st.integers(0, 99)),
    st.builds(lambda h, w, v: np.full((h, w, 3), v, np.uint8), st.integers(1, 120),
              st.integers(1, 160), st.integers(0, 255)),
    st.builds(lambda x, y: scene((x, y, 30, 30), 160, 120), st.floats(-40, 170),
              st.floats(-40, 130)),
    arrays(np.uint8, st.tuples(st.integers(1, 9), st.integers(1, 9), st.just(3))),
)  # fmt: skip


def try_tracker(tracker: SiameseTracker, data: st.DataObject, frames: int) -> None:
    """Random pictures of random sizes, and boxes of random numbers, in any order."""
    started = False
    for _ in range(data.draw(st.integers(1, frames))):
        image = data.draw(pictures)
        height, width = image.shape[:2]
        if not started or data.draw(st.integers(0, 9)) == 0:
            box = data.draw(boxes)
            try:
                tracker.init(image, box)
            except ValueError as error:
                assert "box" in str(error)
                continue
            assert usable(box, width, height)
            started = True
        check_result(tracker.update(image), width, height)


@settings(max_examples=effort(40), suppress_health_check=list(HealthCheck))
@given(st.data())
def test_random_frames_and_boxes_with_a_network_that_sees_green(data: st.DataObject) -> None:
    try_tracker(SiameseTracker(ScriptedNetwork(see_green)), data, 25)


@settings(
    max_examples=effort(6),
    suppress_health_check=list(HealthCheck),
    phases=[p for p in Phase if p is not Phase.shrink],  # seconds each
)
@given(data=st.data())
def test_random_frames_and_boxes_with_the_models_that_ship(
    network: OnnxNetwork, data: st.DataObject
) -> None:
    try_tracker(SiameseTracker(network), data, 8)


@settings(max_examples=effort(20), suppress_health_check=list(HealthCheck))
@given(st.data())
def test_random_sessions(data: st.DataObject) -> None:
    """Targets come and go; every one that is there has a result, and ids never come twice."""
    session, seen = Session(ScriptedNetwork(see_green)), []
    for _ in range(data.draw(st.integers(1, 15))):
        image = data.draw(pictures)
        height, width = image.shape[:2]
        if data.draw(st.booleans()):
            try:
                number = session.add(image, data.draw(boxes))
            except ValueError:
                number = None
            if number is not None:
                assert number not in seen
                seen.append(number)
        present = list(session.labels)
        if present and data.draw(st.integers(0, 4)) == 0:
            session.remove(data.draw(st.sampled_from(present)))
        results = session.update(image)
        assert list(results) == list(session.labels)
        for result in results.values():
            check_result(result, width, height)


# --- particular ways ----------------------------------------------------------------------


@pytest.mark.parametrize("step", [(-9, 0), (9, 0), (0, -7), (0, 7)])
def test_a_target_that_leaves_by_an_edge_is_lost_there_and_found_when_it_returns(
    step: tuple[int, int],
) -> None:
    tracker = SiameseTracker(ScriptedNetwork(see_green))
    x, y = 300.0, 220.0
    tracker.init(scene((x, y, 44, 40)), (x, y, 44, 40))
    way = [(x + step[0] * i, y + step[1] * i) for i in range(60)]
    for place in way:
        result = tracker.update(scene((*place, 44, 40)))
        check_result(result, 640, 480)
    assert result.state is State.LOST and result.claimed_box is None
    for place in reversed(way[:-20]):
        result = tracker.update(scene((*place, 44, 40)))
        check_result(result, 640, 480)
    assert result.state is State.TRACKING and float(iou(result.box, (*place, 44, 40))) > 0.7


def test_a_lost_target_stays_in_a_frame_that_becomes_smaller() -> None:
    tracker = SiameseTracker(ScriptedNetwork(see_green))
    tracker.init(scene((500, 400, 40, 40)), (500, 400, 40, 40))
    for _ in range(20):
        result = tracker.update(scene(None))
    assert result.state is State.LOST
    for width, height in ((160, 120), (1, 1), (640, 480)):
        check_result(tracker.update(scene(None, width, height)), width, height)


def test_one_pixel_can_be_selected(network: OnnxNetwork) -> None:
    image = noise(240, 320)
    for box in [(100, 100, 1, 1), (0, 0, 1, 1), (319, 239, 1, 1), (50.2, 60.7, 0.01, 0.01)]:
        tracker = SiameseTracker(network)
        tracker.init(image, box)
        for _ in range(3):
            check_result(tracker.update(image), 320, 240)


def test_results_are_plain_numbers(network: OnnxNetwork) -> None:
    """They go into json and over the wire: no types of numpy."""
    tracker = SiameseTracker(network)
    tracker.init(noise(240, 320), (100, 80, 40, 30))
    result = tracker.update(noise(240, 320))
    assert {type(v) for v in (*result.box, result.score)} == {float}
