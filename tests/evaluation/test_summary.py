"""The table of an evaluation, figure by figure, from the scores of single sequences."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from tracker.data import datasets
from tracker.evaluation import bootstrap, longterm, metrics, results_io, summary
from tracker.evaluation.summary_text import text_table
from tracker.frames import Pictures

SIZE = (200, 100)
SHARES = {"ours": (0.9, 0.8, 0.7, 0.9, 0.6, 0.8), "other": (0.5, 0.6, 0.4, 0.7, 0.3)}


def made(dataset: str, number: int) -> datasets.Sequence:
    """A still target of 40 x 20 pixels; it is absent for some frames in every second clip."""
    truth = np.tile([30.0, 30, 40, 20], (20 + 5 * number, 1))
    if number % 2:
        truth[5 : 8 + number] = np.nan
    cover = np.full(len(truth), 8.0)
    cover[10:12] = 0  # as GOT-10k's files have it: nothing to be seen, though there is a box
    pictures = Pictures((Path("never read"),) * len(truth))
    return datasets.Sequence(dataset, f"s{number}", pictures, truth, cover=cover)


def scored(dataset: str, number: int, share: float, frames: int | None = None):
    """A box that covers a share of the target and nothing else, and less of it frame by frame."""
    sequence = made(dataset, number)
    n = frames or len(sequence)
    boxes = np.tile([30.0, 30, 40, 20], (n, 1))
    boxes[1:, 2] = 40 * share * np.linspace(1, 0.5, n - 1)
    states = ["lost" if np.isnan(t[0]) else "tracking" for t in sequence.truth[:n]]
    seconds = np.full(n, 0.001 * (1 + number))
    seconds[0] = 9.0  # the first box is no update
    scores = np.linspace(1, share, n)
    track = results_io.Track(np.arange(n), boxes, scores, tuple(states), seconds)
    return summary.score_sequence(sequence, track, SIZE)


@pytest.fixture(scope="module")
def scores():
    found = {
        name: {f"a/s{i}": scored("a", i, share) for i, share in enumerate(shares)}
        for name, shares in SHARES.items()
    }
    for name, share in (("ours", 0.5), ("other", 0.9)):
        found[name]["b/s2"] = scored("b", 2, share, frames=17)  # a quick look at its beginning
    return found


def test_a_row_of_the_table(scores):
    made = summary.summarise({**scores, "nobody": {}}, {"a": 6, "b": 1}, {})
    assert made.trackers == ["ours", "other"]  # who has no score has no row
    row = summary.to_json(made)["datasets"]["a"]["other"]
    own = [scores["other"][f"a/s{i}"] for i in range(5)]
    passes = [metrics.one_pass(s.track.boxes, s.sequence.truth) for s in own]
    assert (row["sequences"], row["expected"]) == (5, 6)
    assert row["frames"] == sum(20 + 5 * i for i in range(5)) - 4 - 6
    for name, values in (
        ("auc", [p.success.mean() for p in passes]),
        ("precision20", [p.precision[20] for p in passes]),
        ("normalised_precision", [p.normalised.mean() for p in passes]),
        ("normalised_precision_at_20", [p.normalised[20] for p in passes]),
    ):
        interval = bootstrap.mean_interval(values)
        assert row[name]["mean"] == pytest.approx(sum(values) / 5)
        assert (row[name]["low"], row[name]["high"]) == (interval.low, interval.high)
    for name, values in (
        ("auc", [p.success.mean() for p in passes]),
        ("precision20", [p.precision[20] for p in passes]),
        ("normalised_precision_at_20", [p.normalised[20] for p in passes]),
    ):
        misses = [v * p.frames / (p.frames + p.absent) for v, p in zip(values, passes, strict=True)]
        assert row[f"{name}_with_absent_frames_as_misses"] == pytest.approx(sum(misses) / 5)
    np.testing.assert_allclose(row["success_curve"], np.mean([p.success for p in passes], axis=0))
    updates = [19 + 5 * i for i in range(5)]
    times = [0.001 * (1 + i) * n for i, n in enumerate(updates)]
    assert row["fps"] == pytest.approx(sum(updates) / sum(times))
    assert row["misled"] == 0
    # GOT-10k: without the first frame and those in which nothing can be seen, all in one pool
    shown = [np.r_[1:10, 12 : len(s.sequence)] for s in own]
    pooled = np.concatenate([s.overlaps[i] for s, i in zip(own, shown, strict=True)])
    pooled = pooled[~np.isnan(pooled)]
    expected = {"ao": pooled.mean(), "sr50": (pooled > 0.5).mean(), "sr75": (pooled > 0.75).mean()}
    assert row["got10k"] == pytest.approx(expected)
    # where the target leaves: two of the five clips
    leaving = longterm.long_term_score([own[1].long_term, own[3].long_term])
    names = ("f", "precision", "recall", "threshold")
    assert row["long_term"] == pytest.approx({name: getattr(leaving, name) for name in names})
    presence = row["presence"]
    assert (presence["absent_frames"], presence["returns"], presence["found_again"]) == (10, 2, 2)
    assert (presence["lost_said_when_gone"], presence["lost_said_when_there"]) == (1, 0)
    assert presence["frames_until_found"] == [0, 0] and presence["median_frames_until_found"] == 0


def test_misled_is_who_is_sure_of_a_box_that_is_elsewhere():
    sequence = made("a", 1)  # 25 frames, the target is gone in 5 to 8
    boxes = sequence.truth.copy()
    boxes[5:9] = boxes[0]
    boxes[15:, 0] += 37  # 3 of 40 columns are left: an overlap of 3 / 77
    boxes[12, 0] += 30  # 10 / 70 is no other place
    states = ["tracking"] * 25
    states[17:19] = "uncertain", "lost"
    score = summary.score_sequence(
        sequence,
        results_io.Track(np.arange(25), boxes, np.ones(25), tuple(states), np.ones(25)),
        SIZE,
    )
    assert score.misled == pytest.approx(8 / 21)
    calm = scored("a", 0, 0.9)
    found = {"ours": {"a/s0": calm, "a/s1": score}}
    row = summary.summarise(found, {"a": 2}, {}).datasets["a"]["ours"]
    assert row.misled == pytest.approx(4 / 21)
    text = text_table(summary.summarise(found, {"a": 2}, {}))
    assert text.splitlines()[1].split()[-2:] == ["misled", "fps"]
    assert text.splitlines()[2].split()[-2] == "19.0%"


def test_trackers_are_compared_on_the_clips_that_both_have(scores):
    made = summary.summarise(scores, {"a": 6, "b": 1}, {})
    (comparison,) = made.comparisons  # of a single clip nothing is said
    pairs = [(scores["ours"][k].one_pass.auc, s.one_pass.auc)
             for k, s in scores["other"].items() if k.startswith("a/")]  # fmt: skip
    assert (comparison.tracker, comparison.opponent, comparison.dataset) == ("ours", "other", "a")
    assert comparison.sequences == 5
    assert comparison.difference.mean == pytest.approx(sum(a - b for a, b in pairs) / 5)
    assert comparison.difference.low > 0 and comparison.verdict == "better" and comparison.decided
    text = text_table(made)
    ours, other = made.datasets["a"]["ours"], made.datasets["a"]["other"]
    rows = {line.split()[0]: line for line in reversed(text.splitlines()[:4]) if line.strip()}
    assert text.splitlines()[0] == "a (6 sequences)"
    assert "sequences" not in rows["ours"] and rows["other"].endswith("(5 of 6)")
    for name, row in (("ours", ours), ("other", other)):
        assert rows[name].split()[1:5] == [
            f"{row.auc.mean:.3f}", f"{row.auc.low:.3f}", "-", f"{row.auc.high:.3f}",
        ]  # fmt: skip
        assert f"{row.precision.mean:.3f}" in rows[name] and f"{row.fps:.0f}" in rows[name]
        assert f"{row.normalised.mean:.3f}   {row.normalised20.mean:.3f}" in rows[name]
    of_a, of_b = text.split("\n\n")
    assert f"ours against other: AUC {comparison.difference.mean:+.3f}" in of_a
    assert "where the target leaves" in of_a and "where the target leaves" not in of_b
    score = ours.long_term  # it leaves in three clips, and is found at once in all of them
    figures = f"{score.f:.3f} {score.precision:.3f} {score.recall:.3f} 100% 0% 3/3 0 fr."
    assert f"ours {figures}" in " ".join(of_a.split())


def test_one_clip_of_which_a_part_was_run(scores):
    made = summary.summarise(scores, {"a": 6, "b": 1}, {})
    row = made.datasets["b"]["ours"]
    assert (row.mean.frames, row.sequences, row.long_term) == (17, 1, None)
    assert math.isnan(row.auc.low) and summary.to_json(made)["datasets"]["b"]["ours"]["auc"] == {
        "mean": row.auc.mean, "low": None, "high": None,
    }  # fmt: skip
    assert row.got10k.frames == 14
    one = summary.to_json(made)["sequences"]["b/s2"]["trackers"]
    assert one["ours"]["auc"] == row.auc.mean and set(one) == {"ours", "other"}
    assert "low resolution" not in made.attributes["b/s2"]
