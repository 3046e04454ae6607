"""One-pass evaluation: success, precision and normalised precision of one track.

Success plot and precision plot: Wu, Lim, Yang, "Object Tracking Benchmark", PAMI 2015.
Normalised precision: Mueller et al., "TrackingNet", ECCV 2018, as the mean over thresholds from 0
to .5. Tables of LaSOT (Fan et al. 2019) have the value of the same curve at .20.

Rules, as the public toolkits have them (where they differ, as GOT-10k's has them for OTB and
UAV123):

- Frames whose truth is absent (NaN) are left out; what the tracker says there is judged by
  ``longterm`` instead. The Matlab toolkits of UAV123 and LaSOT divide by the number of all
  frames, so that every absent frame is a miss whatever the tracker says; figures that were
  published with them are to be compared with those times ``present_share``.
- The first frame, which is given, counts as any other frame.
- Overlap must be strictly above a threshold; a distance may equal it.
- A tracker's box counts also where it says that the target is lost.
- Means over a data set are means over sequences, so long clips weigh no more than short ones.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tracker.geometry import FloatArray, iou

OVERLAP_THRESHOLDS = np.arange(21) / 20
"""0, .05, ..., 1: divided, not accumulated, so that 0.15 is the nearest double to 0.15."""
DISTANCE_THRESHOLDS = np.arange(51.0)
"""0, 1, ..., 50 pixels."""
NORMALISED_THRESHOLDS = np.arange(51) / 100
"""0, .01, ..., .5 of the target's size."""
PRECISION_PIXELS = 20
NORMALISED_PLACE = 20
"""Of .20 among ``NORMALISED_THRESHOLDS``, which tables of LaSOT have."""


@dataclass(frozen=True)
class OnePass:
    """Scores of one track, or their mean over sequences.

    Attributes:
        success: (21,) share of frames with overlap above each threshold.
        precision: (51,) share of frames whose centre error is within each distance.
        normalised: (51,) likewise for the error in units of the target's width and height.
        frames: number of frames that were scored.
        absent: number of frames without the target, which were left out.
    """

    success: FloatArray
    precision: FloatArray
    normalised: FloatArray
    frames: int
    absent: int = 0

    @property
    def auc(self) -> float:
        """Area under the success curve, as the mean over its 21 thresholds."""
        return float(self.success.mean())

    @property
    def present_share(self) -> float:
        """What a score of one track is multiplied by so that absent frames are misses."""
        return self.frames / (self.frames + self.absent)

    @property
    def precision20(self) -> float:
        """Share of frames whose centre is within 20 pixels."""
        return float(self.precision[PRECISION_PIXELS])

    @property
    def normalised_precision20(self) -> float:
        """Share of frames whose centre is within .20 of the target's size, as LaSOT tells it."""
        return float(self.normalised[NORMALISED_PLACE])

    @property
    def normalised_precision(self) -> float:
        """As TrackingNet tells it: area under the curve, 0 to .5, as the mean of its thresholds."""
        return float(self.normalised.mean())


def one_pass(boxes: FloatArray, truth: FloatArray) -> OnePass:
    """Score a track against its truth.

    Args:
        boxes: (N, 4) tracker's boxes; NaN where it gave none (a miss).
        truth: (N, 4) boxes; NaN where the target is absent.

    Raises:
        ValueError: different lengths, or no frame with truth.
    """
    present = present_frames(truth)
    if len(boxes) != len(truth):
        raise ValueError(f"{len(boxes)} boxes for {len(truth)} frames of truth")
    if not present.any():
        raise ValueError("the truth has no frame with the target in it")
    boxes, truth = boxes[present], truth[present]
    overlaps = iou(boxes, truth)
    error = centre_errors(boxes, truth)
    normalised = normalised_errors(boxes, truth)
    return OnePass(
        success=_share(overlaps[:, None] > OVERLAP_THRESHOLDS),
        precision=_share(error[:, None] <= DISTANCE_THRESHOLDS),
        normalised=_share(normalised[:, None] <= NORMALISED_THRESHOLDS),
        frames=int(present.sum()),
        absent=int((~present).sum()),
    )


def mean_one_pass(scores: list[OnePass]) -> OnePass:
    """Mean over sequences, each with the same weight."""
    if not scores:
        raise ValueError("no sequence to take a mean of")
    return OnePass(
        success=np.mean([s.success for s in scores], axis=0),
        precision=np.mean([s.precision for s in scores], axis=0),
        normalised=np.mean([s.normalised for s in scores], axis=0),
        frames=sum(s.frames for s in scores),
        absent=sum(s.absent for s in scores),
    )


def present_frames(truth: FloatArray) -> NDArray[np.bool_]:
    """(N,) True where the truth has a box."""
    return np.asarray(np.isfinite(truth).all(axis=1))


def centre_errors(boxes: FloatArray, truth: FloatArray) -> FloatArray:
    """(N,) distance of the centres in pixels; infinite where a box is not finite."""
    return _norm(_centres(boxes) - _centres(truth))


def normalised_errors(boxes: FloatArray, truth: FloatArray) -> FloatArray:
    """(N,) distance of the centres in units of the truth's width and height (at least 1 px)."""
    return _norm((_centres(boxes) - _centres(truth)) / np.maximum(truth[:, 2:], 1.0))


def _centres(boxes: FloatArray) -> FloatArray:
    return boxes[:, :2] + boxes[:, 2:] / 2


def _norm(offsets: FloatArray) -> FloatArray:
    lengths = np.hypot(offsets[:, 0], offsets[:, 1])
    return np.where(np.isfinite(lengths), lengths, np.inf)


def _share(hits: NDArray[np.bool_]) -> FloatArray:
    share: FloatArray = hits.mean(axis=0)
    return share
