#!/usr/bin/env python3
r"""Make a variant of a model in another precision, beside the model.

    python tools/quantize.py --model kestrel --data clips/ --out weights/kestrel-int8
    python tools/quantize.py --model kestrel --data clips/ --precision fp16 \
        --out weights/kestrel-fp16
    python tools/evaluate.py --data val/ --trackers kestrel,kestrel-int8

int8 takes its ranges from half of the crops and measures on the other half how far its answers
are from float32's. The first layers, and what compares with the exemplar, cost most and gain
least: they stay in float32. Judge the result by tracking, as above, on clips that gave no crops.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tracker.cli import (
    file_stem,
    number,
    plain_errors,
    positive,
    run_main,
    some_text,
    thread_count,
    whole,
)

with plain_errors():
    from tracker.data import datasets
    from tracker.errors import UserError
    from tracker.evaluation import options
    from tracker.evaluation.calibration import pairs
    from tracker.files import check_writable, keep_apart, refuse_existing
    from tracker.runtime import open_network
    from tracker.training.requirements import require
    from tracker.weights import ModelFiles, graph_files, read_model, write_model


def main() -> int:
    args = parse_arguments()
    require("onnx")
    from tracker.training import precision

    targets = graph_files(args.out)
    refuse_existing(targets, args.overwrite)
    files = read_model(args.model)
    keep_apart([("--out", target) for target in targets], graph_files(files.folder / files.name))
    network = open_network(args.model, "cpu", args.threads)
    if network.spec.kind != "box" or network.spec.precision != "fp32":
        raise UserError(
            f"{files.name} is a {network.spec.precision} model of kind {network.spec.kind}; "
            "variants are made of a float32 model that regresses boxes"
        )
    sequences = datasets.load(args.data, args.kind, args.only)
    found = pairs(network, sequences, args.crops, args.seed)
    if len(found) < 4:
        raise UserError(
            f"{args.data}: {len(found)} crops could be cut there, at least 4 are needed"
        )
    check_writable(args.out.parent)
    feeds = [{"embedding": embedding, "image": crop} for embedding, crop in found]
    notes = {"crops": len(feeds), "seed": args.seed, "clips": len(sequences)}
    if args.precision == "fp16":
        search = precision.to_float16(files.search)
        error = precision.disagreement(
            precision.answers(files, files.search, feeds),
            precision.answers(files, search, feeds),
            network.spec.stride,
        )
        print(f"disagreement with float32: {error:.4f} over {len(feeds)} crops")
    else:
        search = to_int8(files, feeds, args, notes, network.spec.stride)
    write_model(precision.variant(files, search, args.precision, notes), args.out)
    print(f"written: {', '.join(str(t) for t in targets)}")
    return 0


def to_int8(
    files: ModelFiles,
    feeds: list[dict[str, Any]],
    args: argparse.Namespace,
    notes: dict[str, Any],
    stride: int,
) -> bytes:
    """Quantise all layers but the first ones; print how far the answers are off."""
    from tqdm import tqdm

    from tracker.training import precision

    half = len(feeds) // 2
    ranges, judged = feeds[:half], feeds[half:]
    int8 = precision.Int8(files.search, ranges, args.percentile, args.full_range)
    layers = int8.layers[args.float_first :]
    if not layers:
        raise UserError(
            f"--float-first {args.float_first} leaves none of the {len(int8.layers)} layers "
            "to quantise; give less"
        )
    reference = precision.answers(files, files.search, judged)

    def error(layers: list[str]) -> float:
        found = precision.answers(files, int8.quantize(layers), judged)
        return precision.disagreement(reference, found, stride)

    if args.sensitivity:
        print("disagreement with float32 of one layer in int8, the others in float32:")
        alone = {
            name: error([name])
            for name in tqdm(int8.layers, unit=" layers", disable=args.quiet, leave=False)
        }
        for name in sorted(alone, key=lambda name: -alone[name]):
            print(f"  {alone[name]:.4f}  {name}")
    print(f"disagreement with float32: {error(int8.layers):.4f} with all {len(int8.layers)} layers "
          f"in int8, {error(layers):.4f} with the first {args.float_first} in float32")  # fmt: skip
    notes |= {
        "float_layers": int8.layers[: args.float_first],
        "percentile": args.percentile,
        "7_bit": not args.full_range,
    }
    return int8.quantize(layers)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--model", type=some_text, help="name or path of the float32 model (default: kestrel)")
    add("--precision", choices=("int8", "fp16"), default="int8", help="default: int8")
    options.add_data(parser)
    add("--crops", type=positive, default=256, help="search crops to look at (default: 256)")
    add("--float-first", type=whole(0, 1000), default=3, metavar="N",
        help="layers at the start to keep in float32 (default: 3)")  # fmt: skip
    add("--sensitivity", action="store_true", help="also print what each layer costs; minutes")
    add("--percentile", type=number(50, 100, "percentage"), default=99.999,
        help="percent of a tensor's values that its range holds (default: 99.999)")  # fmt: skip
    add("--full-range", action="store_true",
        help="8-bit weights instead of 7-bit ones: less exact where VNNI is missing")  # fmt: skip
    add("--threads", type=thread_count, help="threads of the float32 model")
    add("--seed", type=whole(0, 2**32 - 1), default=0, help="of the choice of crops")
    add("--out", type=file_stem, required=True, metavar="STEM", help="such as weights/kestrel-int8")
    add("--overwrite", action="store_true", help="replace an earlier variant")
    add("--quiet", action="store_true", help="no progress bar")
    args = parser.parse_args()
    of_int8 = ("float_first", "sensitivity", "percentile", "full_range")
    if args.precision != "int8" and any(getattr(args, n) != parser.get_default(n) for n in of_int8):
        parser.error(
            "--float-first, --sensitivity, --percentile and --full-range go with --precision int8"
        )
    return args


if __name__ == "__main__":
    run_main(main)
