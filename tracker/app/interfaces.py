"""What the application needs of a session of targets; ``tracker.Session`` provides it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from tracker.image import Image
from tracker.results import Box, TrackResult
from tracker.session import DebugView

Say = Callable[[str], None]
"""Takes one sentence for the person in front of the program; may be called by any thread."""


class TargetSession(Protocol):
    """Several targets followed through one stream of frames."""

    def add(self, image: Image, box: Box, label: str | None = None) -> int: ...

    def update(self, image: Image) -> dict[int, TrackResult]: ...

    def remove(self, target_id: int, /) -> None: ...

    def exemplar(self, target_id: int, /) -> Image | None: ...

    def debug(self, target_id: int, /) -> DebugView | None: ...


MakeSession = Callable[[bool], TargetSession]
"""Told whether frames come at a pace, as those of a camera do, makes the session of a source."""
