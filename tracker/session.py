"""Several targets followed through one stream of frames, their crops in batches."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tracker.crowd import Crowd
from tracker.frame_step import follow
from tracker.image import Image, check_image
from tracker.online import OnlineTracker
from tracker.results import Box, TrackResult
from tracker.runtime import Network
from tracker.target import Target

ALL_SEARCHED = 4  # targets; of more, those that stay where they are expected take turns


@dataclass(frozen=True)
class DebugView:
    """What the tracker looked at in the last frame.

    Attributes:
        search_region: the square (x, y, w, h) of the frame in which the target was looked for.
        response: (H, W) float scores 0..1 over that square.
    """

    search_region: Box
    response: NDArray[np.float32]


class Session(OnlineTracker):
    """Follows any number of targets, each with an id that stays.

    Of more than four targets those that are where they were expected are looked at in every second
    frame; in between their box moves on as they went, and score and state stay.

    Several threads may use one session: a frame, or a new target, is one call's at a time.

    Args:
        model, device, threads, live: as of ``SiameseTracker``; so are the errors.

    Attributes:
        timings: seconds of the last update by stage: ``crop``, ``network``, ``decide``.

    Example:
        >>> import numpy as np
        >>> from tracker import Session
        >>> frame = np.zeros((240, 320, 3), np.uint8)
        >>> session = Session()
        >>> cup, pen = session.add(frame, (20, 20, 40, 40)), session.add(frame, (90, 80, 30, 60))
        >>> sorted(session.update(frame)) == [cup, pen]
        True
    """

    def __init__(
        self,
        model: str | Path | Network | None = None,
        device: str = "auto",
        threads: int | None = None,
        live: bool = False,
    ) -> None:
        super().__init__(model, device, threads, live)
        self._crowd = Crowd()
        self._targets: dict[int, Target] = {}
        self._labels: dict[int, str | None] = {}
        self._next_id = 1
        self._frames = 0

    @property
    def labels(self) -> dict[int, str | None]:
        """Labels of the targets by id, in the order in which they were added."""
        return dict(self._labels)

    def add(self, image: Any, box: Sequence[float] | NDArray[Any], label: str | None = None) -> int:
        """Select one more target.

        Args:
            image: HxWx3 uint8 BGR: the first frame, or that of the last ``update``. After a newer
                one the next ``update`` takes the camera for still, of the other targets, too.
            box: (x, y, w, h) in pixels, at least partly inside the image.
            label: kept for display.

        Returns:
            Its id, which is never used again.

        Raises:
            ValueError: an image or box that cannot be used.
            UserError, RuntimeError: as of ``SiameseTracker.init``.
        """
        image = check_image(image)
        with self._searcher.turn():
            target = self._searcher.select(image, box)
            number, self._next_id = self._next_id, self._next_id + 1
            others = self._targets.copy().items()  # another thread may remove some meanwhile
            self._crowd.draw(number, target.box, {n: t.box for n, t in others if not t.lost})
            self._targets[number], self._labels[number] = target, label
        return number

    def remove(self, target_id: int) -> None:
        """Forget a target.

        Raises:
            KeyError: there is none of this id.
        """
        del self._targets[target_id], self._labels[target_id]

    def update(self, image: Any) -> dict[int, TrackResult]:
        """Find all targets in the next frame: a result for each id.

        Raises:
            ValueError: an image that cannot be used.
            UserError: the model's graph fails on it.
            RuntimeError: the process was forked since the session was made.
        """
        image = check_image(image)
        with self._searcher.turn():
            targets = self._targets.copy()  # another thread may remove some meanwhile
            resting = self._resting(targets, image) if len(targets) > ALL_SEARCHED else []
            found = follow(self._searcher, image, targets, self._crowd, resting)
            self._frames += 1
            self._mark_crowded(found)
        return found

    def _mark_crowded(self, found: dict[int, TrackResult]) -> None:
        """Tell targets, for the next frame, whether another one claims their place."""
        targets = dict(self._targets)  # those that nobody removed meanwhile
        claimed = {number: found[number].claimed_box for number in targets if number in found}
        self._crowd.keep(set(targets))
        crowded = self._crowd.see({n: box for n, box in claimed.items() if box is not None})
        for number, target in targets.items():
            target.crowded = target.crowded + 1 if number in crowded else 0

    def _resting(self, targets: Mapping[int, Target], image: Image) -> list[int]:
        """Numbers of the targets whose turn it is not, every second one, and that may wait."""
        height, width = image.shape[:2]
        waiting = list(targets)[self._frames % 2 :: 2]
        return [n for n in waiting if targets[n].may_rest(width, height)]

    def exemplar(self, target_id: int) -> Image:
        """The picture (E, E, 3) uint8 BGR that a target was learned from; KeyError if unknown."""
        return self._targets[target_id].exemplar.thumbnail.copy()

    def debug(self, target_id: int) -> DebugView | None:
        """What was looked at in the last frame, ``None`` before the first update.

        Raises:
            KeyError: there is none of this id.
        """
        target = self._targets[target_id]
        with self._searcher.turn():  # both of one frame
            if target.response is None:
                return None
            region, response = target.decider.displayed(target.regions[0], target.response)
        return DebugView(region.box, response.copy())  # the next frame is compared with ours
