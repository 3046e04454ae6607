"""What the trackers that people use have in common: a network, and who asks it."""

from __future__ import annotations

from pathlib import Path
from typing import NoReturn

from tracker.devices import Device
from tracker.runtime import Network, as_network, device_of
from tracker.searcher import Searcher


class OnlineTracker:
    """Base of ``SiameseTracker``, where the arguments are explained, and of ``Session``."""

    def __init__(
        self,
        model: str | Path | Network | None = None,
        device: str = "auto",
        threads: int | None = None,
        live: bool = False,
    ) -> None:
        self.network = as_network(model, device, threads, live)
        self._searcher = Searcher(self.network)

    def __copy__(self) -> NoReturn:
        raise TypeError(
            "a tracker or session is not copied: both would move the same targets; make another "
            "one, which may be given this one's network as its model"
        )

    @property
    def device(self) -> Device | None:
        """Where the network runs, with ``auto``'s ``reason``; ``None`` if your own says nothing."""
        return device_of(self.network)

    @property
    def timings(self) -> dict[str, float]:
        """Seconds of the last update by stage: ``crop``, ``network``, ``decide``."""
        return self._searcher.timings
