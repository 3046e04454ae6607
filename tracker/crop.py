"""The square pieces of a frame that the network looks at, and the way back."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from tracker.image import Image
from tracker.results import Box

Colour = tuple[float, float, float]

MOST_STEP = 2.5  # frame pixels from one pixel of a crop to the next: beyond it, details are missed
RIM = 0.02  # of a region's side: what comes so near to its edge may be cut off by it
SMALLEST, SMALL = 16, 50  # sides of regions, in pixels, that are aligned to pixels of their crop


class Region(NamedTuple):
    """A square of the frame: middle (cx, cy) and side, in pixels; it may reach outside."""

    cx: float
    cy: float
    side: float

    @property
    def box(self) -> Box:
        """The region as (x, y, w, h)."""
        return self.cx - self.side / 2, self.cy - self.side / 2, self.side, self.side

    def shows(self, box: Box) -> bool:
        """Whether all of a box lies inside and apart from the rim, beyond which it may go on."""
        x0, y0, side, _ = self.box
        x, y, w, h = box
        rim = RIM * side
        return min(x - x0, y - y0) >= rim and max(x + w - x0, y + h - y0) <= side - rim

    def aligned(self, size: int) -> Region:
        """A region close by that starts and ends on pixels, which is the fastest to cut.

        On pixels of the frame it moves by at most 1.5 % of its side. Of a smaller one than that
        allows the start moves by at most one pixel of its crop, the middle by one and a half;
        those of the frame are large in it.

        Args:
            size: pixels a side of the crop; regions much larger than that are aligned to
                the blocks of pixels that ``cut`` averages.
        """
        if _is_small(self.side, size):
            return self._on_crop_pixels(size)
        block = 2 ** halvings(self.side, size)
        if self.side < SMALL * block:
            return self
        side = round(self.side / block) * block
        x0, y0, _, _ = self.box
        return Region(round(x0) + side / 2, round(y0) + side / 2, float(side))

    def _on_crop_pixels(self, size: int) -> Region:
        pixels = _pixels_under(self.side)
        count = pixels * size / self.side
        # as in _on_grid: the side stays between the same two whole numbers
        step = pixels / (math.floor(count) if self.side % 1 < 0.5 else math.ceil(count))
        x0, y0, _, _ = self.box
        side = size * step
        return Region(_on_grid(x0, step) + side / 2, _on_grid(y0, step) + side / 2, side)

    def to_crop(self, box: Box, size: int) -> NDArray[np.float32]:
        """Corners x1 y1 x2 y2 of a frame box in a crop of ``size`` pixels."""
        x0, y0, _, _ = self.box
        x, y, w, h = box
        corners = np.array([x - x0, y - y0, x + w - x0, y + h - y0], dtype=np.float32)
        corners *= np.float32(size / self.side)
        return corners

    def to_frame(self, cx: float, cy: float, w: float, h: float, size: int) -> Box:
        """A box given by middle and size in crop pixels, as (x, y, w, h) of the frame."""
        scale, (x0, y0, _, _) = self.side / size, self.box
        return x0 + (cx - w / 2) * scale, y0 + (cy - h / 2) * scale, w * scale, h * scale


def mean_colour(image: Image) -> Colour:
    """Mean of each channel, on at most about 40,000 pixels of the frame, evenly spread."""
    step = max(1, math.isqrt(image.shape[0] * image.shape[1] // 10_000))
    blue, green, red = image[::step, ::step].reshape(-1, 3).mean(0)
    return float(blue), float(green), float(red)


def cut(image: Image, region: Region, size: int, fill: Colour, out: Image | None = None) -> Image:
    """Resample a region of the frame to ``size`` x ``size`` pixels, bilinear.

    What lies outside the frame becomes ``fill`` (Bertinetto et al. 2016, figure 2: the
    mean colour). The frame is never padded, at most the region. Regions much larger than the
    crop (``MOST_STEP``) are averaged first, so that detail does not turn into noise.

    Args:
        image: HxWx3 uint8 BGR.
        region: where to look; an ``aligned`` one takes less time.
        size: pixels a side of the result.
        fill: BGR outside of the frame.
        out: array (size, size, 3) uint8 to write into.
    """
    x0, y0, side, _ = region.box
    times = halvings(side, size)
    if times:
        image, x0, y0, side = _shrink(image, x0, y0, side, times)
    square = _square(image, x0, y0, side, fill)
    if square is not None:
        result = cv2.resize(square, (size, size), out, interpolation=cv2.INTER_LINEAR)
        return np.asarray(result, dtype=np.uint8)
    enlarged = _enlarged(image, x0, y0, side, size, fill) if _is_small(side, size) else None
    if enlarged is not None:
        return _copied(enlarged, out)
    step = side / size
    # pixel centres: (x + 1/2) = x0 + (u + 1/2) step
    offset_x, offset_y = x0 + step / 2 - 0.5, y0 + step / 2 - 0.5
    matrix = np.array([[step, 0, offset_x], [0, step, offset_y]])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    result = cv2.warpAffine(
        image, matrix, (size, size), out, flags, cv2.BORDER_CONSTANT, fill
    )  # fmt: skip
    return np.asarray(result, dtype=np.uint8)


def halvings(side: float, size: int) -> int:
    """How often a region is halved so that a step of the crop is less than ``MOST_STEP``."""
    return max(math.frexp(side / (MOST_STEP * size))[1], 0)


def _square(image: Image, x0: float, y0: float, side: float, fill: Colour) -> Image | None:
    """The square itself, if it is one of whole pixels: a view, or a copy with its rim filled."""
    x, y, n = int(x0), int(y0), int(side)
    if (x, y, n) != (x0, y0, side):
        return None
    height, width = image.shape[:2]
    left, top = max(-x, 0), max(-y, 0)
    right, bottom = max(x + n - width, 0), max(y + n - height, 0)
    if left + right >= n or top + bottom >= n:
        return None  # nothing of it is in the frame
    part = image[y + top : y + n - bottom, x + left : x + n - right]
    if not (left or top or right or bottom):
        return part
    padded = cv2.copyMakeBorder(part, top, bottom, left, right, cv2.BORDER_CONSTANT, value=fill)
    return np.asarray(padded, np.uint8)


def _is_small(side: float, size: int) -> bool:
    return SMALLEST <= side < SMALL and side < size


def _pixels_under(side: float) -> int:
    """Pixels of the frame a side of the square that is enlarged: those that a crop mixes."""
    return math.floor(side) + 4


def _on_grid(place: float, step: float) -> float:
    """A place at most a step away, whole steps after the pixel before.

    Towards the middle of its pixel, so that ``_enlarged`` counts from the same one.
    """
    start = math.floor(place) - 1
    steps = (place - start) / step
    return start + step * (math.ceil(steps) if place % 1 < 0.5 else math.floor(steps))


def _enlarged(
    image: Image, x0: float, y0: float, side: float, size: int, fill: Colour
) -> Image | None:
    """The crop of a region that starts and ends on pixels of its crop, ``None`` of any other.

    It is a piece of the pixels around it, enlarged in one go.
    """
    pixels = _pixels_under(side)
    count = round(pixels * size / side)
    step = pixels / count
    x, y = math.floor(x0) - 1, math.floor(y0) - 1
    left, top = (x0 - x) / step, (y0 - y) / step
    column, row = round(left), round(top)
    if max(abs(side / step - size), abs(left - column), abs(top - row)) > 1e-6:
        return None
    square = _square(image, x, y, pixels, fill)
    if square is None:
        return None
    large = cv2.resize(square, (count, count), interpolation=cv2.INTER_LINEAR)
    return np.asarray(large, np.uint8)[row : row + size, column : column + size]


def _copied(crop: Image, out: Image | None) -> Image:
    if out is None:
        return crop.copy()
    out[...] = crop
    return out


def _shrink(
    image: Image, x0: float, y0: float, side: float, times: int
) -> tuple[Image, float, float, float]:
    """The part of the frame under the region, ``times`` times half as large."""
    factor = 2**times
    height, width = image.shape[:2]
    left, top = max(math.floor(x0) - factor, 0), max(math.floor(y0) - factor, 0)
    right = min(math.floor(x0 + side) + 2 * factor, width)
    bottom = min(math.floor(y0 + side) + 2 * factor, height)
    columns, rows = max((right - left) // factor, 1), max((bottom - top) // factor, 1)
    part = image[top : top + rows * factor, left : left + columns * factor]
    if part.size == 0:  # the region misses the frame: any picture far away will do
        return image[:1, :1], (x0 - width) / factor, (y0 - height) / factor, side / factor
    return halved(part, times), (x0 - left) / factor, (y0 - top) / factor, side / factor


def halved(picture: NDArray[Any], times: int) -> NDArray[Any]:
    """A picture averaged over squares of ``2 ** times`` pixels, from its top left corner on.

    OpenCV averages 2 x 2 pixels several times as fast as any other number.

    Args:
        picture: (H, W) or (H, W, C), uint8 or float32.
    """
    rows, columns = (max(n >> times, 1) for n in picture.shape[:2])
    picture = picture[: rows << times, : columns << times]
    for left_over in reversed(range(times)):
        size = (columns << left_over, rows << left_over)
        picture = np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA))
    return picture
