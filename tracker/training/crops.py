"""Cutting exemplar and search crops out of pictures, with what lies outside filled."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from tracker.crop import halved, halvings
from tracker.geometry import context_side
from tracker.image import Image

Matrix = NDArray[np.float64]


@dataclass(frozen=True)
class Jitter:
    """How far a crop may stray from the target.

    Attributes:
        shift: largest offset of the target from the crop's middle, crop pixels.
        scale: largest change of scale, as a factor exp(+-scale).
        aspect: largest change of aspect, as exp(+-aspect).
        rotation: largest rotation in degrees.
    """

    shift: float
    scale: float
    aspect: float = 0.0
    rotation: float = 0.0


def crop_matrix(
    box: NDArray[np.float32], size: int, side: float, jitter: Jitter, rng: Generator, flip: bool
) -> Matrix:
    """The 2x3 affine map from a picture to a crop of ``size`` around ``box``.

    Args:
        box: (x, y, w, h) in the picture.
        size: pixels a side of the crop.
        side: pixels of the picture that fill the crop before jitter.
    """
    x, y, w, h = (float(v) for v in box)
    scale = size / side * np.exp(rng.uniform(-jitter.scale, jitter.scale))
    aspect = np.exp(rng.uniform(-jitter.aspect, jitter.aspect) / 2)
    angle = np.deg2rad(rng.uniform(-jitter.rotation, jitter.rotation))
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    mirror = np.diag([-1.0 if flip else 1.0, 1.0])
    linear = turn @ mirror @ np.diag([scale * aspect, scale / aspect])
    target = size / 2 + rng.uniform(-jitter.shift, jitter.shift, 2)
    # pixel centres are whole numbers for OpenCV, pixel i covers [i - 1/2, i + 1/2)
    centre = np.array([x + w / 2, y + h / 2])
    return np.hstack([linear, (target - linear @ centre)[:, None]])


def map_box(matrix: Matrix, box: NDArray[np.float32]) -> NDArray[np.float32]:
    """The corner box (x1, y1, x2, y2) around an (x, y, w, h) box after an affine map.

    A turned box grows by its corners; the ellipse inside it grows less, and objects are
    rounder than boxes: the box around the turned ellipse is returned.
    """
    x, y, w, h = (float(v) for v in box)
    linear = matrix[:, :2]
    centre = linear @ [x + w / 2, y + h / 2] + matrix[:, 2]
    half = np.sqrt((linear * [w / 2, h / 2]) ** 2 @ [1.0, 1.0])
    return np.concatenate([centre - half, centre + half]).astype(np.float32)


def warp(image: Image, matrix: Matrix, size: int, background: Image) -> Image:
    """Map ``image`` into a copy of ``background`` (size x size x 3)."""
    (image,), matrix = averaged([image], matrix)
    canvas = background.copy()
    cv2.warpAffine(
        image, of_centres(matrix), (size, size), canvas, cv2.INTER_LINEAR, cv2.BORDER_TRANSPARENT
    )  # fmt: skip
    return canvas


def of_centres(matrix: Matrix) -> Matrix:
    """A map of points as a map of pixels: boxes cover [x, x + w), OpenCV names the middles."""
    shifted = matrix.copy()
    shifted[:, 2] += matrix[:, :2] @ [0.5, 0.5] - 0.5
    return shifted


def averaged(pictures: Sequence[NDArray[Any]], matrix: Matrix) -> tuple[list[NDArray[Any]], Matrix]:
    """Pictures of one size, and the map with which they are sampled, bilinear.

    What the map shrinks much is halved first, as the online tracker does it (``crop.cut``), but
    to no less than a pixel.
    """
    area = max(float(abs(np.linalg.det(matrix[:, :2]))), np.finfo(float).tiny)
    step = area**-0.5
    least = min(pictures[0].shape[:2])
    times = min(halvings(step, 1), least.bit_length() - 1)
    return [halved(p, times) for p in pictures], matrix @ np.diag([2.0**times, 2.0**times, 1.0])


def square_fill(image: Image, size: int, rng: Generator) -> Image:
    """A size x size piece of another picture, to stand where a picture ends."""
    height, width = image.shape[:2]
    side = int(min(height, width) * rng.uniform(0.5, 1.0))
    side = min(max(side, 2), height, width)
    top, left = rng.integers(0, height - side + 1), rng.integers(0, width - side + 1)
    piece = image[top : top + side, left : left + side]
    return np.asarray(cv2.resize(piece, (size, size)), dtype=np.uint8)


def exemplar_side(box: NDArray[np.float32]) -> float:
    """Pixels of the picture that the exemplar crop shows."""
    return context_side(float(box[2]), float(box[3]))
