"""Real pairs for the ranges of a quantised graph: a target, and the same one in another frame."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from tracker.box_policy import search_region
from tracker.crop import Region, mean_colour
from tracker.data import datasets
from tracker.exemplar import Exemplar
from tracker.geometry import as_box
from tracker.image import Image
from tracker.levels import View
from tracker.results import Box
from tracker.runtime import Network

Pair = tuple[NDArray[np.float32], NDArray[np.uint8]]

SHIFT = 0.15  # of the search side: where targets are found when they move fast
GROWTH = 0.2  # of the side, to both sides


def pairs(
    network: Network, sequences: Sequence[datasets.Sequence], count: int, seed: int = 0
) -> list[Pair]:
    """Embeddings (1, ...) and search crops (1, S, S, 3), spread over the sequences.

    Targets stand beside the middle and are a little larger or smaller than expected, as
    while tracking.
    """
    rng = random.Random(seed)
    share = -(-count // max(len(sequences), 1))
    found = [pair for sequence in sequences for pair in _of(sequence, network, share, rng)]
    rng.shuffle(found)
    return found[:count]


def _of(
    sequence: datasets.Sequence, network: Network, count: int, rng: random.Random
) -> Iterator[Pair]:
    seen = [
        i for i, box in enumerate(sequence.truth) if np.isfinite(box).all() and min(box[2:]) > 2
    ]
    if len(seen) < 2:
        return
    # the frame of the exemplar, and later ones, decoded once and in order
    wanted = sorted(rng.sample(seen[1:], min(count, len(seen) - 1)))
    frames = _frames(sequence, [seen[0], *wanted])
    image, box = next(frames)
    exemplar = Exemplar(network, View(image, mean_colour(image)), box)
    for image, box in islice(frames, len(wanted)):
        yield exemplar.embedding, _crop(network, image, box, rng)[None]


def _frames(sequence: datasets.Sequence, wanted: list[int]) -> Iterator[tuple[Image, Box]]:
    numbers = set(wanted)
    for number, image in enumerate(sequence.source.read(range(wanted[-1] + 1))):
        if number in numbers:
            yield image, as_box(sequence.truth[number])


def _crop(network: Network, image: Image, box: Box, rng: random.Random) -> Image:
    spec = network.spec
    region = search_region(spec, box)
    shift = SHIFT * region.side
    moved = Region(
        region.cx + rng.uniform(-shift, shift),
        region.cy + rng.uniform(-shift, shift),
        region.side * (1 + rng.uniform(-GROWTH, GROWTH)),
    )
    return View(image, mean_colour(image)).crop(moved, spec.search_size)
