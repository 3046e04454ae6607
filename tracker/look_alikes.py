"""A leap to a look-alike: two objects do not change places from one frame to the next.

Where something like the target stands beside it, one frame in which that scores more would
be enough to go over to it for good. Between two frames it is told by place: what is now where
the other one was is the other one (Mayer et al. 2021, "Learning Target Candidate Association to
Keep Track of What Not to Track", section 3; theirs is learned, and keeps all candidates).
"""

from __future__ import annotations

from typing import NamedTuple

from tracker import box_policy
from tracker.box_policy import Candidate
from tracker.crop import Region
from tracker.geometry import overlap
from tracker.results import Box
from tracker.runtime import SearchOutput
from tracker.spec import BoxSpec, ModelSpec

APART = 0.3  # overlap of boxes; from there on they are of one object
LEAP = 0.25  # of a box's sides: with a shorter step it is not apart from where it was


class Look(NamedTuple):
    """What one search showed; kept until the next.

    Attributes:
        output: of the search graph; ``crop`` is the number of the crop in its batch.
        region: that the crop shows.
    """

    output: SearchOutput
    crop: int
    region: Region

    def peaks(self, spec: ModelSpec, least: float) -> list[Candidate]:
        """What looks like the target, with a score of at least so much."""
        return box_policy.peaks(spec, self.output, self.crop, self.region, least)


def unless_exchanged(
    spec: BoxSpec, before: Look, now: Look, last: Box, candidate: Candidate
) -> Candidate:
    """The candidate, or what stands where the target was if that is a look-alike beside it.

    Args:
        before, now: the last look and the one at this frame.
        last: the target's box before this frame.
        candidate: what was chosen in this frame.
    """
    if not _leaps(last, candidate.box) or overlap(last, candidate.box) >= APART:
        return candidate
    others = [
        p.box for p in before.peaks(spec, spec.presence.doubt) if overlap(p.box, last) < APART
    ]
    if not any(overlap(candidate.box, other) >= APART for other in others):
        return candidate
    staying = [
        peak
        for peak in now.peaks(spec, spec.presence.likely)
        if overlap(peak.box, last) > max(APART, *(overlap(peak.box, o) for o in others))
    ]
    if not staying:
        return candidate
    best = max(staying, key=lambda peak: peak.score)
    return best._replace(box=box_policy.followed(spec, best, last))


def _leaps(last: Box, box: Box) -> bool:
    """Whether the step from the last box is a long one: cheaper to ask than the overlap."""
    x, y, w, h = last
    dx, dy = box[0] + box[2] / 2 - x - w / 2, box[1] + box[3] / 2 - y - h / 2
    return abs(dx) / w + abs(dy) / h > LEAP
