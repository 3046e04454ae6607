"""The exemplar of a target: the first one, and how later ones are blended in."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tracker.box_policy import search_region
from tracker.crop import Colour, Region, cut
from tracker.image import Image
from tracker.results import Box
from tracker.runtime import Network
from tracker.spec import BoxPolicy, ModelSpec

Array = NDArray[np.float32]


class Exemplar:
    """What the search is compared with.

    The response of the network is linear in the exemplar embedding, so a blend of
    embeddings costs a frame no more than one of them.

    Attributes:
        embedding: (1, ...) as the search graph takes it.
        identity: (D,) verification vector of the first exemplar, or ``None``.
        thumbnail: the first exemplar crop, for display.
    """

    def __init__(self, network: Network, image: Image, box: Box, fill: Colour) -> None:
        self.thumbnail, self._first, self.identity = embed_box(network, image, box, fill)
        self._later: Array | None = None
        self._sure = 0
        self.embedding = self._first

    def count(self, sure: bool) -> None:
        """Count a frame in which the target was surely seen, or start anew."""
        self._sure = self._sure + 1 if sure else 0

    def due(self, spec: ModelSpec) -> bool:
        """Whether a later exemplar is wanted: after an unbroken run of sure frames."""
        online = spec.online
        return isinstance(online, BoxPolicy) and online.blend > 0 and self._sure >= online.refresh

    def refresh(self, network: Network, image: Image, box: Box, fill: Colour) -> None:
        """Blend in how the target looks now; the first exemplar keeps its share."""
        online = network.spec.online
        assert isinstance(online, BoxPolicy)
        _, now, _ = embed_box(network, image, box, fill)
        self._later = now if self._later is None else _mix(self._later, now, 0.5)
        self.embedding = _mix(self._first, self._later, online.blend)
        self._sure = 0


def _mix(a: Array, b: Array, share: float) -> Array:
    mixed: Array = a * np.float32(1 - share) + b * np.float32(share)
    return mixed


def embed_box(
    network: Network, image: Image, box: Box, fill: Colour
) -> tuple[Image, Array, Array | None]:
    """Exemplar crop, embedding (1, ...) and identity (D,) or ``None`` of a box."""
    spec = network.spec
    search = search_region(spec, box)
    region = Region(search.cx, search.cy, search.side * spec.exemplar_size / spec.search_size)
    crop = cut(image, region, spec.exemplar_size, fill)
    corners = region.to_crop(box, spec.exemplar_size)
    embedding, identity = network.embed(crop[None], corners[None])
    return crop, embedding, None if identity is None else identity[0]
