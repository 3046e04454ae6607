"""Train a tracker on pairs of pictures: ``python tools/train.py --help``."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tracker.cli import run_main
from tracker.training.train_cli import main

if __name__ == "__main__":
    run_main(main)
