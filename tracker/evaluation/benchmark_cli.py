"""What ``tools/benchmark.py`` does: trackers in processes of their own, and what they take."""

from __future__ import annotations

import argparse
import datetime
import json
import os
import shlex
import sys
from pathlib import Path

from tracker.cli import join_boxes, parse_box, positive, some_path, thread_count, whole
from tracker.data import datasets
from tracker.errors import UserError
from tracker.evaluation import machine, opponents, options, speed, tradeoff
from tracker.evaluation.timing import TimingJob
from tracker.files import check_writable, keep_apart, refuse_existing, write_atomic
from tracker.frames import Video
from tracker.geometry import as_box, check_box
from tracker.results import Box


def main(description: str | None) -> int:
    """Run the command; returns the exit status."""
    args = parse_arguments(description)
    refuse_existing(filter(None, (args.json, args.table, args.plot)), args.overwrite)
    opponents.check_labels(args.trackers)
    accuracy = tradeoff.read_accuracy(args.accuracy) if args.accuracy else {}
    if args.plot and not accuracy.keys() & {opponents.label(name) for name in args.trackers}:
        raise UserError(f"--plot: {args.accuracy} has none of these trackers; evaluate them first")
    video, box = find_clip(args)
    outputs = [("--json", args.json), ("--table", args.table), ("--plot", args.plot)]
    keep_apart(
        [(option, path) for option, path in outputs if path],
        [video, *([args.accuracy] if args.accuracy else [])],
    )
    for _, path in outputs:
        if path:
            check_writable(path.parent)
    jobs = make_jobs(args, video, box)
    header = describe_run(args, video, box)
    for name, value in header.items():
        print(f"{name + ':':<24}{value}")
    tell = (lambda text: None) if args.quiet else (lambda text: print(text, file=sys.stderr))
    runs = speed.alternate(jobs, args.rounds, tell=tell)
    speeds = {name: speed.summarise(r.answers) for name, r in runs.items() if not r.error}
    for name, figures in speeds.items():
        if figures.told:
            told = "; ".join(f"{k} {v}" for k, v in figures.told.items())
            print(f"{name + ':':<24}{told}")
    print("\n" + speed.text_table(speeds))
    problems = [r.error for r in runs.values() if r.error]
    for problem in problems:
        print(f"not measured: {problem}", file=sys.stderr)
    if args.json:
        record = {
            "header": header,
            "trackers": {name: speed.to_json(figures) for name, figures in speeds.items()},
            "problems": problems,
        }
        write_atomic(args.json, json.dumps(record, indent=1))
    if not speeds:
        raise UserError("nothing was measured: no tracker could be run")
    write_tradeoff(args, [
        tradeoff.Point(opponents.label(jobs[name].tracker), jobs[name].options.threads, figures,
                       accuracy.get(opponents.label(jobs[name].tracker), {}))
        for name, figures in speeds.items()
    ], header)  # fmt: skip
    return 0


def make_jobs(args: argparse.Namespace, video: Path, box: Box) -> dict[str, TimingJob]:
    """One for each tracker and number of threads, by the name in tables."""
    jobs = {}
    for name in args.trackers:
        for threads in args.threads:
            given = options.tracker_options(args, threads)
            label = opponents.label(name)
            label += f" ({threads})" if len(args.threads) > 1 else ""
            jobs[label] = TimingJob(
                name, given, str(video), box, args.frames, 0.0, args.memory_frames
            )
    return jobs


def write_tradeoff(
    args: argparse.Namespace, points: list[tradeoff.Point], header: dict[str, str]
) -> None:
    """The table for the docs, with what it was measured on, and the plot."""
    if args.table:
        said = "".join(f"- {name}: {value}\n" for name, value in header.items())
        write_atomic(args.table, f"{tradeoff.markdown_table(points)}\n{said}")
    if args.plot:
        write_atomic(args.plot, tradeoff.plot(points))


def parse_arguments(description: str | None) -> argparse.Namespace:
    """What was typed, checked."""
    parser = build_parser(description)
    args = parser.parse_args(join_boxes(sys.argv[1:]))
    if args.data is not None and (args.video is not None or args.init_box is not None):
        parser.error("give --video with --init-box, or --data, not both")
    if args.data is None and (args.only or args.kind != "auto"):
        parser.error("--only and --kind choose among the clips of --data; give it")
    if args.plot and not args.accuracy:
        parser.error("--plot needs --accuracy with a summary.json of tools/evaluate.py")
    if args.data is None and (args.video is None or args.init_box is None):
        parser.error("give --video with --init-box, or --data")
    return args


def build_parser(description: str | None) -> argparse.ArgumentParser:
    """Options of the command."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--video", type=some_path, help="clip to play; with --init-box")
    add("--init-box", type=parse_box, help="x,y,w,h of the target in the first frame")
    options.add_data(parser, required=False)
    options.add_trackers(parser, default=["kestrel"])
    add("--frames", type=positive, default=300, help="timed frames a round (default: 300)")
    add("--rounds", type=positive, default=3, help="alternating rounds (default: 3)")
    add(
        "--memory-frames",
        type=whole(0, 10**9),
        default=0,
        help="further updates to watch memory over",
    )
    add(
        "--threads",
        type=lambda text: [thread_count(t) for t in text.split(",")],
        default=[None],
        help="threads a tracker may use, or several numbers to compare: 1,2 "
        "(default: its own choice)",
    )
    add("--json", type=some_path, help="also write all figures here")
    add("--accuracy", type=some_path, help="summary.json of tools/evaluate.py, for table and plot")
    add("--table", type=some_path, help="write a table in Markdown here")
    add("--plot", type=some_path, help="write a plot of accuracy against speed here (SVG)")
    add("--overwrite", action="store_true", help="replace these files")
    add("--quiet", action="store_true", help="say nothing while measuring")
    return parser


def find_clip(args: argparse.Namespace) -> tuple[Path, Box]:
    """The clip and the box that starts the tracker, which lies in the first frame."""
    video, box = chosen_clip(args)
    height, width = next(iter(Video(video).read(range(1)))).shape[:2]
    try:
        return video, check_box(box, width, height)
    except ValueError as error:
        raise UserError(f"{video.name}: {error}; give another --init-box") from None


def chosen_clip(args: argparse.Namespace) -> tuple[Path, Box]:
    """What was asked for."""
    if args.data is None:
        if not args.video.is_file():
            raise UserError(f"{args.video}: there is no such video file")
        return args.video.resolve(), args.init_box
    for sequence in datasets.load(args.data, args.kind, args.only):
        if isinstance(sequence.source, Video):
            return sequence.source.path.resolve(), as_box(sequence.truth[0])
    raise UserError(f"{args.data}: speed is measured on video files, and there is none here")


def describe_run(args: argparse.Namespace, video: Path, box: Box) -> dict[str, str]:
    """The header: when, on what, by which command."""
    now = datetime.datetime.now(datetime.timezone.utc)
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else float("nan")
    image = next(iter(Video(video).read(range(1))))
    described = {
        "date": now.isoformat(timespec="minutes"),
        "command": shlex.join(["python", *sys.argv]),
        "clip": f"{video.name}, {image.shape[1]} x {image.shape[0]}, box {box[2]:g} x {box[3]:g}",
        "frames": f"{args.frames} in each of {args.rounds} alternating rounds",
        "threads": ", ".join(str(t or "each tracker's own choice") for t in args.threads),
        "device": args.device,
        **machine.describe(),
        "load before": f"{load:.1f}",
    }
    described["onnxruntime providers"] = ", ".join(machine.onnxruntime_providers()) or "none"
    return described
