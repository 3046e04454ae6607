"""Options of ``tools/evaluate.py``, and where what they ask for is kept."""

from __future__ import annotations

import argparse
from pathlib import Path

from tracker.cli import positive, some_path, whole
from tracker.evaluation import conditions, options, runner
from tracker.evaluation.results_io import FORMATS

VERIFICATION = "verification"
PROTOCOLS = {
    "ope": runner.ONE_PASS,
    "vot": runner.ANCHORS,
    "vot-supervised": runner.RESETS,
    "still": runner.STILL,
}


def results_root(args: argparse.Namespace) -> Path:
    """The folder of the summary."""
    if args.protocol == VERIFICATION:
        out: Path = args.out
        return out / VERIFICATION
    return runner.results_root(args.out, PROTOCOLS[args.protocol], args.max_frames)


def parse_arguments(description: str | None) -> argparse.Namespace:
    """What was typed, checked, with each tracker's share of the cores."""
    parser = build_parser(description)
    args = parser.parse_args()
    for what, given, known in (
        ("format", args.formats, FORMATS),
        ("condition", args.conditions, conditions.CONDITIONS),
    ):
        unknown = [name for name in given if name not in known]
        if unknown:
            parser.error(f"unknown {what} {unknown[0]!r}; known: {', '.join(known)}")
    if set(args.formats) - {"vot"} and args.protocol != "ope":
        parser.error("--formats otb and got10k go with --protocol ope")
    if args.formats and args.protocol in (VERIFICATION, "still"):
        parser.error(f"--formats are of tracks, and --protocol {args.protocol} makes none of clips")
    if args.max_frames and args.protocol != "ope":
        parser.error("--max-frames goes with --protocol ope: the others need whole runs")
    options.share_threads(args)
    return args


def build_parser(description: str | None) -> argparse.ArgumentParser:
    """Options of the command."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    options.add_data(parser)
    options.add_trackers(parser)
    options.add_jobs(parser)
    add(
        "--out",
        type=some_path,
        default=Path("results"),
        help="folder of results (default: results)",
    )
    add(
        "--protocol",
        default="ope",
        choices=[*PROTOCOLS, VERIFICATION],
        help="one pass (default), VOT2022's anchors, VOT's older one with resets, how much a box "
        "trembles about a target at rest (still), or whether a model knows the same object again "
        "(verification; thumbnail is the baseline)",
    )
    add(
        "--conditions",
        default=[],
        type=options.some_names,
        help="the clips in bad conditions, too, each as a data set of its own: "
        + ",".join(conditions.CONDITIONS),
    )
    add("--max-frames", type=positive, help="quick look; kept apart from whole clips")
    add(
        "--formats",
        default=[],
        type=options.some_names,
        help=f"also write results for public toolkits, under toolkits/: {','.join(FORMATS)}",
    )
    add(
        "--seed",
        type=whole(0, 2**32 - 1),
        default=0,
        help="of the pairs of --protocol verification",
    )
    add("--no-report", action="store_true", help="no HTML report (matplotlib, jinja2 not needed)")
    add("--overwrite", action="store_true", help="run everything again")
    add("--quiet", action="store_true", help="no progress bar")
    return parser
