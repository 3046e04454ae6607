"""How many threads a tracker takes."""

from __future__ import annotations

import math
import os
from pathlib import Path

MOST = 4  # the graph is small: more threads wait for each other longer than they work
_QUOTA = Path("/sys/fs/cgroup/cpu.max")


def default_threads() -> int:
    """The cores that this process may use, at most four."""
    return max(1, min(usable_cores(), MOST))


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
