"""A player with everything around it, driven by scripted events."""

import numpy as np
import pytest

from tests.app import scene
from tracker.app.events import Char, Closed, Mouse, MouseKind
from tracker.app.follow import Follower
from tracker.app.frame_source import Frame
from tracker.app.player import Player
from tracker.app.recorder import Recorder
from tracker.app.window import Fit


class Clock:
    def __init__(self):
        self.now = 100.0

    def __call__(self):
        self.now += 1e-4
        return self.now


class Scene:
    """A source of rendered frames."""

    def __init__(self, clock, count=200, live=False):
        self.name, self.fps, self.live, self.ended = "scene", 30.0, live, False
        self.frame_count = None if live else count
        self.can_seek = not live
        self._next, self._count, self._clock = 0, count, clock

    def read(self, timeout=1.0):
        if self._next >= self._count:
            self.ended = True
            return None
        self._next += 1
        index = self._next - 1
        return Frame(scene.picture(index), index, index / self.fps, self._clock.now - 0.02)

    def seek(self, index) -> None:
        self._next, self.ended = min(max(index, 0), self._count - 1), False

    def close(self) -> None:
        pass


class Script:
    """A window that plays a list of steps: events, numbers of idle frames, or callables."""

    def __init__(self, clock, size=(640, 480)):
        self._clock, self._size = clock, size
        self.canvases, self.steps = [], []

    def size(self):
        return self._size

    def show(self, canvas) -> None:
        assert canvas.shape == (self._size[1], self._size[0], 3) and canvas.dtype == np.uint8
        self.canvases.append(canvas)

    def poll(self, seconds):
        self._clock.now += max(seconds, 1e-3)
        while self.steps:
            step = self.steps.pop(0)
            if callable(step):
                step()
                continue
            return [step] if step is not None else []
        return [Closed()]

    def close(self) -> None:
        pass


class Stage:
    """A player with everything around it."""

    def __init__(
        self, tmp_path, live=False, count=200, size=(640, 480), results=None, save=None, **options
    ):
        self.clock = Clock()
        self.screen = Script(self.clock, size)
        self.source = Scene(self.clock, count, live)
        self.session = scene.ColourSession()
        self.follower, first = Follower(self.session), self.source.read()
        self.follower.write_to(results, first)
        self.recorder = Recorder(tmp_path, "scene", 30.0, save, live, go_on=pytest.fail)
        self.player = Player(
            self.source,
            self.follower,
            self.recorder,
            self.screen,
            first,
            clock=self.clock,
            **options,
        )

    def run(self, *steps) -> None:
        self.screen.steps += list(steps)
        self.player.run()
        self.recorder.close()

    @property
    def ids(self):
        return list(self.follower.targets)

    def idle(self, polls):
        return [None] * polls


def drag(box, size=(640, 480), to=None):
    """Mouse events that draw a box of the frame in a window of ``size``."""
    fit = Fit.of((scene.WIDTH, scene.HEIGHT), size)
    x, y, w, h = box

    def at(kind, fx, fy):
        return Mouse(kind, fx * fit.scale + fit.left, fy * fit.scale + fit.top)

    return [
        at(MouseKind.PRESS, x, y),
        at(MouseKind.MOVE, x + w / 2, y + h / 2),
        at(MouseKind.RELEASE, x + w, y + h),
    ]


def key(char):
    return Char(char)
