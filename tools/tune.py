#!/usr/bin/env python3
r"""Search the online parameters of a model on annotated clips, with cross-validation over clips.

    python tools/tune.py --model kestrel --data clips/ --jobs 2 --out runs/tune \
        --search window=.2:.5 --search penalty=.02,.05,.1,.2 --search size_rate=.3:.7
    python tools/tune.py --model kestrel --data clips/ --presence-weight .2 \
        --search doubt=.15:.35 --search patience=2,4,8 --out runs/tune-presence
    python tools/export.py --checkpoint runs/mine/checkpoint.pt --online runs/tune/tuned.json \
        --out weights/mine
    python tools/tune.py --model kestrel --start runs/tune/tuned.json --write weights/kestrel \
        --overwrite

The folder gets tuned.json (parameters as tools/export.py takes them), report.json (all figures)
and scores.jsonl (what was run: it is not run again, so that an interrupted search goes on).
Parameters change only where the gain on clips that a choice has not seen is clear of chance.
The last form searches nothing: it writes parameters into graphs that exist, without torch.
"""

from __future__ import annotations

import argparse
import json
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
    some_path,
    some_text,
    whole,
)

with plain_errors():
    from tracker.data import datasets
    from tracker.evaluation import options, tuning_report
    from tracker.evaluation.lockstep import Grid
    from tracker.evaluation.tuning_runs import How
    from tracker.files import refuse_existing, write_atomic
    from tracker.training.requirements import require
    from tracker.weights import graph_files, read_model, write_model


def main() -> int:
    args = parse_arguments()
    if args.write:
        require("onnx")
        refuse_existing(graph_files(args.write), args.overwrite)
    parameters = tuning_report.start_from(args.start) if args.start else {}
    if not args.search:
        return write(args, parameters, {"from": str(args.start)})
    results = [args.out / name for name in ("tuned.json", "report.json")]
    refuse_existing(results, args.overwrite)
    places = [args.out, *([args.write.parent] if args.write else [])]
    sequences = [s for s in datasets.load(args.data, args.kind, args.only) if s.judged]
    how = How(
        args.model, args.device, args.threads, tuning_report.flat(parameters),
        Grid(args.grid_side, args.grid_centre), args.cache, args.max_frames,
    )  # fmt: skip
    plan = tuning_report.Plan(
        tuple(args.search), args.steps, args.method, args.rounds, args.folds, args.seed,
        args.presence_weight, args.jobs, args.quiet,
    )  # fmt: skip
    outcome = tuning_report.tune(how, plan, sequences, args.out / "scores.jsonl", places)
    write_atomic(results[0], json.dumps(outcome.kept, indent=1))
    write_atomic(results[1], json.dumps(outcome.record, indent=1))
    print(outcome.text)
    print(f"\nparameters: {results[0]}\nfigures:    {results[1]}")
    if args.write and outcome.gained:
        return write(args, outcome.kept, outcome.notes)
    if args.write:
        print(f"{args.write} was not written: nothing was gained")
    return 0


def write(
    args: argparse.Namespace, parameters: dict[str, dict[str, Any]], notes: dict[str, Any]
) -> int:
    """Write the model with other parameters; its graphs stay as they are."""
    from tracker.training.stamp import stamp

    write_model(stamp(read_model(args.model), parameters, notes), args.write)
    print(f"written: {', '.join(map(str, graph_files(args.write)))}")
    return 0


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add(
        "--model",
        type=some_text,
        default="kestrel",
        help="name or path of the model (default: kestrel)",
    )
    options.add_data(parser, required=False)
    add("--search", action="append", default=[], metavar="NAME=VALUES",
        help="window=.2,.3,.4 or a range window=.1:.5 (with a third number: of how many values); "
        "once for each online parameter or threshold of the states")  # fmt: skip
    add("--steps", type=positive, default=5, help="values of a range (default: 5)")
    add("--method", choices=("coordinate", "grid"), default="coordinate",
        help="one parameter after the other (default), or all combinations")  # fmt: skip
    add("--rounds", type=positive, default=2,
        help="over the parameters, for coordinate (default: 2)")  # fmt: skip
    add("--folds", type=positive, default=5, help="of cross-validation (default: 5)")
    add("--presence-weight", type=number(0, 1000, "weight"), default=0.0, metavar="W",
        help="the objective is AUC minus W times the share of frames with a wrong 'lost' and of "
        "absent frames without it (default: 0)")  # fmt: skip
    add(
        "--start",
        type=some_path,
        metavar="JSON",
        help="parameters to start from, of an earlier search",
    )
    add("--max-frames", type=positive, help="only so many frames of each clip")
    add("--cache", type=some_path, metavar="FOLDER",
        help="keep the network's answers here, 38 kB each: GBs for a whole search")  # fmt: skip
    add("--grid-side", type=number(0.0005, 0.25, "share"), default=0.015, metavar="SHARE",
        help="search regions are rounded to sides so far apart (default: 0.015)")  # fmt: skip
    add("--grid-centre", type=number(0.0005, 0.25, "share"), default=0.015, metavar="SHARE",
        help="and to centres so much of a side apart (default: 0.015)")  # fmt: skip
    options.add_device(parser)
    options.add_jobs(parser)
    add("--out", type=some_path, default=Path("runs/tune"), help="folder (default: runs/tune)")
    add("--write", type=file_stem, metavar="STEM",
        help="also write the model with the new parameters, such as weights/kestrel")  # fmt: skip
    add("--seed", type=whole(0, 2**32 - 1), default=0, help="of folds and intervals")
    add("--overwrite", action="store_true", help="replace earlier results (their runs are kept)")
    add("--quiet", action="store_true", help="no progress bar")
    args = parser.parse_args()
    if args.search and args.data is None:
        parser.error("--search needs --data with annotated clips")
    if not args.search and not (args.start and args.write):
        parser.error("give --search, or --start and --write to write parameters into graphs")
    options.share_threads(args)
    return args


if __name__ == "__main__":
    run_main(main)
