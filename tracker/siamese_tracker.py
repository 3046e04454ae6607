"""The tracker that people use: ``init`` with a box, ``update`` with each frame."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tracker.crowd import Crowd
from tracker.frame_step import follow
from tracker.image import check_image
from tracker.online import OnlineTracker
from tracker.results import TrackResult
from tracker.target import Target
from tracker.verification import embed


class SiameseTracker(OnlineTracker):
    """Follows one object from frame to frame.

    Args:
        model: name of a model that comes with the project, or a path to an export;
            ``None`` for the default. A ready ``Network`` is taken as it is.
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:1``, ``tensorrt``, ``coreml``, ``openvino``.
        threads: of the network on the CPU; ``None`` chooses.
        live: frames come at the pace of a camera: threads sleep between them instead of
            spinning, which costs a little speed and keeps a laptop cool.

    Raises:
        ValueError: a number of threads that cannot be had, or a model of no known kind.
        UserError: a model or device that cannot be used, in one sentence.

    Example:
        >>> import numpy as np
        >>> from tracker import SiameseTracker
        >>> frame = np.zeros((240, 320, 3), np.uint8)
        >>> tracker = SiameseTracker()
        >>> tracker.init(frame, (100, 80, 40, 30))
        >>> len(tracker.update(frame).box)
        4
    """

    _target: Target | None = None

    def init(self, image: Any, box: Sequence[float] | NDArray[Any]) -> None:
        """Select the target.

        Args:
            image: HxWx3 uint8 BGR.
            box: (x, y, w, h) in pixels, at least partly inside the image.

        Raises:
            ValueError: an image or box that cannot be used; the message names what was found.
            UserError: the model's graph fails on it.
            RuntimeError: the process was forked since the tracker was made.
        """
        image = check_image(image)
        with self._searcher.turn():
            self._target = self._searcher.select(image, box)

    def update(self, image: Any) -> TrackResult:
        """Find the target in the next frame.

        Args:
            image: HxWx3 uint8 BGR. One of another size is the same picture in more or fewer
                pixels where its form is the same; otherwise the target stays at its pixels.

        Raises:
            ValueError: an image that cannot be used.
            UserError: the model's graph fails on it.
            RuntimeError: ``init`` was not called, or the process was forked since the tracker
                was made.
        """
        if self._target is None:
            raise RuntimeError("select a target with init(image, box) before update(image)")
        image = check_image(image)
        with self._searcher.turn():
            return follow(self._searcher, image, {0: self._target}, Crowd())[0]

    def embed(self, image: Any, box: Sequence[float] | NDArray[Any]) -> NDArray[np.float32]:
        """The verification vector (D,) of what a box shows; see ``tracker.verification.embed``."""
        return embed(self.network, image, box)
