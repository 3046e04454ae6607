"""Clips as a camera would have taken them in bad conditions."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import cv2
import numpy as np

from tracker.data.datasets import Sequence
from tracker.frames import Frames
from tracker.image import Image, jpeg


def noisy(image: Image, sigma: float, seed: int) -> Image:
    """A picture with normal noise of so many of 255 levels, which the seed decides."""
    grain = np.random.default_rng(seed).standard_normal(image.shape, dtype=np.float32)
    return np.clip(np.rint(image + sigma * grain), 0, 255).astype(np.uint8)


def scaled(image: Image, gain: float, offset: float = 0.0) -> Image:
    """``gain * level + offset``, rounded and cut to 0..255."""
    return np.clip(np.rint(image * np.float32(gain) + offset), 0, 255).astype(np.uint8)


CONDITIONS: dict[str, Callable[[Image, int], Image]] = {
    "dim": lambda image, index: scaled(image, 0.3),
    "dark": lambda image, index: noisy(scaled(image, 0.25), 6, index),
    "noise": lambda image, index: noisy(image, 15, index),
    "fog": lambda image, index: scaled(image, 0.3, 120),
    "blur": lambda image, index: np.asarray(cv2.GaussianBlur(image, (0, 0), 2.0)),
    "jpeg": lambda image, index: jpeg(image, 10),
}
"""Name -> what it makes of a frame; the frame's number decides on noise."""


@dataclass(frozen=True)
class InCondition:
    """The frames of a source in one of ``CONDITIONS``."""

    source: Frames
    condition: str

    def read(self, frames: range) -> Iterator[Image]:
        """Yield the frames of a range, the same at every call; UserError as the source does."""
        change = CONDITIONS[self.condition]
        for index, image in zip(frames, self.source.read(frames), strict=True):
            yield change(image, index)

    def fingerprint(self) -> str:
        """Changes with the source and the condition."""
        return f"{self.condition} {self.source.fingerprint()}"

    def clip(self) -> str:
        """That of the source: the object is the same in any light."""
        return self.source.clip()


def under(sequence: Sequence, condition: str) -> Sequence:
    """The sequence in a condition, of the data set ``<dataset>-<condition>``."""
    return dataclasses.replace(
        sequence,
        dataset=f"{sequence.dataset}-{condition}",
        source=InCondition(sequence.source, condition),
    )
