"""A run with a display, without one, and with one that does not answer."""

import contextlib
import re
import signal
import sys
import time
from pathlib import Path

import cv2
import pytest

from tests.app import scene
from tests.app.calls import BOX, boxes_in, finish, start
from tracker.app.events import Closed, MouseKind
from tracker.app.window import Window

HEADLESS = re.search(r"GUI:\s+NONE", cv2.getBuildInformation()) is not None


def test_a_window_that_is_closed_ends_the_run_and_keeps_the_results(call, clip, tmp_path) -> None:
    class Screen:
        polls = 0

        def __init__(self, title, size):
            assert title == "clip" and size == (320, 240)

        def size(self):
            return 640, 480

        def show(self, canvas):
            pass

        def poll(self, seconds):
            Screen.polls += 1
            time.sleep(seconds)
            return [Closed()] if Screen.polls > 30 else []

        def close(self):
            pass

    assert call("--video", clip, "--init-box", BOX, "--results", "o.csv", make_screen=Screen) == 0
    assert len(boxes_in(tmp_path / "o.csv")) > 1


def test_notes_are_shown_in_the_window_too(call, tmp_path, monkeypatch, capfd) -> None:
    """A stream that dropped, a recording that ended: stderr is behind the window, if anywhere."""

    class Screen:
        def __init__(self, title, size):
            pass

        def size(self):
            return 640, 480

        def show(self, canvas):
            pass

        def poll(self, seconds):
            time.sleep(seconds)
            return []

        def close(self):
            pass

    shown = []
    monkeypatch.setattr("tracker.app.draw.draw_message", lambda canvas, text: shown.append(text))
    (tmp_path / "pictures").mkdir()
    for index in range(20):
        cv2.imwrite(str(tmp_path / f"pictures/{index}.png"), scene.picture(index))
    (tmp_path / "pictures/12.png").write_bytes(b"none")
    assert call("--video", "pictures", "--init-box", BOX, make_screen=Screen) == 0
    said = "pictures/12.png is no readable image; frame 12 is left out"
    assert said in shown and said in capfd.readouterr().err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_program_can_be_ended_while_the_mouse_moves(monkeypatch, number) -> None:
    """OpenCV prints what its mouse callback raises, and goes on."""
    callbacks = []

    def wait(milliseconds):
        with contextlib.suppress(KeyboardInterrupt):
            signal.raise_signal(number)
            callbacks[0](cv2.EVENT_MOUSEMOVE, 1, 1, 0, None)
        return -1

    for name in ("namedWindow", "resizeWindow", "getWindowProperty"):
        monkeypatch.setattr(cv2, name, lambda *_: 1)
    monkeypatch.setattr(cv2, "setMouseCallback", lambda title, call: callbacks.append(call))
    monkeypatch.setattr(cv2, "waitKeyEx", wait)
    before = signal.signal(number, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            Window("clip", (320, 240)).poll(0.02)
        assert signal.getsignal(number) is signal.default_int_handler
    finally:
        signal.signal(number, before)


@pytest.mark.parametrize("framework, opened", [("QT", 2), ("QT6", 2), ("GTK3", 1), ("COCOA", 1)])
def test_a_window_that_the_wheel_zooms_is_opened_again(monkeypatch, framework, opened) -> None:
    """Qt moves a zoomed picture with the pointer that draws a box."""
    calls, callbacks = [], []
    for name in ("namedWindow", "resizeWindow", "moveWindow", "imshow", "destroyWindow"):
        monkeypatch.setattr(cv2, name, lambda *rest, name=name: calls.append((name, *rest[1:])))
    monkeypatch.setattr(cv2, "setMouseCallback", lambda title, call: callbacks.append(call))
    monkeypatch.setattr(cv2, "getWindowProperty", lambda *_: 1)
    monkeypatch.setattr(cv2, "getWindowImageRect", lambda title: (30, 70, 500, 400))
    monkeypatch.setattr(cv2, "waitKeyEx", lambda milliseconds: -1)
    monkeypatch.setattr(cv2, "currentUIFramework", lambda: framework, raising=False)
    window, picture = Window("clip", (320, 240)), scene.picture(0)
    window.show(picture)
    for _ in range(3):
        callbacks[-1](cv2.EVENT_MOUSEWHEEL, 5, 5, 120, None)
        assert window.poll(0.02) == []
    assert len(callbacks) == 1  # it waits until the wheel stands still, and a box is drawn
    callbacks[-1](cv2.EVENT_LBUTTONDOWN, 5, 5, 0, None)
    polled = [event for _ in range(20) for event in window.poll(0.02)]
    callbacks[-1](cv2.EVENT_LBUTTONUP, 9, 9, 0, None)
    polled += window.poll(0.02)
    assert [event.kind for event in polled] == [MouseKind.PRESS, MouseKind.RELEASE]
    assert len(callbacks) == 1
    assert [window.poll(0.02) for _ in range(20)] == [[]] * 20
    assert len(callbacks) == opened
    if opened == 2:
        assert ("destroyWindow",) in calls and ("resizeWindow", 500, 400) in calls
        assert calls[-2:] == [("moveWindow", 30, 70), ("imshow", picture)]


def test_no_display_is_said_in_one_line_and_the_run_goes_on(tmp_path, clip) -> None:
    status, _, err = finish(
        start(
            "--video",
            clip,
            "--init-box",
            BOX,
            "--results",
            "o.csv",
            "--max-frames",
            5,
            cwd=tmp_path,
        )
    )
    assert status == 0
    missing = "there is no display (DISPLAY is not set)"
    if HEADLESS:
        missing = "this OpenCV is built without windows (opencv-python has them, -headless has not)"
    assert err == f"no window: {missing}\n"


def test_a_display_that_does_not_answer_is_no_display(tmp_path, clip, monkeypatch) -> None:
    if not sys.platform.startswith("linux"):
        pytest.skip("X11 only")
    if HEADLESS:
        pytest.skip("this OpenCV has no windows, whatever the display")
    from tracker.app.display import why_no_display

    monkeypatch.delenv("QT_QPA_PLATFORM", raising=False)
    monkeypatch.setenv("DISPLAY", ":9876")
    assert why_no_display() == "the display :9876 does not answer"


@pytest.mark.parametrize("platform", ["wayland", "offscreen"])
def test_a_window_system_that_opencv_lacks_is_no_display(monkeypatch, platform) -> None:
    """Qt would abort the process."""
    from tracker.app.display import why_no_display

    plugins = Path(cv2.__file__).parent / "qt" / "plugins" / "platforms"
    if not plugins.is_dir() or (plugins / f"libq{platform}.so").exists():
        pytest.skip("this OpenCV brings no Qt, or more of it")
    monkeypatch.setenv("QT_QPA_PLATFORM", platform)
    monkeypatch.setenv("DISPLAY", ":9876")
    assert f"no windows for QT_QPA_PLATFORM={platform}" in (why_no_display() or "")
    monkeypatch.setenv("QT_QPA_PLATFORM", f"{platform};xcb")
    assert "does not answer" in (why_no_display() or "")
