"""Objects cut out of one picture and put into another: distractors, occluders, targets."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from tracker.image import Image
from tracker.training.crops import Jitter, Matrix, averaged, crop_matrix, map_box, of_centres
from tracker.training.tracks import Track, read_cutout, track_image

Mask = NDArray[np.float32]
Corners = NDArray[np.float32]

PLACES = 8  # that are tried for what stands beside a target


def masked_picture(track: Track, frame: int) -> tuple[Image, Mask]:
    """A frame of a track, (H, W, 3), and where the object is in it: (H, W) in 0..1.

    Its transparency says so where it has one, else ``object_mask``.
    """
    if not track.cutout:
        image = track_image(track, frame)
        return image, object_mask(track, frame, image.shape[:2])
    view = read_cutout(track.frames[frame])
    alpha = opacity(view)
    return _bled(view[:, :, :3], alpha), alpha


def opacity(view: Image) -> Mask:
    """(H, W) float32 in 0..1: the alpha channel of a BGRA picture."""
    alpha: Mask = view[:, :, 3].astype(np.float32) / np.float32(255)
    return alpha


def _bled(colour: Image, alpha: Mask) -> Image:
    """Colours that go on beyond the object's edge: what is transparent may be of any colour."""
    weighed = colour * alpha[:, :, None]
    mean = weighed.sum((0, 1)) / max(float(alpha.sum()), 1.0)  # far from the object
    spread = cv2.GaussianBlur(alpha, (0, 0), 2.0)[:, :, None]
    near = (cv2.GaussianBlur(weighed, (0, 0), 2.0) + 0.01 * mean) / (spread + 0.01)
    opaque = alpha[:, :, None] > 0.99
    return np.clip(np.where(opaque, colour, near), 0, 255).astype(np.uint8)


def object_mask(track: Track, frame: int, shape: tuple[int, int]) -> Mask:
    """Where the object is in its picture: its polygons, else an ellipse in its box.

    Returns:
        (H, W) float32 in 0..1 with a soft edge.
    """
    mask = np.zeros(shape, np.uint8)
    if track.polygons:
        cv2.fillPoly(mask, [np.round(p).astype(np.int32) for p in track.polygons], 255)
        soft = 0.8
    else:
        x, y, w, h = (float(v) for v in track.boxes[frame])
        # sixteenths of a pixel; whole numbers name the middles of pixels
        centre = round(16 * (x + w / 2 - 0.5)), round(16 * (y + h / 2 - 0.5))
        axes = round(16 * (w / 2 - 0.5)), round(16 * (h / 2 - 0.5))
        cv2.ellipse(mask, centre, axes, 0, 0, 360, 255, -1, cv2.LINE_8, 4)
        soft = max(1.0, min(w, h) / 24)
    softened: Mask = cv2.GaussianBlur(mask, (0, 0), soft).astype(np.float32) / np.float32(255)
    return softened


def paste(canvas: Image, image: Image, mask: Mask, matrix: Matrix) -> tuple[Image, Mask]:
    """Put the masked object of ``image`` onto ``canvas`` after an affine map.

    Returns:
        The new picture, and the (H, W) share of each pixel that the object now covers.
    """
    size = (canvas.shape[1], canvas.shape[0])
    (image, mask), matrix = averaged([image, mask], matrix)
    matrix = of_centres(matrix)
    moved = cv2.warpAffine(image, matrix, size, flags=cv2.INTER_LINEAR)
    alpha = cv2.warpAffine(mask, matrix, size, flags=cv2.INTER_LINEAR)
    blend = canvas + (moved.astype(np.float32) - canvas) * alpha[:, :, None]
    return np.clip(blend, 0, 255).astype(np.uint8), np.asarray(alpha, dtype=np.float32)


def mask_corners(alpha: Mask) -> Corners | None:
    """Corner box of what a mask covers by more than half, ``None`` if that is nothing."""
    ys, xs = np.nonzero(alpha > 0.5)
    if len(xs) == 0:
        return None
    return np.array([xs.min(), ys.min(), xs.max() + 1, ys.max() + 1], np.float32)


def beside(
    box: NDArray[np.float32],
    target: Corners,
    size: int,
    rng: Generator,
    covered: float = 0.1,
) -> Matrix | None:
    """A map that puts an object of ``box`` near a target without hiding it.

    The object is made as large as the target, give or take a third.

    Args:
        covered: largest share of the target's box that may be covered.

    Returns:
        ``None`` when no such place was found.
    """
    w, h = target[2] - target[0], target[3] - target[1]
    factor = float(np.sqrt(w * h / (box[2] * box[3])) * np.exp(rng.uniform(-0.35, 0.35)))
    for _ in range(PLACES):
        matrix = crop_matrix(
            box, size, size / factor, Jitter(0, 0, 0.1, 12), rng, rng.random() < 0.5
        )
        reach = 0.5 * (w + h)
        near, far = (0.7, 2.2) if covered <= 0.1 else (0.25, 0.9)
        angle, distance = rng.uniform(0, 2 * np.pi), rng.uniform(near, far) * reach
        middle = np.array([target[0] + target[2], target[1] + target[3]]) / 2
        goal = middle + distance * np.array([np.cos(angle), np.sin(angle)])
        matrix[:, 2] += goal - size / 2
        placed = map_box(matrix, box)
        inside = np.minimum(placed[2:], size) - np.maximum(placed[:2], 0)
        overlap = np.minimum(placed[2:], target[2:]) - np.maximum(placed[:2], target[:2])
        if (inside > 6).all() and np.clip(overlap, 0, None).prod() < covered * w * h:
            return matrix
    return None
