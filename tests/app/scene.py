"""Rendered clips with known truth, and a session that follows flat colours in them."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from tracker.results import Box, State, TrackResult

RED, BLUE = (40, 40, 230), (230, 80, 30)
WIDTH, HEIGHT, SIDE = 320, 240, 40


def sway(index: int) -> int:
    """0 to 100 and back, for ever."""
    return 100 - abs(index % 200 - 100)


def red_box(index: int) -> Box:
    """Where the red square is in frame ``index``; it never leaves the frame."""
    return 30.0 + 2 * sway(index), 60.0 + sway(index), float(SIDE), float(SIDE)


def blue_box(index: int) -> Box:
    """Where the blue square is; it never touches the red one."""
    return 250.0 - sway(index), 195.0, float(SIDE), float(SIDE)


def picture(index: int, size: tuple[int, int] = (WIDTH, HEIGHT)) -> np.ndarray:
    """Frame ``index``: two flat squares on a soft pattern, and the number as a bar code.

    The twelve blocks at the top are the bits of the index, so that a decoded frame says
    which one it is.
    """
    w, h = size
    y, x = np.mgrid[:h, :w]
    grey = (110 + 30 * np.sin(x / 17) + 30 * np.cos(y / 13)).astype(np.uint8)
    image = cv2.cvtColor(grey, cv2.COLOR_GRAY2BGR)
    for box, colour in ((blue_box(index), BLUE), (red_box(index), RED)):
        bx, by, bw, bh = (int(v) for v in box)
        image[max(by, 0) : by + bh, max(bx, 0) : bx + bw] = colour
    for bit in range(12):
        image[0:16, bit * 16 : (bit + 1) * 16] = 255 if index >> bit & 1 else 0
    return image


def number_of(image: np.ndarray) -> int:
    """The index that ``picture`` put into a frame."""
    return sum(1 << bit for bit in range(12) if image[8, bit * 16 + 8].mean() > 127)


def write_clip(
    path: Path,
    frames: int,
    fps: float = 30.0,
    codec: str = "mp4v",
    make: Callable[[int], np.ndarray] = picture,
) -> Path:
    first = make(0)
    writer = cv2.VideoWriter(
        str(path), cv2.VideoWriter_fourcc(*codec), fps, (first.shape[1], first.shape[0])
    )
    assert writer.isOpened()
    for index in range(frames):
        writer.write(make(index))
    writer.release()
    return path


def read_clip(path: Path) -> tuple[list[np.ndarray], float]:
    """All frames and the frame rate."""
    capture = cv2.VideoCapture(str(path))
    frames, fps = [], capture.get(cv2.CAP_PROP_FPS)
    while True:
        ok, image = capture.read()
        if not ok:
            return frames, fps
        frames.append(image)


@dataclass
class View:
    search_region: Box
    response: np.ndarray


class ColourSession:
    """Follows flat colours: a stand-in with the interface of ``tracker.Session``.

    A target is lost while fewer than 30 pixels of its colour are seen.
    """

    def __init__(self, live: bool = False) -> None:
        self.live = live
        self._next = 11  # not 1: the application must not mix its ids with ours
        self._colours: dict[int, np.ndarray] = {}
        self._boxes: dict[int, Box] = {}
        self.updates = 0
        self.thread = threading.get_ident()

    def add(self, image: np.ndarray, box: Box, label: str | None = None) -> int:
        x, y, w, h = box
        colour = image[int(y + h / 2), int(x + w / 2)].astype(int)
        self._next += 1
        self._colours[self._next], self._boxes[self._next] = colour, box
        return self._next

    def update(self, image: np.ndarray) -> dict[int, TrackResult]:
        self.updates += 1
        return {target: self._find(image, target) for target in self._colours}

    def _find(self, image: np.ndarray, target: int) -> TrackResult:
        colour = self._colours[target]
        mask = cv2.inRange(image, np.clip(colour - 60, 0, 255), np.clip(colour + 60, 0, 255))
        mask = cv2.morphologyEx(mask, cv2.MORPH_OPEN, np.ones((5, 5), np.uint8))
        if cv2.countNonZero(mask) < 30:
            return TrackResult(self._boxes[target], 0.05, State.LOST)
        x, y, w, h = cv2.boundingRect(mask)
        box = float(x), float(y), float(w), float(h)
        self._boxes[target] = box
        return TrackResult(box, 0.9, State.TRACKING)

    def remove(self, target: int) -> None:
        del self._colours[target]

    def exemplar(self, target: int) -> np.ndarray:
        assert target in self._colours
        return np.full((32, 32, 3), self._colours[target], np.uint8)

    def debug(self, target: int) -> View:
        x, y, w, h = self._boxes[target]
        response = np.zeros((16, 16), np.float32)
        response[8, 8] = 1
        return View((x - w, y - h, 3 * w, 3 * h), response)


def read_all(source):
    frames = []
    while True:
        frame = source.read()
        if frame is not None:
            frames.append(frame)
        elif source.ended:
            return frames
