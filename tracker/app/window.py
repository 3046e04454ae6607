"""The window: the only module that shows pictures and reads keys and mouse (OpenCV highgui).

Frames are fitted into the window here and drawn at its resolution, so text is sharp, the
aspect ratio is kept, and positions of the mouse map back exactly however it is resized.
"""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import cv2
import numpy as np

from tracker.app.display import screen_size
from tracker.app.events import Closed, Event, Mouse, MouseKind, event_of
from tracker.image import Image
from tracker.native_path import native_text

BACKGROUND = 18
START_WIDTH, START_HEIGHT, SMALLEST = 1280, 720, 640
ROOM = 0.9  # of the screen
STILL = 5  # polls without the wheel until a window that it zoomed is opened again
TITLE_BAR = 60  # pixels by which a window may come to lie beside where it was asked to


@dataclass(frozen=True)
class Fit:
    """How a frame lies on the canvas: scaled, then shifted, with bars around it."""

    scale: float
    left: int
    top: int
    width: int
    height: int

    @classmethod
    def of(cls, frame: tuple[int, int], canvas: tuple[int, int]) -> Fit:
        """Fit (width, height) of a frame into that of a canvas."""
        scale = min(canvas[0] / frame[0], canvas[1] / frame[1])
        width = max(1, min(round(frame[0] * scale), canvas[0]))
        height = max(1, min(round(frame[1] * scale), canvas[1]))
        return cls(scale, (canvas[0] - width) // 2, (canvas[1] - height) // 2, width, height)

    def to_frame(self, x: float, y: float) -> tuple[float, float]:
        """A position on the canvas in pixels of the frame."""
        return (x - self.left) / self.scale, (y - self.top) / self.scale

    def resize(self, image: Image) -> Image:
        """The frame at its size on the canvas; always a copy that may be drawn on."""
        size = self.width, self.height
        if size == (image.shape[1], image.shape[0]):
            return image.copy()
        how = cv2.INTER_AREA if self.scale < 1 else cv2.INTER_LINEAR
        return np.asarray(cv2.resize(image, size, interpolation=how), dtype=np.uint8)

    def centred(self, picture: Image, canvas: tuple[int, int]) -> Image:
        """The resized frame with bars around it, as large as the canvas."""
        width, height = canvas
        if picture.shape[:2] == (height, width):
            return picture
        full = np.full((height, width, 3), BACKGROUND, np.uint8)
        full[self.top : self.top + self.height, self.left : self.left + self.width] = picture
        return full


class Screen(Protocol):
    """What the player needs of a window; tests script one."""

    def size(self) -> tuple[int, int]: ...

    def show(self, canvas: Image) -> None: ...

    def poll(self, seconds: float) -> list[Event]: ...

    def close(self) -> None: ...


class Window:
    """A resizable OpenCV window.

    Args:
        title: its title.
        frame_size: (width, height) of the frames, from which it takes its first size.
    """

    def __init__(self, title: str, frame_size: tuple[int, int]) -> None:
        self._name = native_text(title)
        self._events: list[Event] = []
        self._size = start_size(*frame_size, screen_size())
        self._shown: Image | None = None
        self._zoomed = 0  # polls until the window is opened again
        self._held = False  # the left button, whose release a window opened then is not told
        self._corner: tuple[int, int] | None = None
        self._open()

    def _open(self) -> None:
        flags = cv2.WINDOW_NORMAL | cv2.WINDOW_GUI_NORMAL | cv2.WINDOW_FREERATIO
        cv2.namedWindow(self._name, flags)
        cv2.resizeWindow(self._name, *self._size)
        cv2.setMouseCallback(self._name, self._on_mouse)

    def _open_again(self) -> None:
        """Undo Qt's zoom, under which the picture moves with the pointer that draws a box."""
        self.size()
        x, y, _, _ = cv2.getWindowImageRect(self._name)
        was = self._corner
        if was is None or max(abs(x - was[0]), abs(y - was[1])) > TITLE_BAR:
            was = x, y
        self._corner = was  # asked for again, it does not creep on by a title bar each time
        cv2.destroyWindow(self._name)
        self._open()
        cv2.moveWindow(self._name, *was)
        if self._shown is not None:
            cv2.imshow(self._name, self._shown)

    def size(self) -> tuple[int, int]:
        """(width, height) of the area to draw on."""
        try:
            _, _, width, height = cv2.getWindowImageRect(self._name)
        except cv2.error:
            return self._size
        if width > 15 and height > 15:
            self._size = width, height
        return self._size

    def show(self, canvas: Image) -> None:
        self._shown = canvas
        cv2.imshow(self._name, canvas)

    def poll(self, seconds: float) -> list[Event]:
        """Let the window work for ``seconds`` (at least 1 ms); what happened in that time."""
        with _signals_wait():
            code = cv2.waitKeyEx(max(1, round(1000 * seconds)))
        key = event_of(code)
        if key is not None:
            self._events.append(key)
        if self._gone():
            self._events.append(Closed())
        elif self._zoomed and not self._held:
            self._zoomed -= 1
            if not self._zoomed:
                self._open_again()
        events, self._events = self._events, []
        return events

    def _gone(self) -> bool:
        try:
            return bool(cv2.getWindowProperty(self._name, cv2.WND_PROP_VISIBLE) < 1)
        except cv2.error:
            return True

    def _on_mouse(self, event: int, x: int, y: int, flags: int, _: object) -> None:
        kind = {
            cv2.EVENT_LBUTTONDOWN: MouseKind.PRESS,
            cv2.EVENT_LBUTTONDBLCLK: MouseKind.PRESS,
            cv2.EVENT_MOUSEMOVE: MouseKind.MOVE,
            cv2.EVENT_LBUTTONUP: MouseKind.RELEASE,
            cv2.EVENT_RBUTTONDOWN: MouseKind.RIGHT_PRESS,
        }.get(event)
        if event in (cv2.EVENT_MOUSEWHEEL, cv2.EVENT_MOUSEHWHEEL):
            self._zoomed = STILL if cv2.currentUIFramework().startswith("QT") else 0
        if kind in (MouseKind.PRESS, MouseKind.RELEASE):
            self._held = kind is MouseKind.PRESS
        if kind is not None:
            # Positions name the pixel under the pointer; its middle is half a pixel on.
            self._events.append(Mouse(kind, x + 0.5, y + 0.5))

    def close(self) -> None:
        try:
            cv2.destroyWindow(self._name)
            cv2.waitKey(1)
        except cv2.error:
            pass


@contextlib.contextmanager
def _signals_wait() -> Iterator[None]:
    """Ctrl-c and SIGTERM wait until the end: OpenCV drops what a mouse callback raises."""
    came: list[int] = []
    numbers = signal.SIGINT, signal.SIGTERM
    before = [signal.signal(number, lambda n, _: came.append(n)) for number in numbers]
    try:
        yield
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)
    for signum in came:
        signal.raise_signal(signum)


def start_size(width: int, height: int, screen: tuple[int, int] | None = None) -> tuple[int, int]:
    """First size of the window: small frames enlarged to 640, large ones fitted to 1280 x 720.

    On a smaller screen it leaves room for a title bar and what else lies at the edges.
    """
    most = START_WIDTH, START_HEIGHT
    if screen:
        most = min(most[0], round(ROOM * screen[0])), min(most[1], round(ROOM * screen[1]))
    scale = min(most[0] / width, most[1] / height, max(1.0, SMALLEST / max(width, height)))
    return max(160, round(width * scale)), max(120, round(height * scale))
