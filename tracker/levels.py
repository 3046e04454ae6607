"""What is dark or foggy, as the network knows pictures: its few levels are spread over all.

Training showed pictures of usual contrast. Where what surrounds a target spans fewer levels than
that, its crops are stretched linearly ("contrast stretching", Gonzalez and Woods, "Digital Image
Processing", section 3.2), all channels alike, so that colours stay; usual ones are left as they
are. The brightest level that counts is that of the search region, since at night there are lamps
somewhere; the darkest is that of the frame, since a wall or a sky may have one colour.
"""

from __future__ import annotations

from typing import NamedTuple

import cv2

from tracker.crop import Colour, Region, cut
from tracker.image import Image

RARE = 0.005  # of the pixels, at either end: sparks and dead pixels do not tell the light
FEW, USUAL = 65, 90  # levels: to be stretched in full, and not at all
WANTED = 230  # levels after it
MOST = 4.0  # times: more of it would show noise alone
EVERY = 5  # frames: light changes slowly while the target is seen
SEEN = 80, 50  # pixels, to the right and down: enough for a share, and quickly read


class Levels(NamedTuple):
    """What becomes of a level: ``gain * level + offset``, cut to 0..255."""

    gain: float = 1.0
    offset: float = 0.0

    def spread(self, crop: Image) -> None:
        """Change a picture (H, W, 3) uint8 in place."""
        if self != AS_THEY_ARE:
            cv2.addWeighted(crop, self.gain, crop, 0.0, self.offset, crop)


AS_THEY_ARE = Levels()


class View(NamedTuple):
    """A frame as the network is shown it.

    Attributes:
        image: HxWx3 uint8 BGR.
        fill: BGR outside of it.
        levels: that its crops need.
    """

    image: Image
    fill: Colour
    levels: Levels = AS_THEY_ARE

    def crop(self, region: Region, size: int, out: Image | None = None) -> Image:
        """A region of ``size`` x ``size`` pixels, in its levels; see ``tracker.crop.cut``."""
        crop = cut(self.image, region, size, self.fill, out)
        self.levels.spread(crop)
        return crop


class Light:
    """The light around one target, from frame to frame.

    Args:
        image: HxWx3 uint8 BGR, the frame that it is selected in.
        region: around it.

    Attributes:
        levels: that crops need.
    """

    def __init__(self, image: Image, region: Region) -> None:
        self.levels, self._frames = levels_for(image, region), 0

    def follow(self, image: Image, region: Region | None) -> None:
        """Take in the next frame: every fifth one is measured, while the target is lost all.

        What hid it, such as a picture without light, says nothing about the next frame.

        Args:
            region: where the target is looked for; ``None`` if it may be anywhere.
        """
        self._frames += 1
        if region is None or self._frames % EVERY == 0:
            self.levels = levels_for(image, region)


def levels_for(image: Image, region: Region | None) -> Levels:
    """The levels that spread what is seen around a target, if that is less than usual.

    The lowest stays as dark as it is, unless the highest would leave the range.

    Args:
        image: HxWx3 uint8, the frame.
        region: of it; ``None`` for all of it.
    """
    low, high = ends(image if region is None else _part(image, region))
    if region is not None and high - low < USUAL:
        low = min(low, ends(image)[0])
    span = max(high - low, 1)
    share = min(max((USUAL - span) / (USUAL - FEW), 0.0), 1.0)
    if share == 0:
        return AS_THEY_ARE
    gain = 1 + share * (min(WANTED / span, MOST) - 1)
    start = max(min(low, 255 - gain * span), 0.0)
    return Levels(gain, start - gain * low)


def _part(image: Image, region: Region) -> Image:
    """What a region shows of a frame; all of the frame where it misses it."""
    x, y, side, _ = region.box
    if min(x, y) + side <= 0:
        return image
    rows, columns = (slice(max(int(v), 0), int(v + side) + 1) for v in (y, x))
    part = image[rows, columns]
    return part if part.size else image


def ends(image: Image) -> tuple[float, float]:
    """The lowest and the highest level of a picture (H, W, 3) uint8 that are not rare."""
    some = cv2.resize(image, SEEN, interpolation=cv2.INTER_NEAREST).ravel()
    rare = int(RARE * some.size)
    some.partition((rare, some.size - 1 - rare))  # no histogram: in a frame's time it takes longer
    return some.item(rare), some.item(-1 - rare)
