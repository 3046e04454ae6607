"""Targets that leave and return: VOT-LT precision, recall and F; and honesty about absence.

Lukezic et al., "Now you see me: evaluating performance in long-term visual tracking", 2018,
and the VOT toolkit's ``longterm`` analyses: thresholds on the tracker's score are shared by
all sequences; precision is the mean overlap of the frames that are claimed, recall the sum
of those overlaps over the number of frames with the target; both are averaged over
sequences before F is taken, and the threshold with the best F is reported.

The first frame is given and is left out here; the toolkit counts it with overlap and score 0.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tracker.evaluation.metrics import present_frames
from tracker.evaluation.vot import bounded_overlaps
from tracker.geometry import FloatArray, iou
from tracker.results import State

RESOLUTION = 100
FOUND_OVERLAP = 0.3
"""Overlap from which a target that came back counts as found again."""


@dataclass(frozen=True)
class LongTermTrack:
    """What the protocol needs of one sequence: (N,) overlaps and scores, (N,) target there."""

    overlaps: FloatArray
    scores: FloatArray
    present: NDArray[np.bool_]


def long_term_track(
    boxes: FloatArray, scores: FloatArray, truth: FloatArray, size: tuple[int, int] | None
) -> LongTermTrack:
    """Prepare a track: overlaps within the picture of ``size`` (width, height), frame 0 off."""
    overlaps = iou(boxes, truth) if size is None else bounded_overlaps(boxes, truth, size)
    return LongTermTrack(overlaps[1:], np.asarray(scores)[1:], present_frames(truth)[1:])


@dataclass(frozen=True)
class LongTermScore:
    """Precision, recall and F at the threshold with the best F."""

    precision: float
    recall: float
    f: float
    threshold: float


def score_thresholds(scores: FloatArray, resolution: int = RESOLUTION) -> FloatArray:
    """Thresholds at equal counts of scores, highest first, between +inf and -inf.

    As the toolkit's ``determine_thresholds``: scores that are NaN take no part.
    """
    ordered = np.sort(scores[~np.isnan(scores)])[::-1]
    if len(ordered) > resolution - 2:
        delta = len(ordered) // (resolution - 2)
        picks = np.linspace(delta, len(ordered) - delta, num=resolution - 2)
        ordered = ordered[np.minimum(np.round(picks).astype(int), len(ordered) - 1)]
    return np.concatenate([[np.inf], ordered, [-np.inf]])


def precision_recall(track: LongTermTrack, thresholds: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Tracking precision and recall at each threshold; with nothing claimed 1 and 0."""
    precision, recall = np.ones(len(thresholds)), np.zeros(len(thresholds))
    visible = int(track.present.sum())
    for index, threshold in enumerate(thresholds):
        claimed = track.scores >= threshold
        if claimed.any():
            precision[index] = track.overlaps[claimed].mean()
            recall[index] = track.overlaps[claimed].sum() / visible if visible else 0.0
    return precision, recall


def long_term_score(tracks: Sequence[LongTermTrack]) -> LongTermScore:
    """VOT-LT's figures over sequences.

    Raises:
        ValueError: no sequences.
    """
    if not tracks:
        raise ValueError("no sequence to score")
    thresholds = score_thresholds(np.concatenate([t.scores for t in tracks]))
    curves = [precision_recall(track, thresholds) for track in tracks]
    precision = np.mean([c[0] for c in curves], axis=0)
    recall = np.mean([c[1] for c in curves], axis=0)
    total = precision + recall
    f = np.divide(2 * precision * recall, total, out=np.zeros_like(total), where=total > 0)
    best = int(np.argmax(f))
    return LongTermScore(
        float(precision[best]), float(recall[best]), float(f[best]), float(thresholds[best])
    )


@dataclass(frozen=True)
class PresenceCounts:
    """How honest the states are; counts add up over sequences with ``+``.

    Attributes:
        absent, present: frames (the first left out) without and with the target.
        lost_absent, lost_present: of these, frames with state ``lost``.
        returns: times that the target came back.
        delays: for each return that was noticed, frames until it was found again
            (0: in its very first frame). Found: not ``lost``, and overlap above .3.
    """

    absent: int = 0
    present: int = 0
    lost_absent: int = 0
    lost_present: int = 0
    returns: int = 0
    delays: tuple[int, ...] = ()

    def __add__(self, other: PresenceCounts) -> PresenceCounts:
        return PresenceCounts(
            self.absent + other.absent,
            self.present + other.present,
            self.lost_absent + other.lost_absent,
            self.lost_present + other.lost_present,
            self.returns + other.returns,
            self.delays + other.delays,
        )

    @property
    def said_when_gone(self) -> float:
        """Share of frames without the target in which ``lost`` is said; NaN without such."""
        return self.lost_absent / self.absent if self.absent else math.nan

    @property
    def said_when_there(self) -> float:
        """Share of frames with the target in which ``lost`` is said."""
        return self.lost_present / self.present if self.present else math.nan

    @property
    def found_again(self) -> int:
        """Number of returns after which the target was found before it left again."""
        return len(self.delays)

    @property
    def median_delay(self) -> float:
        """Median number of frames until found again, of the returns that were; NaN if none."""
        return float(np.median(self.delays)) if self.delays else math.nan


def presence(boxes: FloatArray, states: Sequence[str], truth: FloatArray) -> PresenceCounts:
    """Judge the states of one track; ``states`` are the values of ``State``."""
    there = present_frames(truth)
    lost = np.array([state == State.LOST.value for state in states], dtype=bool)
    found = ~lost & (iou(boxes, truth) > FOUND_OVERLAP)
    returns = [i for i in range(1, len(there)) if there[i] and not there[i - 1]]
    delays = []
    for start in returns:
        leaves = np.flatnonzero(~there[start:])
        stop = start + int(leaves[0]) if len(leaves) else len(there)
        hits = np.flatnonzero(found[start:stop])
        if len(hits):
            delays.append(int(hits[0]))
    return PresenceCounts(
        absent=int((~there[1:]).sum()),
        present=int(there[1:].sum()),
        lost_absent=int((lost & ~there)[1:].sum()),
        lost_present=int((lost & there)[1:].sum()),
        returns=len(returns),
        delays=tuple(delays),
    )
