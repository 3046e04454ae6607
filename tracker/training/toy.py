"""Rendered clips of moving shapes: training data for a first run without any data set."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from tracker.geometry import FloatArray
from tracker.image import Image
from tracker.training.tracks import EncodedFrames, Source, Track

WIDTH, HEIGHT = 320, 240
OBJECTS, FRAMES = 3, 24  # of a clip that is trained on
TEXTURE = 96


@dataclass(frozen=True)
class Shape:
    """A patterned shape and its way through a clip.

    Attributes:
        texture: (96, 96, 3) uint8; mask: (96, 96) float32, 0..1.
        motion: amplitudes, frequencies and phases of x, y, size and angle: (4, 3).
    """

    texture: Image
    mask: NDArray[np.float32]
    motion: FloatArray

    def matrix(self, time: float) -> FloatArray:
        """Affine map from the texture to the frame at a time in frames."""
        swing, frequency, phase = self.motion.T
        x, y, size, angle = swing * np.sin(frequency * time + phase)
        scale = np.exp(size) * 52 / TEXTURE
        turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        middle = np.array([WIDTH / 2 + x, HEIGHT / 2 + y])
        return np.hstack([turn, (middle - turn @ [TEXTURE / 2, TEXTURE / 2])[:, None]])


def toy_source(clips: int = 60, seed: int = 0) -> Source:
    """``OBJECTS`` tracks of ``FRAMES`` frames from each of ``clips`` rendered clips."""
    tracks = []
    for number in range(clips):
        pictures, boxes = render_clip(FRAMES, seed=(seed, number), step=3.0)
        parts = [
            cv2.imencode(".jpg", p, [cv2.IMWRITE_JPEG_QUALITY, 92])[1].ravel() for p in pictures
        ]
        memory = EncodedFrames(parts, f"rendered clip {number}")
        tracks += [Track(memory, b.astype(np.float32), "shape") for b in boxes]
    return Source("rendered shapes", tuple(tracks))


def render_clip(
    frames: int, seed: int | tuple[int, ...], step: float = 1.0
) -> tuple[list[Image], list[FloatArray]]:
    """Shapes that move over a soft background, the later ones in front.

    Args:
        frames: how many.
        step: time between two frames; 1 is a smooth video.

    Returns:
        Frames (240, 320, 3) uint8 BGR, and for each object its (N, 4) boxes x, y, w, h.
    """
    rng = np.random.default_rng(seed)
    ground = _background(rng)
    shapes = [_shape(rng) for _ in range(OBJECTS)]
    pictures, boxes = [], [np.zeros((frames, 4)) for _ in shapes]
    for index in range(frames):
        picture = ground.copy()
        for shape, track in zip(shapes, boxes, strict=True):
            matrix = shape.matrix(index * step)
            picture, track[index] = _draw(picture, shape, matrix)
        grain = rng.standard_normal(picture.shape, dtype=np.float32) * 3
        pictures.append(np.clip(picture + grain, 0, 255).astype(np.uint8))
    return pictures, boxes


def _draw(picture: Image, shape: Shape, matrix: FloatArray) -> tuple[Image, FloatArray]:
    size = (WIDTH, HEIGHT)
    moved = cv2.warpAffine(shape.texture, matrix, size, borderMode=cv2.BORDER_REPLICATE)
    alpha = cv2.warpAffine(shape.mask, matrix, size)[:, :, None]
    blend = picture + (moved.astype(np.float32) - picture) * alpha
    # not from the picture's mask: a box may reach over the border
    rows, columns = np.nonzero(shape.mask > 0.5)
    corners = matrix[:, :2] @ np.stack([columns, rows]) + matrix[:, 2:]
    low, high = corners.min(1), corners.max(1)
    return blend.astype(np.uint8), np.array([*low, *(high - low + 1)])


def _background(rng: Generator) -> Image:
    layers = [rng.uniform(20, 235, (n, n * 4 // 3, 3)).astype(np.float32) for n in (3, 9, 40)]
    smooth = [cv2.resize(v, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC) for v in layers]
    mixed = 0.55 * smooth[0] + 0.3 * smooth[1] + 0.15 * smooth[2]
    return np.clip(mixed, 0, 255).astype(np.uint8)


def _shape(rng: Generator) -> Shape:
    cells = int(rng.integers(2, 6))
    colours = rng.uniform(0, 255, (cells, cells, 3)).astype(np.uint8)
    how = cv2.INTER_NEAREST if rng.random() < 0.5 else cv2.INTER_CUBIC
    texture = np.asarray(cv2.resize(colours, (TEXTURE, TEXTURE), interpolation=how), dtype=np.uint8)
    mask = np.zeros((TEXTURE, TEXTURE), np.uint8)
    middle = TEXTURE / 2
    corners = int(rng.integers(3, 9))
    angles = np.sort(rng.uniform(0, 2 * np.pi, corners)) if corners < 7 else np.linspace(0, 6.2, 40)
    aspect = np.exp(rng.uniform(-0.4, 0.4))
    radius = 0.46 * TEXTURE * (rng.uniform(0.7, 1.0, len(angles)) if corners < 7 else 1.0)
    points = (
        np.stack([np.cos(angles) * min(aspect, 1), np.sin(angles) * min(1 / aspect, 1)]) * radius
    )
    cv2.fillPoly(mask, [np.round(points.T + middle).astype(np.int32)], 255)
    cv2.circle(mask, (int(middle), int(middle)), TEXTURE // 5, 255, -1)  # no slivers
    soft = (cv2.GaussianBlur(mask, (0, 0), 0.8) / 255).astype(np.float32)
    swing = np.array([rng.uniform(40, 120), rng.uniform(25, 80), 0.3, rng.uniform(0.1, 0.5)])
    frequency, phase = rng.uniform(0.02, 0.06, 4), rng.uniform(0, 2 * np.pi, 4)
    return Shape(texture, soft, np.stack([swing, frequency, phase], 1))
