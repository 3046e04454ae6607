"""Calling the demo as a person does, in this process or one of its own."""

import csv
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
BOX = "30,60,40,40"


def start(*arguments, script=HERE / "demo.py", cwd=None, **options):
    """Run the demo as a process of its own, without a display."""
    environment = {k: v for k, v in os.environ.items() if k not in ("DISPLAY", "WAYLAND_DISPLAY")}
    return subprocess.Popen(
        [sys.executable, str(script), *map(str, arguments)],
        cwd=cwd,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        **options,
    )


def wait_until_it_listens(process) -> None:
    """Until SIGTERM has a handler, and then for a moment, in which it comes to its pipe."""
    status, bit = Path(f"/proc/{process.pid}/status"), 1 << (signal.SIGTERM - 1)
    while status.exists() and process.poll() is None:
        caught = re.search(r"SigCgt:\s*(\w+)", status.read_text())
        if caught and int(caught[1], 16) & bit:
            break
        time.sleep(0.02)
    time.sleep(2)


def finish(process):
    out, err = process.communicate(timeout=120)
    assert "Traceback" not in err
    return process.returncode, out, err


def boxes_in(path):
    rows = list(csv.DictReader(path.open()))
    return {(int(r["frame"]), int(r["id"])): [float(r[k]) for k in "xywh"] for r in rows}
