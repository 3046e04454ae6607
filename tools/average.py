#!/usr/bin/env python3
r"""Average the weights of runs that share a start: one network, often better than either.

    python tools/average.py --checkpoint runs/b/checkpoint.pt@0.65 \
        --checkpoint runs/a/checkpoint.pt@0.35 --out runs/mean.pt
    python tools/average.py --checkpoint runs/mine/checkpoint.pt@0.65 \
        --checkpoint runs/mine/start.pt@0.35 --out runs/mean.pt

Every run keeps what it began with as start.pt; an average with it forgets less.

Wortsman et al. 2022, "Model soups", section 2. Only runs of which one went on from the other, or
both from a third one, can be averaged: others have their channels in another order.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tracker.cli import path_and_weight, run_main, some_path
from tracker.errors import UserError
from tracker.files import keep_apart, refuse_existing
from tracker.training.requirements import require


def main() -> int:
    require("torch")
    from tracker.training.checkpoint import load_checkpoint, save_checkpoint
    from tracker.training.models import averaged

    args = build_parser().parse_args()
    refuse_existing([args.out], args.overwrite)
    named = map(path_and_weight, args.checkpoint)
    parts = [(Path(path), weight) for path, weight in named]
    keep_apart([("--out", args.out)], [path for path, _ in parts])
    contents = [(path, load_checkpoint(path), weight) for path, weight in parts]
    total = sum(weight for _, weight in parts)
    if total == float("inf"):
        raise UserError("the weights add up to more than a number holds; give smaller ones")
    save_checkpoint(args.out, averaged(contents))
    said = ", ".join(f"{weight / total:.2f} of {path}" for path, weight in parts)
    print(f"{args.out}: {said}")
    return 0


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--checkpoint", action="append", required=True, metavar="PATH[@WEIGHT]",
        help="give it for each run; weights are made to add up to 1")  # fmt: skip
    add("--out", type=some_path, required=True, metavar="CHECKPOINT", help="such as runs/mean.pt")
    add("--overwrite", action="store_true", help="replace what is there")
    return parser


if __name__ == "__main__":
    run_main(main)
