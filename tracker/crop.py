"""The square pieces of a frame that the network looks at, and the way back."""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from tracker.image import Image
from tracker.results import Box

Colour = tuple[float, float, float]


@dataclass(frozen=True)
class Region:
    """A square of the frame: middle (cx, cy) and side, in pixels; it may reach outside."""

    cx: float
    cy: float
    side: float

    @property
    def box(self) -> Box:
        """The region as (x, y, w, h)."""
        return self.cx - self.side / 2, self.cy - self.side / 2, self.side, self.side

    def to_crop(self, box: Box, size: int) -> NDArray[np.float32]:
        """Corners x1 y1 x2 y2 of a frame box in a crop of ``size`` pixels."""
        x0, y0, _, _ = self.box
        x, y, w, h = box
        corners = np.array([x - x0, y - y0, x + w - x0, y + h - y0], dtype=np.float32)
        return corners * np.float32(size / self.side)

    def to_frame(self, cx: float, cy: float, w: float, h: float, size: int) -> Box:
        """A box given by middle and size in crop pixels, as (x, y, w, h) of the frame."""
        scale, (x0, y0, _, _) = self.side / size, self.box
        return x0 + (cx - w / 2) * scale, y0 + (cy - h / 2) * scale, w * scale, h * scale


def mean_colour(image: Image) -> Colour:
    """Mean of each channel, on at most about 10,000 pixels of the frame."""
    step = max(1, math.isqrt(image.shape[0] * image.shape[1] // 10_000))
    blue, green, red = image[::step, ::step].reshape(-1, 3).mean(0)
    return float(blue), float(green), float(red)


def cut(image: Image, region: Region, size: int, fill: Colour, out: Image | None = None) -> Image:
    """Resample a region of the frame to ``size`` x ``size`` pixels.

    What lies outside the frame becomes ``fill`` (Bertinetto et al. 2016, section 3.1: the
    mean colour). The frame is not padded. Regions more than twice as large as the crop
    are averaged first, so that detail does not turn into noise.

    Args:
        image: HxWx3 uint8 BGR.
        region: where to look.
        size: pixels a side of the result.
        fill: BGR outside of the frame.
        out: array (size, size, 3) uint8 to write into.
    """
    x0, y0, side, _ = region.box
    factor = int(side / size)
    if factor >= 2:
        image, x0, y0, side = _shrink(image, x0, y0, side, factor)
    step = side / size
    # pixel centres: (x + 1/2) = x0 + (u + 1/2) step
    offset_x, offset_y = x0 + step / 2 - 0.5, y0 + step / 2 - 0.5
    matrix = np.array([[step, 0, offset_x], [0, step, offset_y]])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    result = cv2.warpAffine(
        image, matrix, (size, size), out, flags, cv2.BORDER_CONSTANT, fill
    )  # fmt: skip
    return np.asarray(result, dtype=np.uint8)


def _shrink(
    image: Image, x0: float, y0: float, side: float, factor: int
) -> tuple[Image, float, float, float]:
    """The part of the frame under the region, averaged over factor x factor pixels."""
    height, width = image.shape[:2]
    left, top = max(int(x0) - factor, 0), max(int(y0) - factor, 0)
    right = min(int(x0 + side) + 2 * factor, width)
    bottom = min(int(y0 + side) + 2 * factor, height)
    columns, rows = max((right - left) // factor, 1), max((bottom - top) // factor, 1)
    part = image[top : top + rows * factor, left : left + columns * factor]
    if part.size == 0:  # the region misses the frame: any picture far away will do
        return image[:1, :1], (x0 - width) / factor, (y0 - height) / factor, side / factor
    small = cv2.resize(part, (columns, rows), interpolation=cv2.INTER_AREA)
    return np.asarray(small), (x0 - left) / factor, (y0 - top) / factor, side / factor
