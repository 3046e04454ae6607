"""Which colours are a target's: a second opinion where the network doubts.

What the network knows a target by changes when the target turns, and when something hides it.
Its colours stay in the first case, and go in the second.
"""

from __future__ import annotations

import math

import cv2
import numpy as np

from tracker.image import Array, Image
from tracker.results import Box

BINS = 8  # a channel
EVEN = 0.3  # weight of an even histogram beside that of the surroundings: for colours never seen
INSIDE = 0.8  # of the sides of a box: its corners show what is behind the target
AROUND = 3.0  # times the sides of a box: its surroundings
SAMPLES = 24  # a side of the box, at least, where it has so many pixels
RATE = 0.36  # how fast the histograms follow
USUAL_RATE = 0.75  # how fast the usual share follows


class ColourModel:
    """Histograms of a target and of what surrounds it.

    Args:
        image: HxWx3 uint8 BGR.
        box: (x, y, w, h) of the target in it.

    Attributes:
        usual: share that the target's box had of late.
    """

    def __init__(self, image: Image, box: Box) -> None:
        self._inside, self._around = _histograms(image, box)
        self._weigh()
        self.usual = float(self._inside @ self._chance)

    def share(self, image: Image, box: Box) -> float:
        """How much of a box has the target's colours: the mean of P(target | colour), 0..1.

        Bayes' rule over the normalised histograms of target and surroundings, and an even one so
        that colours never seen are not the target's: ``P = H_t / (H_t + H_s + EVEN / N)`` with N
        bins. The model of object and surroundings of Possegger et al. 2015, "In Defense of
        Color-Based Model-Free Tracking", section 3, with equal priors.
        """
        return float(_inside(image, box) @ self._chance)

    def as_usual(self, image: Image, box: Box, drop: float) -> bool:
        """Whether the share in a box is at most so much below the usual one."""
        return self.share(image, box) >= self.usual - drop

    def learn(self, image: Image, box: Box) -> None:
        """Follow slow changes; only to be called while the target is surely in the box."""
        inside, around = _histograms(image, box)
        self.usual += USUAL_RATE * (float(inside @ self._chance) - self.usual)
        self._inside += RATE * (inside - self._inside)
        self._around += RATE * (around - self._around)
        self._weigh()

    def _weigh(self) -> None:
        even = np.float32(EVEN / BINS**3)
        self._chance = self._inside / (self._inside + self._around + even)


def _histograms(image: Image, box: Box) -> tuple[Array, Array]:
    """Of the middle of a box, and of its surroundings without it."""
    rows, columns = _grid(image, _scaled(box, AROUND))
    all_around = _counts(image[rows, columns])
    x, y, w, h = box
    covered = _counts(image[_within(rows, y, h), _within(columns, x, w)])
    return _inside(image, box), _shares(all_around - covered)


def _inside(image: Image, box: Box) -> Array:
    """Of the middle of a box."""
    return _shares(_counts(image[_grid(image, _scaled(box, INSIDE))]))


def _shares(counts: Array) -> Array:
    """Counts (BINS ** 3,) as shares, which sum to 1, or to 0 without a pixel."""
    result: Array = counts / max(float(counts.sum()), 1.0)
    return result


def _counts(pixels: Image) -> Array:
    if not pixels.size:
        return np.zeros(BINS**3, np.float32)
    part, bins = np.ascontiguousarray(pixels), [BINS] * 3
    counts = cv2.calcHist([part], [0, 1, 2], None, bins, [0, 256] * 3)
    return np.asarray(counts, np.float32).ravel()


def _grid(image: Image, box: Box) -> tuple[slice, slice]:
    """Every so many rows and columns under a box."""
    (x, y, w, h), (height, width) = box, image.shape[:2]
    return _every(y, h, height), _every(x, w, width)


def _every(start: float, length: float, limit: int) -> slice:
    first, last = max(round(start), 0), min(round(start + length), limit)
    return slice(first, max(last, first), max((last - first) // SAMPLES, 1))


def _within(places: slice, start: float, length: float) -> slice:
    """Those of some places that lie in an interval."""
    first, step = places.start, places.step
    low = first + max(math.ceil((start - first) / step), 0) * step
    return slice(low, min(max(math.ceil(start + length), 0), places.stop), step)


def _scaled(box: Box, factor: float) -> Box:
    """A box around the same middle."""
    x, y, w, h = box
    return x + w * (1 - factor) / 2, y + h * (1 - factor) / 2, w * factor, h * factor
