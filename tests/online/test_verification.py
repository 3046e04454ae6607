"""The public word on whether two patches show one object."""

from __future__ import annotations

import math
import multiprocessing
import os
from pathlib import Path

import numpy as np
import pytest

import tracker
from tests.online.scripted import ResponseNetwork, ScriptedNetwork, see_green
from tracker import verification
from tracker.errors import UserError
from tracker.runtime import Network
from tracker.spec import PresencePolicy
from tracker.weights import ROLES


class ColourNetwork(ScriptedNetwork):
    """Its identity is the mean colour of the middle of the crop."""

    def embed(self, crops, boxes):  # type: ignore[no-untyped-def]
        middle = crops[:, 48:80, 48:80].reshape(len(crops), -1, 3).mean(1) + 1.0
        unit = middle / np.linalg.norm(middle, axis=1, keepdims=True)
        return np.zeros((len(crops), 66, 4), np.float32), unit.astype(np.float32)


@pytest.fixture(autouse=True)
def colours(monkeypatch: pytest.MonkeyPatch) -> None:
    def opened(model: object, device: object) -> Network:
        return ColourNetwork(see_green)

    monkeypatch.setattr(verification, "open_network", opened)
    verification._kept.cache_clear()
    yield  # type: ignore[misc]
    verification._kept.cache_clear()


def patch(colour: tuple[int, int, int], width: int = 40, height: int = 30) -> np.ndarray:
    return np.full((height, width, 3), colour, np.uint8)


def test_cosine_and_euclidean_are_two_forms_of_one_thing() -> None:
    red, orange = patch((0, 0, 200)), patch((0, 100, 200), 17, 60)
    cosine = tracker.similarity(red, orange)
    expected = np.float64([1, 1, 201]) @ [1, 101, 201]
    expected /= np.linalg.norm([1, 1, 201]) * np.linalg.norm([1, 101, 201])
    assert cosine == pytest.approx(expected, abs=0.01)
    assert tracker.similarity(red, orange, form="euclidean") == pytest.approx(
        -math.sqrt(2 - 2 * cosine), abs=1e-6
    )


def test_what_is_the_same_has_no_distance() -> None:
    for blue in range(3, 200, 7):  # of some the rounded cosine is above 1
        same = patch((blue, 57, 200))
        assert tracker.similarity(same, same, form="euclidean") == 0
        assert 0.999 < tracker.similarity(same, same) <= 1


def test_the_threshold_is_the_models_or_ones_own() -> None:
    red, orange, violet = patch((0, 0, 200)), patch((0, 100, 200)), patch((200, 0, 100))
    assert tracker.same_object(red, orange)
    assert not tracker.same_object(red, orange, threshold=0.99)
    assert tracker.same_object(red, orange, threshold=tracker.similarity(red, orange))
    assert PresencePolicy.same < tracker.similarity(red, violet) < PresencePolicy.match
    assert not tracker.same_object(red, violet)


@pytest.mark.parametrize(
    "threshold", ["high", [0.5], math.nan, 1.01, -2, 10**400], ids=lambda value: str(value)[:6]
)
def test_a_threshold_that_is_no_cosine_is_named(threshold: object) -> None:
    red = patch((0, 0, 200))
    with pytest.raises(ValueError, match="a threshold is a cosine similarity, -1 to 1, found"):
        tracker.same_object(red, red, threshold=threshold)  # type: ignore[arg-type]


def test_a_network_may_be_given() -> None:
    red = patch((0, 0, 200))
    assert tracker.same_object(red, red, model=ColourNetwork(see_green))
    with pytest.raises(ValueError, match="a model is a name or a path"):
        tracker.similarity(red, red, model=3)  # type: ignore[arg-type]
    with pytest.raises(UserError, match="scripted has no verification embedding"):
        tracker.similarity(red, red, model=ResponseNetwork(see_green))


def test_files_that_change_are_read_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[object] = []

    def open_one(model: object, device: object) -> Network:
        opened.append((model, device))
        return ColourNetwork(see_green)

    monkeypatch.setattr(verification, "open_network", open_one)
    red, stem = patch((0, 0, 200)), tmp_path / "mine"
    for content in (b"first", b"second one"):
        for role in ROLES:
            (tmp_path / f"mine.{role}.onnx").write_bytes(content)
        for _ in range(2):
            tracker.similarity(red, red, model=stem, device="openvino")
    assert opened == [(stem, "openvino")] * 2


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_a_forked_process_opens_a_network_of_its_own() -> None:
    """ONNX Runtime's threads stay behind in the parent."""
    red = patch((0, 0, 200))
    tracker.similarity(red, red)
    with multiprocessing.get_context("fork").Pool(1) as pool:
        assert pool.apply(_opened_here, (red,)) == 1


def _opened_here(image: np.ndarray) -> int:
    before = verification._kept.cache_info().misses
    tracker.similarity(image, image)
    return verification._kept.cache_info().misses - before


def test_a_box_far_outside_of_the_picture_costs_nothing() -> None:
    image = np.zeros((240, 320, 3), np.uint8)
    network = ColourNetwork(see_green)
    assert verification.embed(network, image, (-1e9, -1e9, 2e9, 2e9)).shape == (3,)


@pytest.mark.parametrize("bad", [None, np.zeros((4, 4)), np.zeros((4, 4, 3), np.float64)])
def test_a_patch_that_cannot_be_used_is_named(bad: object) -> None:
    with pytest.raises(ValueError, match="image"):
        tracker.similarity(patch((1, 2, 3)), bad)


def test_an_unknown_form_is_named() -> None:
    with pytest.raises(ValueError, match="'manhattan'"):
        tracker.similarity(patch((1, 2, 3)), patch((1, 2, 3)), form="manhattan")
