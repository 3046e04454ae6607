"""Pictures, videos and texts as data sets consist of them."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np


def picture(path: Path, value: int, size: tuple[int, int] = (24, 16)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = np.full((size[1], size[0], 3), value, dtype=np.uint8)
    assert cv2.imwrite(str(path), image)


def pictures(folder: Path, count: int, pattern: str = "{:08d}.png", first: int = 1) -> None:
    for i in range(count):
        picture(folder / pattern.format(first + i), 10 * (first + i) % 250)


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def clip(path: Path, count: int = 5) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"mp4v"), 10, (64, 48))
    assert writer.isOpened()
    for i in range(count):
        writer.write(np.full((48, 64, 3), 30 + 40 * i, dtype=np.uint8))
    writer.release()
