"""The demo driven as a person would: a virtual display, real mouse and key events."""

import contextlib
import csv
import ctypes
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.app import scene
from tracker.app.display import screen_size
from tracker.app.window import Fit
from tracker.geometry import iou

HERE = Path(__file__).parent
MISSING = [name for name in ("Xvfb", "xdotool") if shutil.which(name) is None]
pytestmark = [
    pytest.mark.display,
    pytest.mark.skipif(
        bool(MISSING), reason=f"needs {' and '.join(MISSING)} (apt-get install xvfb xdotool)"
    ),
    pytest.mark.skipif(
        re.search(r"GUI:\s*NONE", cv2.getBuildInformation()) is not None,
        reason="this OpenCV is built without windows",
    ),
]
PATIENCE = 60.0
STARTS = 3


class Desk:
    """An X server, and hands on its mouse and keyboard."""

    def __init__(self, folder: Path):
        self.folder = folder
        reading, writing = os.pipe()
        self._server = subprocess.Popen(
            [
                "Xvfb",
                "-displayfd",
                str(writing),
                "-screen",
                "0",
                "1600x1000x24",
                "-noreset",  # else it turns clients away for a moment whenever the last one leaves
                "-fbdir",
                str(folder),
            ],
            pass_fds=[writing],
            stderr=subprocess.DEVNULL,
        )
        os.close(writing)
        with open(reading) as pipe:
            self.display = f":{pipe.readline().strip()}"
        self.environment = {**os.environ, "DISPLAY": self.display}
        self.window = ""

    def close(self) -> None:
        self._server.terminate()
        self._server.wait(timeout=30)

    def do(self, *arguments):
        done = subprocess.run(
            ["xdotool", *map(str, arguments)],
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
        )
        return done.stdout.strip()

    def start(self, *arguments):
        """Start the demo, and wait for its window and the picture in it.

        One in thirty windows of OpenCV's stays black under Xvfb on a busy machine, with nothing
        but namedWindow and imshow as well; such a start is not the demo's, and is made again.
        """
        for _ in range(STARTS):
            process = self._start(*arguments)
            if self._shows_something(process):
                return process
            process.kill()
            process.communicate()
            for begun in self.folder.glob("o.*"):
                begun.unlink()
        raise AssertionError(f"{STARTS} windows in a row stayed black")

    def _shows_something(self, process, seconds=10):
        deadline = time.monotonic() + seconds
        while self.screenshot().std() < 5:  # the pointer alone has 1.4
            assert process.poll() is None, process.communicate()
            if time.monotonic() > deadline:
                return False
            time.sleep(0.05)
        return True

    def _start(self, *arguments):
        process = subprocess.Popen(
            [sys.executable, str(HERE / "demo.py"), *map(str, arguments)],
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.find_window(process)
        return process

    def find_window(self, process):
        found = until(lambda: self.do("search", "--onlyvisible", "--name", "^clip$"), process)
        self.window = found.splitlines()[-1]
        self.do("windowfocus", self.window)
        time.sleep(0.5)
        return self.window

    def size(self):
        found = re.search(r"Geometry: (\d+)x(\d+)", self.do("getwindowgeometry", self.window))
        return int(found.group(1)), int(found.group(2))

    def keys(self, *names) -> None:
        for name in names:
            self.do("key", "--window", self.window, name)
            time.sleep(0.3)

    def drag(self, box, button_up=True) -> None:
        """Draw a box, given in pixels of the frame."""
        x, y, w, h = box
        fit = Fit.of((scene.WIDTH, scene.HEIGHT), self.size())
        points = [
            (round(px * fit.scale + fit.left), round(py * fit.scale + fit.top))
            for px, py in ((x, y), (x + w / 2, y + h / 2), (x + w, y + h))
        ]
        self.do("mousemove", *points[0])
        time.sleep(0.1)
        self.do("mousedown", 1)
        for point in points[1:]:
            time.sleep(0.1)
            self.do("mousemove", *point)
        time.sleep(0.2)
        if button_up:
            self.do("mouseup", 1)
            time.sleep(0.3)

    def close_window(self) -> None:
        """Send what the close button of a window manager sends."""
        x = ctypes.CDLL("libX11.so.6")
        x.XOpenDisplay.restype = ctypes.c_void_p
        x.XInternAtom.restype = ctypes.c_ulong
        display = ctypes.c_void_p(x.XOpenDisplay(self.display.encode()))

        class ClientMessage(ctypes.Structure):
            _fields_ = [
                ("type", ctypes.c_int),
                ("serial", ctypes.c_ulong),
                ("send_event", ctypes.c_int),
                ("display", ctypes.c_void_p),
                ("window", ctypes.c_ulong),
                ("message_type", ctypes.c_ulong),
                ("format", ctypes.c_int),
                ("data", ctypes.c_long * 5),
                ("pad", ctypes.c_long * 24),
            ]

        event = ClientMessage(type=33, window=int(self.window), format=32)
        event.message_type = x.XInternAtom(display, b"WM_PROTOCOLS", 0)
        event.data[0] = x.XInternAtom(display, b"WM_DELETE_WINDOW", 0)
        x.XSendEvent(
            display, ctypes.c_ulong(int(self.window)), 0, ctypes.c_long(0), ctypes.byref(event)
        )
        x.XFlush(display)
        x.XCloseDisplay(display)

    def screenshot(self):
        """(H, W, 3) BGR picture of the screen, from Xvfb's frame buffer file (XWD)."""
        data = (self.folder / "Xvfb_screen0").read_bytes()
        header = np.frombuffer(data, ">u4", 25)
        size, width, height, stride, colours = (int(header[i]) for i in (0, 4, 5, 12, 19))
        start = size + 12 * colours
        rows = np.frombuffer(data, np.uint8, stride * height, start).reshape(height, stride)
        return rows[:, : 4 * width].reshape(height, width, 4)[:, :, :3].copy()


def until(condition, process=None, seconds=PATIENCE):
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert process is None or process.poll() is None, process.communicate()
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)
    return value


@pytest.fixture
def desk(tmp_path):
    desk = Desk(tmp_path)
    yield desk
    desk.close()


@pytest.fixture
def clip(tmp_path):
    return scene.write_clip(tmp_path / "clip.mp4", 2000)


def finish(process, status=0):
    out, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == status, err
    assert err == ""
    return out


def rows_of(path):
    rows = []
    with contextlib.suppress(FileNotFoundError):
        rows = list(csv.DictReader(path.open()))
    return [(int(r["frame"]), int(r["id"]), [float(r[k] or "nan") for k in "xywh"]) for r in rows]


def last_frame(path):
    rows = rows_of(path)
    return rows[-1][0] if rows else -1


def test_a_whole_visit(desk, clip, tmp_path) -> None:
    """Select, follow, record, pause, step, add, choose, select again, resize, snapshot, quit."""
    results = tmp_path / "o.csv"
    process = desk.start("--video", clip, "--results", "o.csv", "--save", "o.mp4")
    desk.drag(scene.red_box(0))
    until(lambda: last_frame(results) > 10, process)
    desk.keys("v")
    started = last_frame(results)
    until(lambda: last_frame(results) > started + 15, process)
    desk.keys("v")

    desk.keys("space")
    time.sleep(0.5)
    paused = last_frame(results)
    time.sleep(0.5)
    assert last_frame(results) == paused
    desk.keys("n")
    until(lambda: last_frame(results) == paused + 1, process)

    desk.keys("a")  # a second target, drawn in a window of another shape
    desk.do("windowsize", desk.window, 1100, 500)
    until(lambda: desk.size() == (1100, 500), process)
    time.sleep(0.5)
    desk.drag(scene.blue_box(paused + 1))
    until(lambda: {i for f, i, _ in rows_of(results) if f == paused + 1} == {1, 2}, process)
    desk.keys("Tab", "s", "h")
    until(lambda: list(tmp_path.glob("demo_clip_*.png")), process)
    until(lambda: desk.screenshot()[:500, :1100].std() > 20, process)  # not in mid-drawing
    shot = desk.screenshot()
    desk.keys("h", "space")
    until(lambda: last_frame(results) > paused + 10, process)
    desk.keys("r")  # the chosen one, target 1, becomes the blue square too
    time.sleep(0.3)
    at = last_frame(results)
    desk.drag(scene.blue_box(at))
    until(lambda: last_frame(results) > at + 5, process)
    desk.keys("q")
    finish(process)

    rows = rows_of(results)
    for frame, target, box in rows:
        truth = scene.red_box if target == 1 and frame < at else scene.blue_box
        assert iou(box, truth(frame)) > 0.75, (frame, target)
    assert {(f, 1) for f in range(rows[-1][0] + 1)} <= {(f, i) for f, i, _ in rows}
    saved, fps = scene.read_clip(tmp_path / "o.mp4")
    assert len(saved) == rows[-1][0] + 1 and fps == pytest.approx(30)
    recorded, _ = scene.read_clip(tmp_path / "demo_clip.mp4")
    assert 10 < len(recorded) < len(saved) and recorded[0].shape == (240, 320, 3)
    (snapshot,) = tmp_path.glob("demo_clip_*.png")
    assert cv2.imread(str(snapshot)).shape == (240, 320, 3)
    assert int(snapshot.stem.split("_")[-1]) == paused + 1
    assert (shot[600:, 1200:] == 0).all()


def test_cancel_too_small_and_escape(desk, clip, tmp_path) -> None:
    process = desk.start("--video", clip, "--results", "o.csv")
    results = tmp_path / "o.csv"
    desk.drag((50, 50, 3, 3))
    desk.drag((50, 50, 60, 60), button_up=False)
    desk.keys("Escape")
    desk.do("mouseup", 1)
    desk.drag((50, 50, 60, 60), button_up=False)
    desk.do("click", 3)
    desk.do("mouseup", 1)
    time.sleep(0.5)
    assert process.poll() is None and rows_of(results) == []
    desk.drag(scene.red_box(0))
    until(lambda: last_frame(results) > 3, process)
    desk.keys("Right")
    until(lambda: last_frame(results) > 25, process)
    desk.keys("Escape")
    finish(process)


def test_the_size_of_the_screen_is_known(desk, monkeypatch) -> None:
    monkeypatch.setenv("DISPLAY", desk.display)
    assert screen_size() == (1600, 1000)
    monkeypatch.setenv("DISPLAY", ":9876")
    assert screen_size() is None
    monkeypatch.delenv("DISPLAY")
    assert screen_size() is None


def test_a_box_is_drawn_where_it_was_meant_after_the_wheel_was_turned(desk, clip, tmp_path) -> None:
    process = desk.start("--video", clip, "--results", "o.csv")
    desk.do("mousemove", 300, 200)
    desk.do("click", 4)
    if cv2.currentUIFramework().startswith("QT"):  # where the wheel zooms
        before = desk.window
        until(lambda: desk.find_window(process) != before, process)
    desk.drag(scene.red_box(0))
    until(lambda: rows_of(tmp_path / "o.csv"), process)
    assert iou(rows_of(tmp_path / "o.csv")[0][2], scene.red_box(0)) > 0.9
    desk.close_window()
    finish(process)


def test_closing_the_window_quits(desk, clip, tmp_path) -> None:
    process = desk.start("--video", clip, "--results", "o.csv")
    desk.drag(scene.red_box(0))
    until(lambda: last_frame(tmp_path / "o.csv") > 3, process)
    desk.close_window()
    finish(process)


def test_a_display_that_dies_leaves_whole_files(desk, clip, tmp_path) -> None:
    process = desk.start(
        "--video", clip, "--init-box", "30,60,40,40", "--results", "o.csv", "--save", "o.mp4"
    )
    until(lambda: last_frame(tmp_path / "o.csv") > 10, process)
    desk.close()
    process.communicate(timeout=PATIENCE)
    rows = rows_of(tmp_path / "o.csv")
    until(lambda: scene.read_clip(tmp_path / "o.mp4")[0])
    assert abs(len(scene.read_clip(tmp_path / "o.mp4")[0]) - len(rows)) <= 1
