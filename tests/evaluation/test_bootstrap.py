"""Intervals: known cases, and what may be called a win."""

from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np
import pytest

from tracker.evaluation.bootstrap import (
    Interval,
    grouped_interval,
    mean_interval,
    paired_difference,
    verdict,
)


def test_interval_of_the_mean_is_near_the_normal_one():
    values = np.random.default_rng(0).normal(0.5, 0.2, 400)
    found = mean_interval(values)
    half = 1.96 * values.std() / math.sqrt(400)
    assert found.mean == pytest.approx(values.mean())
    assert found.low == pytest.approx(values.mean() - half, abs=0.001)
    assert found.high == pytest.approx(values.mean() + half, abs=0.001)


def test_a_grouped_interval_is_near_the_normal_one():
    rng = np.random.default_rng(0)
    groups = {"a": rng.normal(0.2, 0.1, 300), "b": rng.normal(0.9, 0.3, 60), "c": rng.random(90)}
    found = grouped_interval(
        np.concatenate([*groups.values()]), [g for g in groups for _ in groups[g]]
    )
    means = [v.mean() for v in groups.values()]
    half = 1.96 * math.sqrt(sum(v.var(ddof=1) / len(v) for v in groups.values())) / 3
    assert found.mean == pytest.approx(sum(means) / 3)
    assert found.low == pytest.approx(found.mean - half, abs=0.001)
    assert found.high == pytest.approx(found.mean + half, abs=0.001)


@pytest.mark.parametrize(("count", "t"), [(5, 2.776), (8, 2.365), (13, 2.179), (67, 1.997)])
def test_an_interval_is_as_wide_as_students_where_values_are_normal(count, t):
    values = [NormalDist().inv_cdf((i + 0.5) / count) for i in range(count)]
    found = mean_interval(values)
    half = t * np.std(values, ddof=1) / math.sqrt(count)
    assert found.low == pytest.approx(-half, rel=0.08)
    assert found.high == pytest.approx(half, rel=0.08)


def test_an_interval_of_few_skewed_values_holds_the_truth_nearly_as_often_as_it_says():
    rng = np.random.default_rng(0)
    found = [mean_interval(rng.beta(2.5, 1.1, 8)) for _ in range(200)]
    assert np.mean([i.low <= 2.5 / 3.6 <= i.high for i in found]) > 0.9


@pytest.mark.parametrize("sizes", [(5,), (8,), (13, 12, 2), (13, 12, 1)])
def test_a_grouped_interval_holds_the_truth_about_as_often_as_it_says(sizes):
    rng, groups = np.random.default_rng(0), [n for n, size in enumerate(sizes) for _ in range(size)]
    found = [
        grouped_interval(rng.normal(0, 0.03, len(groups)), [str(g) for g in groups])
        for _ in range(300)
    ]
    assert np.mean([i.low <= 0 <= i.high for i in found]) > 0.91


def test_equal_values_have_no_width_and_one_has_no_interval():
    same = mean_interval([0.4] * 9)
    assert same.low == pytest.approx(0.4) and same.high == pytest.approx(0.4)
    assert math.isnan(mean_interval([0.4]).low)
    with pytest.raises(ValueError, match="no sequence"):
        mean_interval([])


def test_repeats_with_the_seed():
    values = np.random.default_rng(1).random(12)
    assert mean_interval(values, seed=3) == mean_interval(values, seed=3)
    assert mean_interval(values, seed=3) != mean_interval(values, seed=4)


def test_pairing_takes_out_how_hard_the_clips_are():
    hard = np.random.default_rng(0).uniform(0, 0.9, 20)
    better = hard + 0.02 + 0.01 * np.random.default_rng(1).random(20)
    assert verdict(paired_difference(better, hard), 20) == "better"
    assert verdict(paired_difference(hard, better), 20) == "worse"
    # the same figures in another order show nothing
    shuffled = np.random.default_rng(2).permutation(better)
    assert verdict(paired_difference(shuffled, hard), 20) == "no difference shown"


def test_few_sequences_decide_nothing():
    assert verdict(Interval(0.3, 0.2, 0.4), 4) == "too few sequences to tell"
    assert verdict(Interval(0.3, 0.2, 0.4), 5) == "better"
    assert verdict(Interval(0.1, 0.0, 0.2), 9) == "no difference shown"
    assert verdict(Interval(-0.1, -0.2, 0.0), 9) == "no difference shown"


def test_pairs_need_the_same_sequences():
    with pytest.raises(ValueError, match="same sequences"):
        paired_difference([1, 2], [1])
