"""``tools/evaluate.py`` as a person runs it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
TOOL = str(ROOT / "tools" / "evaluate.py")


def evaluate(*arguments, **more) -> subprocess.CompletedProcess:
    environment = {**os.environ, "PYTHONPATH": str(HERE), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, TOOL, *map(str, arguments)]
    return subprocess.run(
        command, capture_output=True, text=True, env=environment, timeout=240, check=False, **more
    )
