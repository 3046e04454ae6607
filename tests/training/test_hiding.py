"""Targets that disappear: how much of them is said to be seen, and what is then asked for."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest

torch = pytest.importorskip("torch")

from tests.training.data import tiny_kestrel, tiny_sampler, tiny_source  # noqa: E402
from tracker.training.hiding import (  # noqa: E402
    elsewhere,
    hide_behind_object,
    hide_behind_pillar,
    part_of,
    visible_share,
)
from tracker.training.loader import PairDataset  # noqa: E402
from tracker.training.objective import LossOptions, make_objective, visibility  # noqa: E402
from tracker.training.pairs import PairSampler  # noqa: E402
from tracker.training.tracks import EncodedFrames, Track  # noqa: E402
from tracker.training.train_options import build_parser  # noqa: E402

TARGET = np.array([80.0, 60.0, 128.0, 132.0], np.float32)
BLACK, WHITE = np.zeros((224, 224, 3), np.uint8), np.full((224, 224, 3), 255, np.uint8)


def seen(canvas: np.ndarray) -> float:
    """Share of the target that is still black."""
    x1, y1, x2, y2 = TARGET.astype(int)
    return 1 - float(canvas[y1:y2, x1:x2, 0].mean()) / 255


def test_a_pillar_hides_as_much_as_it_says() -> None:
    shares = []
    for seed in range(200):
        canvas, visible = hide_behind_pillar(BLACK, TARGET, WHITE, np.random.default_rng(seed))
        assert visible == pytest.approx(seen(canvas), abs=0.01)
        shares.append(visible)
    found = np.histogram(shares, [-0.01, 0.125, 0.5, 1.01])[0] / 200
    assert (found > 0.1).all()  # all of it, half of it, and nearly nothing


def test_an_object_hides_as_much_as_it_says() -> None:
    white = EncodedFrames([cv2.imencode(".png", WHITE)[1].ravel()], "white")
    track = Track(white, np.array([[60, 80, 70, 90]], np.float32), "thing")
    shares, areas = [], []
    for seed in range(60):
        canvas, visible = hide_behind_object(BLACK, TARGET, track, np.random.default_rng(seed))
        assert visible == pytest.approx(seen(canvas), abs=0.01)
        shares.append(visible)
        areas.append(float(canvas[..., 0].sum()) / 255 / float((TARGET[2:] - TARGET[:2]).prod()))
    assert min(shares) < 0.125 and max(shares) > 0.5
    assert 2.5 < max(areas) < 4.3  # up to twice as wide and high


@pytest.mark.parametrize("place", [(30, 150), (180, 20), (170, 160)])
def test_a_part_is_up_to_half_of_the_target(place: tuple[int, int]) -> None:
    (x, y), shares = place, []
    for seed in range(400):
        a, b, c, d = part_of(np.array([x, y, x + 40, y + 60]), 224, np.random.default_rng(seed))
        assert min(a, b) >= 0 and max(c, d) <= 224
        w, h = min(c, x + 40) - max(a, x), min(d, y + 60) - max(b, y)
        shares.append(max(w, 0) * max(h, 0) / (40 * 60))
    assert max(shares) <= 0.5 and np.mean(shares) > 0.1 and min(shares) > 0.01


def test_a_target_that_leaves_the_crop_counts_as_far_as_it_is_inside() -> None:
    cover = np.zeros((100, 100), np.float32)
    cover[:, :10] = 1
    assert visible_share(cover, np.array([-40, 20, 20, 40], np.float32)) == pytest.approx(0.5)
    assert visible_share(cover, np.array([-40, 20, -20, 40], np.float32)) == 1.0


def test_elsewhere_is_not_where_the_target_stands() -> None:
    canvas = BLACK.copy()
    canvas[60:132, 80:128] = 255
    assert not elsewhere(canvas)[60:132, 80:128].any()


def test_pairs_tell_what_is_hidden_and_others_stay() -> None:
    plain = tiny_sampler()
    plain.options = replace(plain.options, far=0, grey=0, appearance=0, later=0, negative=0.3)
    hiding = PairSampler([tiny_source()], replace(plain.options, hidden=0.3), plain.seed)
    before, after = list(map(plain.pair, range(60))), list(map(hiding.pair, range(60)))
    assert all(p.visible == 1 for p in before)
    hidden = [a for a in after if a.visible < 1]
    assert 5 < len(hidden) < 20 and all(a.positive for a in hidden)
    for a, b in zip(after, before, strict=True):
        assert a.positive == b.positive and (a.search_box == b.search_box).all()
        if a.visible == 1:
            assert (a.search == b.search).all()


def batch_of(network: torch.nn.Module) -> dict[str, torch.Tensor]:
    dataset = PairDataset(tiny_sampler(search=network.search_size), 3)
    batch = torch.utils.data.default_collate([dataset[i] for i in range(3)])
    batch["positive"][:] = True
    return batch


@pytest.mark.parametrize("name", ["score", "contrastive", "triplet", "nce", "box"])
def test_a_target_that_is_gone_is_a_negative(name: str) -> None:
    network = tiny_kestrel().eval()
    batch = batch_of(network)
    objective = make_objective(network, LossOptions())
    with torch.no_grad():
        whole = objective(batch)[name]
        gone = objective(batch | {"visible": torch.tensor([1.0, 0.05, 1.0])})[name]
        other = objective(batch | {"positive": torch.tensor([True, False, True])})[name]
    assert gone == other != whole


def test_what_is_half_hidden_asks_for_half_of_the_score_and_teaches_nothing_else() -> None:
    network = tiny_kestrel().eval()
    batch = batch_of(network)
    objective = make_objective(network, LossOptions())
    with torch.no_grad():
        losses = {}
        for visible in (1.0, 0.5, 0.3125):
            losses[visible] = objective(batch | {"visible": torch.tensor([visible] * 3)})
        scores = objective.seen.score
        labels = []
        objective._score_loss = lambda score, label, *_: labels.append(label) or score.sum()
        objective(batch)
    assert losses[0.5] == losses[1.0]
    half = losses[0.3125]
    assert half["box"] == half["triplet"] == 0
    # by hand: the middle term of the score loss with targets of a half instead of one
    positive = labels[0] > 0
    change = [0.5 * float(s[p].mean()) for s, p in zip(scores, positive, strict=True)]
    assert float(half["score"] - losses[1.0]["score"]) == pytest.approx(np.mean(change), abs=1e-5)


def test_only_what_is_in_sight_is_remembered_by_its_track() -> None:
    network = tiny_kestrel().eval()
    batch = batch_of(network)
    objective = make_objective(network, LossOptions())
    with torch.no_grad():
        objective(batch | {"visible": torch.tensor([1.0, 0.3, 0.05])})
    assert objective.seen.shown_track.tolist() == [int(batch["shown"][0]), -1, -1]


def test_visibility_by_hand() -> None:
    shares = torch.tensor([0.0, 0.125, 0.3125, 0.5, 1.0])
    assert visibility(shares, clear=0.5).tolist() == [0.0, 0.0, 0.5, 1.0, 1.0]
    assert visibility(shares, clear=0.875).tolist() == [0.0, 0.0, 0.25, 0.5, 1.0]


def test_clear_is_when_the_score_begins_to_fall_and_not_the_box() -> None:
    network = tiny_kestrel().eval()
    batch = batch_of(network)

    def losses(clear: float, visible: float) -> dict[str, torch.Tensor]:
        objective = make_objective(network, LossOptions(clear=clear))
        with torch.no_grad():
            return objective(batch | {"visible": torch.tensor([visible] * 3)})

    strict, usual = losses(0.875, 0.5), losses(0.5, 1.0)
    assert strict["score"] == losses(0.5, 0.3125)["score"]  # a half is asked for, either way
    assert strict["box"] == usual["box"] > 0
    assert strict["triplet"] == usual["triplet"] > 0


def test_clear_is_more_than_gone(capsys: pytest.CaptureFixture[str]) -> None:
    parser = build_parser()
    assert parser.parse_args(["--clear", "0.75"]).clear == 0.75
    for wrong in ("0.1", "1.5", "half"):
        with pytest.raises(SystemExit) as stop:
            parser.parse_args(["--clear", wrong])
        assert stop.value.code == 2
        assert "--clear" in capsys.readouterr().err
