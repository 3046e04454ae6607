"""Tiny training data and small networks, made on the spot."""

from __future__ import annotations

import struct
from pathlib import Path

import cv2
import numpy as np
import torch

from tracker.network.kestrel import Kestrel
from tracker.training.crops import Jitter
from tracker.training.pair_options import PairOptions
from tracker.training.pairs import PairSampler
from tracker.training.tracks import EncodedFrames, Source, Track

STILL = Jitter(0, 0)
BOX = np.array([30.0, 22.0, 24.0, 30.0], np.float32)


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def picture(seed: int, width: int = 96, height: int = 80) -> np.ndarray:
    """A soft coloured pattern that differs by seed."""
    rng = np.random.default_rng(seed)
    cells = rng.integers(0, 255, (5, 6, 3)).astype(np.uint8)
    return np.asarray(cv2.resize(cells, (width, height), interpolation=cv2.INTER_CUBIC))


def as_phones_write(image: np.ndarray) -> bytes:
    """A JPEG that lies on its side and says in its EXIF that it is to be turned (orientation 6)."""
    code = cv2.imencode(".jpg", image)[1].tobytes()
    entry = struct.pack("<HHIHH", 0x0112, 3, 1, 6, 0)
    exif = b"Exif\0\0II*\0" + struct.pack("<IH", 8, 1) + entry + bytes(4)
    return code[:2] + b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif + code[2:]


def tiny_source(tracks: int = 3, frames: int = 4) -> Source:
    """Tracks in memory, each a box that wanders over a pattern."""
    result = []
    for number in range(tracks):
        parts, boxes = [], []
        for index in range(frames):
            image = picture(number)
            x, y = 20 + 4 * index, 15 + 3 * index
            image[y : y + 24, x : x + 20] = picture(100 + number, 20, 24)
            parts.append(cv2.imencode(".png", image)[1].ravel())
            boxes.append([x, y, 20, 24])
        frames_ = EncodedFrames(parts, f"tiny {number}")
        result.append(Track(frames_, np.asarray(boxes, np.float32), "thing"))
    return Source("tiny", tuple(result))


def tiny_sampler(
    seed: int = 3, tracks: int = 3, exemplar: int = 128, search: int = 256
) -> PairSampler:
    return PairSampler([tiny_source(tracks)], PairOptions(exemplar, search, shift=24), seed)


def tiny_kestrel(seed: int = 0) -> Kestrel:
    """A narrow network with fresh weights."""
    torch.manual_seed(seed)
    return Kestrel(channels=8, identity_channels=6, tower_depth=1)


def write_view(path: Path, box: tuple[int, int, int, int], colour: tuple[int, int, int]) -> None:
    """A picture of 96 x 80 pixels, transparent black but for a box (x, y, w, h)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    view = np.zeros((80, 96, 4), np.uint8)
    x, y, w, h = box
    view[y : y + h, x : x + w] = (*colour, 255)
    cv2.imwrite(str(path), view)


def write_clip(folder: Path, count: int = 4, seed: int = 0) -> Path:
    """A clip in GOT-10k's layout."""
    folder.mkdir(parents=True)
    lines = []
    for index in range(count):
        image = picture(seed)
        x, y = 20 + 3 * index, 16 + 2 * index
        image[y : y + 24, x : x + 20] = picture(50 + seed, 20, 24)
        cv2.imwrite(str(folder / f"{index + 1:08d}.png"), image)
        lines.append(f"{x},{y},20,24")
    (folder / "groundtruth.txt").write_text("\n".join(lines) + "\n")
    return folder


def write_video(path: Path, count: int = 6, size: tuple[int, int] = (96, 80)) -> np.ndarray:
    """A grey video with a bright square at the returned boxes."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 25, size)
    assert writer.isOpened()
    boxes = []
    for index in range(count):
        image = np.full((size[1], size[0], 3), 60, np.uint8)
        x, y = 10 + 5 * index, 20 + 3 * index
        image[y : y + 16, x : x + 20] = (40, 220, 240)
        writer.write(image)
        boxes.append((x, y, 20, 16))
    writer.release()
    return np.array(boxes, dtype=np.float64)


def write_boxes(path: Path, boxes: np.ndarray, header: bool = False) -> None:
    lines = ["x,y,w,h"] * header + [",".join(f"{v:g}" for v in b) for b in boxes]
    path.write_text("\n".join(lines) + "\n")
