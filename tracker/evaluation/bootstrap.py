"""Confidence intervals by resampling sequences, and whether a difference may be called one.

Frames of one clip hang together, so whole sequences are drawn, with replacement (Efron and
Tibshirani, "An Introduction to the Bootstrap", 1993, percentile interval). Few sequences vary too
little among themselves, so for them quantiles further out are taken (Hesterberg 2015, "What
Teachers Should Know About the Bootstrap", expanded percentile interval). Two trackers are compared
on the same draws (paired), which takes out how hard the clips are.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import ArrayLike

RESAMPLES = 10_000
LEVEL = 0.95
MIN_SEQUENCES = 5


@dataclass(frozen=True)
class Interval:
    """A mean over sequences with its confidence interval."""

    mean: float
    low: float
    high: float

    @property
    def excludes_zero(self) -> bool:
        return self.low > 0 or self.high < 0


def mean_interval(values: ArrayLike, seed: int = 0) -> Interval:
    """Interval of the mean of one value per sequence; NaN bounds for a single sequence.

    Raises:
        ValueError: no values.
    """
    v = np.asarray(values, dtype=np.float64)
    if not len(v):
        raise ValueError("no sequence to take an interval of")
    mean = float(v.mean())
    if len(v) == 1:
        return Interval(mean, math.nan, math.nan)
    draws = np.random.default_rng(seed).integers(0, len(v), size=(RESAMPLES, len(v)))
    free = len(v) - 1
    # resamples vary less than the sequences say, by the root of free / len(v)
    tail = NormalDist().cdf(-math.sqrt(len(v) / free) * _student(free))
    low, high = np.quantile(v[draws].mean(axis=1), [tail, 1 - tail])
    return Interval(mean, float(low), float(high))


def _student(free: int) -> float:
    """Standard errors to each side of a mean, of so many degrees of freedom (at least 1).

    Student's quantile by Abramowitz and Stegun, 26.7.5. Intervals here leave out what lies further
    out in a normal distribution (Hesterberg 2015, appendix A).
    """
    z, n = NormalDist().inv_cdf((1 + LEVEL) / 2), free
    return (
        z
        + (z**3 + z) / (4 * n)
        + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * n**2)
        + (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / (384 * n**3)
    )


def paired_difference(ours: ArrayLike, theirs: ArrayLike) -> Interval:
    """Interval of the mean difference ``ours - theirs`` over the same sequences."""
    a, b = np.asarray(ours, dtype=np.float64), np.asarray(theirs, dtype=np.float64)
    if a.shape != b.shape:
        raise ValueError(f"paired values need the same sequences, found {len(a)} and {len(b)}")
    return mean_interval(a - b)


def verdict(difference: Interval, sequences: int) -> str:
    """``better``, ``worse``, or ``no difference shown`` when the interval holds zero.

    From fewer than five sequences nothing is concluded: their resamples vary too little.
    """
    if sequences < MIN_SEQUENCES:
        return "too few sequences to tell"
    if not difference.excludes_zero:
        return "no difference shown"
    return "better" if difference.low > 0 else "worse"


def grouped_interval(values: ArrayLike, groups: Sequence[str], seed: int = 0) -> Interval:
    """Interval of the mean over groups of the means within them.

    Sequences are drawn within their group, since the groups are not a sample of anything, and
    around its mean; a group of fewer than five draws from what those of all groups differ by.
    Where each group has one alone, nothing is known of how much others would differ: NaN limits.

    Raises:
        ValueError: no values, or another number of groups.
    """
    v = np.asarray(values, dtype=np.float64)
    if not len(v) or len(v) != len(groups):
        raise ValueError(f"{len(v)} values in {len(groups)} groups")
    rng = np.random.default_rng(seed)
    names = sorted(set(groups))
    parts = [v[[g == name for g in groups]] for name in names]
    means = [float(own.mean()) for own in parts]
    rests = [
        (own - mean) * math.sqrt(len(own) / max(len(own) - 1, 1))
        for own, mean in zip(parts, means, strict=True)
    ]
    # of a few sequences nobody can tell how much others would differ: as much as all do
    of_all = np.concatenate([rest for rest in rests if len(rest) > 1] or [np.zeros(0)])
    mean = math.fsum(means) / len(means)
    if not len(of_all):
        return Interval(mean, math.nan, math.nan)
    draws = np.zeros(RESAMPLES)
    for rest in rests:
        pool = rest if len(rest) >= MIN_SEQUENCES else of_all
        draws += pool[rng.integers(0, len(pool), size=(RESAMPLES, len(rest)))].mean(axis=1)
    # the rests are as wide as the sequences say; each group's mean took one degree of freedom
    tail = NormalDist().cdf(-_student(len(v) - len(names)))
    low, high = mean + np.quantile(draws / len(names), [tail, 1 - tail])
    return Interval(mean, float(low), float(high))
