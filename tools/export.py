#!/usr/bin/env python3
"""Export a trained network: two ONNX graphs, compared with torch before they are written.

python tools/export.py --checkpoint runs/mine/checkpoint.pt --out weights/mine
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tracker.cli import run_main
from tracker.training.requirements import require


def main() -> int:
    """Check for torch before anything imports it."""
    require("torch", "onnx", "tqdm")
    from tracker.training.export_cli import main as export

    return export()


if __name__ == "__main__":
    run_main(main)
