"""Dark and foggy frames as the network knows frames: their few levels are spread over all.

Training showed pictures of usual contrast. A frame that spans fewer levels than those do is
stretched linearly ("contrast stretching", Gonzalez and Woods, "Digital Image Processing", section
3.2), all channels alike, so that colours stay; frames of usual contrast are left as they are.
What is measured is the frame, since a crop may well be of one colour; and the target when it is
selected, which in an empty sky is nearly all that is not rare.
"""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np

from tracker.image import Image
from tracker.results import Box

RARE = 0.005  # of a frame's pixels, at either end: lamps and dead pixels do not tell the light
RARE_IN_TARGET = 0.02
FEW, USUAL = 80, 110  # levels that a frame spans: to be stretched in full, and not at all
WANTED = 230  # levels after it
MOST = 4.0  # times: more of it would show noise alone
EVERY = 5  # frames: light changes slowly
SEEN = 80, 50  # pixels of a frame, to the right and down: enough for a share, and quickly read


class Levels(NamedTuple):
    """What becomes of a level: ``gain * level + offset``, cut to 0..255."""

    gain: float = 1.0
    offset: float = 0.0

    def spread(self, crops: Image) -> None:
        """Change pictures in place.

        Args:
            crops: (..., S, S, 3) uint8, contiguous.
        """
        if self != AS_THEY_ARE:
            flat = crops.reshape(-1, crops.shape[-2] * crops.shape[-1])
            cv2.addWeighted(flat, self.gain, flat, 0.0, self.offset, flat)


AS_THEY_ARE = Levels()


class Ends(NamedTuple):
    """The lowest and the highest level that are not rare, 0..255."""

    low: float
    high: float

    @property
    def span(self) -> float:
        """Levels from one to the other, at least 1."""
        return max(self.high - self.low, 1.0)


class Reach(NamedTuple):
    """How far a target's levels go beyond the ends of its frame, as shares of the frame's span.

    The light changes levels, and not these shares.
    """

    below: float = 0.0
    above: float = 0.0


class Light:
    """The light of a stream of frames."""

    def __init__(self) -> None:
        self._ends, self._frames = Ends(0, 255), 0

    def start(self, image: Image, box: Box) -> Reach:
        """Measure the frame that a target is selected in.

        Args:
            image: HxWx3 uint8 BGR.
            box: (x, y, w, h) inside of it.

        Returns:
            What ``levels`` needs to know of the target.
        """
        self._ends, self._frames = ends(image, RARE), 0
        x, y, w, h = box
        rows, columns = slice(int(y), int(y + h) + 1), slice(int(x), int(x + w) + 1)
        low, high = ends(image[rows, columns], RARE_IN_TARGET)
        known, span = self._ends, self._ends.span
        return Reach(max(known.low - low, 0) / span, max(high - known.high, 0) / span)

    def follow(self, image: Image) -> None:
        """Take in the next frame: every fifth one is measured."""
        self._frames += 1
        if self._frames % EVERY == 0:
            self._ends = ends(image, RARE)

    def levels(self, reach: Reach) -> Levels:
        """How crops of the last frame are to be spread, without cutting off the target."""
        (low, high), span = self._ends, self._ends.span
        return spreading(Ends(low - reach.below * span, high + reach.above * span))


def ends(image: Image, rare: float) -> Ends:
    """What a picture spans.

    Args:
        image: HxWx3 uint8.
        rare: share of the levels of all its pixels that is left out at either end.
    """
    some = cv2.resize(image, SEEN, interpolation=cv2.INTER_NEAREST)
    counts = cv2.calcHist([some.reshape(-1, 1)], [0], None, [256], [0, 256])
    below = np.cumsum(counts) / some.size
    return Ends(*np.searchsorted(below, (rare, 1 - rare)).tolist())


def spreading(known: Ends) -> Levels:
    """The levels that spread what lies between two ends, if it is less than usual.

    The lowest stays as dark as it is, unless the highest would leave the range.
    """
    share = min(max((USUAL - known.span) / (USUAL - FEW), 0.0), 1.0)
    if share == 0:
        return AS_THEY_ARE
    gain = 1 + share * (min(WANTED / known.span, MOST) - 1)
    low = max(min(known.low, 255 - gain * known.span), 0.0)
    return Levels(gain, low - gain * known.low)
