"""A picture to draw on, with the sizes of text and lines that suit it."""

from __future__ import annotations

from collections.abc import Iterator

import cv2
import numpy as np

from tracker.image import Image
from tracker.native_path import native_text
from tracker.results import Box

Colour = tuple[int, int, int]

WHITE, GREY, DARK, ACCENT, RED = (
    (245, 245, 245),
    (178, 178, 178),
    (26, 22, 20),
    (250, 165, 96),
    (70, 70, 240),
)
FONT = cv2.FONT_HERSHEY_SIMPLEX


class Canvas:
    """A picture with the sizes of text and lines that suit it.

    Args:
        image: (H, W, 3) uint8 BGR, drawn on in place.
        scale: canvas pixels for one pixel of the frame whose boxes are drawn.
    """

    def __init__(self, image: Image, scale: float = 1.0) -> None:
        self.image, self.scale = image, scale
        self.height, self.width = int(image.shape[0]), int(image.shape[1])
        short = min(self.height, self.width)
        self.font: float = max(8.0, 6.0 + 0.0135 * short)
        """Height of a line of text in pixels."""
        self.line: int = max(1, round(short / 500))
        self.pad: int = round(0.55 * self.font)

    def text_size(self, text: str, size: float = 1.0) -> tuple[int, int]:
        """(width, height of capitals) in pixels."""
        found = cv2.getTextSize(native_text(text), FONT, self._font_scale(size), self._weight(size))
        return int(found[0][0]), int(found[0][1])

    def text(self, text: str, x: float, y: float, colour: Colour = WHITE, size: float = 1.0) -> int:
        """Write with the top of the capitals at ``y``; returns the width."""
        width, height = self.text_size(text, size)
        cv2.putText(
            self.image,
            native_text(text),
            (round(x), round(y) + height),
            FONT,
            self._font_scale(size),
            colour,
            self._weight(size),
            cv2.LINE_AA,
        )
        return width

    def _font_scale(self, size: float) -> float:
        return 0.047 * self.font * size

    def _weight(self, size: float) -> int:
        return max(1, round(self.font * size / 18))

    def panel(self, x: float, y: float, w: float, h: float, alpha: float = 0.66) -> None:
        """A dark, half transparent rectangle that text can be read on."""
        x1, y1 = max(round(x), 0), max(round(y), 0)
        x2, y2 = min(round(x + w), self.width), min(round(y + h), self.height)
        if x2 > x1 and y2 > y1:
            part = self.image[y1:y2, x1:x2]
            shade = np.full_like(part, DARK)
            cv2.addWeighted(shade, alpha, part, 1 - alpha, 0, dst=part)

    def corners(self, box: Box) -> tuple[tuple[int, int], tuple[int, int]]:
        """A box of the frame as two corners on the canvas."""
        x, y, w, h = (v * self.scale for v in box)
        return (round(x), round(y)), (round(x + w), round(y + h))


def short_text(canvas: Canvas, label: str, limit: float, size: float) -> str:
    """A label of at most 18 letters, fewer where they would be wider than ``limit`` pixels."""
    for longest in range(18, 1, -1):
        text = label if len(label) <= longest else label[: longest - 1] + "~"
        if canvas.text_size(text, size)[0] <= limit:
            break
    return text


def wrapped(canvas: Canvas, text: str, limit: float) -> list[str]:
    """The lines of a text, none wider than ``limit`` pixels unless one letter is."""
    lines: list[str] = [""]
    for word in _words(canvas, text, limit):
        longer = f"{lines[-1]} {word}".strip()
        if lines[-1] and canvas.text_size(longer)[0] > limit:
            lines.append(word)
        else:
            lines[-1] = longer
    return lines


def _words(canvas: Canvas, text: str, limit: float) -> Iterator[str]:
    """The words of a text; one that is wider than a line (the name of a file) in pieces."""
    for word in text.split():
        if canvas.text_size(word)[0] <= limit:
            yield word
            continue
        piece = ""
        for letter in word:
            if piece and canvas.text_size(piece + letter)[0] > limit:
                yield piece
                piece = ""
            piece += letter
        yield piece
