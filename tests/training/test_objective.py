"""The losses of a batch: labels, what is blended, what is left out, and who gets a gradient."""

from __future__ import annotations

import math

import pytest

torch = pytest.importorskip("torch")

from tests.training.data import tiny_kestrel, tiny_sampler  # noqa: E402
from tracker.network.head import box_coverage  # noqa: E402
from tracker.network.kestrel import pooled_identity  # noqa: E402
from tracker.network.losses import (  # noqa: E402
    contrastive_values,
    corner_iou,
    focal_loss,
    hard_negative_bce,
    info_nce_values,
    triplet_values,
)
from tracker.training.loader import PairDataset  # noqa: E402
from tracker.training.models import make_network  # noqa: E402
from tracker.training.objective import (  # noqa: E402
    LossOptions,
    disc_labels,
    disc_reach,
    ellipse_labels,
    false_peak,
    make_objective,
)


@pytest.mark.parametrize("name", ["siamfc", "kestrel"])
def test_every_parameter_gets_a_gradient(name: str) -> None:
    torch.manual_seed(0)
    network = make_network(name) if name == "siamfc" else tiny_kestrel()
    sampler = tiny_sampler(exemplar=network.exemplar_size, search=network.search_size)
    dataset = PairDataset(sampler, 4)
    batch = torch.utils.data.default_collate([dataset[i] for i in range(4)])
    assert batch["positive"].any()
    parts = make_objective(network, LossOptions())(batch)
    assert all(torch.isfinite(v) for v in parts.values())
    parts["loss"].backward()
    silent = [n for n, p in network.named_parameters() if p.grad is None or not p.grad.any()]
    assert silent == []


def test_an_object_beside_the_target_is_pushed_away() -> None:
    """Half of the contrastive value of the exemplar and that object, over the batch."""
    network = tiny_kestrel().eval()
    dataset = PairDataset(tiny_sampler(search=network.search_size), 3)
    batch = torch.utils.data.default_collate([dataset[i] for i in range(3)])
    assert batch["beside_box"].isnan().all()
    objective = make_objective(network, LossOptions())
    with torch.no_grad():
        without = objective(batch)["contrastive"]
        batch["beside_box"][1] = torch.tensor([32.0, 48.0, 80.0, 96.0])  # whole cells
        found = objective(batch)["contrastive"] - without
        embedding, anchor = network.exemplar(batch["exemplar"], batch["exemplar_box"])
        cells = network.search(embedding, batch["search"]).identity[1, :, 3:6, 2:5]
        there = torch.nn.functional.normalize(cells.mean((1, 2)), dim=0)
        distance = float((anchor[1] - there).norm())
    assert 0 < distance < 1  # else nothing is pushed
    assert float(found) == pytest.approx(0.5 * (1 - distance) ** 2 / 2 / 3, rel=1e-3)


def some_batch(network: torch.nn.Module, count: int = 3) -> dict[str, torch.Tensor]:
    sampler = tiny_sampler(exemplar=network.exemplar_size, search=network.search_size)
    dataset = PairDataset(sampler, count)
    return torch.utils.data.default_collate([dataset[i] for i in range(count)])


def test_the_loss_is_the_weighted_sum_of_its_parts() -> None:
    network = tiny_kestrel().eval()
    weights = {"box": 2.0, "contrastive": 3.0, "triplet": 5.0, "nce": 7.0}
    with torch.no_grad():
        parts = make_objective(network, LossOptions(**weights))(some_batch(network))
    expected = parts["score"] + sum(weight * parts[name] for name, weight in weights.items())
    assert min(float(parts[name]) for name in weights) > 0
    assert float(parts["loss"]) == pytest.approx(float(expected))


@pytest.mark.parametrize("score", ["bce", "focal"])
def test_what_the_score_is_asked_for(score: str) -> None:
    network = tiny_kestrel().eval()
    batch = some_batch(network)
    batch["positive"][:] = True
    middle = batch["search_box"].reshape(3, 2, 2).mean(1)
    for pair, side in ((1, 40.0), (2, 8.0)):  # overlaps below a half, and below what counts
        batch["search_box"][pair] = torch.cat([middle[pair] - side / 2, middle[pair] + side / 2])
    objective = make_objective(network, LossOptions(score=score, quality=0.5))
    with torch.no_grad():
        found = objective(batch)["score"]
    seen, truth = objective.seen, batch["search_box"]
    labels = ellipse_labels(truth, seen.score.shape[-1], network.stride)
    overlap = corner_iou(seen.boxes.permute(0, 2, 3, 1), truth[:, None, None])
    assert (overlap[1][labels[1] > 0] > 0.1).all() and (overlap[1] < 0.5).all()
    assert (overlap[2] < 0.05).all()
    overlap = overlap.clamp(0.05, 1)
    if score == "focal":
        expected = focal_loss(seen.score, labels)
    else:
        soft = torch.where(labels > 0, 0.5 + 0.5 * overlap, labels)
        expected = hard_negative_bce(seen.score, soft)
    assert float(found) == pytest.approx(float(expected))


def test_a_score_that_asks_for_the_overlap_moves_no_box() -> None:
    """Else a box would grow worse so that its score is right."""
    network = tiny_kestrel()
    objective = make_objective(network, LossOptions(quality=1.0))
    objective(some_batch(network))["score"].backward()
    assert network.head.score.weight.grad.any()
    assert all(p.grad is None or not p.grad.any() for p in network.head.sides.parameters())


def test_the_identity_is_told_from_others_and_from_the_false_peak() -> None:
    """The target of the second pair is half hidden: it says nothing of itself."""
    network = tiny_kestrel().eval()
    batch = some_batch(network)
    batch |= {"positive": torch.tensor([True] * 3), "visible": torch.tensor([1.0, 0.3, 1.0])}
    exemplar = network.exemplar  # all that a fresh network sees looks alike to it
    network.exemplar = lambda *given: [
        turn * v for turn, v in zip((1, -1), exemplar(*given), strict=True)
    ]
    objective = make_objective(network, LossOptions(margin=0.7))
    with torch.no_grad():
        parts, seen = objective(batch), objective.seen
        embedding, anchor = network.exemplar(batch["exemplar"], batch["exemplar_box"])
        features = network.search(embedding, batch["search"]).identity
        box = false_peak(seen.score, seen.boxes, batch["search_box"])
        false = pooled_identity(features, box_coverage(box, features.shape[-1], network.stride))
    told, nothing = torch.tensor([1.0, 0.0, 1.0]), torch.zeros(3, dtype=torch.bool)
    own = contrastive_values(anchor, seen.shown, ~nothing) * told
    pushed = 0.5 * contrastive_values(anchor, false, nothing)
    assert float(parts["contrastive"]) == pytest.approx(float((own + pushed).mean()), rel=1e-4)
    others = torch.cat([seen.shown[None].expand(3, -1, -1), false[:, None]], 1)
    valid = torch.cat([batch["shown"][None] != batch["track"][:, None], ~nothing[:, None]], 1)
    for name, values, more in (("triplet", triplet_values, (0.7,)), ("nce", info_nce_values, ())):
        expected = (values(anchor, seen.shown, others, valid, *more) * told).mean()
        assert float(parts[name]) == pytest.approx(float(expected), rel=1e-4)


def test_siamfc_learns_that_a_target_is_gone() -> None:
    network = make_network("siamfc").eval()
    batch = some_batch(network)
    batch["positive"][:] = True
    objective = make_objective(network, LossOptions())
    with torch.no_grad():
        whole = objective(batch)["loss"]
        gone = objective(batch | {"visible": torch.tensor([1.0, 0.05, 1.0])})["loss"]
        other = objective(batch | {"positive": torch.tensor([True, False, True])})["loss"]
    assert gone == other != whole


def test_the_radius_of_siamfc_says_which_cells_are_positive() -> None:
    logits = torch.randn(1, 17, 17, generator=torch.Generator().manual_seed(0))
    network = make_network("siamfc")
    network.exemplar, network.search = (lambda _: None), (lambda *_: logits)
    batch = {"exemplar": None, "search": None, "search_box": torch.tensor([[118.0, 108, 148, 158]]),
             "positive": torch.tensor([True]), "visible": torch.tensor([1.0])}  # fmt: skip
    for radius in (9.0, 30.0):
        kinds: dict[bool, list[float]] = {True: [], False: []}
        for i, j in torch.cartesian_prod(torch.arange(17), torch.arange(17)).tolist():
            inside = math.hypot(127.5 + 8 * (i - 8) - 133, 127.5 + 8 * (j - 8) - 133) <= radius
            value = float(logits[0, i, j])
            kinds[inside].append(math.log(1 + math.exp(-value if inside else value)))
        expected = sum(sum(k) / len(k) for k in kinds.values()) / 2
        found = make_objective(network, LossOptions(radius=radius))(batch)["loss"]
        assert float(found) == pytest.approx(expected, rel=1e-5)


def test_boxes_that_are_not_exact_teach_no_box() -> None:
    network = tiny_kestrel().eval()
    dataset = PairDataset(tiny_sampler(search=network.search_size), 2)
    batch = torch.utils.data.default_collate([dataset[i] for i in range(2)])
    batch["positive"][:] = True
    objective = make_objective(network, LossOptions())
    with torch.no_grad():
        both = objective(batch)
        batch["exact"][0] = False
        one = objective(batch)
        batch["exact"][1] = False
        none = objective(batch)
    assert 0 < one["box"] < both["box"] and none["box"] == 0
    assert none["score"] == both["score"] and none["triplet"] == both["triplet"]


def test_a_later_exemplar_is_blended_in_where_there_is_one() -> None:
    network = tiny_kestrel().eval()
    dataset = PairDataset(tiny_sampler(search=network.search_size), 3)
    batch = torch.utils.data.default_collate([dataset[i] for i in range(3)])
    batch["later"][1] = batch["later"][1].flip(0)
    batch["later_box"][1] = torch.tensor([60.0, 70.0, 130.0, 120.0])
    with torch.no_grad():
        first, _ = network.exemplar(batch["exemplar"], batch["exemplar_box"])
        later, _ = network.exemplar(batch["later"], batch["later_box"].nan_to_num())
        objective = make_objective(network, LossOptions(blend=0.4))
        used = []
        search = network.search
        network.search = lambda embedding, image: [
            used.append(embedding),
            search(embedding, image),
        ][1]
        objective(batch)
    assert (first[1] - later[1]).abs().max() > 0.1
    expected = torch.stack([first[0], 0.6 * first[1] + 0.4 * later[1], first[2]])
    assert torch.allclose(used[0], expected, atol=1e-5)


def test_ellipse_labels_by_hand() -> None:
    corners = torch.tensor([[20.0, 40.0, 148.0, 104.0], [96.0, 97.0, 99.0, 100.0]])
    found = ellipse_labels(corners, 16, 16)
    for b, (x1, y1, x2, y2) in enumerate(corners.tolist()):
        nearest = (round((y1 + y2) / 32 - 0.5), round((x1 + x2) / 32 - 0.5))
        for i in range(16):
            for j in range(16):
                dx = (16 * j + 8 - (x1 + x2) / 2) / ((x2 - x1) / 2)
                dy = (16 * i + 8 - (y1 + y2) / 2) / ((y2 - y1) / 2)
                inner, outer = math.hypot(2 * dx, 2 * dy) <= 1, math.hypot(dx, dy) <= 1
                expected = 1 if inner or (i, j) == nearest else 0 if outer else -1
                assert found[b, i, j] == expected
    assert (found[0] == 0).any()
    assert (found[1] == 1).sum() == 1  # a speck still has its cell


def test_the_cell_nearest_to_a_small_target_is_the_positive_one() -> None:
    places = torch.arange(9.0, 215, 3.7)
    middles = torch.cartesian_prod(places, places)
    found = ellipse_labels(torch.cat([middles - 1, middles + 1], 1), 14, 16)
    assert ((found > 0).flatten(1).sum(1) == 1).all()
    i, j = (found > 0).nonzero()[:, 1:].T
    assert ((16 * torch.stack([j, i], 1) + 8 - middles).abs() <= 8.01).all()


def test_ellipse_labels_of_a_target_outside_of_the_crop() -> None:
    found = ellipse_labels(torch.tensor([[-60.0, 300.0, -20.0, 340.0]]), 16, 16)
    assert found[0, 15, 0] == 1
    assert (found == 1).sum() == 1


def test_disc_labels_by_hand() -> None:
    corners = torch.tensor([[110.0, 120.0, 160.0, 150.0]])
    found = disc_labels(corners, 17, 8, 255, 16.0)
    for i in range(17):
        for j in range(17):
            y, x = 127.5 + 8 * (i - 8), 127.5 + 8 * (j - 8)
            inside = math.hypot(x - 135, y - 135) <= 16
            assert found[0, i, j] == (1 if inside else -1)
    assert 8 <= (found > 0).sum() <= 16


@pytest.mark.parametrize("radius", [0.0, 2.0, 5.0, 16.0])
def test_a_target_in_the_map_has_a_positive_cell(radius: float) -> None:
    """However small the radius is, as for Kestrel."""
    places = 127.5 + torch.arange(-67.5, 68, 2.7)
    middles = torch.cartesian_prod(places, places)
    found = disc_labels(torch.cat([middles - 9, middles + 9], 1), 17, 8, 255, radius)
    assert (found > 0).flatten(1).any(1).all()
    if radius < 4:  # at most half of the way to the next cell in each direction
        assert ((found > 0).flatten(1).sum(1) == 1).all()
        i, j = (found > 0).nonzero()[:, 1:].T
        cells = 127.5 + 8 * (torch.stack([j, i], 1) - 8)
        assert ((cells - middles).abs() <= 4.01).all()


def test_a_target_beside_the_map_has_no_cell_but_those_of_its_disc() -> None:
    middles = 127.5 + torch.tensor([[90.0, 0], [-100, -100], [0, 71], [66, 79]])
    found = disc_labels(torch.cat([middles - 9, middles + 9], 1), 17, 8, 255, 16.0)
    assert (found > 0).flatten(1).sum(1).tolist() == [0, 0, 4, 1]


def test_the_largest_shift_leaves_no_positive_pair_without_a_cell() -> None:
    for radius in (0.0, 4.0, 16.0, 40.0):
        shift = disc_reach(128 / 2, 8, radius)
        middle = 127.5 + torch.tensor([[shift, shift], [shift, 0], [0, -shift]]) * 0.9999
        found = disc_labels(torch.cat([middle - 9, middle + 9], 1), 17, 8, 255, radius)
        assert (found > 0).flatten(1).any(1).all()
        corner = 127.5 + torch.tensor([[shift, shift]]) * 1.001
        found = disc_labels(torch.cat([corner - 9, corner + 9], 1), 17, 8, 255, radius)
        assert not (found > 0).any()


def test_false_peak_is_the_best_cell_that_misses_the_object() -> None:
    cells = [  # score, box, its overlap with the object
        (9.0, (0.0, 0.0, 10.0, 10.0), 1.0),
        (8.0, (1.0, 1.0, 11.0, 11.0), 0.68),
        (7.0, (0.0, 0.0, 10.0, 3.0), 0.3),
        (2.0, (9.0, 0.0, 19.0, 10.0), 0.05),
        (1.0, (40.0, 40.0, 50.0, 50.0), 0.0),
        (6.0, (0.0, 0.0, 10.0, 1.5), 0.15),
    ]
    score = torch.tensor([cell[0] for cell in cells]).reshape(1, 2, 3)
    boxes = torch.tensor([cell[1] for cell in cells]).T.reshape(1, 4, 2, 3)
    truth = torch.tensor([[0.0, 0, 10, 10]])
    assert false_peak(score, boxes, truth).tolist() == [list(cells[3][1])]
