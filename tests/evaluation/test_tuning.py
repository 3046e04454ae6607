"""The search of online parameters: no held-out sequence has a say in what is chosen for it."""

from __future__ import annotations

import dataclasses
import hashlib
import math
from pathlib import Path

import cv2
import numpy as np
import pytest

from tracker.data import datasets
from tracker.devices import Device
from tracker.errors import UserError
from tracker.evaluation import tuning, tuning_runs
from tracker.evaluation.bootstrap import Interval, grouped_interval
from tracker.evaluation.tuning import Axis, Gain
from tracker.frames import Pictures
from tracker.runtime import open_network
from tracker.spec import BoxPolicy, ModelSpec, PresencePolicy, ScalePolicy

BOX = ModelSpec("made", "box", "0" * 64, 128, 256, 16, BoxPolicy(penalty=0.08), PresencePolicy())
RESPONSE = ModelSpec("made", "response", "0" * 64, 127, 255, 8, ScalePolicy(), PresencePolicy())
START = tuning.parameters(BOX)
GROUPS = {f"{folder}/{i}": folder for folder, n in (("a", 6), ("b", 4)) for i in range(n)}
AXES = [Axis("window", (0.2, 0.3, 0.4)), Axis("penalty", (0.02, 0.08, 0.2))]


def noise(setting, key) -> float:
    """A made-up objective without any order in it, the same in every run."""
    return hashlib.sha256(f"nl {setting} {key}".encode()).digest()[0] / 255


def run(value, method="coordinate", axes=AXES, folds=None, groups=GROUPS):
    asked = []
    folds = folds or tuning.make_folds(groups, 5, 0)
    found = tuning.search(axes, START, groups, folds, asked.append, value, method)
    return found, asked


@pytest.mark.parametrize("method", ["coordinate", "grid"])
@pytest.mark.parametrize("fold", range(5))
def test_what_is_chosen_for_a_fold_does_not_depend_on_it(method, fold):
    folds = tuning.make_folds(GROUPS, 5, 0)
    plain, _ = run(noise, method, folds=folds)
    for other in ((("window", 0.2),), (("penalty", 0.2), ("window", 0.3)), ()):

        def biased(setting, key, other=other):
            return 1000.0 * (setting == other) if key in folds[fold] else noise(setting, key)

        shifted, _ = run(biased, method, folds=folds)
        assert shifted.chosen[fold] == plain.chosen[fold]
    # the test can fail: all other choices see that fold
    assert shifted.winner == () and all(c == () for i, c in enumerate(shifted.chosen) if i != fold)


def test_a_real_gain_is_found_and_holds_on_unseen_sequences():
    def value(setting, key):
        given = {**START, **dict(setting)}
        return 0.5 - abs(given["window"] - 0.3) - abs(given["penalty"] - 0.2) + noise((), key) / 9

    for method in ("coordinate", "grid"):
        found, _ = run(value, method)
        assert found.winner == (("penalty", 0.2), ("window", 0.3))
        assert set(found.chosen) == {found.winner}
        gain = tuning.held_out_gain(found, GROUPS, value)
        assert gain.interval.mean == pytest.approx(0.1 + 0.12)
        assert tuning.verdict(gain, gain) == "gain"


def test_noise_is_no_gain_though_the_winner_looks_like_one():
    found, _ = run(noise, "grid")
    seen = tuning.gain_of(lambda key: found.winner, GROUPS, noise)
    unseen = tuning.held_out_gain(found, GROUPS, noise)
    # the best of nine draws: on the sequences that it was chosen on it looks sure
    assert seen.interval.mean > 0.25 and seen.interval.low > 0
    assert unseen.interval.mean < 0.1 and unseen.interval.low < 0
    assert tuning.verdict(unseen, seen).startswith("no gain shown")


def test_the_start_is_kept_where_nothing_is_better():
    found, _ = run(lambda setting, key: 0.5)
    assert found.winner == () and set(found.chosen) == {()}


def test_a_coordinate_search_asks_for_little_and_a_grid_for_all():
    _, asked = run(noise, "grid")
    assert len(asked) == 2 and len(asked[1]) == 9  # the start is one of them
    _, asked = run(lambda setting, key: 0.5)
    # the start; three windows (one is the start's), three penalties; then it ends
    assert [len(settings) for settings in asked] == [1, 3, 3]


def test_a_second_round_finds_what_the_first_parameter_gains_from_the_others():
    def value(setting, key):
        given = {**START, **dict(setting)}
        wanted = 0.3 if given["penalty"] == 0.2 else 0.2
        return given["penalty"] - 0.1 * abs(given["window"] - wanted)

    found, _ = run(value)
    assert found.winner == (("penalty", 0.2), ("window", 0.3))


def test_folders_weigh_the_same_whatever_their_size():
    groups = {"a/1": "a", "a/2": "a", "a/3": "a", "b/1": "b"}
    values = {"a/1": 0.0, "a/2": 0.0, "a/3": 0.3, "b/1": 0.5}
    assert tuning.folder_mean(values, groups) == pytest.approx((0.1 + 0.5) / 2)
    interval = grouped_interval([0.0, 0.0, 0.3, 0.5], ["a", "a", "a", "b"])
    assert interval.mean == pytest.approx(0.3)
    # both are small: each draws from what a's differ by, -.1 and .2, with n instead of n - 1;
    # with two degrees of freedom the interval is all that can be drawn
    less, more = -0.1 * math.sqrt(1.5), 0.2 * math.sqrt(1.5)
    assert interval.low == pytest.approx(0.3 + less)
    assert interval.high == pytest.approx(0.3 + more)
    alone = grouped_interval([0.05, -0.04, -0.005, 0.004, -0.003], list("abcde"))
    assert math.isnan(alone.low) and not alone.excludes_zero


def test_folds_take_their_share_of_every_folder():
    folds = tuning.make_folds(GROUPS, 2, 3)
    assert sorted(k for fold in folds for k in fold) == sorted(GROUPS)
    for fold in folds:
        assert [sum(GROUPS[k] == g for k in fold) for g in "ab"] == [3, 2]
    assert tuning.make_folds(GROUPS, 2, 3) == folds != tuning.make_folds(GROUPS, 2, 4)
    assert len(tuning.make_folds(GROUPS, 99)) == len(GROUPS)  # leave one out
    targets = ["Jogging.1", "Jogging.2", "group3_1", "group3_2", "group3_3", "bike1", "boat2"]
    clips = {f"a/{t}": t.rstrip("0123456789") for t in targets}
    folds = tuning.make_folds(dict.fromkeys(clips, "a"), 4, clips=clips)
    assert sorted(len(fold) for fold in folds) == [1, 1, 2, 3], "targets of one clip stay together"
    folds = tuning.make_folds({"a/x": "a", "b/x": "b", "b/y": "b"}, 3, clips={
        "a/x": "x", "b/x": "x", "b/y": "y"})  # fmt: skip
    assert sorted(folds) == [("a/x", "b/x"), ("b/y",)], "in whichever folders they are"
    with pytest.raises(UserError, match="targets of one"):
        tuning.make_folds({"a/1": "a", "a/2": "a"}, 2, clips={"a/1": "x", "a/2": "x"})
    assert len(tuning.make_folds({f"a/clip_{n}": "a" for n in range(6)}, 9)) == 6
    assert sorted(tuning.make_folds({"a/1": "a", "b/1": "b"}, 2)) == [("a/1",), ("b/1",)]
    with pytest.raises(UserError, match="needs two sequences"):
        tuning.make_folds({"a/1": "a"}, 5)


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("window=.2,.3,.4", (0.2, 0.3, 0.4)),
        ("window=.1:.5", (0.1, 0.2, 0.3, 0.4, 0.5)),
        ("penalty=0:.2:3", (0.0, 0.1, 0.2)),
        ("patience=2:4", (2.0, 3.0, 4.0)),  # whole numbers, each once
        ("doubt=.25", (0.25,)),
    ],
)
def test_values_and_ranges(text, values):
    axis = tuning.parse_axis(text, BOX)
    assert axis.values == values and axis.name == text.partition("=")[0]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("windw=.2", "has no online parameter 'windw'; it has window"),
        ("scale_step=1.02", "has no online parameter 'scale_step'"),
        ("window", "values are numbers"),
        ("window=a:b", "values are numbers"),
        ("window=.5:.1", "values are numbers"),
        ("window=.1:.5:1", "values are numbers"),
        ("window=0:1:99", "more than 50 values; give fewer"),
        ("window=-1", "outside of 0..1000"),
        ("window=nan", "outside of 0..1000"),
        ("patience=nan", "values are numbers"),
        ("patience=inf", "values are numbers"),
    ],
)
def test_mistakes_in_a_search(text, words):
    with pytest.raises(UserError, match=words):
        tuning.parse_axis(text, BOX)


def test_parameters_go_where_they_belong():
    changed = tuning.apply(BOX, (("patience", 7.0), ("window", 0.1)))
    assert changed.online.window == 0.1 and changed.online.penalty == BOX.online.penalty
    assert changed.presence.patience == 7 and isinstance(changed.presence.patience, int)
    assert tuning.apply(RESPONSE, (("scale_step", 1.02),)).online.scale_step == 1.02


def test_verdicts():
    def gain(low, mean=0.02, n=8):
        return Gain(Interval(mean, low, 0.05), dict.fromkeys(map(str, range(n)), mean))

    assert tuning.verdict(gain(0.001), gain(-0.1)) == "gain"
    assert tuning.verdict(gain(0.001, n=5), gain(0.001, n=5)) == "gain"
    assert "has zero in it" in tuning.verdict(gain(0.0), gain(0.1))
    assert "fewer than 5" in tuning.verdict(gain(0.01, n=4), gain(0.01))
    assert "no better on all" in tuning.verdict(gain(0.01), gain(0.01, mean=-0.001))
    assert "folders of one sequence" in tuning.verdict(gain(math.nan), gain(0.1))


def clip(folder: Path, name: str, value: int) -> datasets.Sequence:
    path = folder / f"{name}.png"
    cv2.imwrite(str(path), np.full((8, 8, 3), value, np.uint8))
    return datasets.Sequence("set", "clip", Pictures((path,) * 3), np.full((3, 4), 5.0))


def test_figures_are_those_of_the_same_clip_and_the_same_frames_alone(tmp_path):
    one = clip(tmp_path, "one", 1)
    moved = dataclasses.replace(one, truth=one.truth + 1)
    how = tuning_runs.How("kestrel", "cpu")
    cases = [
        (how, one), (dataclasses.replace(how, max_frames=2), one), (how, moved),
        (how, clip(tmp_path, "two", 2)), (dataclasses.replace(how, grid=None), one),
        (dataclasses.replace(how, start=(("window", 0.2),)), one),
    ]  # fmt: skip
    keys = [tuning_runs.Book(tmp_path / "s", h, [s])._key((), s.key) for h, s in cases]
    assert len(set(keys)) == len(cases)
    assert keys[0] == tuning_runs.Book(tmp_path / "s", how, [one])._key((), one.key)


def test_answers_of_a_network_are_kept_by_what_they_depend_on(tmp_path, monkeypatch):
    network, one = open_network("kestrel", "cpu"), clip(tmp_path, "one", 1)
    place = tuning_runs._cache_file(tmp_path, network, one)
    assert place == tuning_runs._cache_file(tmp_path, network, one)
    others = [tuning_runs._cache_file(tmp_path, network, clip(tmp_path, "two", 2))]
    others.append(tuning_runs._cache_file(tmp_path, open_network("siamfc", "cpu"), one))
    monkeypatch.setattr(network, "device", Device("cuda:0"))
    others.append(tuning_runs._cache_file(tmp_path, network, one))
    assert len({place, *others}) == 4
