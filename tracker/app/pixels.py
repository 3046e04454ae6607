"""Any picture that a decoder or camera delivers, as the (H, W, 3) uint8 BGR of the tracker."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from tracker.app.interfaces import Say
from tracker.image import Image

FEW_LEVELS = 32
"""Of 256; where a picture of more bits becomes fewer, most of it is lost."""


class PixelReader:
    """Converts the pictures of one stream; remembers how many bits its samples have.

    Sensors put 10, 12 or 14 bits into 16-bit files. The smallest depth that holds what was
    seen so far is scaled to 8 bits, and never lowered again, so that the light of a clip
    does not flicker.

    Args:
        name: of the stream, for the note.
        say: is told once when the first picture of more than 8 bits becomes few levels of grey.
    """

    def __init__(self, name: str = "", say: Say | None = None) -> None:
        self._name, self._say = name, say
        self._bits = 8
        self._top = 0.0  # largest float

    def __call__(self, picture: NDArray[Any]) -> Image:
        """(H, W), (H, W, 1), (H, W, 3) or (H, W, 4) of any real dtype -> (H, W, 3) uint8.

        Alpha is dropped. Floats are taken as 0..1 until one of the stream exceeds 4, from then on
        as 0..255; NaN becomes black.

        Raises:
            ValueError: not a picture (no pixels, wrong number of channels or dimensions).
        """
        pixels = np.asarray(picture)
        if pixels.ndim == 2:
            pixels = pixels[:, :, None]
        if pixels.ndim != 3 or pixels.shape[2] not in (1, 3, 4) or pixels.size == 0:
            raise ValueError(f"a picture is H x W, H x W x 3 or x 4, found {picture.shape}")
        pixels = self._to_uint8(pixels[:, :, :3])
        if pixels.shape[2] == 1:
            return np.asarray(cv2.cvtColor(pixels, cv2.COLOR_GRAY2BGR), dtype=np.uint8)
        return np.ascontiguousarray(pixels)

    def _to_uint8(self, pixels: NDArray[Any]) -> NDArray[np.uint8]:
        if pixels.dtype == np.uint8:
            return pixels
        if pixels.dtype == np.bool_:
            return pixels.astype(np.uint8) * np.uint8(255)
        if np.issubdtype(pixels.dtype, np.floating):
            finite = np.nan_to_num(pixels, nan=0.0, posinf=0.0, neginf=0.0)
            self._top = max(self._top, float(finite.max(initial=0.0)))
            gain = 255.0 if self._top <= 4.0 else 1.0
            return np.asarray(np.clip(finite, 0, 255 / gain) * gain + 0.49, dtype=np.uint8)
        values = np.clip(pixels, 0, None)
        bits = next((b for b in (8, 10, 12, 14, 16) if values.max() < 1 << b), 32)
        self._bits = max(self._bits, bits)
        levels = np.asarray(values >> (self._bits - 8), dtype=np.uint8)
        if self._say and self._bits > 8:
            self._note_few_levels(int(values.min()), int(values.max()), levels)
        return levels

    def _note_few_levels(self, low: int, high: int, levels: NDArray[np.uint8]) -> None:
        if low == high or self._say is None:  # of one colour: a later one will tell
            return
        if (high - low) >> (self._bits - 8) < FEW_LEVELS:
            self._say(
                f"{self._name}: the values of its pictures, {low} to {high} in the first, become "
                f"{len(np.unique(levels))} of 256 levels; stretch them to 8 bits before: "
                f"(value - {low}) * 255 / {high - low}"
            )
        self._say = None
