"""A process that forks while its other threads work, and trackers in the child."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]


def output_of(code: str) -> str:
    """What a program says, in a process whose other threads are its own."""
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=root, capture_output=True, text=True, timeout=60,
        check=False,
    )  # fmt: skip
    return done.stdout or done.stderr


FORK_IN_A_FRAME = """
import os, signal, threading
import numpy as np
from tracker import SiameseTracker, searcher
frame = np.random.default_rng(0).integers(0, 255, (120, 160, 3), dtype=np.uint8)
tracker = SiameseTracker("kestrel", device="cpu", threads=2)
tracker.init(frame, (40, 30, 40, 40))
expected = tracker.update(frame)
inside, done = threading.Event(), threading.Event()
def other():  # is in the middle of a frame when the process is forked
    with tracker._searcher.turn(), searcher._renewing:
        inside.set()
        done.wait()
threading.Thread(target=other).start()
inside.wait()
child = os.fork()
done.set()
if child == 0:
    signal.alarm(30)
    try:
        tracker.update(frame)
    except RuntimeError as error:
        assert "forked" in str(error)
        mine = SiameseTracker("kestrel", device="cpu", threads=2)
        mine.init(frame, (40, 30, 40, 40))
        os._exit(0 if mine.update(frame) == expected else 5)
    os._exit(6)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


def test_a_tracker_that_was_forked_says_so_instead_of_waiting_for_ever() -> None:
    """Threads do not survive a fork; a tracker made in the child works."""
    assert output_of(FORK_IN_A_FRAME) == "0\n"


IN_ANOTHER_THREAD = """
threading.Thread(target=runtime.open_network, args=("kestrel", "cpu", 1)).start()
inside.wait()
child = os.fork()
if child == 0:
    signal.alarm(30)
    runtime.open_network("kestrel", "cpu", 1)
    os._exit(0)
goes_on.set()
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""

OPENING = """
import os, signal, threading
from tracker import runtime
inside, goes_on, open_it = threading.Event(), threading.Event(), runtime._open
def slowly(*arguments, **named):
    inside.set()
    goes_on.wait(.3)  # the fork comes now
    return open_it(*arguments, **named)
runtime._open = slowly
"""

NOTHING_IS_LEFT_LOCKED = """
runtime.open_network("kestrel", "cpu", 2)
"""


def test_a_fork_waits_until_another_thread_has_opened_its_model() -> None:
    assert output_of(OPENING + IN_ANOTHER_THREAD + NOTHING_IS_LEFT_LOCKED) == "0\n"


READING = """
import hashlib, os, signal, threading
from tracker import runtime, weights
files = weights.graph_files(weights.weights_folder() / "kestrel")
both = sum(file.stat().st_size for file in files)
inside, goes_on, digest_of = threading.Event(), threading.Event(), hashlib.sha256
def slowly(data):  # a thread that stays behind asks for the digest of both graphs
    if len(data) == both and threading.current_thread() is not threading.main_thread():
        inside.set()
        goes_on.wait()
    return digest_of(data)
hashlib.sha256 = slowly
"""


def test_a_fork_while_another_thread_reads_a_model() -> None:
    """Until Python 3.12 a cached property had a lock that nobody opens in the child."""
    assert output_of(READING + IN_ANOTHER_THREAD) == "0\n"
