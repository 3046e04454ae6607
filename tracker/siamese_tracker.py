"""The tracker that people use: ``init`` with a box, ``update`` with each frame."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tracker.crop import cut
from tracker.image import Image, check_image
from tracker.results import TrackResult
from tracker.runtime import Network, open_network
from tracker.target import Target


class SiameseTracker:
    """Follows one object from frame to frame.

    Args:
        model: name of a model that comes with the project, or a path to an export;
            ``None`` for the default. A ready ``Network`` is taken as it is.
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:1``, ``tensorrt``, ``coreml``, ``openvino``.
        threads: of the network on the CPU; ``None`` chooses.

    Raises:
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

    def __init__(
        self,
        model: str | Path | Network | None = None,
        device: str = "auto",
        threads: int | None = None,
    ) -> None:
        if model is None or isinstance(model, (str, Path)):
            self.network: Network = open_network(model, device, threads)
        else:
            self.network = model
        self.timings: dict[str, float] = {}
        self._target: Target | None = None
        self._crops: Image | None = None

    def init(self, image: Any, box: Sequence[float]) -> None:
        """Select the target.

        Args:
            image: HxWx3 uint8 BGR.
            box: (x, y, w, h) in pixels, at least partly inside the image.

        Raises:
            ValueError: an image or box that cannot be used; the message names what was found.
        """
        self._target = Target.start(self.network, check_image(image), box)  # type: ignore[arg-type]

    def update(self, image: Any) -> TrackResult:
        """Find the target in the next frame.

        Args:
            image: HxWx3 uint8 BGR; its size may differ from the last one's.

        Raises:
            ValueError: an image that cannot be used.
            RuntimeError: ``init`` was not called.
        """
        if self._target is None:
            raise RuntimeError("select a target with init(image, box) before update(image)")
        image = check_image(image)
        clock = [time.perf_counter()]
        crops = self._cut(image)
        clock.append(time.perf_counter())
        output = self.network.search(self._target.embedding, crops)
        clock.append(time.perf_counter())
        height, width = image.shape[:2]
        result = self._target.take(self.network, output, 0, width, height)
        clock.append(time.perf_counter())
        names = ("crop", "network", "decide")
        self.timings = dict(zip(names, np.diff(clock).tolist()))
        return result

    def _cut(self, image: Image) -> Image:
        assert self._target is not None
        size, regions = self.network.spec.search_size, self._target.plan(self.network)
        if self._crops is None or len(self._crops) != len(regions):
            self._crops = np.empty((len(regions), size, size, 3), np.uint8)
        for region, out in zip(regions, self._crops):
            cut(image, region, size, self._target.fill, out)
        return self._crops
