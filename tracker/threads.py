"""How many threads a tracker takes."""

from __future__ import annotations

import math
import operator
import os
from pathlib import Path

MOST = 4  # the graph is small: more threads wait for each other longer than they work
MOST_ALLOWED = 256
"""Far beyond any use; thousands take minutes to start, and do not listen to signals meanwhile."""
_QUOTA = Path("/sys/fs/cgroup/cpu.max")


def default_threads() -> int:
    """The cores that this process may use, at most four."""
    return max(1, min(usable_cores(), MOST))


def check_threads(threads: int | None) -> int:
    """A number of threads that may be asked for; 0, as ``None``, leaves the choice to us.

    Raises:
        ValueError: no whole number, or out of range.
    """
    try:
        count = 0 if threads is None else operator.index(threads)
    except TypeError:
        count = -1
    if not 0 <= count <= MOST_ALLOWED:
        raise ValueError(
            f"threads must be a whole number of 1 to {MOST_ALLOWED}, or 0 or None for our own "
            f"choice; found {threads!r}"
        )
    return count


def usable_cores(quota: Path = _QUOTA) -> int:
    """Cores that affinity and the container's quota leave to this process.

    Args:
        quota: cgroup 2's file of "microseconds period", or "max period".
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    try:
        allowed, period = quota.read_text(encoding="ascii").split()
        if allowed != "max":
            cores = min(cores or 1, math.ceil(int(allowed) / int(period)))
    except (OSError, ValueError, ZeroDivisionError):
        pass
    return max(cores or 1, 1)
