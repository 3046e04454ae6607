"""The exemplar of a target: the first one, and how later ones are blended in."""

from __future__ import annotations

import math

import numpy as np

from tracker.box_policy import search_region
from tracker.crop import Region
from tracker.image import Array, Image
from tracker.levels import View
from tracker.results import Box
from tracker.runtime import Network
from tracker.spec import BoxPolicy, ModelSpec

SHIFTS = ((0.0, 0.0), (0.15, 0.0), (-0.15, 0.0), (0.0, 0.15), (0.0, -0.15))  # of width, height
MOST_SHIFT, MOST_GROWTH = 0.15, 0.3  # a box farther off than that was not understood


class Exemplar:
    """What the search is compared with.

    The response of the network is linear in the exemplar embedding, so a blend of
    embeddings costs a frame no more than one of them.

    What the network takes for the edges of an object is not always what the person drew. A
    later exemplar that is cut from the network's own box would repeat that error and add to it,
    exemplar after exemplar; so it is measured once, on the first frame, and taken back.

    Attributes:
        embedding: (1, ...) as the search graph takes it: of the first exemplar and later ones,
            or of the first alone, see ``choose``.
        identity: (D,) verification vector of the first exemplar, or ``None``.
        thumbnail: the first exemplar crop, for display.
        sure_frames: in a row, since the last later exemplar.
    """

    def __init__(self, network: Network, view: View, box: Box) -> None:
        self.thumbnail, self._first, self.identity = embed_box(network, view, box)
        self._later: Array | None = None
        self.sure_frames = 0
        self.embedding = self._blended = self._first
        online = network.spec.online
        learns = isinstance(online, BoxPolicy) and online.blend > 0
        self._error = box_error(network, self._first, view, box) if learns else None

    def count(self, sure: bool) -> None:
        """Count a frame in which the target was surely seen, looking as usual, or start anew."""
        self.sure_frames = self.sure_frames + 1 if sure else 0

    def due(self, spec: ModelSpec, ahead: int = 0) -> bool:
        """Whether a later exemplar is wanted: after an unbroken run of sure frames.

        Args:
            ahead: so many more sure frames from now on.
        """
        online = spec.online
        if not isinstance(online, BoxPolicy) or online.blend <= 0:
            return False
        return self.sure_frames + ahead >= online.refresh

    def refresh(self, network: Network, view: View, box: Box) -> None:
        """Blend in how the target looks now; the first exemplar keeps its share."""
        online = network.spec.online
        assert isinstance(online, BoxPolicy) and self._error is not None
        _, now, _ = embed_box(network, view, taken_back(box, self._error))
        self._later = now if self._later is None else _mix(self._later, now, 0.5)
        self.embedding = self._blended = _mix(self._first, self._later, online.blend)
        self.sure_frames = 0

    def choose(self, lost: bool) -> None:
        """Compare a lost target with the first exemplar alone.

        The later ones may hold what misled the tracker, and parts of what stood beside the target.
        """
        self.embedding = self._first if lost else self._blended


def box_error(
    network: Network, embedding: Array, view: View, box: Box
) -> tuple[float, float, float, float]:
    """How the network's box differs from a known one.

    Returns:
        Shift right and down (of the network's width and height), and logarithms of the growth
        in width and height, that lead from the network's box to the known one: medians over
        five search regions around it.
    """
    spec, (x, y, w, h) = network.spec, box
    regions = [
        search_region(spec, (x + dx * w, y + dy * h, w, h)).aligned(spec.search_size)
        for dx, dy in SHIFTS
    ]
    errors = []
    for region in regions:  # one by one: a GPU would have to be prepared for a batch of five
        boxes = network.search(embedding, view.crop(region, spec.search_size)[None]).boxes
        assert boxes is not None
        found = boxes[0]
        a, b, c, d = (float(v) for v in region.to_crop(box, spec.search_size))
        cx, cy = (a + c) / 2, (b + d) / 2
        cells = found.shape[1] - 1
        row, column = (min(max(int(v // spec.stride), 0), cells) for v in (cy, cx))
        x1, y1, x2, y2 = (float(v) for v in found[:, row, column])
        width, height = max(x2 - x1, 1e-3), max(y2 - y1, 1e-3)
        shift = (cx - (x1 + x2) / 2) / width, (cy - (y1 + y2) / 2) / height
        errors.append((*shift, math.log((c - a) / width), math.log((d - b) / height)))
    limits = np.array([MOST_SHIFT, MOST_SHIFT, MOST_GROWTH, MOST_GROWTH])
    dx, dy, gw, gh = np.clip(np.median(errors, axis=0), -limits, limits).tolist()
    return dx, dy, gw, gh


def taken_back(box: Box, error: tuple[float, float, float, float]) -> Box:
    """A box of the network without the error of ``box_error``."""
    (x, y, w, h), (dx, dy, gw, gh) = box, error
    cx, cy = x + w / 2 + dx * w, y + h / 2 + dy * h
    w, h = w * math.exp(gw), h * math.exp(gh)
    return cx - w / 2, cy - h / 2, w, h


def _mix(a: Array, b: Array, share: float) -> Array:
    mixed: Array = a * np.float32(1 - share) + b * np.float32(share)
    return mixed


def embed_box(network: Network, view: View, box: Box) -> tuple[Image, Array, Array | None]:
    """Exemplar crop, embedding (1, ...) and identity (D,) or ``None`` of a box."""
    spec = network.spec
    search = search_region(spec, box)
    region = Region(search.cx, search.cy, search.side * spec.exemplar_size / spec.search_size)
    crop = view.crop(region, spec.exemplar_size)
    corners = region.to_crop(box, spec.exemplar_size)
    embedding, identity = network.embed(crop[None], corners[None])
    return crop, embedding, None if identity is None else identity[0]
