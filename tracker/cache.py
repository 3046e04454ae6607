"""The folder in which things are kept that can be made again."""

from __future__ import annotations

import os
import sys
from pathlib import Path

VARIABLE = "SIAMTRACK_CACHE"


def cache_folder(name: str) -> Path | None:
    """A folder of the user's cache, made if need be; ``None`` where nothing can be written.

    ``SIAMTRACK_CACHE`` names another place for it.

    Args:
        name: of the folder inside the project's part of the cache.
    """
    try:
        folder = _root() / name
        folder.mkdir(parents=True, exist_ok=True)
    except (OSError, RuntimeError):  # RuntimeError: a user without a home
        return None
    return folder if os.access(folder, os.W_OK) else None


def _root() -> Path:
    given = os.environ.get(VARIABLE)
    if given:
        return Path(given)
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData/Local") / "siamtrack"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "siamtrack"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "siamtrack"
