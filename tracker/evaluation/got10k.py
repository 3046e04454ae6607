"""GOT-10k: average overlap (AO) and success rates (SR) over frames.

Huang, Zhao, Huang, "GOT-10k", PAMI 2021, section 4.2, and its toolkit: the first frame is
dropped (it is given), boxes and truth are clipped to the picture, frames in which nothing
of the target is visible (cover 0) are dropped, and frames of all sequences are pooled.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tracker.evaluation.metrics import present_frames
from tracker.geometry import FloatArray, iou


@dataclass(frozen=True)
class Got10k:
    """AO, SR at .5 and .75, and the number of frames that were pooled."""

    ao: float
    sr50: float
    sr75: float
    frames: int


def frame_overlaps(
    boxes: FloatArray,
    truth: FloatArray,
    size: tuple[int, int],
    cover: ArrayLike | None = None,
) -> FloatArray:
    """Overlaps of the frames that count.

    Args:
        boxes, truth: (N, 4); frames without truth are dropped.
        size: (width, height) of the picture in pixels.
        cover: (N,) visible share of the target (0..8 in GOT-10k's files); frames with 0 are
            dropped as well.
    """
    visible: NDArray[np.bool_] = present_frames(truth)
    if cover is not None:
        visible = visible & (np.asarray(cover, dtype=np.float64) > 0)
    visible = visible.copy()
    visible[0] = False
    return iou(clip_to_picture(boxes, size), clip_to_picture(truth, size))[visible]


def clip_to_picture(boxes: FloatArray, size: tuple[int, int]) -> FloatArray:
    """(N, 4) clipped as the toolkit does: first the corner, then the size to what is left.

    A box that begins left of the picture keeps its width from the border on: this is not
    the intersection with the picture, but what the published scores were computed with.
    """
    limit = np.asarray(size, dtype=np.float64)
    corner = np.clip(boxes[:, :2], 0, limit)
    return np.concatenate([corner, np.clip(boxes[:, 2:], 0, limit - corner)], axis=1)


def summarise(overlaps: list[FloatArray]) -> Got10k:
    """Pool the overlaps of all sequences into AO, SR.50 and SR.75 (strictly above)."""
    pooled = np.concatenate(overlaps) if overlaps else np.zeros(0)
    if not len(pooled):
        raise ValueError("no frame to score: GOT-10k's protocol drops the first one")
    return Got10k(
        float(pooled.mean()),
        float((pooled > 0.5).mean()),
        float((pooled > 0.75).mean()),
        len(pooled),
    )
