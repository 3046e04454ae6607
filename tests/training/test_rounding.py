"""Weights that are rounded for their layer's answers, against plain rounding and brute force."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")

from tests.training.test_equalise import chain, images, tensors  # noqa: E402
from tracker.training.rounding import round_kernels, rounded_weights  # noqa: E402


def loss(kernels: np.ndarray, whole: np.ndarray, scale: np.ndarray, seen: np.ndarray) -> float:
    return float(np.square(seen @ (kernels - whole * scale[:, None]).T).sum())


def seen_values(count: int, channels: int, rng: np.random.Generator) -> np.ndarray:
    """Channels that go together, as those of a network do."""
    return rng.normal(size=(count, 3)) @ rng.normal(size=(3, channels)) + 0.1 * rng.normal(
        size=(count, channels)
    )


def test_answers_stay_nearer_than_with_plain_rounding() -> None:
    rng = np.random.default_rng(0)
    for _ in range(5):
        kernels, seen = rng.normal(size=(6, 24)), seen_values(500, 24, rng)
        scale = np.abs(kernels).max(1) / 7  # few steps: there is much to lose
        found = round_kernels(kernels, seen.T @ seen, scale, 7)
        plain = np.round(kernels / scale[:, None])
        assert loss(kernels, found, scale, seen) < 0.3 * loss(kernels, plain, scale, seen)
        assert np.abs(found).max() <= 7 and (found == np.round(found)).all()


def test_it_is_near_the_best_of_all_roundings() -> None:
    rng = np.random.default_rng(1)
    kernels, seen = rng.normal(size=(1, 8)), seen_values(300, 8, rng)
    scale = np.abs(kernels).max(1) / 7
    found = round_kernels(kernels, seen.T @ seen, scale, 7)
    low = np.floor(kernels / scale[:, None])
    every = [low + np.array(up) for up in itertools.product((0, 1), repeat=8)]
    losses = sorted(loss(kernels, whole, scale, seen) for whole in every)
    assert loss(kernels, found, scale, seen) < losses[len(losses) // 20]


def test_values_that_do_not_go_together_are_rounded_plainly() -> None:
    kernels = np.random.default_rng(2).normal(size=(4, 9))
    scale = np.abs(kernels).max(1) / 127
    found = round_kernels(kernels, np.eye(9), scale)
    np.testing.assert_array_equal(found, np.round(kernels / scale[:, None]))


@pytest.mark.parametrize("middle", ["depthwise", "whole"])
def test_layers_of_a_graph(middle: str) -> None:
    content = chain(middle)
    feeds = [
        {"image": f["image"].cumsum(3).cumsum(2) / 6} for f in images(8)
    ]  # as smooth as pictures
    weights = rounded_weights(content, ["first", "sum", "middle"], feeds, top=7)
    assert set(weights) == {"a", "c"} and all(w.dtype == np.int8 for w in weights.values())
    errors = []
    for plain in (True, False):
        model = onnx.load_from_string(content)
        for constant in model.graph.initializer:
            if constant.name in weights:
                value = onnx.numpy_helper.to_array(constant)
                scale = np.abs(value).max((1, 2, 3), keepdims=True) / 7
                whole = np.round(value / scale) if plain else weights[constant.name]
                changed = (whole * scale).astype(np.float32)
                constant.CopyFrom(onnx.numpy_helper.from_array(changed, constant.name))
        before = tensors(content, ["a_out", "sum"], feeds)
        after = tensors(bytes(model.SerializeToString()), ["a_out", "sum"], feeds)
        errors.append(
            sum(np.square(b - a).mean() / b.var() for b, a in zip(before, after, strict=True))
        )
    assert errors[1] < 0.9 * errors[0]
