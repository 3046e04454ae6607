"""Losses against computations by hand, value by value, and their gradients."""

from __future__ import annotations

import math

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from tracker.network import losses  # noqa: E402

D = torch.float64


def rand(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, dtype=D, generator=torch.Generator().manual_seed(seed))


def labels_like(*shape: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(-1, 2, shape, generator=generator).to(D)


def mean(values: list[float]) -> float:
    return sum(values) / len(values) if values else 0.0


def log_loss(v: float, positive: bool) -> float:
    p = 1 / (1 + math.exp(-v))
    return -math.log(p if positive else 1 - p)


LABELS = torch.tensor(
    [
        [1, -1, -1, 0, 1, -1],  # both kinds
        [1, 1, 0, 1, 1, 1],  # positives only
        [-1, -1, -1, -1, -1, 0],  # negatives only
        [0, 0, 0, 0, 0, 0],  # nothing
    ],
    dtype=D,
)


def test_balanced_logistic() -> None:
    logits = rand(4, 6) * 2
    rows = []
    for v, y in zip(logits.tolist(), LABELS.tolist(), strict=True):
        parts = [
            [math.log(1 + math.exp(-k * a)) for a, b in zip(v, y, strict=True) if b == k]
            for k in (1, -1)
        ]
        kinds = sum(bool(p) for p in parts)
        rows.append(sum(mean(p) for p in parts) / max(kinds, 1))
    found = losses.balanced_logistic_loss(logits, LABELS)
    assert float(found) == pytest.approx(mean(rows))


@pytest.mark.parametrize("hardest", [1, 2, 6])
def test_hard_negative_bce(hardest: int) -> None:
    logits = rand(4, 6, seed=1) * 2
    rows = []
    for v, y in zip(logits.tolist(), LABELS.tolist(), strict=True):
        positive = [log_loss(a, True) for a, b in zip(v, y, strict=True) if b > 0]
        negative = [log_loss(a, False) for a, b in zip(v, y, strict=True) if b < 0]
        hard = sorted(negative, reverse=True)[:hardest]
        rows.append(mean(positive) + mean(negative) / 2 + mean(hard) / 2)
    found = losses.hard_negative_bce(logits, LABELS, hardest)
    assert float(found) == pytest.approx(mean(rows))


def test_sixteen_negatives_are_the_hard_ones_unless_told() -> None:
    logits, labels = rand(2, 14, 14), -torch.ones(2, 14, 14, dtype=D)
    found, expected = (losses.hard_negative_bce(logits, labels, *n) for n in ((), (16,)))
    assert found == expected


def test_hard_negative_bce_with_soft_targets() -> None:
    logits, labels = torch.tensor([[0.3, -0.2]], dtype=D), torch.tensor([[0.7, -1.0]], dtype=D)
    soft = 0.7 * log_loss(0.3, True) + 0.3 * log_loss(0.3, False)
    expected = soft + log_loss(-0.2, False)
    assert float(losses.hard_negative_bce(logits, labels, 1)) == pytest.approx(expected)


def test_focal() -> None:
    logits = rand(4, 6, seed=2) * 2
    rows = []
    for v, y in zip(logits.tolist(), LABELS.tolist(), strict=True):
        total = 0.0
        for a, b in zip(v, y, strict=True):
            p = 1 / (1 + math.exp(-a))
            if b > 0:
                total += -0.25 * (1 - p) ** 2 * math.log(p)
            elif b < 0:
                total += -0.75 * p**2 * math.log(1 - p)
        rows.append(total / max(sum(b > 0 for b in y), 1))
    assert float(losses.focal_loss(logits, LABELS)) == pytest.approx(mean(rows))


BOXES = [
    ([0, 0, 4, 4], [0, 0, 4, 4], 1.0, 0.0),
    ([0, 0, 2, 2], [1, 1, 3, 3], 1 / 7, 2 / 9),  # overlap 1, union 7, hull 9
    ([0, 0, 1, 1], [3, 0, 4, 1], 0.0, 2 / 4),  # apart: hull 4, union 2
    ([0, 0, 1, 1], [3, 3, 4, 4], 0.0, 14 / 16),  # apart on both axes: no overlap of -2 times -2
    ([0, 0, 4, 2], [1, 0, 2, 2], 2 / 8, 0.0),  # inside: the hull is the union
]


@pytest.mark.parametrize(("a", "b", "iou", "empty"), BOXES)
def test_giou(a: list[float], b: list[float], iou: float, empty: float) -> None:
    first, second = torch.tensor(a, dtype=D), torch.tensor(b, dtype=D)
    assert float(losses.corner_iou(first, second)) == pytest.approx(iou)
    assert float(losses.giou(first, second)) == pytest.approx(iou - empty)
    assert float(losses.giou(second, first)) == pytest.approx(iou - empty)


def test_giou_loss_takes_positive_cells_only() -> None:
    truth = torch.tensor([[0, 0, 2, 2], [0, 0, 2, 2]], dtype=D)
    predicted = torch.zeros(2, 4, 1, 2, dtype=D)
    predicted[0, :, 0, 0] = torch.tensor([1, 1, 3, 3])
    predicted[0, :, 0, 1] = torch.tensor([50, 50, 51, 51])  # not positive: ignored
    predicted[1] = 1.0
    positive = torch.tensor([[[True, False]], [[False, False]]])
    expected = (1 - (1 / 7 - 2 / 9)) / 2  # the second pair has no positive cell and adds 0
    assert float(losses.giou_loss(predicted, truth, positive)) == pytest.approx(expected)


def test_contrastive() -> None:
    a, b = rand(5, 3), rand(5, 3, seed=1)
    same = torch.tensor([True, False, True, False, False])
    values, found = [], losses.contrastive_values(a, b, same, margin=2.0)
    for x, y, s in zip(a.tolist(), b.tolist(), same.tolist(), strict=True):
        d = math.dist(x, y)
        values.append(d**2 / 2 if s else max(0.0, 2.0 - d) ** 2 / 2)
    np.testing.assert_allclose(found.numpy(), values)


@pytest.mark.parametrize("shared", [True, False])
def test_triplet(shared: bool) -> None:
    anchor, positive = rand(6, 3) * 0.5, rand(6, 3, seed=1) * 0.5
    negatives = rand(*((4, 3) if shared else (6, 4, 3)), seed=2) * 0.7
    valid = torch.rand(6, 4, generator=torch.Generator().manual_seed(5)) > 0.4
    valid[0] = False  # no candidate
    expected = []
    for n in range(6):
        to_positive = math.dist(anchor[n].tolist(), positive[n].tolist())
        rows = negatives if shared else negatives[n]
        distances = [
            math.dist(anchor[n].tolist(), rows[k].tolist()) for k in range(4) if valid[n, k]
        ]
        farther = [d for d in distances if d > to_positive]
        chosen = farther or distances
        value = to_positive - min(chosen) + 0.3 if chosen else 0.0
        expected.append(max(0.0, value))
    found = losses.triplet_values(anchor, positive, negatives, valid, 0.3)
    np.testing.assert_allclose(found.numpy(), expected, atol=1e-12)


def test_info_nce() -> None:
    unit = torch.nn.functional.normalize
    anchor, positive = unit(rand(3, 4, seed=1), dim=1), unit(rand(3, 4, seed=2), dim=1)
    negatives = unit(rand(3, 5, 4, seed=3), dim=2)
    valid = torch.tensor([[1, 1, 0, 1, 1], [0, 0, 1, 0, 0], [0, 0, 0, 0, 0]]).bool()
    found = losses.info_nce_values(anchor, positive, negatives, valid, temperature=0.2)
    for n in range(3):
        own = math.exp(float(anchor[n] @ positive[n]) / 0.2)
        others = [math.exp(float(anchor[n] @ negatives[n, k]) / 0.2) for k in range(5)]
        total = own + sum(o for o, v in zip(others, valid[n], strict=True) if v)
        assert float(found[n]) == pytest.approx(-math.log(own / total))
    assert found[2] == 0  # nobody to be taken for
    usual, told = (
        losses.info_nce_values(anchor, positive, negatives, valid, *t) for t in ((), (0.1,))
    )
    assert torch.equal(usual, told)


def boxes(seed: int) -> torch.Tensor:
    low = rand(3, 2, seed=seed)
    return torch.cat([low, low + rand(3, 2, seed=seed + 1).abs() + 0.2], 1).requires_grad_()


GRADIENTS = {
    "balanced": lambda: (lambda v: losses.balanced_logistic_loss(v, LABELS), rand(4, 6)),
    "bce": lambda: (lambda v: losses.hard_negative_bce(v, LABELS, 2), rand(4, 6)),
    "focal": lambda: (lambda v: losses.focal_loss(v, LABELS), rand(4, 6)),
    "giou": lambda: (lambda v: losses.giou(v, boxes(9).detach()), boxes(4)),
    "giou map": lambda: (
        lambda v: losses.giou_loss(v, boxes(9).detach(), torch.ones(3, 1, 1).bool()),
        boxes(4).detach().reshape(3, 4, 1, 1),
    ),
    "contrastive": lambda: (
        lambda v: losses.contrastive_values(
            v, rand(5, 3, seed=1), torch.tensor([True, False, True, False, False]), 3.0
        ),
        rand(5, 3),
    ),
    "triplet": lambda: (
        lambda v: losses.triplet_values(
            v, rand(5, 3, seed=1), rand(4, 3, seed=2), torch.ones(5, 4).bool(), 1.5
        ),
        rand(5, 3),
    ),
    "info nce": lambda: (
        lambda v: losses.info_nce_values(
            v, rand(5, 3, seed=1), rand(5, 4, 3, seed=2), torch.tensor([[1, 1, 0, 1]] * 5).bool()
        ),
        rand(5, 3),
    ),
}


@pytest.mark.parametrize("name", GRADIENTS)
def test_gradient(name: str) -> None:
    function, value = GRADIENTS[name]()
    value = value.detach().requires_grad_()
    assert torch.autograd.gradcheck(function, (value,))
    gradient = torch.autograd.grad(function(value).sum(), value)[0]
    assert gradient.abs().sum() > 0


@pytest.mark.parametrize("name", ["balanced_logistic_loss", "hard_negative_bce", "focal_loss"])
def test_large_logits_stay_finite(name: str) -> None:
    logits = torch.tensor([[1e4, -1e4, 1e4, -1e4]], requires_grad=True)
    labels = torch.tensor([[1.0, 1.0, -1.0, -1.0]])
    options = {"hardest": 2} if name == "hard_negative_bce" else {}
    loss = getattr(losses, name)(logits, labels, **options)
    loss.backward()
    assert torch.isfinite(loss)
    assert torch.isfinite(logits.grad).all()


def test_embeddings_that_coincide_have_a_finite_gradient() -> None:
    point = torch.ones(2, 3, requires_grad=True)
    same = torch.tensor([True, False])
    losses.contrastive_values(point, point.detach().clone(), same).sum().backward()
    assert torch.isfinite(point.grad).all()
