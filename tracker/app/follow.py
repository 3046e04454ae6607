"""Following targets through frames, with what is shown and written of them; no window."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass, field

from tracker.app.frame_source import Frame
from tracker.app.interfaces import TargetSession
from tracker.app.results_writer import ResultsWriter, Row
from tracker.geometry import check_box, clip_box
from tracker.image import Image
from tracker.results import Box, State, TrackResult
from tracker.session import DebugView

TRAIL_LENGTH = 48


@dataclass
class Followed:
    """One target as the application sees it.

    Attributes:
        id: counts from 1 and stays when the target is selected again.
        session_id: what the session calls it.
        trail: centres (x, y) in pixels of the last frames, newest last; None where lost.
        thumbnail: (h, w, 3) uint8 BGR picture of the exemplar.
        fresh: it was added on the frame of now, and was followed to none.
    """

    id: int
    session_id: int
    label: str
    result: TrackResult
    thumbnail: Image | None = None
    trail: deque[tuple[float, float] | None] = field(
        default_factory=lambda: deque(maxlen=TRAIL_LENGTH)
    )
    fresh: bool = True

    def take(self, result: TrackResult) -> None:
        self.result = result
        box = result.claimed_box
        self.trail.append(None if box is None else (box[0] + box[2] / 2, box[1] + box[3] / 2))


def start_box(box: Box, width: int, height: int) -> Box:
    """The first box of a target, inside the frame as all later ones are.

    Raises:
        ValueError: it cannot be a target there.
    """
    return clip_box(check_box(box, width, height), width, height)


class Follower:
    """Keeps a session, the last result of each target and the results file in step.

    Attributes:
        targets: by id, in the order in which they were added.
        chosen: id of the target that keys act on, None without targets.
        latency: seconds that the last update took, 0 without targets.
    """

    def __init__(self, session: TargetSession) -> None:
        self._session = session
        self._results: ResultsWriter | None = None
        self.targets: dict[int, Followed] = {}
        self.chosen: int | None = None
        self.latency = 0.0
        self._added = 0
        self._frame: Frame | None = None  # the last one
        self._dropped: dict[int, Followed] = {}  # what was followed to it, and is no more

    def write_to(self, results: ResultsWriter | None, frame: Frame) -> None:
        """Write results from this frame on, which the targets were started on."""
        self._results = results
        self.write(frame)

    def add(self, frame: Frame, box: Box, label: str | None = None) -> int:
        """Start a target on ``frame``; returns its id.

        Raises:
            ValueError: the box cannot be a target there.
            UserError: its results have no place to go to.
        """
        target = self._start(self._added + 1, frame, box, label)
        self._added = target
        return target

    def reselect(self, target: int, frame: Frame, box: Box) -> None:
        """Start a target anew on ``frame``; it keeps its id and label.

        Raises:
            ValueError: the box cannot be a target there; the old one goes on.
        """
        old = self.targets[target]
        self._start(target, frame, box, old.label)
        self.targets[target].fresh = old.fresh
        self._session.remove(old.session_id)

    def _start(self, target: int, frame: Frame, box: Box, label: str | None) -> int:
        height, width = frame.image.shape[:2]
        box = start_box(box, width, height)
        if self._results:
            self._results.make_room(target)
        session_id = self._session.add(frame.image, box, label)
        followed = Followed(
            target,
            session_id,
            label or str(target),
            TrackResult(box, 1.0, State.TRACKING),
            self._session.exemplar(session_id),
        )
        followed.take(followed.result)
        self.targets[target], self.chosen = followed, target
        self.write(frame)
        return target

    def advance(self, frame: Frame) -> None:
        """Find all targets in the next frame and write the results."""
        start = time.perf_counter()
        results = self._session.update(frame.image) if self.targets else {}
        self.latency = time.perf_counter() - start if self.targets else 0.0
        sought = self._frame is None or frame.index != self._frame.index + 1
        self._dropped.clear()
        for target in self.targets.values():
            if sought:
                target.trail.append(None)
            target.fresh = False
            if target.session_id in results:
                target.take(results[target.session_id])
        self.write(frame)

    def write(self, frame: Frame) -> None:
        self._frame = frame
        if self._results:
            rows = {number: Row(t.label, t.result) for number, t in self.told.items()}
            self._results.write(frame.index, frame.timestamp, rows)

    @property
    def unread(self) -> bool:
        """Whether results are written for a reader who left."""
        return self._results is not None and self._results.unread

    @property
    def told(self) -> dict[int, Followed]:
        """All that results tell of the last frame, by id: what was dropped on it, too."""
        return dict(sorted((self._dropped | self.targets).items()))

    def remove(self, target: int) -> None:
        """Follow a target no more; of one that was added by mistake no row stays.

        Raises:
            UserError: the results cannot be written.
        """
        gone = self.targets.pop(target, None)
        if gone is None:
            return
        self._session.remove(gone.session_id)
        if self.chosen == target:
            self.chosen = next(reversed(self.targets), None)
        if not gone.fresh:
            self._dropped[target] = gone
        elif self._frame is not None and self._results and self._results.takes_back:
            self.write(self._frame)

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
        if self.chosen is None:
            return None
        return self._session.debug(self.targets[self.chosen].session_id)
