"""What changes the appearance of a picture, by hand, and how much of it each crop gets."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("torch")

from tests.training.data import rng, tiny_sampler
from tracker.training.augment import colour


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
