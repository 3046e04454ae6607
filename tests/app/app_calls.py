"""Calling the demo as a person does, in this process or one of its own."""

import csv
import os
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
BOX = "30,60,40,40"


def start(*arguments, script=HERE / "app_demo.py", cwd=None, **options):
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


def finish(process):
    out, err = process.communicate(timeout=120)
    assert "Traceback" not in err
    return process.returncode, out, err


def boxes_in(path):
    rows = list(csv.DictReader(path.open()))
    return {(int(r["frame"]), int(r["id"])): [float(r[k]) for k in "xywh"] for r in rows}
