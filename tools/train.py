#!/usr/bin/env python3
"""Train a tracker on pairs of pictures.

python tools/train.py --toy
python tools/train.py --data my_clips/ --out runs/mine
python tools/train.py --data my_clips/ --out runs/mine --resume
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tracker.cli import run_main
from tracker.training.malloc import keep_memory
from tracker.training.requirements import require


def main() -> int:
    """Check for torch before anything imports it."""
    require("torch", "tqdm")
    keep_memory()
    from tracker.training.train_cli import main as train

    return train()


if __name__ == "__main__":
    run_main(main)
