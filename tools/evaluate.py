#!/usr/bin/env python3
r"""Score trackers on annotated clips, side by side.

    python tools/evaluate.py --data clips/ --trackers kestrel,siamfc,csrt,kcf,mil \
        --out results/ --jobs 2
    python tools/evaluate.py --data OTB100/ --trackers kestrel,my_module:MyTracker --out results/
    python tools/evaluate.py --data VOT2022/ --protocol vot --trackers kestrel --out results/

A tracker that cannot be had here is reported and skipped. What is done is not done again: a
second run takes seconds, and an interrupted one goes on where it stopped.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

# before cv2 is imported: OpenCV's network module warns at every start of Nano
os.environ.setdefault("OPENCV_LOG_LEVEL", "ERROR")
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tracker.cli import plain_errors, run_main

with plain_errors():
    from tracker.evaluation.evaluate_cli import main as evaluate


def main() -> int:
    return evaluate(__doc__)


if __name__ == "__main__":
    run_main(main)
