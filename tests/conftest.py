"""What holds for every test: no display, no network, and the same random cases in every run."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

ROOT = Path(__file__).resolve().parent.parent
LOOPBACK = ("127.", "::1", "localhost", "ip6-localhost", "0.0.0.0")

os.environ.setdefault("MPLBACKEND", "Agg")
# A shell that starts the tests in the background ignores ctrl-c for all of them, and programs
# inherit that: the ones started here get it back.
signal.signal(signal.SIGINT, signal.default_int_handler)
# CI draws the same cases every time; by hand, every run draws new ones.
settings.register_profile("ci", derandomize=True, deadline=None, print_blob=True)
settings.register_profile("dev", deadline=None, print_blob=True)
settings.load_profile("ci" if os.environ.get("CI") else "dev")


def _only_this_machine(event: str, args: tuple[Any, ...]) -> None:
    """Audit hook: a test that reaches out of this machine fails, whoever opens the socket."""
    if event == "socket.connect" and isinstance(args[1], tuple):
        host = str(args[1][0])
    elif event == "socket.getaddrinfo" and args[0] is not None:
        host = args[0].decode() if isinstance(args[0], bytes) else str(args[0])
    else:
        return
    if host and not host.startswith(LOOPBACK):
        raise RuntimeError(f"a test tried to reach {host}: tests stay on this machine")


sys.addaudithook(_only_this_machine)


@pytest.fixture(scope="session")
def shared_val() -> Path:
    """Folder of the annotated development clips, which lie beside the checkout."""
    folder = ROOT.parent / "shared" / "data" / "val"
    if not folder.is_dir():
        pytest.skip(f"the development clips are not here ({folder})")
    return folder
