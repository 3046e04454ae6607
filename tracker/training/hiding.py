"""What passes in front of a target, and how much of the target it leaves to be seen."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.random import Generator

from tracker.image import Image
from tracker.training.crops import Jitter, crop_matrix
from tracker.training.cutout import Corners, Mask, masked_picture, paste
from tracker.training.tracks import Track

# What is left of a target: enough to say where it ends and who it is, or not enough to find it.
KNOWN, GONE = 0.5, 0.125


def hide_behind_pillar(
    canvas: Image, target: Corners, front: Image, rng: Generator
) -> tuple[Image, float]:
    """Put a pillar or a beam before some or all of a target.

    Args:
        canvas: uint8 (S, S, 3) crop.
        target: corners of the target in crop pixels.
        front: uint8 (S, S, 3), what the pillar shows.

    Returns:
        The new picture, and the share of the target's box that can still be seen.
    """
    middle, half = target.reshape(2, 2).mean(0), (target[2:] - target[:2]) / 2
    across = int(rng.integers(2))  # the axis along which the target passes behind it
    low, high = middle - half * rng.uniform(0.8, 2.5, 2), middle + half * rng.uniform(0.8, 2.5, 2)
    thick = 2 * half[across] * rng.uniform(0.5, 1.7)
    low[across] = middle[across] + half[across] * rng.uniform(-1, 1) - thick / 2
    high[across] = low[across] + thick
    mask = np.zeros(canvas.shape[:2], np.uint8)
    (x1, y1), (x2, y2) = np.round(low).astype(int), np.round(high).astype(int)
    mask[max(y1, 0) : max(y2, 0), max(x1, 0) : max(x2, 0)] = 255
    soft: Mask = cv2.GaussianBlur(mask, (0, 0), rng.uniform(0.5, 2.0)).astype(np.float32)
    soft = soft / np.float32(255)
    blend = canvas + (front.astype(np.float32) - canvas) * soft[:, :, None]
    return np.clip(blend, 0, 255).astype(np.uint8), visible_share(soft, target)


def hide_behind_object(
    canvas: Image, target: Corners, track: Track, rng: Generator
) -> tuple[Image, float]:
    """Put an object with an outline before some or all of a target, as large or up to twice.

    Args:
        canvas, target: as of ``hide_behind_pillar``.
        track: of the object; it has polygons or transparent pictures.

    Returns:
        As ``hide_behind_pillar``.
    """
    frame = int(rng.choice(track.present))
    box, size = track.boxes[frame], canvas.shape[0]
    middle, span = target.reshape(2, 2).mean(0), target[2:] - target[:2]
    factor = float(np.sqrt(span.prod() / (box[2] * box[3])) * np.exp(rng.uniform(0.0, 0.7)))
    matrix = crop_matrix(box, size, size / factor, Jitter(0, 0, 0.1, 12), rng, rng.random() < 0.5)
    matrix[:, 2] += middle + rng.uniform(-0.6, 0.6, 2) * span - size / 2
    image, mask = masked_picture(track, frame)
    canvas, alpha = paste(canvas, image, mask, matrix)
    return canvas, visible_share(alpha, target)


def part_of(target: Corners, size: int, rng: Generator) -> tuple[int, int, int, int]:
    """Corners of a rectangle that hides up to a half of a target in a crop of ``size`` pixels."""
    x1, y1, x2, y2 = target
    w, h = rng.uniform(0.25, 0.7) * (x2 - x1), rng.uniform(0.25, 0.7) * (y2 - y1)
    left, top = rng.uniform(x1 - w / 2, x2 - w / 2), rng.uniform(y1 - h / 2, y2 - h / 2)
    a, b = max(int(left), 0), max(int(top), 0)
    return a, b, min(int(left + w), size), min(int(top + h), size)


def elsewhere(canvas: Image) -> Image:
    """The same scene from another place: what stands in the middle goes to the corners."""
    return np.roll(canvas, (canvas.shape[0] // 2, canvas.shape[1] // 2), (0, 1))


def visible_share(cover: Mask, target: Corners) -> float:
    """Share of a target's box, as far as it lies in the crop, that a cover (H, W) leaves open."""
    (x1, y1), (x2, y2) = np.floor(target[:2]).astype(int), np.ceil(target[2:]).astype(int)
    part = cover[max(y1, 0) : max(y2, 0), max(x1, 0) : max(x2, 0)]
    return 1.0 - float(part.mean()) if part.size else 1.0
