#!/usr/bin/env python3
r"""Make the trunk of a trained Kestrel narrower, and so faster.

    python tools/prune.py --checkpoint runs/mine/checkpoint.pt --data clips/ --out runs/narrow.pt
    python tools/train.py --init runs/narrow.pt --teacher runs/mine/checkpoint.pt --data clips/ \
        --frozen 0 --out runs/narrow

Drops the channels of each block that the others can stand in for, on search crops of the data.
Half of the time of a frame goes with half of the channels. Go on training after it, as above:
the whole network is then the teacher.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tracker.cli import number, plain_errors, positive, run_main, some_path, thread_count, whole
from tracker.training.requirements import require

with plain_errors():
    require("torch", "tqdm")
    import torch

    from tracker.errors import UserError
    from tracker.files import check_writable, keep_apart, refuse_existing
    from tracker.network.backbone import FULL_WIDTHS
    from tracker.network.kestrel import Kestrel
    from tracker.training.checkpoint import load_checkpoint, reading, save_checkpoint
    from tracker.training.models import restore_network, settings_of
    from tracker.training.pair_options import PairOptions
    from tracker.training.pairs import PairSampler
    from tracker.training.prune import prune
    from tracker.training.record import make_record
    from tracker.training.sources import open_source

ROUND = 16
"""Widths are multiples of it: ONNX Runtime computes channels in blocks of so many."""


def main() -> int:
    args = parse_arguments()
    torch.set_num_threads(args.threads)
    refuse_existing([args.out], args.overwrite)
    keep_apart([("--out", args.out)], [args.checkpoint])
    content = load_checkpoint(args.checkpoint)
    network = restore_network(content, "average", args.checkpoint)
    if not isinstance(network, Kestrel):
        raise UserError(f"{args.checkpoint} is a {network.name}; a kestrel can be pruned")
    before = [block.depthwise.weight.shape[0] for block in network.trunk.blocks()]
    widths = args.widths or [narrower(width, args.keep) for width in before]
    too_wide = [f"{w} of {b}" for w, b in zip(widths, before, strict=True) if w > b]
    if too_wide:
        raise UserError(f"a block cannot become wider than it is, found {', '.join(too_wide)}")
    sources = [open_source(text) for text in args.data]
    options = PairOptions(network.exemplar_size, network.search_size)
    sampler = PairSampler(sources, options, args.seed)
    check_writable(args.out.parent)
    pictures = [torch.from_numpy(sampler.pair(n).search) for n in range(args.crops)]
    narrow, errors = prune(network, widths, torch.stack(pictures))
    for block, (old, new, error) in enumerate(zip(before, widths, errors, strict=True)):
        print(f"block {block:2d}: {old:3d} -> {new:3d} channels, error after it {error:.4f}")
    settings = settings_of(content) | {"trunk_widths": widths}
    record = make_record(sources, sys.argv, args.data, settings)
    record["tuned"] = content.get("record", {}).get("tuned", {})
    with reading(args.checkpoint):
        start = start_of_a_run(content, narrow, record)
    save_checkpoint(args.out, start)
    print(f"written: {args.out}; next: python tools/train.py --init {args.out} "
          f"--teacher {args.checkpoint} --frozen 0 --data ... --out ...")  # fmt: skip
    return 0


def narrower(width: int, share: float) -> int:
    """About a share of a width, in whole blocks of channels."""
    return min(max(round(width * share / ROUND), 1) * ROUND, width)


def start_of_a_run(
    content: dict[str, Any], network: Kestrel, record: dict[str, Any]
) -> dict[str, Any]:
    """A checkpoint to start from, and to export; the optimiser's moments fit no more."""
    earlier = list(content.get("record", {}).get("commands", []))
    state = network.state_dict()
    return content | {
        "model": state,
        "average": state,
        "optimiser": None,
        "record": record | {"commands": [*earlier, *record["commands"]]},
    }


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--checkpoint", type=some_path, required=True, help="of the network to prune")
    add("--data", action="append", required=True, metavar="[LAYOUT:]PATH[@WEIGHT]",
        help="as of tools/train.py; several to mix")  # fmt: skip
    add("--keep", type=number(0, 1, "share", above=True), default=0.5,
        help="share of each block's channels (default: 0.5)")  # fmt: skip
    add("--widths", type=width_list, metavar=",".join("N" * len(FULL_WIDTHS)),
        help="instead of --keep: channels of each block")  # fmt: skip
    add("--crops", type=positive, default=192, help="search crops to solve on (default: 192)")
    add("--seed", type=whole(0, 2**32 - 1), default=0, help="of the crops")
    add("--threads", type=thread_count, default=2, help="default: 2")
    add("--out", type=some_path, required=True, help="checkpoint to write, such as runs/narrow.pt")
    add("--overwrite", action="store_true", help="replace --out")
    return parser.parse_args()


def width_list(text: str) -> list[int]:
    """Argparse type: one width a block."""
    try:
        widths = [int(part) for part in text.split(",")]
    except ValueError:
        widths = []
    if len(widths) != len(FULL_WIDTHS) or min(widths) < 1:
        raise argparse.ArgumentTypeError(
            f"{len(FULL_WIDTHS)} whole numbers above 0 are needed, found {text}"
        )
    return widths


if __name__ == "__main__":
    run_main(main)
