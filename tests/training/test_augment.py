"""What changes the appearance of a picture, by hand, and how much of it each crop gets."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest

pytest.importorskip("torch")

from tests.training.data import picture, rng, tiny_sampler
from tracker.training import augment, pairs
from tracker.training.augment import blur, change_appearance, colour, compress, jpeg, noise
from tracker.training.tracks import Image


@pytest.mark.parametrize("seed", range(5))
def test_colours_change_by_one_map(seed: int) -> None:
    """Saturation first, then the gain of each channel, contrast around 127, and brightness."""
    image = np.random.default_rng(9).integers(60, 190, (8, 9, 3)).astype(np.uint8)
    draws = rng(seed)
    gain, contrast = 1 + draws.uniform(-0.12, 0.12, 3), 1 + draws.uniform(-0.35, 0.35)
    brightness, saturation = draws.uniform(-35, 35), 1 + draws.uniform(-0.5, 0.5)
    grey = image @ np.array([0.114, 0.587, 0.299])
    mixed = saturation * image + (1 - saturation) * grey[..., None]
    expected = contrast * gain * mixed + 127 * (1 - contrast) + brightness
    np.testing.assert_allclose(colour(image, rng(seed)), expected.clip(0, 255), atol=1)


def test_the_exemplar_changes_too_and_less_than_the_search_crop() -> None:
    plain, changing = tiny_sampler(), tiny_sampler()
    plain.options = replace(plain.options.plain(), appearance=0)
    changing.options = replace(plain.options, appearance=1)
    far = {"exemplar": [], "search": []}
    for number in range(40):
        before, after = plain.pair(number), changing.pair(number)
        for name, values in far.items():
            one, two = getattr(before, name).astype(int), getattr(after, name).astype(int)
            values.append(np.abs(one - two).mean())
    assert 3 < np.mean(far["exemplar"]) < 0.8 * np.mean(far["search"])


def test_a_blur_takes_detail_and_no_light() -> None:
    fine = rng(5).integers(50, 151, (64, 64, 3)).astype(np.uint8)
    for seed in range(20):
        assert np.abs(blur(np.full_like(fine, 100), rng(seed)).astype(int) - 100).max() <= 1
        blurred = blur(fine, rng(seed))
        assert abs(blurred.mean() - fine.mean()) < 2 and blurred.std() < 0.9 * fine.std()


def test_noise_is_of_3_to_14_levels() -> None:
    spread = [noise(np.full((64, 64, 3), 128, np.uint8), rng(n)).std() for n in range(40)]
    assert 2.8 < min(spread) < 5 and 12 < max(spread) < 14.5


def test_noise_ends_at_black_and_at_white() -> None:
    """Half of it goes: what wraps around would be white on black."""
    for level in (0, 255):
        off = np.abs(noise(np.full((64, 64, 3), level, np.uint8), rng(4)).astype(int) - level)
        assert 0 < off.max() < 14 * 6
        assert 0.45 < (off == 0).mean() < 0.65


def test_what_is_compressed_can_still_be_known() -> None:
    """No worse than JPEG of quality 20, or a quarter of the pixels."""
    image = np.asarray(cv2.add(picture(3), noise(np.zeros_like(picture(3)), rng(1))))
    small = cv2.resize(image, None, fx=0.25, fy=0.25, interpolation=cv2.INTER_AREA)
    worst = [off(image, jpeg(image, 20)), off(image, cv2.resize(small, image.shape[1::-1]))]
    found = [off(image, compress(image, rng(seed))) for seed in range(40)]
    assert min(found) > 0.5 and max(found) <= 1.02 * max(worst)


def off(one: Image, two: Image) -> float:
    return float(np.abs(one.astype(int) - two).mean())


@pytest.mark.parametrize("strength", [1.0, 0.5])
def test_how_often_each_change_is_made(strength: float, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[str] = []
    for name in ("colour", "blur", "compress", "noise"):
        change = lambda image, *_, name=name: made.append(name) or image  # noqa: E731
        monkeypatch.setattr(augment, name, change)
    draws, image = rng(2), picture(0)
    for _ in range(2000):
        change_appearance(image, draws, strength)
    for name, odds in (("colour", 0.8), ("blur", 0.2), ("compress", 0.2), ("noise", 0.1)):
        assert made.count(name) / 2000 == pytest.approx(odds * strength, abs=0.03)


def test_the_exemplar_changes_by_three_fifths_of_what_is_asked_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    strengths: list[tuple[int, float]] = []

    def change(image: Image, draws: np.random.Generator, strength: float) -> Image:
        strengths.append((len(image), strength))
        return image

    monkeypatch.setattr(pairs, "change_appearance", change)
    sampler = tiny_sampler()
    sampler.options = replace(sampler.options, appearance=0.5, later=1.0)
    sampler.pair(0)
    assert strengths == [(128, 0.3), (256, 0.5), (128, 0.5)]
