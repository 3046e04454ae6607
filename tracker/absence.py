"""The time in which a target is lost: where it is looked for, and what may be it again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tracker import box_policy
from tracker.box_policy import Candidate
from tracker.colours import ColourModel
from tracker.crop import Region
from tracker.crowd import claimed
from tracker.geometry import overlap
from tracker.image import Image
from tracker.memory import Memory
from tracker.redetection import Rescan
from tracker.results import Box
from tracker.runtime import SearchOutput
from tracker.spec import ModelSpec
from tracker.usual_size import UsualSize, closer_look

LONG_LOST = 100  # frames; then the usual size may be a mistake, and colours in another light


@dataclass
class Absence:
    """One loss of a target, from the first frame in which it is looked for to its return.

    Attributes:
        spec: the model's record, with what may be asked of this target.
        memory, colours: of the target, as of ``Target``.
        usual_size: of the target; forgotten when it is lost for long.
        box: where it was lost, of its usual size.
        frame_size: (width, height).
        frames: in which it was looked for.
    """

    spec: ModelSpec
    memory: Memory | None
    colours: ColourModel | None
    usual_size: UsualSize
    box: Box
    frame_size: tuple[int, int]
    frames: int = 0

    def __post_init__(self) -> None:
        self._rescan = Rescan(self._around(self.box), *self.frame_size)

    def regions(self) -> list[Region]:
        """Where to look in one more frame."""
        self.frames += 1
        if self.frames > LONG_LOST:
            self.usual_size.forget()
        return self._rescan.next()

    def promising(self, output: SearchOutput, index: int, regions: list[Region]) -> list[Region]:
        """Regions of a second, closer look, if one of the first shows something like the target.

        That of the strongest peak, and that of the one of the likest identity if it is elsewhere.

        Args:
            regions: looked at; the output holds them from ``index`` on.
        """
        found = self._peaks(output, index, regions)
        if not found:
            return []
        chosen = max(found, key=lambda peak: peak.score), max(found, key=self._likeness)
        first, second = (self._around(closer_look(peak.box, self.box)) for peak in chosen)
        return [first] if overlap(first.box, second.box) > 0.5 else [first, second]

    def returned(
        self,
        output: SearchOutput,
        index: int,
        regions: list[Region],
        taken: Sequence[Box],
        image: Image,
    ) -> Candidate | None:
        """What is likest to be the target of all that a closer look shows, if anything may be it.

        What a region's edge may cut off is left out: it can be of any size.

        Args:
            regions: looked at; the output holds them from ``index`` on.
            taken: boxes of other things that are followed: they are not this one.
            image: the frame.
        """
        possible = [
            peak
            for peak in self._peaks(output, index, regions, whole=True)
            if not claimed(peak.box, taken) and self._may_be_it(peak, image)
        ]
        sure = [peak for peak in possible if peak.score >= self.spec.presence.return_score]
        return max(sure or possible, key=self._likeness, default=None)

    def in_place(self, peak: Candidate) -> bool:
        """Whether the target is surely there where it was lost."""
        return peak.score >= self.spec.presence.sure and self._rescan.at_home(peak.box)

    def _around(self, box: Box) -> Region:
        return box_policy.search_region(self.spec, box).aligned(self.spec.search_size)

    def _peaks(
        self, output: SearchOutput, index: int, regions: list[Region], whole: bool = False
    ) -> list[Candidate]:
        doubt = self.spec.presence.doubt
        return [
            peak
            for i, region in enumerate(regions, index)
            for peak in box_policy.peaks(self.spec, output, i, region, doubt)
            if not whole or region.shows(peak.box)
        ]

    def _likeness(self, candidate: Candidate) -> float:
        """How much like the target a candidate is: its identity, or else its score."""
        if self.memory is None or candidate.identity is None:
            return candidate.score
        return self.memory.similarity(candidate.identity)

    def _may_be_it(self, peak: Candidate, image: Image) -> bool:
        """Whether the target can have that shape, and has its colours if they say anything."""
        if not self.usual_size.may_return_as(peak.box, self.frame_size, self.frames):
            return False
        if self.colours is None or self.frames > LONG_LOST or self.in_place(peak):
            return True
        return self.colours.as_usual(image, peak.box, self.spec.presence.return_colour_drop)
