"""What ten targets cost: in one session, and with a tracker each.

``tools/benchmark.py`` times them as it does any tracker::

    session=tracker.evaluation.several:Session10
    each=tracker.evaluation.several:Trackers10
"""

from __future__ import annotations

from collections.abc import Sequence

from tracker import Session, SiameseTracker, TrackResult
from tracker.image import Image
from tracker.results import Box

TARGETS = 10


def starts(box: Sequence[float]) -> list[Box]:
    """Ten boxes near one, none like another: as many targets in a clip that has one truth."""
    x, y, w, h = (float(v) for v in box)
    return [(x + (i % 5 - 2) * w / 40, y + (i // 5 - 0.5) * h / 40, w, h) for i in range(TARGETS)]


class Session10:
    """Ten targets of the default model, in one batch a frame."""

    def __init__(self) -> None:
        self._session = Session()
        self.network = self._session.network
        self._first = 0

    @property
    def timings(self) -> dict[str, float]:
        """Seconds of the last update by stage."""
        return self._session.timings

    def init(self, image: Image, box: Box) -> None:
        """Select all ten; the first is the one that is reported."""
        for number in self._session.labels:
            self._session.remove(number)
        self._first, *_ = (self._session.add(image, start) for start in starts(box))

    def update(self, image: Image) -> TrackResult:
        """Follow all ten."""
        return self._session.update(image)[self._first]


class Trackers10:
    """Ten trackers, one after the other; they share the network, as trackers of one model do."""

    def __init__(self) -> None:
        self._trackers = [SiameseTracker() for _ in range(TARGETS)]
        self.network = self._trackers[0].network

    def init(self, image: Image, box: Box) -> None:
        """Select all ten; the first is the one that is reported."""
        for tracker, start in zip(self._trackers, starts(box), strict=True):
            tracker.init(image, start)

    def update(self, image: Image) -> TrackResult:
        """Follow all ten."""
        results = [tracker.update(image) for tracker in self._trackers]
        return results[0]
