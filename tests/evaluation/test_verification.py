"""ROC, equal error rate, retrieval and pair cutting against direct counts."""

from __future__ import annotations

import numpy as np
import pytest

from tracker.evaluation import plots, verification
from tracker.geometry import iou


@pytest.mark.parametrize("seed", range(5))
def test_auc_is_the_mann_whitney_statistic(seed):
    rng = np.random.default_rng(seed)
    same = rng.random(80) < 0.4
    values = np.round(rng.normal(same * 0.8, 1), 1)  # rounded: there are ties
    wins = 0.0
    for a in values[same]:
        for b in values[~same]:
            wins += 1.0 if a > b else 0.5 if a == b else 0.0
    expected = wins / (same.sum() * (~same).sum())
    assert verification.roc(values, same).auc == pytest.approx(expected, abs=1e-12)


def test_roc_points_by_hand():
    curve = verification.roc([0.9, 0.8, 0.7, 0.6], [1, 0, 1, 0])
    assert curve.true_accept.tolist() == [0, 0.5, 0.5, 1, 1]
    assert curve.false_accept.tolist() == [0, 0, 0.5, 0.5, 1]
    assert curve.auc == pytest.approx(0.75)
    assert curve.equal_error_rate == pytest.approx(0.5)


def test_equal_error_rate_where_counts_meet():
    # at .5: one of four false pairs accepted, one of four true pairs refused
    values = [0.9, 0.8, 0.7, 0.4, 0.5, 0.3, 0.2, 0.1]
    curve = verification.roc(values, [1, 1, 1, 1, 0, 0, 0, 0])
    assert curve.equal_error_rate == pytest.approx(0.25)
    # between (1/3, 1/3) and (2/3, 1): a third of the way both are 4/9
    between = verification.roc([0.9, 0.9, 0.5, 0.5, 0.5, 0.1], [1, 0, 1, 1, 0, 0])
    assert between.equal_error_rate == pytest.approx(4 / 9)
    assert verification.roc([2, 1], [1, 0]).equal_error_rate == 0
    assert verification.roc([1, 2], [1, 0]).equal_error_rate == 1
    assert verification.roc([1, 1], [1, 0]).equal_error_rate == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("values", "labels", "words"),
    [
        ([1, 2], [1, 1], "pairs of others"),
        ([1, 2], [0, 0], "pairs of the same"),
        ([1, float("nan")], [0, 1], "not a number"),
        ([1, 2, 3], [0, 1], "one label"),
    ],
)
def test_roc_refuses(values, labels, words):
    with pytest.raises(ValueError, match=words):
        verification.roc(values, labels)


def test_recall_counts_ties_against_the_query():
    similarities = [[0.9, 0.1, 0.2], [0.5, 0.5, 0.1], [0.3, 0.9, 0.2]]
    assert verification.recall_at(similarities, [0, 1, 2], 1) == pytest.approx(1 / 3)
    assert verification.recall_at(similarities, [0, 1, 2], 2) == pytest.approx(2 / 3)
    assert verification.recall_at(similarities, [0, 1, 2], 3) == 1


def clips() -> tuple[dict, dict]:
    rng = np.random.default_rng(0)
    truths = {}
    for name in ("a/x_1", "a/x_2", "a/y", "b/z"):
        truth = np.column_stack([rng.uniform(0, 300, (30, 2)), np.full((30, 2), 30.0)])
        truth[5:9] = np.nan
        truths[name] = truth
    return truths, dict.fromkeys(truths, (400, 400))


def test_pairs_are_what_they_say():
    truths, sizes = clips()
    clips_of = {"a/x_1": "x", "a/x_2": "x", "a/y": "y", "b/z": "z"}
    pairs = verification.cut_pairs(truths, sizes, per_sequence=12, seed=3, clips=clips_of)
    kinds = [p.kind for p in pairs]
    assert {k: kinds.count(k) for k in set(kinds)} == {
        "same": 48, "other clip": 48, "same frame": 48,
    }  # fmt: skip
    for pair in pairs:
        assert pair.first.frame == 0
        assert np.isfinite(pair.second.box).all()
        if pair.kind == "same":
            assert pair.second.sequence == pair.first.sequence and pair.second.frame > 0
        elif pair.kind == "other clip":
            assert pair.second.sequence != pair.first.sequence
            # two targets of one clip may show in each other's patches
            assert {pair.first.sequence, pair.second.sequence} != {"a/x_1", "a/x_2"}
        else:
            truth = truths[pair.second.sequence][pair.second.frame]
            assert iou(truth, pair.second.box) == 0
            assert min(pair.second.box[:2]) >= 0 and max(pair.second.box[:2]) <= 370


@pytest.mark.parametrize("name", ["my_clips/{letter}", "a/clip_{number}", "a/Jogging.{number}"])
def test_a_name_does_not_make_one_clip_of_two(name):
    truths, _ = clips()
    renamed = {
        name.format(letter="abcd"[i], number=i): truth for i, truth in enumerate(truths.values())
    }
    pairs = verification.cut_pairs(renamed, dict.fromkeys(renamed, (400, 400)), per_sequence=3)
    assert sum(p.kind == "other clip" for p in pairs) == 12


def test_kinds_that_cannot_be_cut_are_left_out():
    truths, _ = clips()
    alone = verification.cut_pairs({"b/z": truths["b/z"]}, {"b/z": (400, 400)})
    assert {p.kind for p in alone} == {"same", "same frame"}
    filled = verification.cut_pairs({"b/z": truths["b/z"]}, {"b/z": (30, 30)})
    assert {p.kind for p in filled} == {"same"}


def test_pairs_repeat_with_the_seed_and_change_with_it():
    truths, sizes = clips()
    again = verification.cut_pairs(truths, sizes, seed=1)
    assert verification.cut_pairs(truths, sizes, seed=1) == again
    assert verification.cut_pairs(truths, sizes, seed=2) != again


def test_summary_of_a_perfect_and_a_blind_model():
    truths, sizes = clips()
    pairs = verification.cut_pairs(truths, sizes)
    gallery, queries, target = verification.retrieval_sets(truths)
    assert [q.sequence for q in queries] == [gallery[i].sequence for i in target]
    sure = np.array([1.0 if p.same else 0.0 for p in pairs])
    exact = np.array([[float(q.sequence == g.sequence) for g in gallery] for q in queries])
    best = verification.summarise(sure, pairs, exact, target)
    assert (best.auc, best.equal_error_rate, best.recall1) == (1, 0, 1)
    assert all(q.frame > 0 for q in queries)
    # taken for those of other clips, but never for what stands in the same frame
    confused = [{"same": 1.0, "other clip": 2.0, "same frame": 0.0}[p.kind] for p in pairs]
    score = verification.summarise(np.array(confused), pairs, exact, target)
    assert score.auc == pytest.approx(0.5) and score.auc_same_frame == 1
    many = np.random.default_rng(0).random(len(pairs))
    curve = verification.summarise(many, pairs, exact, target).roc
    assert curve[0] == (0, 0) and curve[-1] == (1, 1) and 150 < len(curve) <= 200
    blind = verification.summarise(np.zeros(len(pairs)), pairs, np.zeros_like(exact), target)
    assert (blind.auc, blind.recall1) == (0.5, 0)


def test_the_legend_of_the_curves_has_the_area_that_the_table_has():
    """The curve that is drawn is thinned: its own area is another."""
    pytest.importorskip("matplotlib")
    thin = verification.VerificationScore(0.912, 0.1, 0.9, 1, 1, 9, ((0, 0), (0.2, 0.7), (1, 1)))
    drawn = plots.roc_curves({"thumbnail": thin})
    assert "thumbnail" in drawn and "0.912" in drawn
