"""Where to look for a target, and which box it gets, by the kind of network: chosen once each."""

from __future__ import annotations

from typing import Protocol, cast

import numpy as np

from tracker import box_policy, scale_policy
from tracker.box_policy import Candidate
from tracker.crop import Region
from tracker.geometry import clip_box, hold_inside
from tracker.image import Array
from tracker.look_alikes import Look, unless_exchanged
from tracker.results import Box
from tracker.runtime import SearchOutput
from tracker.spec import BoxSpec, ModelSpec, ScaleSpec


class Decider(Protocol):
    """Where one target is looked for, and which box it gets.

    Attributes:
        seeks: whether a target that is lost is looked for everywhere, see ``Absence``.
    """

    seeks: bool

    def crop_size(self, box: Box, miss: float) -> int:
        """Pixels a side of the crop in which a target will be: see ``box_policy.search_size``."""

    def may_rest(self, box: Box, miss: float) -> bool:
        """Whether a frame may pass without a look: see ``box_policy.smallest_will_do``."""

    def regions(self, box: Box, size: int) -> list[Region]:
        """Where to look for a target that is expected at ``box``, in crops of so many pixels."""

    def decide(
        self, output: SearchOutput, index: int, regions: list[Region], last: Box, identify: bool
    ) -> Candidate:
        """Choose the target's box.

        Args:
            regions: looked at; the output holds them from ``index`` on.
            last: the target's box in the last frame.
            identify: also say what is in the box, if the network can.
        """

    def forget(self) -> None:
        """The last frame says nothing of the next one."""

    def inside(self, box: Box, frame_size: tuple[int, int]) -> Box:
        """A box held in the frame, from which the next one is looked for."""

    def displayed(self, region: Region, response: Array) -> tuple[Region, Array]:
        """A response (H, W) as scores 0..1, and the region that it covers of the one searched."""


class BoxDecider:
    """Kestrel's: the network gives a score and a box for each cell of one crop."""

    seeks = True

    def __init__(self, spec: BoxSpec) -> None:
        self._spec = spec
        self._look: Look | None = None  # the last one

    def crop_size(self, box: Box, miss: float) -> int:
        """See ``Decider.crop_size``."""
        return box_policy.search_size(self._spec, box, miss)

    def may_rest(self, box: Box, miss: float) -> bool:
        """See ``Decider.may_rest``."""
        return box_policy.smallest_will_do(self._spec, box, miss)

    def regions(self, box: Box, size: int) -> list[Region]:
        """See ``Decider.regions``."""
        return [box_policy.search_region(self._spec, box, size).aligned(size)]

    def decide(
        self, output: SearchOutput, index: int, regions: list[Region], last: Box, identify: bool
    ) -> Candidate:
        """See ``Decider.decide``; a look-alike that stood elsewhere in the last look is not it."""
        region = regions[0]
        candidate = box_policy.decide(self._spec, output, index, region, last, identify)
        before, now = self._look, Look(output, index, region)
        self._look = now
        if before is None:
            return candidate
        return unless_exchanged(self._spec, before, now, last, candidate)

    def forget(self) -> None:
        """See ``Decider.forget``."""
        self._look = None

    def inside(self, box: Box, frame_size: tuple[int, int]) -> Box:
        """See ``Decider.inside``."""
        width, height = frame_size
        return clip_box(hold_inside(box, width, height), width, height, 2.0)

    def displayed(self, region: Region, response: Array) -> tuple[Region, Array]:
        """See ``Decider.displayed``."""
        return region, response


class ScaleDecider:
    """SiamFC's: the network gives a response for each of several scales, and no box."""

    seeks = False

    def __init__(self, spec: ScaleSpec) -> None:
        self._spec = spec

    def crop_size(self, box: Box, miss: float) -> int:
        """See ``Decider.crop_size``: its crops are whole."""
        return self._spec.search_size

    def may_rest(self, box: Box, miss: float) -> bool:
        """See ``Decider.may_rest``: there is no smaller crop that could be enough."""
        return False

    def regions(self, box: Box, size: int) -> list[Region]:
        """See ``Decider.regions``; one for each scale."""
        return scale_policy.search_regions(self._spec, box)

    def decide(
        self, output: SearchOutput, index: int, regions: list[Region], last: Box, identify: bool
    ) -> Candidate:
        """See ``Decider.decide``."""
        return scale_policy.decide(self._spec, output, index, regions, last)

    def forget(self) -> None:
        """Nothing is kept from frame to frame."""

    def inside(self, box: Box, frame_size: tuple[int, int]) -> Box:
        """See ``Decider.inside``.

        It only changes the last size: what the frame's edge cut off would never come back.
        """
        width, height = frame_size
        return hold_inside(box, width, height)

    def displayed(self, region: Region, response: Array) -> tuple[Region, Array]:
        """See ``Decider.displayed``: of logits, of places at which the whole exemplar fits."""
        share = len(response) * self._spec.stride / self._spec.search_size
        scores = np.asarray(1 / (1 + np.exp(-response)), np.float32)
        return region._replace(side=region.side * share), scores


def decider_of(spec: ModelSpec) -> Decider:
    """The one of a model's kind, for one target."""
    if spec.kind == "box":
        return BoxDecider(cast(BoxSpec, spec))
    return ScaleDecider(cast(ScaleSpec, spec))
