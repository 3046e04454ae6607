"""Trackers with known behaviour, as a user's own would be given: ``module:Class``."""

from __future__ import annotations

import os
import signal
import time

import numpy as np

from tracker.results import State, TrackResult

SQUARE = 20
"""Side of the bright square that ``moving_square`` draws."""


def moving_square(index: int, size: tuple[int, int] = (96, 72)) -> tuple[np.ndarray, tuple]:
    """A frame with a bright square that moves by 2 px a frame, and its box."""
    image = np.full((size[1], size[0], 3), 40, dtype=np.uint8)
    x, y = 10 + 2 * index, 20 + index
    image[y : y + SQUARE, x : x + SQUARE] = 230
    return image, (float(x), float(y), float(SQUARE), float(SQUARE))


class Perfect:
    """Sees the bright square; says lost when there is none."""

    def init(self, image, box) -> None:
        self.box = box

    def update(self, image) -> TrackResult:
        rows, columns = np.nonzero(image[..., 0] > 140)
        if len(rows) < 50:
            return TrackResult(self.box, 0.0, State.LOST)
        x, y = float(columns.min()), float(rows.min())
        self.box = (x, y, float(columns.max() - x + 1), float(rows.max() - y + 1))
        return TrackResult(self.box, 1.0, State.TRACKING)


class ByPlace(Perfect):
    """Tells patches apart by where they are cut, whatever the picture shows."""

    def embed(self, image, box) -> np.ndarray:
        place = np.array([*box, 1.0], dtype=np.float32)
        return place / np.linalg.norm(place)


class BareBox(Perfect):
    """Returns a plain list."""

    def update(self, image) -> list:
        return list(super().update(image).box)


class OpenCVLike(Perfect):
    """Returns (ok, box), and zeros when it fails, as OpenCV does."""

    def update(self, image) -> tuple:
        result = super().update(image)
        lost = result.state is State.LOST
        return (False, (0, 0, 0, 0)) if lost else (True, np.array(result.box))


class Raises:
    def init(self, image, box) -> None:
        pass

    def update(self, image) -> None:
        raise ZeroDivisionError("by design")


class CannotBeMade(Raises):
    def __init__(self) -> None:
        raise RuntimeError("no licence\nfor this machine")


class Leaves(Raises):
    """Asks for the end of the program, as scripts do."""

    def update(self, image) -> None:
        raise SystemExit


class LeavesNear(Perfect):
    """Fails where the square is not to be seen."""

    def update(self, image) -> TrackResult:
        result = super().update(image)
        if result.state is State.LOST:
            raise RuntimeError("no square")
        return result


class StopsOnRequest(Perfect):
    """Ctrl-c comes where the square is not to be seen, if the surroundings ask for it."""

    def update(self, image) -> TrackResult:
        result = super().update(image)
        if result.state is State.LOST and "STOP_WITHOUT_SQUARE" in os.environ:
            raise KeyboardInterrupt
        return result


class LeavesWhenMade(Raises):
    def __init__(self) -> None:
        raise SystemExit(2)


class Negative(Perfect):
    """Boxes with a side below 0."""

    def update(self, image) -> tuple:
        return (5.0, 5.0, -5.0, 10.0)


class Dies(Raises):
    """Ends its process, as a crash in native code would."""

    def update(self, image) -> None:
        os.kill(os.getpid(), signal.SIGKILL)


class Slow(Perfect):
    """Takes its time, so that it can be interrupted."""

    def update(self, image) -> TrackResult:
        time.sleep(0.05)
        return super().update(image)
