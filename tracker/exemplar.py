"""The exemplar of a target: the first one, and how later ones are blended in."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from tracker.box_policy import search_region
from tracker.crop import Region
from tracker.image import Array, Image
from tracker.levels import View
from tracker.results import Box
from tracker.runtime import Network, SearchOutput
from tracker.spec import ModelSpec

SHIFTS = ((0.0, 0.0), (0.15, 0.0), (-0.15, 0.0), (0.0, 0.15), (0.0, -0.15))  # of width, height
LEAST_KNOWN, WELL_KNOWN = 0.1, 0.8  # scores of a target on its own picture; almost all have .99
STANDS_OUT = 2.0  # times the score of what is around it
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
        share: of the usual scores, what may be asked of the target, see ``OwnFrame``.
    """

    def __init__(self, network: Network, view: View, box: Box) -> None:
        self.thumbnail, self._first, self.identity = embed_box(network, view, box)
        self._later: Array | None = None
        self.sure_frames = 0
        self.embedding = self._blended = self._first
        learns = network.spec.online.blend > 0
        own = look_at_itself(network, self._first, view, box) if learns else UNDERSTOOD
        self._error, self.share = own.error, own.share

    def count(self, sure: bool) -> None:
        """Count a frame in which the target was surely seen, looking as usual, or start anew."""
        self.sure_frames = self.sure_frames + 1 if sure else 0

    def due(self, spec: ModelSpec, ahead: int = 0) -> bool:
        """Whether a later exemplar is wanted: after an unbroken run of sure frames.

        Args:
            ahead: so many more sure frames from now on.
        """
        online = spec.online
        return online.blend > 0 and self.sure_frames + ahead >= online.refresh

    def refresh(self, network: Network, view: View, box: Box) -> None:
        """Blend in how the target looks now; the first exemplar keeps its share."""
        _, now, _ = embed_box(network, view, taken_back(box, self._error))
        self._later = now if self._later is None else _mix(self._later, now, 0.5)
        self.embedding = self._blended = _mix(self._first, self._later, network.spec.online.blend)
        self.sure_frames = 0

    def choose(self, lost: bool) -> None:
        """Compare a lost target with the first exemplar alone.

        The later ones may hold what misled the tracker, and parts of what stood beside the target.
        """
        self.embedding = self._first if lost else self._blended


class OwnFrame(NamedTuple):
    """What the network says of the very frame that an exemplar was cut from.

    Attributes:
        error: how its box differs from the one that was drawn: shift right and down (of the
            network's width and height), and logarithms of the growth in width and height, that
            lead from the network's box to the drawn one.
        score: of the target, 0..1; near 1 but for what has hardly anything to hold on to.
        elsewhere: highest score away from the target, 0..1.
    """

    error: tuple[float, float, float, float]
    score: float
    elsewhere: float

    @property
    def share(self) -> float:
        """Of the usual scores, what may be asked of this target; 1 of an ordinary one.

        A word on a page, or a key of a keyboard, scores little even on the picture that it was
        drawn on, and still more than anything around it.
        """
        alone = self.score > STANDS_OUT * self.elsewhere
        return self.score if LEAST_KNOWN < self.score < WELL_KNOWN and alone else 1.0


UNDERSTOOD = OwnFrame(error=(0.0, 0.0, 0.0, 0.0), score=1.0, elsewhere=0.0)
"""Of a network that keeps to its first exemplar: nobody looks."""


def look_at_itself(network: Network, embedding: Array, view: View, box: Box) -> OwnFrame:
    """Search the frame that an exemplar is from: medians over five search regions around it."""
    spec, (x, y, w, h) = network.spec, box
    regions = [
        search_region(spec, (x + dx * w, y + dy * h, w, h)).aligned(spec.search_size)
        for dx, dy in SHIFTS
    ]
    errors, scores = [], []
    for region in regions:  # one by one: a GPU would have to be prepared for a batch of five
        output = network.search(embedding, view.crop(region, spec.search_size)[None])
        corners = region.to_crop(box, spec.search_size)
        errors.append(_box_error(output, corners, spec.stride))
        scores.append(_scores(output.score[0], corners, spec.stride))
    limits = np.array([MOST_SHIFT, MOST_SHIFT, MOST_GROWTH, MOST_GROWTH])
    dx, dy, gw, gh = np.clip(np.median(errors, axis=0), -limits, limits).tolist()
    return OwnFrame((dx, dy, gw, gh), *np.median(scores, axis=0).tolist())


def _box_error(
    output: SearchOutput, corners: Array, stride: int
) -> tuple[float, float, float, float]:
    """How the box of the cell in a target's middle differs from the target's, in crop pixels."""
    assert output.boxes is not None
    found = output.boxes[0]
    a, b, c, d = corners.tolist()
    cx, cy = (a + c) / 2, (b + d) / 2
    cells = found.shape[1] - 1
    row, column = (min(max(int(v // stride), 0), cells) for v in (cy, cx))
    x1, y1, x2, y2 = (float(v) for v in found[:, row, column])
    width, height = max(x2 - x1, 1e-3), max(y2 - y1, 1e-3)
    shift = (cx - (x1 + x2) / 2) / width, (cy - (y1 + y2) / 2) / height
    return *shift, math.log((c - a) / width), math.log((d - b) / height)


def _scores(score: Array, corners: Array, stride: int) -> tuple[float, float]:
    """The highest scores of cells in a target's middle, and of those a cell or more beside it."""
    a, b, c, d = corners.tolist()
    at = (np.arange(len(score)) + 0.5) * stride
    dx, dy = np.abs(at - (a + c) / 2)[None], np.abs(at - (b + d) / 2)[:, None]
    middle = (dx < 1.5 * stride) & (dy < 1.5 * stride)
    beside = (dx > (c - a) / 2 + stride) | (dy > (d - b) / 2 + stride)
    return score.max(initial=0, where=middle), score.max(initial=0, where=beside & ~middle)


def taken_back(box: Box, error: tuple[float, float, float, float]) -> Box:
    """A box of the network without the error of ``OwnFrame``."""
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
