"""Many settings of one model led through a clip together, sharing the network's answers.

Each frame is decoded once and shown to every setting. Search regions are rounded to a grid,
so that settings which look at nearly the same place get the same answer (``output_cache``).
The rounding costs a little accuracy, which ``tuning`` measures: where a region stands is known
exactly, but the target is not quite in its middle and not quite of the usual size in it.
"""

from __future__ import annotations

import dataclasses
import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from tracker.camera import SceneStep
from tracker.crop import Region
from tracker.crowd import Crowd
from tracker.data import datasets
from tracker.evaluation.output_cache import OutputCache
from tracker.evaluation.protocols import Recorder, first_box
from tracker.evaluation.results_io import Track
from tracker.frame_step import follow
from tracker.image import Array, Image
from tracker.results import State, TrackResult
from tracker.runtime import Network, SearchOutput
from tracker.searcher import Request, Searcher
from tracker.spec import ModelSpec
from tracker.target import Target


@dataclass(frozen=True)
class Respecified:
    """A network under other online parameters."""

    network: Network
    spec: ModelSpec

    def embed(self, crops: Image, boxes: Array) -> tuple[Array, Array | None]:
        """See ``Network.embed``."""
        return self.network.embed(crops, boxes)

    def search(self, embedding: Array, crops: Image) -> SearchOutput:
        """See ``Network.search``."""
        return self.network.search(embedding, crops)


@dataclass(frozen=True)
class Grid:
    """How search regions are rounded.

    Attributes:
        side: neighbouring sides differ by this share.
        centre: distance of neighbouring centres, as a share of the side.
    """

    side: float = 0.015
    centre: float = 0.015

    def nearest(self, region: Region) -> Region:
        """The nearest region of the grid."""
        ratio = 1 + self.side
        side = ratio ** round(math.log(region.side) / math.log(ratio))
        pitch = side * self.centre
        return Region(round(region.cx / pitch) * pitch, round(region.cy / pitch) * pitch, side)


@dataclass
class GridTarget(Target):
    """A target whose search regions lie on a grid."""

    grid: Grid = field(default_factory=Grid)

    @staticmethod
    def of(target: Target, grid: Grid) -> GridTarget:
        """The same target, on a grid."""
        state = {f.name: getattr(target, f.name) for f in dataclasses.fields(target)}
        return GridTarget(**state, grid=grid)

    def begin_frame(
        self, width: int, height: int, scene_step: SceneStep | None = None
    ) -> list[Region]:
        """See ``Target.begin_frame``."""
        regions = super().begin_frame(width, height, scene_step)
        if self.spec.kind == "response":  # a pyramid of scales: its ratios must stay
            middle = regions[len(regions) // 2]
            base = self.grid.nearest(middle)
            self.regions = [
                Region(base.cx, base.cy, base.side * r.side / middle.side) for r in regions
            ]
        else:
            self.regions = [self._rounded(region) for region in regions]
        return self.regions

    def promising(self, output: SearchOutput, index: int) -> list[Region]:
        """See ``Target.promising``."""
        return [self._rounded(region) for region in super().promising(output, index)]

    def _rounded(self, region: Region) -> Region:
        return self.grid.nearest(region).aligned(self.crop_size)


class CachedSearcher(Searcher):
    """Asks the cache before the network, region by region."""

    def __init__(self, network: Network, cache: OutputCache) -> None:
        super().__init__(network)
        self._cache = cache
        self._embedding: Array | None = None
        self._digest = b""

    def search(self, image: Image, requests: Sequence[Request]) -> SearchOutput:
        """See ``Searcher.search``."""
        answers = [
            self._answer(image, target, region)
            for target, regions in requests
            for region in regions
        ]
        return _joined(answers)

    def _answer(self, image: Image, target: Target, region: Region) -> SearchOutput:
        def ask() -> SearchOutput:
            return Searcher.search(self, image, [(target, [region])])

        levels = np.array(target.light.levels).tobytes()
        exemplar = self._digest_of(target.exemplar.embedding) + levels
        return self._cache.answer(region, target.crop_size, exemplar, ask)

    def _digest_of(self, embedding: Array) -> bytes:
        if self._embedding is not embedding:
            self._embedding = embedding
            self._digest = hashlib.blake2b(embedding.tobytes(), digest_size=16).digest()
        return self._digest


def follow_all(
    network: Network,
    specs: Sequence[ModelSpec],
    sequence: datasets.Sequence,
    cache: OutputCache,
    grid: Grid,
    max_frames: int | None = None,
) -> list[Track]:
    """The track of each setting over a clip, from its first box to its end without resets.

    Args:
        network: any that has the specs' sizes; its own spec is not used.
        specs: one for each setting.
        max_frames: only so many frames.
    """
    length = min(max_frames or len(sequence), len(sequence))
    searchers = [CachedSearcher(Respecified(network, spec), cache) for spec in specs]
    rows = [Recorder() for _ in specs]
    targets: list[GridTarget] = []
    box = first_box(sequence)
    for index, image in zip(range(length), sequence.source.read(range(length)), strict=True):
        cache.begin(index)
        if index == 0:
            targets = [GridTarget.of(searcher.select(image, box), grid) for searcher in searchers]
            results = [TrackResult(box, 1.0, State.TRACKING)] * len(specs)
        else:
            results = [
                follow(searcher, image, {0: target}, Crowd())[0]
                for searcher, target in zip(searchers, targets, strict=True)
            ]
        for recorder, result in zip(rows, results, strict=True):
            recorder.add(index, result, 0.0)
    cache.flush()
    return [recorder.track() for recorder in rows]


def _joined(answers: list[SearchOutput]) -> SearchOutput:
    if len(answers) == 1:
        return answers[0]

    def join(parts: list[Array | None]) -> Array | None:
        there = [p for p in parts if p is not None]
        return np.concatenate(there) if there else None

    score = np.concatenate([a.score for a in answers])
    return SearchOutput(
        score, join([a.boxes for a in answers]), join([a.identity for a in answers])
    )
