"""The arrays that go to and fro; pictures that a caller hands over are checked; compression."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]
"""(H, W, 3) uint8 BGR; crops for a network are (B, S, S, 3)."""

Array = NDArray[np.float32]
"""What a network answers and what is reckoned from it: embeddings, scores, boxes, identities."""


def jpeg(image: Image, quality: int) -> Image:
    """What is left of a picture after compression; ``quality`` of 100."""
    import cv2

    code = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    return np.asarray(cv2.imdecode(code, cv2.IMREAD_COLOR), dtype=np.uint8)


def check_image(image: Any) -> Image:
    """Return ``image`` as an HxWx3 uint8 array, without a copy where it is one already.

    Raises:
        ValueError: not a numpy array, not HxWx3, not uint8, or empty; the message names
            what was found.
    """
    if not isinstance(image, np.ndarray):
        raise ValueError(
            f"an image is a numpy array of HxWx3 uint8 BGR, found {type(image).__name__}"
        )
    if image.ndim != 3 or image.shape[2] != 3 or 0 in image.shape or image.dtype != np.uint8:
        raise ValueError(
            "an image is a non-empty HxWx3 uint8 BGR array, found "
            f"shape {image.shape} of {image.dtype}"
        )
    return image
