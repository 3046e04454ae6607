"""Changes of appearance: what time, light and cameras do to a picture."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
from numpy.random import Generator

from tracker.image import Image, jpeg


def colour(image: Image, rng: Generator, strength: float = 1.0) -> Image:
    """Random gain a channel, contrast, brightness and saturation."""
    gain = 1 + strength * rng.uniform(-0.12, 0.12, 3)
    contrast = 1 + strength * rng.uniform(-0.35, 0.35)
    brightness = strength * rng.uniform(-35, 35)
    saturation = 1 + strength * rng.uniform(-0.5, 0.5)
    # One affine map of the three channels does it all: mix each with the grey value,
    # scale, and shift around the middle of the range.
    grey = np.array([0.114, 0.587, 0.299])
    mix = saturation * np.eye(3) + (1 - saturation) * np.tile(grey, (3, 1))
    matrix = contrast * gain[:, None] * mix
    offset = np.full((3, 1), 127 * (1 - contrast) + brightness)
    changed = cv2.transform(image, np.hstack([matrix, offset]))
    return np.asarray(changed, dtype=np.uint8)


def grey(image: Image) -> Image:
    """The picture without colour, still in three channels."""
    return np.asarray(
        cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY), cv2.COLOR_GRAY2BGR), dtype=np.uint8
    )


def far(rng: Generator) -> Callable[[Image], Image]:
    """A change to as few pixels as a far target has, the same for all pictures it is used on.

    Half of them are compressed at that size, as a video is: of a far target a block of the
    codec covers much.
    """
    factor = float(np.exp(rng.uniform(np.log(0.15), np.log(0.6))))
    quality = int(rng.integers(30, 90)) if rng.random() < 0.5 else None

    def change(image: Image) -> Image:
        height, width = image.shape[:2]
        small = cv2.resize(image, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)
        if quality is not None:
            small = jpeg(np.asarray(small, dtype=np.uint8), quality)
        return np.asarray(cv2.resize(small, (width, height)), dtype=np.uint8)

    return change


def blur(image: Image, rng: Generator) -> Image:
    """Motion blur along a random direction, or a Gaussian blur."""
    if rng.random() < 0.4:
        return np.asarray(cv2.GaussianBlur(image, (0, 0), rng.uniform(0.5, 2.2)), dtype=np.uint8)
    size = int(rng.integers(2, 8)) * 2 + 1
    kernel = np.zeros((size, size), np.float32)
    angle, centre = rng.uniform(0, np.pi), size // 2
    dx, dy = centre * np.cos(angle), centre * np.sin(angle)
    ends = [(round(centre + s * dx), round(centre + s * dy)) for s in (-1, 1)]
    cv2.line(kernel, ends[0], ends[1], 1.0)
    return np.asarray(cv2.filter2D(image, -1, kernel / kernel.sum()), dtype=np.uint8)


def compress(image: Image, rng: Generator) -> Image:
    """JPEG artefacts, or the loss of resolution of a far target."""
    if rng.random() < 0.5:
        return jpeg(image, int(rng.integers(20, 70)))
    height, width = image.shape[:2]
    factor = rng.uniform(0.25, 0.6)
    small = cv2.resize(image, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.resize(small, (width, height)), dtype=np.uint8)


def noise(image: Image, rng: Generator) -> Image:
    """Sensor noise."""
    sigma = rng.uniform(3, 14)
    grain = rng.standard_normal(image.shape, dtype=np.float32) * sigma
    return np.clip(image + grain, 0, 255).astype(np.uint8)


def change_appearance(image: Image, rng: Generator, strength: float = 1.0) -> Image:
    """A random selection of the above, each with its own odds times ``strength``."""
    if rng.random() < 0.8 * strength:
        image = colour(image, rng, strength)
    if rng.random() < 0.2 * strength:
        image = blur(image, rng)
    if rng.random() < 0.2 * strength:
        image = compress(image, rng)
    if rng.random() < 0.1 * strength:
        image = noise(image, rng)
    return image
