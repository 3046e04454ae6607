"""A memory allocator that keeps what it got: half of the time of a CPU run."""

from __future__ import annotations

import os
import sys


def keep_memory() -> None:
    """Start this program again with a malloc that keeps its memory (glibc, once).

    glibc gives large blocks back to the system after every step and faults them in
    again at the next: half of the time of a CPU run.
    """
    settings = {
        "MALLOC_MMAP_THRESHOLD_": str(1 << 32),
        "MALLOC_TRIM_THRESHOLD_": str(1 << 33),
        "MALLOC_TOP_PAD_": str(1 << 28),
        "MALLOC_ARENA_MAX": "1",  # the backward pass runs in a thread with an arena of its own
    }
    if sys.platform != "linux" or "MALLOC_TOP_PAD_" in os.environ:
        return
    os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], {**os.environ, **settings})
