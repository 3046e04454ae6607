"""A real-time Siamese object tracker.

>>> from tracker import SiameseTracker

Names are imported when they are first used: ``import tracker`` itself is instant.
"""

from __future__ import annotations

import os
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tracker.errors import UserError
    from tracker.results import Box, State, TrackResult
    from tracker.session import Session
    from tracker.siamese_tracker import SiameseTracker
    from tracker.verification import same_object, similarity

__version__ = "0.2.0.dev0"

# ONNX Runtime would look up a host and keep an id of the device in the home folder
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

_HOMES = {
    "Box": "tracker.results",
    "Session": "tracker.session",
    "SiameseTracker": "tracker.siamese_tracker",
    "State": "tracker.results",
    "TrackResult": "tracker.results",
    "UserError": "tracker.errors",
    "same_object": "tracker.verification",
    "similarity": "tracker.verification",
}
__all__ = [
    "Box",
    "Session",
    "SiameseTracker",
    "State",
    "TrackResult",
    "UserError",
    "__version__",
    "same_object",
    "similarity",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'tracker' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})  # what is typed in a console is completed from it
