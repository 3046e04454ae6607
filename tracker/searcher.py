"""One frame through the network: the crops of all targets, a batch for each of their sizes."""

from __future__ import annotations

import operator
import os
import threading
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tracker.camera import Camera
from tracker.crop import Region
from tracker.image import Array, Image
from tracker.runtime import Network, SearchOutput
from tracker.target import Target

MOST_REFRESHED = 2  # exemplars a frame: no frame pays for those of all targets

Request = tuple[Target, list[Region]]

_renewing = threading.Lock()  # of a searcher's own lock, in a copy or in a forked process


def _after_fork() -> None:
    global _renewing
    _renewing = threading.Lock()  # whoever held it stayed behind in the parent


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


class Searcher:
    """Cuts regions and runs the search graph; its buffers are reused.

    Args:
        network: that looks.

    Attributes:
        camera: what it did, for all targets of a frame.
        timings: seconds of the last frame by stage: ``crop``, ``network`` (both graphs),
            ``decide``.
    """

    def __init__(self, network: Network) -> None:
        self.network = network
        self.camera = Camera()
        self.timings: dict[str, float] = {}
        self._buffers: dict[int, Image] = {}
        self._joined: dict[int, tuple[list[Array], Array]] = {}
        self._process, self._turn = os.getpid(), threading.RLock()

    def turn(self) -> AbstractContextManager[object]:
        """To be held for a whole frame: threads take turns with buffers, camera and targets."""
        if self._process != os.getpid():  # whoever held it stayed behind in the parent
            with _renewing:
                if self._process != os.getpid():  # the process last: others look at it unlocked
                    self._turn, self._process = threading.RLock(), os.getpid()
        return self._turn

    def __getstate__(self) -> dict[str, Any]:
        """For a copy: ``turn`` makes it a lock of its own."""
        return self.__dict__ | {"_process": 0, "_turn": None}

    def select(self, image: Image, box: Sequence[float] | NDArray[Any]) -> Target:
        """A new target, from a frame that the camera starts from.

        Args:
            image: HxWx3 uint8 BGR, checked.
            box: (x, y, w, h) in pixels.

        Raises:
            ValueError: a box without a finite positive size, or outside of the frame.
        """
        target = Target.start(self.network, image, box)
        self.camera.see(image)
        return target

    def begin(self) -> None:
        """Start the clock of a new frame."""
        self.timings = {"crop": 0.0, "network": 0.0, "decide": 0.0}
        self._began = time.perf_counter()

    def end(self) -> None:
        """Stop the clock: what was neither crop nor network is decision."""
        spent = self.timings["crop"] + self.timings["network"]
        self.timings["decide"] = time.perf_counter() - self._began - spent

    def search(self, image: Image, requests: Sequence[Request]) -> SearchOutput:
        """Look at the regions of all requests; the output's batch is in their order.

        Args:
            requests: of targets that want crops of one size.
        """
        started = time.perf_counter()
        crops = self._cut(image, requests)
        cut_at = time.perf_counter()
        output = self._run(requests, crops)
        self.timings["crop"] += cut_at - started
        self.timings["network"] += time.perf_counter() - cut_at
        return output

    def refresh(self, image: Image, targets: Sequence[Target]) -> None:
        """Take the later exemplars and colours that are due; of many, those that waited longest."""
        due = [target for target in targets if target.exemplar.due(self.network.spec)]
        if not due:
            return
        started = time.perf_counter()
        due.sort(key=lambda target: target.exemplar.sure_frames, reverse=True)
        chosen = due[:MOST_REFRESHED]
        for target in chosen:
            target.refresh(self.network, image)
        self.timings["network"] += time.perf_counter() - started
        for target in chosen:  # off the network's clock: it counts as decision
            target.refresh_colours(image)

    def _cut(self, image: Image, requests: Sequence[Request]) -> Image:
        size, count = requests[0][0].crop_size, sum(len(r) for _, r in requests)
        buffer = self._buffers.get(size)
        if buffer is None or len(buffer) < count:
            buffer = self._buffers[size] = np.empty((count, size, size, 3), np.uint8)
        number = 0
        for target, regions in requests:
            view = target.view(image)
            for region in regions:
                view.crop(region, size, buffer[number])
                number += 1
        return buffer[:count]

    def _run(self, requests: Sequence[Request], crops: Image) -> SearchOutput:
        if len(requests) == 1:  # one row serves every crop
            return self.network.search(requests[0][0].exemplar.embedding, crops)
        if self.network.spec.kind == "box":
            return self.network.search(self._embeddings(requests, crops.shape[1]), crops)
        # SiamFC's exemplar is the kernel of one convolution: a pass for each target
        start, scores = 0, []
        for target, regions in requests:
            part = crops[start : start + len(regions)]
            scores.append(self.network.search(target.exemplar.embedding, part).score)
            start += len(regions)
        return SearchOutput(np.concatenate(scores))

    def _embeddings(self, requests: Sequence[Request], size: int) -> Array:
        """One row for each crop; joined anew only when a target or its exemplar changed."""
        rows = [t.exemplar.embedding for t, regions in requests for _ in regions]
        before, joined = self._joined.get(size, ([], None))
        same = len(rows) == len(before) and all(map(operator.is_, rows, before))
        if joined is None or not same:
            joined = np.concatenate(rows)
            self._joined[size] = rows, joined
        return joined
