"""One followed object: what is remembered of it, and how a frame changes that."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from tracker import box_policy, scale_policy
from tracker.box_policy import Candidate
from tracker.crop import Colour, Region, cut, mean_colour
from tracker.geometry import check_box, clip_box
from tracker.image import Image
from tracker.presence import Presence
from tracker.results import Box, State, TrackResult
from tracker.runtime import Network, SearchOutput

Array = NDArray[np.float32]


@dataclass
class Target:
    """State of one target; it holds no past frames.

    Attributes:
        box: last estimate in the frame.
        embedding: of the exemplar, (1, ...), as the search graph takes it.
        identity: (D,) verification vector of the exemplar, or ``None``.
        fill: colour outside of the frame.
        presence: the state machine.
        thumbnail: the exemplar crop, for display.
        regions: searched in the current frame.
    """

    box: Box
    embedding: Array
    identity: Array | None
    fill: Colour
    presence: Presence
    thumbnail: Image
    regions: list[Region] = field(default_factory=list)

    @staticmethod
    def start(network: Network, image: Image, box: Box) -> Target:
        """Learn the exemplar from a frame and a box.

        Raises:
            ValueError: a box without a finite positive size, or outside of the frame.
        """
        height, width = image.shape[:2]
        checked = clip_box(check_box(box, width, height), width, height)
        spec, fill = network.spec, mean_colour(image)
        search = box_policy.search_region(spec, checked)
        side = search.side * spec.exemplar_size / spec.search_size
        region = Region(search.cx, search.cy, side)
        crop = cut(image, region, spec.exemplar_size, fill)
        corners = region.to_crop(checked, spec.exemplar_size)[None]
        embedding, identity = network.embed(crop[None], corners)
        vector = None if identity is None else identity[0]
        return Target(checked, embedding, vector, fill, Presence(spec.presence), crop)

    def plan(self, network: Network) -> list[Region]:
        """The regions that this frame's search needs."""
        if network.spec.kind == "response":
            self.regions = scale_policy.search_regions(network.spec, self.box)
        else:
            self.regions = [box_policy.search_region(network.spec, self.box)]
        return self.regions

    def take(
        self, network: Network, output: SearchOutput, index: int, width: int, height: int
    ) -> TrackResult:
        """Decide this frame from the network's answers.

        Args:
            output: of a batch in which this target's regions start at ``index``.
            width, height: of the frame.
        """
        candidate = self._decide(network, output, index)
        state = self.presence.update(candidate.score)
        self.box = clip_box(_bounded(candidate.box, width, height), width, height, 2.0)
        similarity = self._similarity(candidate)
        return TrackResult(self.box, min(max(candidate.score, 0.0), 1.0), state, similarity)

    def _decide(self, network: Network, output: SearchOutput, index: int) -> Candidate:
        spec = network.spec
        if spec.kind == "response":
            return scale_policy.decide(spec, output, index, self.regions, self.box)
        return box_policy.decide(spec, output, index, self.regions[0], self.box)

    def _similarity(self, candidate: Candidate) -> float | None:
        if self.identity is None or candidate.identity is None:
            return None
        return float(self.identity @ candidate.identity)

    @property
    def lost(self) -> bool:
        """Whether the target is believed to be gone."""
        return self.presence.state is State.LOST


def _bounded(box: Box, width: int, height: int) -> Box:
    """Keep the middle inside the frame and the size between 2 pixels and the frame."""
    x, y, w, h = box
    cx, cy = min(max(x + w / 2, 0.0), float(width)), min(max(y + h / 2, 0.0), float(height))
    w, h = min(max(w, 2.0), float(width)), min(max(h, 2.0), float(height))
    return cx - w / 2, cy - h / 2, w, h
