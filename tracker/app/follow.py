"""Following targets through frames, with what is shown and written of them; no window."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass, field

from tracker.app.interfaces import DebugView, Image, TargetSession
from tracker.app.results_writer import ResultsWriter, Row
from tracker.app.sources import Frame
from tracker.geometry import check_box
from tracker.results import Box, State, TrackResult

TRAIL_LENGTH = 48


@dataclass
class Followed:
    """One target as the application sees it.

    Attributes:
        trail: centres (x, y) in pixels of the last frames, newest last; None where lost.
        thumbnail: (h, w, 3) uint8 BGR picture of the exemplar.
    """

    id: int
    label: str
    result: TrackResult
    thumbnail: Image | None = None
    trail: deque[tuple[float, float] | None] = field(
        default_factory=lambda: deque(maxlen=TRAIL_LENGTH))

    def take(self, result: TrackResult) -> None:
        self.result = result
        box = result.claimed_box
        self.trail.append(None if box is None else (box[0] + box[2] / 2, box[1] + box[3] / 2))


class Follower:
    """Keeps a session, the last result of each target and the results file in step.

    Attributes:
        targets: by id, in the order in which they were added.
        chosen: id of the target that keys act on, None without targets.
        latency: seconds that the last update took.
    """

    def __init__(self, session: TargetSession, results: ResultsWriter | None = None) -> None:
        self._session, self._results = session, results
        self.targets: dict[int, Followed] = {}
        self.chosen: int | None = None
        self.latency = 0.0

    def add(self, frame: Frame, box: Box, label: str | None = None) -> int:
        """Start a target on ``frame``.

        Raises:
            ValueError: the box cannot be a target there.
        """
        height, width = frame.image.shape[:2]
        box = check_box(box, width, height)
        target = self._session.add(frame.image, box, label)
        followed = Followed(target, label or str(target), TrackResult(box, 1.0, State.TRACKING),
                            self._session.exemplar(target))
        followed.take(followed.result)
        self.targets[target], self.chosen = followed, target
        self.write(frame)
        return target

    def advance(self, frame: Frame) -> None:
        """Find all targets in the next frame and write the results."""
        start = time.perf_counter()
        results = self._session.update(frame.image) if self.targets else {}
        self.latency = time.perf_counter() - start
        for target, result in results.items():
            if target in self.targets:
                self.targets[target].take(result)
        self.write(frame)

    def write(self, frame: Frame) -> None:
        if self._results:
            rows = {t.id: Row(t.label, t.result) for t in self.targets.values()}
            self._results.write(frame.index, frame.timestamp, rows)

    def remove(self, target: int) -> None:
        if self.targets.pop(target, None) is None:
            return
        self._session.remove(target)
        if self.chosen == target:
            self.chosen = next(reversed(self.targets), None)

    def clear(self) -> None:
        for target in list(self.targets):
            self.remove(target)

    def choose_next(self) -> None:
        """Move the choice to the next target, round and round."""
        ids = list(self.targets)
        if ids:
            at = ids.index(self.chosen) if self.chosen in ids else -1
            self.chosen = ids[(at + 1) % len(ids)]

    def choose_at(self, x: float, y: float) -> bool:
        """Choose the smallest target whose claimed box holds the point."""
        hits = []
        for followed in self.targets.values():
            box = followed.result.claimed_box
            if box and box[0] <= x < box[0] + box[2] and box[1] <= y < box[1] + box[3]:
                hits.append((box[2] * box[3], followed.id))
        if hits:
            self.chosen = min(hits)[1]
        return bool(hits)

    def debug(self) -> DebugView | None:
        """Search region and response of the chosen target."""
        return None if self.chosen is None else self._session.debug(self.chosen)
