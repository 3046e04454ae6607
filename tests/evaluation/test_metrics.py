"""One-pass and GOT-10k scores against plain loops and pencil and paper."""

from __future__ import annotations

import math

import numpy as np
import pytest

from tracker.evaluation import got10k, metrics


def random_tracks(seed: int, n: int = 120) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    truth = np.column_stack([rng.uniform(0, 200, (n, 2)), rng.uniform(0.4, 80, (n, 2))])
    spread = rng.choice([1.0, 8.0, 60.0], (n, 1))
    boxes = truth + rng.normal(0, 1, (n, 4)) * spread
    boxes[:, 2:] = np.abs(boxes[:, 2:])
    truth[rng.random(n) < 0.15] = np.nan
    truth[0] = (10, 10, 20, 20)
    return boxes, truth


def plain_overlap(a, b) -> float:
    width = min(a[0] + a[2], b[0] + b[2]) - max(a[0], b[0])
    height = min(a[1] + a[3], b[1] + b[3]) - max(a[1], b[1])
    if width <= 0 or height <= 0:
        return 0.0
    inside = width * height
    return inside / (a[2] * a[3] + b[2] * b[3] - inside)


def plain_scores(boxes, truth) -> tuple[list[float], list[float], list[float]]:
    """Success, precision and normalised curves, frame by frame, threshold by threshold."""
    seen = [i for i in range(len(truth)) if not math.isnan(truth[i][0])]
    success, precision, normalised = [], [], []
    for k in range(21):
        hits = 0
        for i in seen:
            hits += plain_overlap(boxes[i], truth[i]) > k * 5 / 100
        success.append(hits / len(seen))
    for k in range(51):
        near = relative = 0
        for i in seen:
            dx = boxes[i][0] + boxes[i][2] / 2 - truth[i][0] - truth[i][2] / 2
            dy = boxes[i][1] + boxes[i][3] / 2 - truth[i][1] - truth[i][3] / 2
            near += math.sqrt(dx * dx + dy * dy) <= k
            u, v = dx / max(truth[i][2], 1), dy / max(truth[i][3], 1)
            relative += math.sqrt(u * u + v * v) <= k / 100
        precision.append(near / len(seen))
        normalised.append(relative / len(seen))
    return success, precision, normalised


@pytest.mark.parametrize("seed", range(8))
def test_curves_agree_with_plain_loops(seed):
    boxes, truth = random_tracks(seed)
    score = metrics.one_pass(boxes, truth)
    success, precision, normalised = plain_scores(boxes.tolist(), truth.tolist())
    np.testing.assert_allclose(score.success, success, atol=1e-9)
    np.testing.assert_allclose(score.precision, precision, atol=1e-9)
    np.testing.assert_allclose(score.normalised, normalised, atol=1e-9)
    assert score.auc == pytest.approx(sum(success) / 21, abs=1e-9)
    assert score.precision20 == pytest.approx(precision[20], abs=1e-9)
    assert 0.05 < score.auc < 0.95  # the random tracks reach into the curves


def test_perfect_track():
    _, truth = random_tracks(3)
    score = metrics.one_pass(np.nan_to_num(truth), truth)
    # strictly above 1 is impossible: the last of 21 thresholds is never passed
    assert score.auc == pytest.approx(20 / 21)
    assert score.precision20 == 1 and score.normalised_precision == 1
    assert score.success[:20].min() == 1 and score.success[20] == 0


def test_overlap_must_be_strictly_above_a_threshold():
    # 10 x 10 against its left half: overlap is exactly .5
    score = metrics.one_pass(np.array([[0.0, 0, 10, 10]]), np.array([[0.0, 0, 5, 10]]))
    assert score.success.tolist() == [1.0] * 10 + [0.0] * 11
    assert score.auc == pytest.approx(10 / 21)


def test_distance_may_equal_a_threshold():
    boxes, truth = np.array([[20.0, 0, 10, 10]]), np.array([[0.0, 0, 10, 10]])
    score = metrics.one_pass(boxes, truth)
    assert score.precision[19] == 0 and score.precision20 == 1


def test_identity_tracker_by_hand():
    # a 10 px square that moves by 2, 5 and 20 px: overlaps 1, 8/12, 5/15, 0
    truth = np.array([[0.0, 0, 10, 10], [2, 0, 10, 10], [5, 0, 10, 10], [20, 0, 10, 10]])
    score = metrics.one_pass(np.repeat(truth[:1], 4, axis=0), truth)
    # thresholds passed: 20 for 1; 0 to .65 are 14 for .667; 0 to .30 are 7 for .333; none
    assert score.auc == pytest.approx((20 + 14 + 7) / 4 / 21)
    assert score.precision20 == 1
    # errors .2, .5, 2 of the size: at thresholds 0 to .5 they pass 31, 1 and 0 of 51
    assert score.normalised_precision == pytest.approx((51 + 31 + 1) / 4 / 51)


def test_absent_frames_are_left_out_and_missing_boxes_are_misses():
    truth = np.array([[0.0, 0, 10, 10], [np.nan] * 4, [0, 0, 10, 10]])
    boxes = np.array([[0.0, 0, 10, 10], [500, 500, 1, 1], [np.nan] * 4])
    score = metrics.one_pass(boxes, truth)
    assert (score.frames, score.absent) == (2, 1)
    assert score.success[0] == 0.5 and score.precision20 == 0.5
    # Matlab's toolkits divide by all three frames
    assert score.auc * score.present_share == pytest.approx((20 + 0 + 0) / 3 / 21)


def test_lengths_must_agree_and_some_truth_must_be_there():
    with pytest.raises(ValueError, match="2 boxes for 3 frames"):
        metrics.one_pass(np.zeros((2, 4)), np.zeros((3, 4)))
    with pytest.raises(ValueError, match="no frame"):
        metrics.one_pass(np.zeros((1, 4)), np.full((1, 4), np.nan))


def test_mean_gives_each_sequence_the_same_weight():
    one = metrics.one_pass(*random_tracks(0, 40))
    two = metrics.one_pass(*random_tracks(1, 90))
    mean = metrics.mean_one_pass([one, two])
    for curve in ("success", "precision", "normalised"):
        expected = (getattr(one, curve) + getattr(two, curve)) / 2
        np.testing.assert_allclose(getattr(mean, curve), expected)
    assert (mean.frames, mean.absent) == (one.frames + two.frames, one.absent + two.absent)
    assert mean.frames + mean.absent == 130 and one.absent and two.absent
    with pytest.raises(ValueError, match="no sequence"):
        metrics.mean_one_pass([])


def test_got10k_by_hand():
    size = (100, 100)
    truth = np.array(
        [[0.0, 0, 10, 10], [0, 0, 10, 10], [0, 0, 10, 10], [90, 0, 20, 10], [1, 1, 5, 5]]
    )
    boxes = np.array(
        [
            [50.0, 50, 5, 5],  # first frame: dropped, though it misses
            [0, 0, 5, 10],  # overlap .5: not above .5
            [0, 0, 8, 10],  # .8
            [90, 0, 10, 10],  # truth is clipped to 10 px: 1
            [50, 50, 5, 5],  # cover 0: dropped
        ]
    )
    overlaps = got10k.frame_overlaps(boxes, truth, size, cover=[8, 8, 3, 1, 0])
    np.testing.assert_allclose(overlaps, [0.5, 0.8, 1.0])
    score = got10k.summarise([overlaps])
    assert score.ao == pytest.approx(2.3 / 3)
    assert (score.sr50, score.sr75) == (pytest.approx(2 / 3), pytest.approx(2 / 3))


def test_got10k_pools_frames_and_needs_some():
    score = got10k.summarise([np.array([1.0, 0.76]), np.array([0.0, 0.5, 0.51, 0.75])])
    assert score.ao == pytest.approx(3.52 / 6) and score.frames == 6
    assert (score.sr50, score.sr75) == (4 / 6, 2 / 6)  # strictly above
    with pytest.raises(ValueError, match="drops the first"):
        got10k.summarise([np.zeros(0)])


def test_got10k_clips_as_the_toolkit_does():
    # left of the picture: the corner moves in, the width stays (it is no intersection)
    clipped = got10k.clip_to_picture(np.array([[-5.0, -5, 10, 20], [95, 95, 10, 10]]), (100, 100))
    np.testing.assert_allclose(clipped, [[0, 0, 10, 20], [95, 95, 5, 5]])


def test_got10k_clips_both_boxes_to_a_picture_that_is_wider_than_high():
    truth = np.array([[0.0, 0, 10, 10], [150, 80, 60, 40]])
    boxes = np.array([[0.0, 0, 10, 10], [150, 80, 90, 30]])
    # within 200 x 100 pixels both are 50 x 20
    assert got10k.frame_overlaps(boxes, truth, (200, 100)).tolist() == [1.0]
