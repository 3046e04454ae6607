"""Drawing stays inside the picture at any size, and says what it should."""

from collections import deque

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tracker.app import draw, window
from tracker.app.canvas import Canvas
from tracker.app.follow import Followed
from tracker.app.help import HELP
from tracker.app.meter import RateMeter
from tracker.app.window import Fit, start_size
from tracker.results import State, TrackResult

SIZES = [(1, 1), (16, 16), (320, 240), (240, 320), (1280, 100), (1280, 720), (3840, 2160)]


class View:
    search_region = (-20.0, -10.0, 200.0, 200.0)
    response = np.eye(16, dtype=np.float32)


def target(number, box, state=State.TRACKING, label=None):
    followed = Followed(
        number,
        number,
        label or str(number),
        TrackResult(box, 0.5, state),
        np.full((20, 10, 3), 200, np.uint8),
    )
    followed.trail = deque([(box[0], box[1]), None, (box[0] + 5, box[1]), (box[0] + 9, box[1])])
    return followed


def blank(size):
    return np.full((size[1], size[0], 3), 90, np.uint8)


def draw_all(image, targets, chosen=1) -> None:
    canvas = Canvas(image)
    draw.draw_debug(canvas, View)
    draw.draw_targets(canvas, targets, chosen)
    draw.draw_numbers(canvas, draw.Numbers("1/9", 30, 0.004, 0.02, ("paused",)))
    draw.draw_recording(canvas, 12)
    draw.draw_selection(canvas, (0, 0, image.shape[1] / 2, image.shape[0] / 2), True)
    draw.draw_message(canvas, "a sentence that is too long for the smallest of all pictures")
    draw.draw_help(canvas, (("q", "quit"), ("left, right", "seek")))


@pytest.mark.parametrize("size", SIZES)
def test_any_size_can_be_drawn_on(size) -> None:
    image = blank(size)
    boxes = [
        (0, 0, 1, 1),
        (-50, -50, 20, 20),
        (size[0] - 2, size[1] - 2, 50, 50),
        (-10, -10, 2.0 * size[0], 2.0 * size[1]),
    ]
    states = list(State)
    draw_all(
        image, [target(i + 1, b, states[i % 3], "ein längerer Name") for i, b in enumerate(boxes)]
    )
    assert image.shape == (size[1], size[0], 3)


finite = st.floats(-1e5, 1e5, allow_nan=False)


@given(
    st.tuples(finite, finite, st.floats(1e-3, 1e5), st.floats(1e-3, 1e5)),
    st.sampled_from(list(State)),
    st.integers(1, 200),
    st.integers(1, 200),
)
@settings(max_examples=60, deadline=None)
def test_any_finite_box_can_be_drawn(box, state, width, height) -> None:
    draw_all(blank((width, height)), [target(1, box, state)])


def coloured(image, state):
    near = np.abs(image.astype(int) - draw.COLOURS[state]).max(axis=2) < 12
    return np.argwhere(near)


@pytest.mark.parametrize("state", [State.TRACKING, State.UNCERTAIN])
@pytest.mark.parametrize("scale", [0.5, 1.0, 3.0])
def test_the_box_lies_where_the_result_says(state, scale) -> None:
    image = blank((1280, 720))
    box = 400 / scale, 300 / scale, 200 / scale, 150 / scale
    followed = target(1, box, state)
    followed.trail.clear()
    draw._box(Canvas(image, scale), followed, False)
    points = coloured(image, state)
    points = points[points[:, 0] > 296]  # without the label's bar above
    (y1, x1), (y2, x2) = points.min(axis=0), points.max(axis=0)
    assert np.abs(np.array([x1, y1, x2, y2]) - [400, 300, 600, 450]).max() <= 4


def test_a_lost_target_has_no_box_but_stays_in_the_list() -> None:
    image = blank((1280, 720))
    followed = target(1, (600, 400, 200, 150), State.LOST)
    draw.draw_targets(Canvas(image), [followed], 1)
    assert (image[200:, 200:] == 90).all()
    assert (image[:120, :160] != 90).any()


def test_the_dashes_of_uncertainty_differ_from_a_full_line() -> None:
    filled = []
    for state in (State.TRACKING, State.UNCERTAIN):
        image = blank((1280, 720))
        draw._box(Canvas(image), target(1, (600, 400, 200, 150), state), False)
        filled.append(len(coloured(image, state)))
    assert filled[1] < 0.75 * filled[0]


def test_text_grows_with_the_picture() -> None:
    heights = [Canvas(blank(s)).text_size("tracking")[1] for s in SIZES[2:]]
    small, full_hd, large = heights[0], heights[3], heights[4]
    assert 6 <= small < full_hd < large and large > 2 * full_hd


def test_many_targets_do_not_cover_the_picture() -> None:
    image = blank((320, 240))
    draw.draw_targets(Canvas(image), [target(i, (5, 5, 5, 5), State.LOST) for i in range(1, 21)], 1)
    assert (image[200:] == 90).all() and (image[:, 160:] == 90).all()


def test_the_heat_of_the_response_lies_where_its_peak_is() -> None:
    class Peak:
        search_region = (100.0, 50.0, 160.0, 160.0)
        response = np.zeros((16, 16), np.float32)

    Peak.response[4, 12] = 1.0  # row 4, column 12: (100 + 12.5 * 10, 50 + 4.5 * 10)
    image = blank((320, 240))
    draw.draw_debug(Canvas(image), Peak)
    warmth = image[:, :, 2].astype(int) - image[:, :, 0]
    hottest = np.unravel_index(warmth.argmax(), warmth.shape)
    assert abs(hottest[1] - 225) <= 2 and abs(hottest[0] - 95) <= 2


@given(
    st.integers(1, 4000),
    st.integers(1, 4000),
    st.integers(100, 4000),
    st.integers(100, 4000),
    st.floats(0, 1),
    st.floats(0, 1),
)
@settings(max_examples=200, deadline=None)
def test_a_frame_fits_its_canvas_and_positions_map_back(fw, fh, cw, ch, px, py) -> None:
    fit = Fit.of((fw, fh), (cw, ch))
    assert fit.left >= 0 and fit.left + fit.width <= cw and fit.top >= 0
    assert fit.top + fit.height <= ch and (cw - fit.width <= 1 or ch - fit.height <= 1)
    x, y = px * fw, py * fh
    back = fit.to_frame(x * fit.scale + fit.left, y * fit.scale + fit.top)
    np.testing.assert_allclose(back, (x, y), atol=1e-6 * max(fw, fh))


@pytest.mark.parametrize(
    "frame, window",
    [
        ((320, 240), (640, 480)),
        ((1280, 720), (1280, 720)),
        ((3840, 2160), (1280, 720)),
        ((1080, 1920), (405, 720)),
        ((1, 1), (640, 640)),
    ],
)
def test_the_first_size_of_the_window(frame, window) -> None:
    assert start_size(*frame) == window


@pytest.mark.parametrize(
    "frame, opened",
    [
        ((1280, 720), (922, 519)),
        ((3840, 2160), (922, 519)),
        ((320, 240), (640, 480)),
        ((1080, 1920), (304, 540)),
    ],
)
def test_a_window_is_no_larger_than_the_screen(monkeypatch, frame, opened) -> None:
    """Else the line that says what to do lies below its edge."""
    asked = []
    for name in ("namedWindow", "setMouseCallback"):
        monkeypatch.setattr(window.cv2, name, lambda *_: None)
    monkeypatch.setattr(window.cv2, "resizeWindow", lambda title, *size: asked.append(size))
    monkeypatch.setattr(window, "screen_size", lambda: (1024, 600))
    window.Window("clip", frame)
    assert asked == [opened]


def test_the_rate_is_frames_over_time_and_not_a_mean_of_rates() -> None:
    now = [0.0]
    meter = RateMeter(clock=lambda: now[0])
    assert meter.rate == 0
    for step in (0.0, 0.01, 0.19, 0.01, 0.19):
        now[0] += step
        meter.tick()
    assert meter.rate == pytest.approx(4 / 0.4)


def test_a_name_that_is_no_text_is_drawn_with_question_marks() -> None:
    """OpenCV crashes on what is not UTF-8, such as the folder of a snapshot may be."""
    odd, plain = (Canvas(np.zeros((120, 400, 3), np.uint8)) for _ in range(2))
    odd.text("saved v\udce9/a.png", 5, 20)
    plain.text("saved v?/a.png", 5, 20)
    assert plain.image.any()
    np.testing.assert_array_equal(odd.image, plain.image)


def test_so_is_the_title_of_a_window(monkeypatch) -> None:
    shown = []
    for name in ("namedWindow", "resizeWindow", "setMouseCallback"):
        monkeypatch.setattr(window.cv2, name, lambda title, *rest: shown.append(title))
    window.Window("cl\udce9p", (320, 240))
    assert shown == ["cl?p"] * 3


def test_the_mouse_is_in_the_middle_of_the_pixel_that_it_points_at(monkeypatch) -> None:
    """In a window of twice the size, pixel 100 covers 50.0 to 50.5 of the frame."""
    callbacks = []
    for name in ("namedWindow", "resizeWindow", "getWindowProperty"):
        monkeypatch.setattr(window.cv2, name, lambda *_: 1)
    monkeypatch.setattr(window.cv2, "setMouseCallback", lambda title, call: callbacks.append(call))
    monkeypatch.setattr(window.cv2, "waitKeyEx", lambda milliseconds: -1)
    shown = window.Window("clip", (320, 240))
    callbacks[0](window.cv2.EVENT_LBUTTONDOWN, 100, 41, 0, None)
    (press,) = shown.poll(0.02)
    assert Fit.of((320, 240), (640, 480)).to_frame(press.x, press.y) == (50.25, 20.75)


def texts(monkeypatch):
    """What is written on a canvas, with the place of its right end."""
    written, text = [], Canvas.text

    def note(canvas, words, x, y, *rest):
        written.append((words, x + canvas.text_size(words, *rest[1:])[0]))
        return text(canvas, words, x, y, *rest)

    monkeypatch.setattr(Canvas, "text", note)
    return written


@pytest.mark.parametrize("size", [(112, 96), (128, 96), (180, 320), (320, 240)])
def test_long_names_and_many_figures_are_cut_where_they_say_least(monkeypatch, size) -> None:
    if size == (112, 96) and cv2.__version__ < "5":
        pytest.skip("the letters of OpenCV 4 are wider: not all fit in")
    written, canvas = texts(monkeypatch), Canvas(blank(size))
    draw.draw_targets(canvas, [target(1, (60, 50, 60, 40), label="cup " * 20)], 1)
    draw.draw_numbers(canvas, draw.Numbers("412/1200", 30, 0.004, 0.02, ("paused",)))
    draw.draw_message(canvas, f"written: /home/{'somewhere_' * 12}.png")
    assert all(end <= size[0] for _, end in written), written
    words = " ".join(text for text, _ in written)
    assert "0.50" in words and "412/1200   paused" in words
    assert words.replace(" ", "").count("somewhere_") == 12


@pytest.mark.parametrize("size", [(160, 120), (160, 90), (120, 90)])
def test_all_of_the_help_is_seen_in_a_small_window(monkeypatch, size) -> None:
    places = []

    def note(canvas, words, x, y, colour, size):
        width, height = canvas.text_size(words, size)
        places.append((x, y, canvas.width - x - width, canvas.height - y - height))

    monkeypatch.setattr(Canvas, "text", note)
    draw.draw_help(Canvas(blank(size)), HELP)
    assert len(places) == 2 * len(HELP) and min(map(min, places)) >= 0, places


def test_the_list_shows_the_chosen_one_and_hides_no_target(monkeypatch) -> None:
    written, canvas = texts(monkeypatch), Canvas(blank((320, 240)))
    boxes = [(5 + 20 * i, 180, 15, 15) for i in range(14)]
    draw.draw_targets(canvas, [target(i + 1, box) for i, box in enumerate(boxes)], 14)
    listed = [text for text, _ in written if text.isdigit()]
    assert "14" in listed and len(listed) < 14 and any("more" in text for text, _ in written)
    image = blank((320, 240))
    draw.draw_targets(Canvas(image), [target(1, (8, 8, 40, 60))], 1)
    green = draw.COLOURS[State.TRACKING]
    assert np.abs(image[30, 6:11].astype(int) - green).sum(1).min() < 60
