"""VOT's protocols on made-up runs with known failures."""

from __future__ import annotations

import math

import numpy as np
import pytest

from tracker.evaluation import vot
from tracker.evaluation.vot import FAILED, INITIALISED, SKIPPED, TRACKED, Anchor


def still(n: int) -> np.ndarray:
    return np.tile([10.0, 10, 20, 20], (n, 1))


def run_of(overlaps, present=None, as_toolkit=False) -> vot.AnchorRun:
    overlaps = np.array(overlaps, dtype=float)
    present = np.ones(len(overlaps), dtype=bool) if present is None else np.array(present)
    return vot.score_anchor_run(overlaps, present, as_toolkit)


def test_anchors_every_50_frames_run_along_the_longer_part():
    anchors = vot.place_anchors(still(201))
    assert anchors == [
        Anchor(0, False), Anchor(50, False), Anchor(100, False),
        Anchor(150, True), Anchor(200, True),
    ]  # fmt: skip
    assert list(vot.anchor_frames(Anchor(2, True), 9)) == [2, 1, 0]
    assert list(vot.anchor_frames(Anchor(6, False), 9)) == [6, 7, 8]


def test_anchors_move_to_frames_with_truth():
    truth = still(101)
    truth[50:55] = np.nan
    truth[98:] = np.nan
    # 50 moves on to 55; 100 moves back to 97
    assert vot.place_anchors(truth) == [Anchor(0, False), Anchor(55, False), Anchor(97, True)]


def test_anchors_that_meet_are_one_and_those_without_a_way_are_none():
    truth = still(201)
    truth[120:] = np.nan
    # 150 and 200 both move back to 119
    forward = [Anchor(0, False), Anchor(50, False), Anchor(100, False)]
    assert vot.place_anchors(truth) == [*forward, Anchor(119, True)]
    truth[1:] = np.nan  # 200 moves back to 0, where its way ends
    assert vot.place_anchors(truth) == [Anchor(0, False)]
    truth[1] = truth[0]  # a way of two frames is one
    assert vot.place_anchors(truth) == [Anchor(0, False), Anchor(1, True)]


def test_anchor_values_of_files():
    assert vot.anchors_from_values([1, 0, -1, 1]) == [
        Anchor(0, False), Anchor(3, False), Anchor(2, True),
    ]  # fmt: skip


def test_ten_bad_frames_in_a_row_are_a_failure_and_nine_are_not():
    nine = run_of([1] + [0.5] * 20 + [0.1] * 9 + [0.5] * 10)
    assert not nine.failed and nine.progress == 40
    assert not run_of([1] + [0.5] * 20 + [0.11] * 10 + [0.5] * 10).failed
    ten = run_of([1] + [0.5] * 20 + [0.1] * 10 + [0.5] * 10)
    assert ten.failed and ten.progress == 21  # the frames before the first bad one


def test_absent_frames_do_not_count_as_bad():
    overlaps = [1] + [0.0] * 9 + [0.0] + [0.0] * 9
    present = [True] * 10 + [False] + [True] * 9
    assert not run_of(overlaps, present).failed
    assert run_of(overlaps).failed


def test_perfect_tracker_scores_one():
    score = vot.summarise_anchors([[run_of([1.0] * 200)], [run_of([1.0] * 900)]], [200, 900])
    assert (score.accuracy, score.robustness) == (1, 1)
    assert score.eao == pytest.approx(1)


def test_accuracy_and_robustness_by_hand():
    # a: one run of 101 frames that fails after 51; b: one that goes through; c: one lost at once
    a = run_of([1] + [0.8] * 50 + [0.0] * 50)
    b = run_of([1] + [0.4] * 30)
    c = run_of([1] + [0.0] * 19)
    score = vot.summarise_anchors([[a], [b], [c]], [101, 31, 20])
    assert score.accuracy == pytest.approx((50 * 0.8 + 30 * 0.4) / 80)
    assert score.robustness == pytest.approx((51 / 101 * 101 + 1 * 31 + 1 / 20 * 20) / 152)
    assert vot.summarise_anchors([[c]], [20]).accuracy == 0


def test_eao_is_the_mean_over_the_lengths_that_vot_chose():
    failed = run_of([1.0] * 60 + [0.0] * 840)
    # 59 frames with overlap after the first; VOT2022's lengths are 115 to 755, without the last
    expected = np.mean([59 / length for length in range(115, 755)])
    assert vot.summarise_anchors([[failed]], [900]).eao == pytest.approx(expected)
    shorter, good = run_of([1.0] * 60 + [0.0] * 140), run_of([1.0] * 300)
    score = vot.summarise_anchors([[shorter], [good]], [200, 300])
    # a failed run that is over: the toolkit divides by one frame less
    means = [59 / n if n < 200 else 59 / (n - 1) for n in range(115, 300)]
    assert score.eao == pytest.approx(np.mean([(mean + 1) / 2 for mean in means]))


def test_toolkit_counts_the_starting_frame_with_overlap_zero():
    run = run_of([1] + [0.5] * 9, as_toolkit=True)
    score = vot.summarise_anchors([[run]], [10], as_toolkit=True)
    assert score.accuracy == pytest.approx(0.5 * 9 / 10)
    # lost from the start: its bad spell began with the starting frame
    assert run_of([1] + [0.0] * 30, as_toolkit=True).progress == 0
    assert run_of([1] + [0.0] * 30).progress == 1


def toolkit_curve(sequences, high: int) -> list[float]:
    """The curve as the toolkit's loops have it: per run, frame by frame."""
    total, weights = [0.0] * high, [0.0] * high
    for runs in sequences:
        phi, active = [0.0] * high, [0.0] * high
        for overlaps, ok in runs:
            for j in range(1, high):
                if j < len(overlaps):
                    phi[j] += sum(overlaps[1 : j + 1]) / j
                    active[j] += 1
                elif not ok:
                    phi[j] += sum(overlaps[1:]) / (j - 1)
                    active[j] += 1
        for j in range(high):
            if active[j]:
                total[j] += phi[j] / active[j] * active[j]
                weights[j] += active[j]
    return [t / w if w else 0.0 for t, w in zip(total, weights, strict=True)]


@pytest.mark.parametrize("seed", range(4))
def test_eao_curve_agrees_with_plain_loops(seed):
    rng = np.random.default_rng(seed)
    sequences, plain = [], []
    for _ in range(4):
        runs, loops = [], []
        for _ in range(3):
            overlaps = rng.uniform(0.2, 1, int(rng.integers(20, 160)))
            if rng.random() < 0.5:
                overlaps[int(rng.integers(1, len(overlaps) - 15)) :] = 0.05
            run = run_of(overlaps)
            runs.append(run)
            zeroed = [float(v) if i < run.progress else 0.0 for i, v in enumerate(run.overlaps)]
            loops.append((zeroed, not run.failed))
        sequences.append(runs)
        plain.append(loops)
    assert any(run.failed for runs in sequences for run in runs)
    curve = vot.eao_curve(sequences, 200)
    expected = toolkit_curve(plain, 200)
    np.testing.assert_allclose(curve, expected, atol=1e-12)
    score = vot.summarise_anchors(sequences, [100] * 4, low=30, high=200, as_toolkit=True)
    assert score.eao == pytest.approx(sum(expected[30:201]) / len(expected[30:201]))


def test_overlaps_are_clipped_to_the_picture():
    # half of the truth is outside: covering the visible half is enough
    truth, box = np.array([[-10.0, 0, 20, 10]]), np.array([[0.0, 0, 10, 10]])
    assert vot.bounded_overlaps(box, truth, (100, 100))[0] == pytest.approx(1)
    outside = vot.bounded_overlaps(np.array([[-30.0, 0, 10, 10]]), truth, (100, 100))
    assert outside[0] == 0


def test_overlaps_are_clipped_to_a_picture_that_is_wider_than_high():
    truth, box = np.array([[150.0, 80, 100, 40]]), np.array([[150.0, 80, 50, 20]])
    assert vot.bounded_overlaps(box, truth, (200, 100))[0] == pytest.approx(1)


def reset_example() -> vot.ResetRun:
    # 30 frames: start, fails in frame 20, starts again in 25
    codes = np.full(40, TRACKED)
    codes[[0, 25]] = INITIALISED
    codes[20] = FAILED
    codes[21:25] = SKIPPED
    overlaps = np.full(40, 0.6)
    overlaps[5] = 0.0  # burnt in: not counted
    overlaps[30:35] = 0.0  # also within 10 frames after a start
    overlaps[15] = 0.3
    overlaps[20] = 0.0
    return vot.ResetRun(overlaps, codes)


def test_resets_by_hand():
    score = vot.summarise_resets([reset_example()], low=5, high=12)
    # counted: frames 10..19 (one of .3) and 35..39
    assert score.accuracy == pytest.approx((14 * 0.6 + 0.3) / 15)
    assert score.failures == 1
    assert score.reliability == pytest.approx(math.exp(-30 / 40))


def test_long_clips_weigh_more_in_the_means_over_resets():
    short, long = np.full(20, TRACKED), np.full(60, TRACKED)
    short[0] = INITIALISED
    long[[0, 25, 45]], long[[20, 40]], long[21:25] = INITIALISED, FAILED, SKIPPED
    runs = [vot.ResetRun(np.full(20, 0.5), short), vot.ResetRun(np.full(60, 0.8), long)]
    score = vot.summarise_resets(runs, low=5, high=12)
    assert score.accuracy == pytest.approx((20 * 0.5 + 60 * 0.8) / 80)
    assert score.failures == pytest.approx((20 * 0 + 60 * 2) / 80)
    assert score.reliability == pytest.approx(math.exp(-30 * 1.5 / 40))


def test_reset_eao_by_loops():
    rng = np.random.default_rng(0)
    codes = np.full(430, TRACKED)
    codes[[0, 25]], codes[20], codes[21:25] = INITIALISED, FAILED, SKIPPED
    run = vot.ResetRun(rng.uniform(0.2, 1, 430), codes)
    first, second = run.overlaps[0:20], run.overlaps[25:430]

    def mean(low: int, high: int) -> float:
        """The first fragment failed and goes on with zeros; the second ended well."""
        lengths = range(low, high + 1)
        return np.mean([(sum(first[1 : j + 1]) + sum(second[1 : j + 1])) / j / 2 for j in lengths])

    assert vot.summarise_resets([run], low=1, high=30).eao == pytest.approx(mean(1, 30))
    assert vot.summarise_resets([run]).eao == pytest.approx(mean(100, 356))  # as VOT2018
    short = vot.summarise_resets([vot.ResetRun(run.overlaps[:8], codes[:8])])
    assert short.accuracy == 0 and math.isnan(short.eao)  # all of it burnt in


def test_frames_without_the_target_are_no_misses_of_a_run_with_resets():
    codes = np.full(500, TRACKED)
    codes[0], codes[100:200] = INITIALISED, SKIPPED
    overlaps = np.where(codes == SKIPPED, 0.0, 1.0)
    assert vot.summarise_resets([vot.ResetRun(overlaps, codes)]).eao == pytest.approx(1)


def test_who_ends_well_is_not_judged_on_longer_clips():
    codes = np.full(60, TRACKED)
    codes[[0, 40]], codes[35], codes[36:40] = INITIALISED, FAILED, SKIPPED
    run = vot.ResetRun(np.full(60, 0.5), codes)
    # from frame 20 on only the fragment that failed after 35 frames is left
    assert vot.summarise_resets([run], low=20, high=34).eao == pytest.approx(0.5)


@pytest.mark.parametrize("length", [120, 300, 754, 900])
def test_who_never_fails_has_the_best_eao_on_clips_of_any_length(length):
    failed = [1.0] * 60 + [0.0] * (length - 60)
    perfect, worse = (
        vot.summarise_anchors([[run_of(overlaps)]] * 3, [length] * 3).eao
        for overlaps in ([1.0] * length, failed)
    )
    assert perfect == pytest.approx(1) and worse < 0.6


def test_runs_that_are_too_short_have_no_eao():
    assert np.isnan(vot.summarise_anchors([[run_of([1.0] * 115)]], [115]).eao)
