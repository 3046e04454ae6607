"""From tracks to figures: by data set and by sequence, with intervals and comparisons."""

from __future__ import annotations

import math
from collections.abc import Mapping
from collections.abc import Sequence as SequenceOf
from dataclasses import dataclass, field
from statistics import fmean
from typing import Any

import numpy as np

from tracker.data.datasets import Sequence
from tracker.evaluation import got10k
from tracker.evaluation.attributes import (
    frame_attributes,
    scores_by_attribute,
    sequence_attributes,
)
from tracker.evaluation.bootstrap import Interval, mean_interval, paired_difference, verdict
from tracker.evaluation.longterm import (
    LongTermScore,
    LongTermTrack,
    PresenceCounts,
    long_term_score,
    long_term_track,
    presence,
)
from tracker.evaluation.metrics import OnePass, mean_one_pass, one_pass, present_frames
from tracker.evaluation.results_io import Track
from tracker.evaluation.tables import plain
from tracker.evaluation.vot import FAILURE_OVERLAP
from tracker.geometry import FloatArray, iou
from tracker.results import State


@dataclass(frozen=True)
class SequenceScore:
    """All that is known of one tracker on one sequence.

    Attributes:
        overlaps: (N,) per frame, NaN where the target is absent.
        workers: processes that ran side by side when its time was taken.
    """

    sequence: Sequence
    track: Track
    one_pass: OnePass
    overlaps: FloatArray
    got10k: FloatArray
    long_term: LongTermTrack
    presence: PresenceCounts
    workers: int = 1

    @property
    def has_absence(self) -> bool:
        return self.presence.absent > 0

    @property
    def misled(self) -> float:
        """Share of frames with truth in which the box is elsewhere and ``tracking`` is said."""
        sure = np.array([state == State.TRACKING.value for state in self.track.states])
        judged = np.isfinite(self.overlaps)
        return float((sure & (self.overlaps <= FAILURE_OVERLAP)).sum() / max(judged.sum(), 1))


def score_sequence(
    sequence: Sequence, track: Track, size: tuple[int, int], workers: int = 1
) -> SequenceScore:
    """Score a one-pass track; a shortened track is scored on its own frames."""
    truth = sequence.truth[: len(track.boxes)]
    cover = None if sequence.cover is None else sequence.cover[: len(truth)]
    overlaps = np.where(present_frames(truth), iou(track.boxes, truth), np.nan)
    return SequenceScore(
        sequence,
        track,
        one_pass(track.boxes, truth),
        overlaps,
        got10k.frame_overlaps(track.boxes, truth, size, cover),
        long_term_track(track.boxes, track.scores, truth, size),
        presence(track.boxes, track.states, truth),
        workers,
    )


@dataclass(frozen=True)
class DatasetScore:
    """A tracker's means over the sequences of a data set.

    Attributes:
        sequences: number scored; ``expected`` is how many there are.
        auc, precision, normalised, normalised20: means with bootstrap intervals.
        with_absence: means of ``auc``, ``precision`` and ``normalised20`` with absent frames as
            misses, as some toolkits count.
        misled: mean share of frames in which ``tracking`` is said of a box that is elsewhere.
        fps: updates per second, all frames of all sequences over the sum of their times.
        long_term: VOT-LT figures on the sequences with absent frames, or ``None``.
    """

    sequences: int
    expected: int
    mean: OnePass
    auc: Interval
    precision: Interval
    normalised: Interval
    normalised20: Interval
    with_absence: Mapping[str, float]
    misled: float
    fps: float
    got10k: got10k.Got10k | None
    long_term: LongTermScore | None
    presence: PresenceCounts


@dataclass(frozen=True)
class Comparison:
    """The first tracker against another on the sequences that both have."""

    dataset: str
    tracker: str
    opponent: str
    difference: Interval
    sequences: int

    @property
    def decided(self) -> bool:
        """Whether it may be called a win or a defeat."""
        return self.verdict in ("better", "worse")

    @property
    def verdict(self) -> str:
        return verdict(self.difference, self.sequences)


@dataclass(frozen=True)
class Summary:
    """Everything that the table, the json and the report show.

    Attributes:
        scores: tracker -> sequence key -> score; trackers in the order of the command line.
        datasets: data set -> tracker -> means.
        attributes: sequence key -> names.
        by_attribute: tracker -> attribute -> (mean AUC, number of sequences).
        problems: sentences on what was skipped or failed.
    """

    scores: Mapping[str, Mapping[str, SequenceScore]]
    datasets: Mapping[str, Mapping[str, DatasetScore]]
    comparisons: SequenceOf[Comparison]
    attributes: Mapping[str, list[str]]
    by_attribute: Mapping[str, Mapping[str, tuple[float, int]]]
    problems: SequenceOf[str] = field(default_factory=tuple)

    @property
    def trackers(self) -> list[str]:
        return list(self.scores)


def summarise(
    scores: Mapping[str, Mapping[str, SequenceScore]],
    expected: Mapping[str, int],
    sizes: Mapping[str, tuple[int, int]],
    problems: SequenceOf[str] = (),
) -> Summary:
    """Means, intervals and comparisons.

    Args:
        scores: tracker -> sequence key -> score.
        expected: data set -> number of its sequences.
        sizes: sequence key -> (width, height), for the attributes.
    """
    scores = {tracker: found for tracker, found in scores.items() if found}
    sequences = {key: s.sequence for found in scores.values() for key, s in found.items()}
    attributes = {
        key: sequence_attributes(frame_attributes(s.truth, sizes.get(key), s.tags), s.stated)
        for key, s in sorted(sequences.items())
    }
    return Summary(
        scores,
        {name: _dataset_scores(name, count, scores) for name, count in expected.items()},
        [c for name in expected for c in _comparisons(name, scores)],
        attributes,
        {
            tracker: scores_by_attribute({k: s.one_pass.auc for k, s in found.items()}, attributes)
            for tracker, found in scores.items()
        },
        tuple(problems),
    )


def _dataset_scores(
    dataset: str, expected: int, scores: Mapping[str, Mapping[str, SequenceScore]]
) -> dict[str, DatasetScore]:
    found = {}
    for tracker, by_key in scores.items():
        mine = _of_dataset(dataset, by_key)
        if mine:
            found[tracker] = _dataset_score(mine, expected)
    return found


def _dataset_score(scores: list[SequenceScore], expected: int) -> DatasetScore:
    passes = [s.one_pass for s in scores]
    leaving = [s for s in scores if s.has_absence]
    overlaps = [s.got10k for s in scores if len(s.got10k)]
    updates = sum(len(s.track.seconds) - 1 for s in scores)
    seconds = math.fsum(float(s.track.seconds[1:].sum()) for s in scores)
    return DatasetScore(
        sequences=len(scores),
        expected=expected,
        mean=mean_one_pass(passes),
        auc=mean_interval([p.auc for p in passes]),
        precision=mean_interval([p.precision20 for p in passes]),
        normalised=mean_interval([p.normalised_precision for p in passes]),
        normalised20=mean_interval([p.normalised_precision20 for p in passes]),
        with_absence={
            "auc": fmean(p.auc * p.present_share for p in passes),
            "precision": fmean(p.precision20 * p.present_share for p in passes),
            "normalised20": fmean(p.normalised_precision20 * p.present_share for p in passes),
        },
        misled=fmean(s.misled for s in scores),
        fps=updates / seconds if seconds > 0 else math.nan,
        got10k=got10k.summarise(overlaps) if overlaps else None,
        long_term=long_term_score([s.long_term for s in leaving]) if leaving else None,
        presence=sum((s.presence for s in leaving), PresenceCounts()),
    )


def _comparisons(
    dataset: str, scores: Mapping[str, Mapping[str, SequenceScore]]
) -> list[Comparison]:
    if not scores:
        return []
    first, *others = scores
    made = []
    for other in others:
        ours = {s.sequence.key: s.one_pass.auc for s in _of_dataset(dataset, scores[first])}
        theirs = {s.sequence.key: s.one_pass.auc for s in _of_dataset(dataset, scores[other])}
        both = sorted(ours.keys() & theirs.keys())
        if len(both) > 1:
            difference = paired_difference([ours[k] for k in both], [theirs[k] for k in both])
            made.append(Comparison(dataset, first, other, difference, len(both)))
    return made


def _of_dataset(dataset: str, by_key: Mapping[str, SequenceScore]) -> list[SequenceScore]:
    return [by_key[k] for k in sorted(by_key) if by_key[k].sequence.dataset == dataset]


def to_json(summary: Summary) -> dict[str, Any]:
    """All figures as plain types; NaN becomes ``None``."""
    return {
        "datasets": {
            dataset: {tracker: _dataset_json(row) for tracker, row in rows.items()}
            for dataset, rows in summary.datasets.items()
        },
        "comparisons": [
            {
                "dataset": c.dataset,
                "tracker": c.tracker,
                "opponent": c.opponent,
                "sequences": c.sequences,
                "auc_difference": _interval_json(c.difference),
                "verdict": c.verdict,
            }
            for c in summary.comparisons
        ],
        "sequences": {
            key: {
                "attributes": summary.attributes[key],
                "trackers": {
                    tracker: _sequence_json(found[key])
                    for tracker, found in summary.scores.items()
                    if key in found
                },
            }
            for key in summary.attributes
        },
        "attributes": {
            tracker: {name: {"auc": auc, "sequences": n} for name, (auc, n) in found.items()}
            for tracker, found in summary.by_attribute.items()
        },
        "problems": list(summary.problems),
    }


def _dataset_json(row: DatasetScore) -> dict[str, Any]:
    found: dict[str, Any] = {
        "sequences": row.sequences,
        "expected": row.expected,
        "frames": row.mean.frames,
        "auc": _interval_json(row.auc),
        "auc_with_absent_frames_as_misses": row.with_absence["auc"],
        "precision20": _interval_json(row.precision),
        "precision20_with_absent_frames_as_misses": row.with_absence["precision"],
        "normalised_precision": _interval_json(row.normalised),
        "normalised_precision_at_20": _interval_json(row.normalised20),
        "normalised_precision_at_20_with_absent_frames_as_misses": row.with_absence["normalised20"],
        "misled": row.misled,
        "fps": plain(row.fps),
        "success_curve": row.mean.success.tolist(),
        "precision_curve": row.mean.precision.tolist(),
        "normalised_curve": row.mean.normalised.tolist(),
    }
    if row.got10k:
        found["got10k"] = {
            "ao": row.got10k.ao,
            "sr50": row.got10k.sr50,
            "sr75": row.got10k.sr75,
        }
    if row.long_term:
        p = row.presence
        found["long_term"] = {
            "f": row.long_term.f,
            "precision": row.long_term.precision,
            "recall": row.long_term.recall,
            "threshold": plain(row.long_term.threshold),
        }
        found["presence"] = {
            "lost_said_when_gone": plain(p.said_when_gone),
            "lost_said_when_there": plain(p.said_when_there),
            "absent_frames": p.absent,
            "returns": p.returns,
            "found_again": p.found_again,
            "median_frames_until_found": plain(p.median_delay),
            "frames_until_found": list(p.delays),
        }
    return found


def _sequence_json(score: SequenceScore) -> dict[str, Any]:
    return {
        "frames": score.one_pass.frames,
        "auc": score.one_pass.auc,
        "precision20": score.one_pass.precision20,
        "normalised_precision": score.one_pass.normalised_precision,
        "normalised_precision_at_20": score.one_pass.normalised_precision20,
        "misled": score.misled,
        "fps": plain(score.track.fps),
    }


def _interval_json(interval: Interval) -> dict[str, float | None]:
    return {
        "mean": plain(interval.mean),
        "low": plain(interval.low),
        "high": plain(interval.high),
    }
