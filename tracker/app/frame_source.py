"""What a source of frames is, and what every one of them sees to: one size, a usable rate."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Protocol

import cv2
import numpy as np

from tracker.app.interfaces import Say
from tracker.image import Image

DEFAULT_FPS = 30.0


@dataclass(frozen=True)
class Frame:
    """One picture of a stream.

    Attributes:
        image: (H, W, 3) uint8 BGR; every frame of a source has the size of its first.
        index: 0-based number in the stream.
        timestamp: seconds since the first frame.
        captured_at: ``time.monotonic()`` when it was taken from the decoder or camera.
        timed: timestamps have risen from frame to frame so far; if not, they are no guide.
    """

    image: Image
    index: int
    timestamp: float
    captured_at: float
    timed: bool = True


class Capture(Protocol):
    """The part of ``cv2.VideoCapture`` that sources use."""

    def grab(self) -> bool: ...

    def retrieve(self) -> tuple[bool, Any]: ...

    def get(self, prop: int, /) -> float: ...

    def release(self) -> None: ...


class Source(Protocol):
    """A stream of frames.

    Attributes:
        name: short name for messages and for the names of output files.
        fps: frames a second.
        frame_count: how many frames there are; ``None`` when unknown.
        live: only the newest frame is kept, and there may be none yet.
        can_seek: ``seek`` works.
        ended: no frame will come any more.
    """

    name: str
    fps: float
    frame_count: int | None
    live: bool
    ended: bool

    @property
    def can_seek(self) -> bool: ...

    def read(self, timeout: float = 1.0) -> Frame | None:
        """The next (live: newest) frame; ``None`` when there is none yet, or ``ended``.

        Raises:
            UserError: the file is damaged here; all frames before were delivered.
        """

    def seek(self, index: int) -> None:
        """Make ``index`` (clipped to what there is) the frame that ``read`` gives next."""

    def close(self) -> None: ...


class SteadySize:
    """Gives every frame of a stream the size of its first, so that boxes keep their meaning."""

    def __init__(self, name: str, say: Say) -> None:
        self._name, self._say = name, say
        self._size: tuple[int, int] | None = None
        self._last: tuple[int, int] | None = None

    def __call__(self, image: Image, index: int) -> Image:
        size = image.shape[1], image.shape[0]
        self._size = self._size or size
        if size == self._size:
            self._last = size
            return image
        if size != self._last:
            self._last = size
            self._say(
                f"{self._name}: the size changes to {size[0]} x {size[1]} at frame {index}; "
                f"frames are scaled to {self._size[0]} x {self._size[1]}"
            )
        return np.asarray(cv2.resize(image, self._size, interpolation=cv2.INTER_AREA), np.uint8)


def usable_fps(value: float) -> float:
    """A frame rate as the container states it, or 30 when it states nonsense."""
    return value if math.isfinite(value) and 0.01 <= value <= 500.0 else DEFAULT_FPS


def frame_count_of(capture: Capture) -> int | None:
    """How many frames a video says that it has; ``None`` where it does not."""
    count = capture.get(cv2.CAP_PROP_FRAME_COUNT)
    return int(count) if math.isfinite(count) and 0 < count < 1e9 else None
