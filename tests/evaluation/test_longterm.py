"""Precision, recall and F over the score, and honesty about absence, on made-up tracks."""

from __future__ import annotations

import math

import numpy as np
import pytest

from tracker.evaluation import longterm

BOX = (10.0, 10.0, 20.0, 20.0)
AWAY = (70.0, 70.0, 20.0, 20.0)
GONE = (math.nan,) * 4
SIZE = (100, 100)


def track(boxes, scores, truth) -> longterm.LongTermTrack:
    return longterm.long_term_track(np.array(boxes), np.array(scores), np.array(truth), SIZE)


def test_perfect_track_with_honest_scores():
    truth = [BOX] * 5 + [GONE] * 5 + [BOX] * 5
    scores = [1.0] * 5 + [0.0] * 5 + [1.0] * 5
    score = longterm.long_term_score([track([BOX] * 15, scores, truth)])
    assert (score.precision, score.recall, score.f) == (1, 1, 1)
    assert score.threshold == 1.0


def test_scores_that_stay_high_cost_precision():
    truth = [BOX] * 6 + [GONE] * 5
    score = longterm.long_term_score([track([BOX] * 11, [1.0] * 11, truth)])
    # of the 10 tracked frames 5 show the target
    assert (score.precision, score.recall) == (0.5, 1.0)
    assert score.f == pytest.approx(2 / 3)


def test_best_threshold_by_hand():
    # given, then: right with .9, right with .8, wrong with .7, absent with .1
    truth = [BOX, BOX, BOX, BOX, GONE]
    boxes = [BOX, BOX, BOX, AWAY, BOX]
    score = longterm.long_term_score([track(boxes, [1, 0.9, 0.8, 0.7, 0.1], truth)])
    # at .8: precision 1, recall 2/3, F .8; at .7: 2/3 and 2/3; at .9: 1 and 1/3
    assert score.threshold == pytest.approx(0.8)
    assert (score.precision, score.recall) == (1, pytest.approx(2 / 3))
    assert score.f == pytest.approx(0.8)


def test_who_never_meets_the_target_scores_nothing():
    score = longterm.long_term_score([track([BOX, AWAY, AWAY], [1, 0.9, 0.8], [BOX] * 3)])
    assert (score.recall, score.f) == (0, 0)


def test_overlaps_are_those_within_a_picture_of_known_size():
    truth, box = [BOX, (90.0, 10, 20, 20)], [BOX, (90.0, 10, 10, 20)]
    assert track(box, [1, 1], truth).overlaps.tolist() == [1.0]
    whole = longterm.long_term_track(np.array(box), np.ones(2), np.array(truth), None)
    assert whole.overlaps.tolist() == [0.5]


def test_sequences_are_averaged_before_f():
    good = track([BOX] * 3, [1.0, 1.0, 1.0], [BOX] * 3)
    bad = track([BOX, AWAY, AWAY, AWAY], [1.0] * 4, [BOX] * 4)
    score = longterm.long_term_score([good, bad])
    assert (score.precision, score.recall, score.f) == (0.5, 0.5, 0.5)


@pytest.mark.parametrize("seed", range(4))
def test_curves_agree_with_plain_loops(seed):
    rng = np.random.default_rng(seed)
    n = 60
    present = rng.random(n) < 0.7
    overlaps = np.where(present, rng.random(n), 0.0)
    scores = np.round(rng.random(n), 1)
    made = longterm.LongTermTrack(overlaps, scores, present)
    thresholds = longterm.score_thresholds(scores)
    precision, recall = longterm.precision_recall(made, thresholds)
    for k, t in enumerate(thresholds):
        claimed = [i for i in range(n) if scores[i] >= t]
        total = sum(overlaps[i] for i in claimed)
        assert precision[k] == pytest.approx(total / len(claimed) if claimed else 1.0)
        assert recall[k] == pytest.approx(total / sum(present))


def test_thresholds_of_many_scores():
    thresholds = longterm.score_thresholds(np.random.default_rng(0).random(5000))
    assert len(thresholds) == 100
    assert thresholds[0] == math.inf and thresholds[-1] == -math.inf
    assert (np.diff(thresholds[1:-1]) <= 0).all()


def test_presence_by_hand():
    truth = np.array([BOX] * 3 + [GONE] * 4 + [BOX] * 5 + [GONE] * 2 + [BOX] * 2)
    states = (
        ["tracking", "tracking", "lost"]  # one false alarm
        + ["tracking", "lost", "lost", "lost"]  # noticed after one frame
        + ["lost", "lost", "uncertain", "tracking", "tracking"]  # found after two
        + ["lost", "lost"]
        + ["lost", "lost"]  # the second return is never noticed
    )
    boxes = np.array([BOX] * len(truth))
    p = longterm.presence(boxes, states, truth)
    assert (p.absent, p.present) == (6, 9)
    assert p.said_when_gone == pytest.approx(5 / 6)
    assert p.said_when_there == pytest.approx(5 / 9)
    assert (p.returns, p.found_again, p.delays) == (2, 1, (2,))
    assert longterm.PresenceCounts() + p == p  # what a sum begins with
    other = longterm.PresenceCounts(1, 2, 3, 4, 5, (6,))
    assert p + other == longterm.PresenceCounts(7, 11, 8, 9, 7, (2, 6))


def test_found_again_needs_the_right_place():
    truth = np.array([BOX, GONE, BOX, BOX, BOX])
    below, above = (10.0, 10.0, 20.0, 5.9), (10.0, 10.0, 20.0, 6.1)  # overlaps .295 and .305
    boxes = np.array([BOX, AWAY, AWAY, below, above])
    assert longterm.presence(boxes, ["tracking"] * 5, truth).delays == (2,)


def test_presence_without_absence_has_no_share():
    p = longterm.presence(np.array([BOX] * 3), ["tracking"] * 3, np.array([BOX] * 3))
    assert math.isnan(p.said_when_gone) and p.said_when_there == 0 and math.isnan(p.median_delay)
    p = longterm.presence(np.array([BOX] * 3), ["lost"] * 3, np.array([BOX, GONE, GONE]))
    assert p.said_when_gone == 1 and math.isnan(p.said_when_there)


def test_what_left_again_unnoticed_was_not_found():
    truth = np.array([BOX, GONE, BOX, BOX, GONE, BOX])
    states = ["tracking", "lost", "lost", "lost", "lost", "tracking"]
    p = longterm.presence(np.array([BOX] * 6), states, truth)
    assert (p.returns, p.delays) == (2, (0,))


def test_thresholds_lie_at_equal_counts_of_scores():
    scores = np.concatenate([np.arange(100.0), [math.nan] * 5])
    thresholds = longterm.score_thresholds(scores, resolution=12)
    # ranks 10, 18.9, 27.8, ..., 90 of 0..99, rounded
    middle = [89.0, 80, 71, 62, 53, 45, 36, 27, 18, 9]
    assert thresholds.tolist() == [math.inf, *middle, -math.inf]


def test_a_clip_whose_target_never_shows_again_has_no_recall():
    seen = track([BOX] * 3, [1.0] * 3, [BOX] * 3)
    gone = track([BOX] * 3, [1.0] * 3, [BOX, GONE, GONE])
    score = longterm.long_term_score([seen, gone])
    assert (score.precision, score.recall) == (0.5, 0.5)
