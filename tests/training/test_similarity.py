"""Similarities against loops over every place, cell by cell."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

torch = pytest.importorskip("torch")

from tracker.network.correlation import SIMILARITIES, pixelwise_correlation  # noqa: E402


def loop_dot(z: np.ndarray, w: np.ndarray) -> float:
    return sum(a * b for a, b in zip(z.ravel().tolist(), w.ravel().tolist(), strict=True))


def loop_cosine(z: np.ndarray, w: np.ndarray) -> float:
    return loop_dot(z, w) / (math.sqrt(loop_dot(z, z)) * math.sqrt(loop_dot(w, w)))


def loop_euclidean(z: np.ndarray, w: np.ndarray) -> float:
    return -math.sqrt(
        sum((a - b) ** 2 for a, b in zip(z.ravel().tolist(), w.ravel().tolist(), strict=True))
    )


def loop_manhattan(z: np.ndarray, w: np.ndarray) -> float:
    return -sum(abs(a - b) for a, b in zip(z.ravel().tolist(), w.ravel().tolist(), strict=True))


LOOPS = {
    "dot": loop_dot,
    "cosine": loop_cosine,
    "euclidean": loop_euclidean,
    "manhattan": loop_manhattan,
}


def by_hand(name: str, exemplar: np.ndarray, search: np.ndarray) -> np.ndarray:
    batch, _, height, width = search.shape
    _, _, h, w = exemplar.shape
    out = np.zeros((batch, 1, height - h + 1, width - w + 1))
    for b in range(batch):
        z = exemplar[b if len(exemplar) > 1 else 0]
        for i in range(out.shape[2]):
            for j in range(out.shape[3]):
                out[b, 0, i, j] = LOOPS[name](z, search[b, :, i : i + h, j : j + w])
    return out


def test_every_similarity_has_a_loop() -> None:
    assert LOOPS.keys() == SIMILARITIES.keys()


@pytest.mark.parametrize("name", LOOPS)
@settings(max_examples=12, deadline=None)
@given(
    one=st.booleans(),
    batch=st.integers(1, 3),
    channels=st.integers(1, 3),
    h=st.integers(1, 3),
    w=st.integers(1, 3),
    more=st.tuples(st.integers(0, 3), st.integers(0, 3)),
    seed=st.integers(0, 1000),
)
def test_equals_the_loop(
    name: str,
    one: bool,
    batch: int,
    channels: int,
    h: int,
    w: int,
    more: tuple[int, int],
    seed: int,
) -> None:
    rng = np.random.default_rng(seed)
    exemplar = rng.normal(size=(1 if one else batch, channels, h, w))
    search = rng.normal(size=(batch, channels, h + more[0], w + more[1]))
    found = SIMILARITIES[name](torch.from_numpy(exemplar), torch.from_numpy(search))
    np.testing.assert_allclose(found.numpy(), by_hand(name, exemplar, search), atol=1e-9)


@pytest.mark.parametrize("name", LOOPS)
def test_gradient(name: str) -> None:
    torch.manual_seed(0)
    exemplar = torch.randn(2, 2, 2, 2, dtype=torch.float64, requires_grad=True)
    search = torch.randn(2, 2, 3, 4, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(SIMILARITIES[name], (exemplar, search))


@pytest.mark.parametrize("name", LOOPS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_of_nothing_and_of_the_same_all_is_finite(name: str, dtype: torch.dtype) -> None:
    """Norms and distances of 0; the square of a distance may be rounded to a little below."""
    rng = torch.Generator().manual_seed(0)
    something = torch.rand(8, 8, 3, 3, generator=rng).to(dtype)
    nothing = torch.zeros_like(something)
    for exemplar in (something, nothing):
        search = torch.cat([nothing, something], 3).requires_grad_()
        found = SIMILARITIES[name](exemplar, search)
        (gradient,) = torch.autograd.grad(found.float().sum(), search)
        assert found.isfinite().all() and gradient.isfinite().all()
        if name in ("dot", "cosine"):
            assert not found[..., 0].any() and (exemplar.any() or not found.any())


@pytest.mark.parametrize("name", LOOPS)
@pytest.mark.parametrize(
    ("exemplar", "search"),
    [
        ((2, 3, 2, 2), (3, 3, 5, 5)),  # batches that do not pair up
        ((1, 2, 2, 2), (3, 3, 5, 5)),  # channels
        ((1, 3, 6, 2), (3, 3, 5, 5)),  # an exemplar larger than the search
        ((3, 2, 2), (3, 3, 5, 5)),  # no batch
    ],
)
def test_refuses_what_does_not_fit(
    name: str, exemplar: tuple[int, ...], search: tuple[int, ...]
) -> None:
    with pytest.raises(ValueError, match="exemplar embedding must be"):
        SIMILARITIES[name](torch.zeros(exemplar), torch.zeros(search))


@pytest.mark.parametrize("one", [True, False])
def test_pixelwise_equals_the_loop(one: bool) -> None:
    rng = np.random.default_rng(1)
    rows, search = rng.normal(size=(1 if one else 2, 5, 3)), rng.normal(size=(2, 3, 4, 2))
    found = pixelwise_correlation(torch.from_numpy(rows), torch.from_numpy(search)).numpy()
    assert found.shape == (2, 5, 4, 2)
    for b in range(2):
        for n in range(5):
            for i in range(4):
                for j in range(2):
                    row = rows[0 if one else b, n]
                    expected = loop_dot(row, search[b, :, i, j]) / math.sqrt(3)
                    assert found[b, n, i, j] == pytest.approx(expected)
