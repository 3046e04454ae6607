"""VOT short-term: the anchor-based protocol of VOT2022, and the older one with resets.

Anchors: Kristan et al., "The Eighth Visual Object Tracking VOT2020 Challenge Results",
section 2, and the toolkit's ``multistart`` analyses, whose arithmetic is followed to the
letter. Resets: Kristan et al., "A Novel Performance Evaluation Methodology for Single-Target
Trackers", PAMI 2016, and the toolkit's ``supervised`` analyses.

Deviations, stated in docs/evaluation.md: overlaps are of real-valued boxes (and, of the truth,
corners) clipped to the picture, where the toolkit rounds to pixels first and knows masks; the frame
that starts a run is left out of the accuracy, where the toolkit counts it with overlap 0; and the
EAO of clips that are all shorter than VOT's ends where they do (``as_toolkit`` does neither of the
last two).
"""

from __future__ import annotations

import enum
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tracker.evaluation.metrics import present_frames
from tracker.geometry import (
    FloatArray,
    as_box,
    corners_to_xywh,
    cut_polygon,
    iou,
    polygon_area,
    xywh_to_corners,
)
from tracker.results import Box, State

ANCHOR_STEP = 50
GRACE = 10
FAILURE_OVERLAP = 0.1
EAO_LOW, EAO_HIGH = 115, 755
RESET_SKIP = 5
RESET_BURN_IN = 10
RESET_SENSITIVITY = 30.0


@dataclass(frozen=True)
class Anchor:
    """A start of the tracker: the frame, and whether the clip is then played backward."""

    frame: int
    backward: bool


def place_anchors(truth: FloatArray) -> list[Anchor]:
    """Anchors every ``ANCHOR_STEP`` frames, and on the last one; each runs along the longer part.

    An anchor without truth moves along its direction to the first frame with the target in
    it (VOT's own anchors were moved by hand); it is dropped when less than two frames remain.
    """
    present = present_frames(truth)
    last = len(truth) - 1
    wanted = sorted({*range(0, len(truth), ANCHOR_STEP), last})
    anchors = []
    for frame in wanted:
        backward = frame > last - frame
        path = range(frame, -1, -1) if backward else range(frame, len(truth))
        start = next((i for i in path if present[i]), None)
        if start is None:
            continue
        anchor = Anchor(start, backward)
        if len(anchor_frames(anchor, len(truth))) > 1 and anchor not in anchors:
            anchors.append(anchor)
    return anchors


def anchors_from_values(values: Iterable[float]) -> list[Anchor]:
    """Anchors as VOT's ``anchor.value`` has them: above 0 forward, below 0 backward."""
    values = list(values)
    forward = [Anchor(i, False) for i, v in enumerate(values) if v > 0]
    return forward + [Anchor(i, True) for i, v in enumerate(values) if v < 0]


def anchor_frames(anchor: Anchor, length: int) -> range:
    """The frames of a run in the order in which they are shown."""
    return range(anchor.frame, -1, -1) if anchor.backward else range(anchor.frame, length)


def bounded_overlaps(
    boxes: FloatArray,
    truth: FloatArray,
    size: tuple[int, int],
    corners: FloatArray | None = None,
) -> FloatArray:
    """(N,) overlap within the picture; 0 where either has nothing in it.

    Args:
        boxes, truth: (N, 4).
        size: (width, height) of the picture.
        corners: (N, 4, 2) convex outlines that the truth's boxes are around; they count instead.
    """
    boxes = _intersect_picture(boxes, size)
    if corners is None:
        return iou(boxes, _intersect_picture(truth, size))
    return np.array([_overlap(as_box(b), c, size) for b, c in zip(boxes, corners, strict=True)])


def _overlap(box: Box, corners: FloatArray, size: tuple[int, int]) -> float:
    if not (np.isfinite(box).all() and np.isfinite(corners).all() and box[2] > 0 and box[3] > 0):
        return 0.0
    shown = cut_polygon(corners, (0.0, 0.0, *size))
    shared = polygon_area(cut_polygon(shown, box))
    return shared / (box[2] * box[3] + polygon_area(shown) - shared)


@dataclass(frozen=True)
class AnchorRun:
    """What one run from an anchor comes to.

    Attributes:
        overlaps: (N,) along the run, the first for the frame that starts it.
        progress: number of frames before the failure, or N.
    """

    overlaps: FloatArray
    progress: int

    @property
    def failed(self) -> bool:
        return self.progress < len(self.overlaps)


def score_anchor_run(
    overlaps: FloatArray, present: NDArray[np.bool_], as_toolkit: bool = False
) -> AnchorRun:
    """Find the failure: 10 frames in a row with overlap of at most .1 while there is truth.

    Args:
        overlaps: (N,) in the order of the run.
        present: (N,) True where the truth has the target; absent frames end a bad spell,
            as in the toolkit.
        as_toolkit: count the starting frame with overlap 0.
    """
    overlaps = np.array(overlaps, dtype=np.float64)
    overlaps[0] = 0.0 if as_toolkit else 1.0
    grace = GRACE
    for index, overlap in enumerate(overlaps):
        if overlap <= FAILURE_OVERLAP and present[index]:
            grace -= 1
            if grace == 0:
                return AnchorRun(overlaps, index + 1 - GRACE)
        else:
            grace = GRACE
    return AnchorRun(overlaps, len(overlaps))


@dataclass(frozen=True)
class VotScore:
    """Accuracy, robustness (share of frames before failure) and expected average overlap."""

    accuracy: float
    robustness: float
    eao: float
    curve: FloatArray
    sequences: int


def summarise_anchors(
    sequences: Sequence[Sequence[AnchorRun]],
    lengths: Sequence[int],
    low: int = EAO_LOW,
    high: int = EAO_HIGH,
    as_toolkit: bool = False,
) -> VotScore:
    """Accuracy, robustness and EAO of all runs of all sequences.

    Accuracy of a sequence is weighted by its frames before failure, robustness by the
    length of the sequence (``lengths``), as the toolkit does. The EAO ends where the longest run
    does, and is NaN where that is before ``low``: of longer runs only those that failed would
    tell, and who never fails would have least.

    Raises:
        ValueError: no runs.
    """
    if not sequences or not all(sequences):
        raise ValueError("each sequence needs at least one anchor run")
    accuracy = robustness = tracked_total = 0.0
    skip = 0 if as_toolkit else 1
    for runs, length in zip(sequences, lengths, strict=True):
        tracked = sum(max(run.progress - skip, 0) for run in runs)
        accuracy += sum(float(run.overlaps[skip : run.progress].sum()) for run in runs)
        tracked_total += tracked
        progress = sum(run.progress for run in runs) / sum(len(run.overlaps) for run in runs)
        robustness += progress * length
    curve = eao_curve(sequences, high)
    longest = max(len(run.overlaps) for runs in sequences for run in runs)
    window = curve[low : high + 1 if as_toolkit else min(high + 1, longest)]
    return VotScore(
        accuracy=accuracy / tracked_total if tracked_total else 0.0,
        robustness=robustness / sum(lengths),
        eao=float(window.mean()) if len(window) else math.nan,
        curve=curve,
        sequences=len(sequences),
    )


def eao_curve(sequences: Sequence[Sequence[AnchorRun]], high: int = EAO_HIGH) -> FloatArray:
    """(high,) expected average overlap of a run of 0 .. high - 1 frames after its start.

    A run that ended well tells nothing of longer runs and drops out there; one that failed
    goes on with overlap 0. Where a failed run is over, the toolkit divides its sum by one
    frame less than the length; its figures are compared with, so this does as well.
    """
    total, weight = np.zeros(high), np.zeros(high)
    frames = np.arange(1, high)
    for runs in sequences:
        for run in runs:
            overlaps = run.overlaps.copy()
            overlaps[run.progress :] = 0.0
            sums = np.cumsum(overlaps[1:])[: high - 1]
            within = len(sums)
            total[1 : within + 1] += sums / frames[:within]
            weight[1 : within + 1] += 1
            if run.failed:
                total[within + 1 :] += sums[-1] / (frames[within:] - 1)
                weight[within + 1 :] += 1
    return np.divide(total, weight, out=np.zeros(high), where=weight > 0)


class Code(enum.IntEnum):
    """What a frame of a run with resets is: as VOT's files number it, and 3 where they have a box.

    The name in small letters stands in our result files, in the place of a tracker's state.
    """

    SKIPPED = 0
    INITIALISED = 1
    FAILED = 2
    TRACKED = 3

    @property
    def state(self) -> str:
        return self.name.lower()

    @classmethod
    def of(cls, state: str) -> Code:
        """The code of a frame of a result file; ValueError if the file can have no such state."""
        for code in (cls.SKIPPED, cls.INITIALISED, cls.FAILED):
            if state == code.state:
                return code
        State(state)
        return cls.TRACKED


SKIPPED, INITIALISED, FAILED, TRACKED = Code


@dataclass(frozen=True)
class ResetRun:
    """A run with resets.

    Attributes:
        overlaps: (N,) of each frame.
        codes: (N,) of ``Code``.
    """

    overlaps: FloatArray
    codes: NDArray[np.int64]


@dataclass(frozen=True)
class ResetScore:
    """Accuracy (burn-in left out), failures per sequence, exp(-30 failures / frames), EAO."""

    accuracy: float
    failures: float
    reliability: float
    eao: float
    sequences: int


def summarise_resets(runs: Sequence[ResetRun], low: int = 100, high: int = 356) -> ResetScore:
    """Scores of the supervised protocol; means over sequences are weighted by length.

    ``low`` and ``high`` bound the EAO: 100 to 356 is VOT2018's choice.
    """
    if not runs:
        raise ValueError("no sequence to score")
    lengths = np.array([len(run.codes) for run in runs], dtype=np.float64)
    accuracies = np.array([_burnt_in_accuracy(run) for run in runs])
    failures = np.array([np.sum(run.codes == FAILED) for run in runs], dtype=np.float64)
    mean_failures = float((failures * lengths).sum() / lengths.sum())
    return ResetScore(
        accuracy=float((accuracies * lengths).sum() / lengths.sum()),
        failures=mean_failures,
        reliability=math.exp(-RESET_SENSITIVITY * mean_failures / float(lengths.mean())),
        eao=_reset_eao(runs, low, high),
        sequences=len(runs),
    )


def _burnt_in_accuracy(run: ResetRun) -> float:
    counts = run.codes == TRACKED
    for start in np.flatnonzero(run.codes == INITIALISED):
        counts[start : start + RESET_BURN_IN] = False
    return float(run.overlaps[counts].mean()) if counts.any() else 0.0


def _reset_eao(runs: Sequence[ResetRun], low: int, high: int) -> float:
    """Mean of the EAO curve over low..high, cut where the longest fragment ends."""
    fragments = [fragment for run in runs for fragment in _fragments(run)]
    length = max(len(overlaps) for overlaps, _ in fragments)
    total, weight = np.zeros(length), np.zeros(length)
    for overlaps, failed in fragments:
        filled = np.zeros(length)
        filled[: len(overlaps)] = overlaps
        reach = length if failed else len(overlaps)
        means = np.cumsum(filled[1:reach]) / np.arange(1, reach)
        total[1:reach] += means
        weight[1:reach] += 1
    curve = np.divide(total, weight, out=np.zeros(length), where=weight > 0)
    window = curve[low : high + 1]
    return float(window.mean()) if len(window) else math.nan


def _fragments(run: ResetRun) -> Iterable[tuple[FloatArray, bool]]:
    """Overlaps from each start to the next failure, or to the end; whether it was a failure."""
    starts = np.flatnonzero(run.codes == INITIALISED)
    failures = np.flatnonzero(run.codes == FAILED)
    for index, start in enumerate(starts):
        failed = index < len(failures)
        part = slice(start, failures[index] if failed else None)
        # what is left out inside of a fragment are frames without the target
        yield run.overlaps[part][run.codes[part] != SKIPPED], failed


def _intersect_picture(boxes: FloatArray, size: tuple[int, int]) -> FloatArray:
    limit = np.array([*size, *size], dtype=np.float64)
    return corners_to_xywh(np.clip(xywh_to_corners(boxes), 0, limit))
