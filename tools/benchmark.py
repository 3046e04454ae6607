#!/usr/bin/env python3
r"""Time trackers on a real clip, end to end: decode, crop, network, decision, drawing.

    python tools/benchmark.py --video clip.mp4 --init-box 120,80,60,40 --trackers kestrel,csrt
    python tools/benchmark.py --data clips/ --only otb/David --trackers kestrel,kcf
    python tools/benchmark.py --video clip.mp4 --init-box 120,80,60,40 --trackers kestrel \
        --device cuda --memory-frames 10000 --json speed.json
    python tools/benchmark.py --data clips/ --only otb/Car4 --threads 1,2 \
        --trackers kestrel,kestrel-int8,nanotrack-v2,csrt,kcf --nanotrack-dir nanotrack/ \
        --accuracy results/summary.json --table speed.md --plot speed.svg

Each tracker runs in a process of its own, in alternating rounds. Frames/s is the number of
frames over the sum of their times. Let nothing else run meanwhile.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tracker.cli import plain_errors, run_main

with plain_errors():
    from tracker.evaluation.benchmark_cli import main as benchmark


def main() -> int:
    return benchmark(__doc__)


if __name__ == "__main__":
    run_main(main)
