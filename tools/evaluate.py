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

import argparse
import dataclasses
import datetime
import json
import os
import shlex
import sys
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

# before cv2 is imported: OpenCV's network module warns at every start of Nano
os.environ.setdefault("OPENCV_LOG_LEVEL", "ERROR")
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tracker.cli import plain_errors, positive, run_main, some_path, whole
from tracker.standard_streams import bar_interval

with plain_errors():
    from tracker.data import datasets
    from tracker.errors import UserError
    from tracker.evaluation import (
        conditions,
        embedders,
        machine,
        opponents,
        options,
        plots,
        runner,
        shortterm,
        stillness,
    )
    from tracker.evaluation.report import write_report
    from tracker.evaluation.results_io import (
        FORMATS,
        check_folder,
        toolkit_files,
        vot_run_files,
    )
    from tracker.evaluation.summary import SequenceScore, score_sequence, summarise, to_json
    from tracker.evaluation.summary_text import text_table
    from tracker.files import check_writable, write_atomic

VERIFICATION = "verification"
PROTOCOLS = {
    "ope": runner.ONE_PASS,
    "vot": runner.ANCHORS,
    "vot-supervised": runner.RESETS,
    "still": runner.STILL,
}


def main() -> int:
    args = parse_arguments()
    check_folder(results_root(args), args.overwrite)
    opponents.check_labels(args.trackers)
    sequences = datasets.load(args.data, args.kind, args.only)
    unscored = datasets.left_out(sequences)
    if args.protocol == VERIFICATION:
        return verify(with_truth(sequences, args), unscored, args)
    sequences += [conditions.under(s, name) for name in args.conditions for s in sequences]
    if args.protocol == "still":
        sequences = [stillness.at_rest(sequence) for sequence in sequences]
    elif args.protocol != "ope":
        sequences = with_truth(sequences, args)
    trackers, problems = find_trackers(args)
    if not trackers:
        raise UserError("none of the trackers can be had here: " + "; ".join(problems))
    problems += unscored
    protocol = PROTOCOLS[args.protocol]
    jobs = [
        job
        for name, identity in trackers.items()
        for sequence in sequences
        for job in make_jobs(name, identity, sequence, protocol, args)
    ]
    startless = {s.key for s in sequences} - {job.sequence.key for job in jobs}
    problems += [f"{key}: it has no anchor to start from" for key in sorted(startless)]
    root = results_root(args)
    check_writable(root)
    outcomes, failures = run(jobs, args)
    problems += failures
    finish = finish_one_pass if protocol == runner.ONE_PASS else finish_other
    finish(outcomes, sequences, problems, root, args)
    for problem in problems:
        print(f"not scored: {problem}", file=sys.stderr)
    return 1 if failures else 0


def with_truth(
    sequences: list[datasets.Sequence], args: argparse.Namespace
) -> list[datasets.Sequence]:
    """Sequences of which more than the first box is public; UserError if there is none."""
    judged = [s for s in sequences if s.judged]
    if not judged:
        raise UserError(
            f"{args.data}: of its sequences only the first boxes are public, and --protocol "
            f"{args.protocol} needs all; leave it out, with --formats for the data set's server"
        )
    return judged


def results_root(args: argparse.Namespace) -> Path:
    """The folder of the summary."""
    if args.protocol == VERIFICATION:
        out: Path = args.out
        return out / VERIFICATION
    return runner.results_root(args.out, PROTOCOLS[args.protocol], args.max_frames)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
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


def find_trackers(args: argparse.Namespace) -> tuple[dict[str, str], list[str]]:
    """Identity of each tracker that can be built here, and sentences on those that cannot."""
    found: dict[str, str] = {}
    problems: list[str] = []
    given = options.tracker_options(args, args.threads)
    for name in args.trackers:
        try:
            opponents.build(name, given)
            found[name] = opponents.identity_of(name, given)
        except opponents.Unavailable as reason:
            problems.append(str(reason))
    return found, problems


def make_jobs(
    name: str,
    identity: str,
    sequence: datasets.Sequence,
    protocol: str,
    args: argparse.Namespace,
) -> list[runner.Job]:
    anchors = shortterm.anchors_of(sequence) if protocol == runner.ANCHORS else [None]
    given = options.tracker_options(args, args.threads)
    return [
        runner.make_job(
            name, given, identity, sequence, args.out, protocol, anchor, args.max_frames
        )
        for anchor in anchors
    ]


def run(jobs: list[runner.Job], args: argparse.Namespace) -> tuple[list[runner.Outcome], list[str]]:
    """Outcomes of all jobs, done before or now, and sentences on those that failed."""
    from tqdm import tqdm

    outcomes, waiting, failures = [], [], []
    for job in jobs:
        done = None if args.overwrite else runner.finished(job)
        outcomes.append(done) if done else waiting.append(job)
    if args.overwrite:  # of all before the first: an interrupt leaves no mixture of old and new
        for job in waiting:
            runner.distrust(job)
    if outcomes and not args.quiet:
        print(f"{len(outcomes)} of {len(jobs)} runs were done before", file=sys.stderr)
    frames = sum(job.frames for job in waiting)
    with tqdm(
        total=frames, unit=" frames", disable=args.quiet or not waiting, smoothing=0.05,
        mininterval=bar_interval(),
    ) as bar:  # fmt: skip
        for outcome in runner.run_all(waiting, args.jobs, bar.update):
            name = f"{opponents.label(outcome.job.tracker)} {outcome.job.sequence.key}"
            bar.set_postfix_str(name, refresh=False)
            if outcome.error is None:
                outcomes.append(outcome)
            else:
                failures.append(f"{name}: {outcome.error}")
    return outcomes, failures


def finish_one_pass(
    outcomes: list[runner.Outcome],
    sequences: list[datasets.Sequence],
    problems: list[str],
    root: Path,
    args: argparse.Namespace,
) -> None:
    """Table, summary.json, report.html and the toolkits' files."""
    scores: dict[str, dict[str, SequenceScore]] = {}
    sizes: dict[str, tuple[int, int]] = {}
    for name in args.trackers:
        scores[opponents.label(name)] = {}
    for outcome in outcomes:
        track, size, sequence = outcome.track, outcome.size, outcome.job.sequence
        if track is None or size is None:
            continue
        label = opponents.label(outcome.job.tracker)
        sizes[sequence.key] = size
        if sequence.judged:
            score = score_sequence(sequence, track, size, outcome.workers)
            scores[label][sequence.key] = score
        for form in args.formats:
            for place, text in toolkit_files(form, label, sequence.name, track).items():
                write_atomic(root / "toolkits" / form / sequence.dataset / place, text)
    expected = Counter(s.dataset for s in sequences if s.judged)
    summary = summarise(scores, expected, sizes, problems)
    header = describe_run(args, outcomes)
    record = {"header": header, **to_json(summary)}
    write_atomic(root / "summary.json", json.dumps(record, indent=1))
    print(text_table(summary))
    say_where(root, header)
    if not args.no_report and summary.trackers:
        write_report(root / "report.html", summary, header)
        print(f"report:  {root / 'report.html'}")


def finish_other(
    outcomes: list[runner.Outcome],
    sequences: list[datasets.Sequence],
    problems: list[str],
    root: Path,
    args: argparse.Namespace,
) -> None:
    """Table and summary.json of the other protocols, and the files of VOT's toolkit."""
    if "vot" in args.formats:
        write_vot_files(outcomes, root / "toolkits" / "vot")
    room: Any = stillness if args.protocol == "still" else shortterm
    scores = room.summarise(outcomes)
    header = describe_run(args, outcomes)
    record = {
        "header": header,
        "trackers": room.to_json(scores),
        "problems": problems,
    }
    write_atomic(root / "summary.json", json.dumps(record, indent=1))
    print(room.text_table(scores, Counter(s.dataset for s in sequences)))
    say_where(root, header)


def say_where(root: Path, header: dict[str, str]) -> None:
    """What stands below a table."""
    if "truth" in header:
        print(f"\ntruth: {header['truth']}")
    print(f"\nresults: {root / 'summary.json'}")


def write_vot_files(outcomes: list[runner.Outcome], folder: Path) -> None:
    """Runs from anchors, or with resets, as VOT's toolkit reads them."""
    for outcome in outcomes:
        sequence, anchor = outcome.job.sequence, outcome.job.anchor
        if outcome.track is not None:
            label = opponents.label(outcome.job.tracker)
            start = None if anchor is None else anchor.frame
            files = vot_run_files(label, sequence.name, outcome.track, start)
            for place, text in files.items():
                write_atomic(folder / sequence.dataset / place, text)


def verify(
    sequences: list[datasets.Sequence], unscored: list[str], args: argparse.Namespace
) -> int:
    """Table and json of same-or-not questions; quick, so that nothing is kept for later."""
    found: dict[str, embedders.Embedder] = {}
    problems = []
    given = options.tracker_options(args, args.threads)
    for name in args.trackers:
        try:
            found[opponents.label(name)] = embedders.build_embedder(name, given)
        except opponents.Unavailable as reason:
            problems.append(str(reason))
    if not found:
        raise UserError("none of the models can be judged on pairs: " + "; ".join(problems))
    problems += unscored
    # each condition by itself, under the clean names: pairs are drawn by these, and so the same
    asked = {"": sequences}
    asked |= {
        name: [
            dataclasses.replace(s, source=conditions.InCondition(s.source, name)) for s in sequences
        ]
        for name in args.conditions
    }
    judged = {name: embedders.judge(found, clips, seed=args.seed) for name, clips in asked.items()}
    tables = {
        condition: {name: dataclasses.asdict(score) for name, score in scores.items()}
        for condition, scores in judged.items()
    }
    record = {
        "header": describe_run(args, []),
        "models": tables.pop(""),
        "conditions": tables,
        "problems": problems,
    }
    root = results_root(args)
    write_atomic(root / "summary.json", json.dumps(record, indent=1))
    for condition, scores in judged.items():
        print(*([f"\n{condition}"] if condition else []), embedders.text_table(scores), sep="\n")
    print(f"\nresults: {root / 'summary.json'}")
    if not args.no_report:
        shown = {
            f"{name} {condition}".strip(): score
            for condition, scores in judged.items()
            for name, score in scores.items()
        }
        write_atomic(root / "roc.svg", plots.roc_curves(shown))
        print(f"curves:  {root / 'roc.svg'}")
    for problem in problems:
        print(f"not scored: {problem}", file=sys.stderr)
    return 0


def describe_run(args: argparse.Namespace, outcomes: list[runner.Outcome]) -> dict[str, str]:
    """The header of tables: when, on what, by which command, and how what is in them was run."""
    now = datetime.datetime.now(datetime.timezone.utc)
    frames = f"first {args.max_frames} of each clip" if args.max_frames else "whole clips"
    around = datasets.boxes_around([o.job.sequence for o in outcomes], args.protocol == "ope")
    threads = [o.threads for o in outcomes] or [args.threads]
    workers = [o.workers for o in outcomes] or [args.jobs]
    return {
        "date": now.isoformat(timespec="minutes"),
        "command": shlex.join(["python", *sys.argv]),
        "frames": frames,
        **({"truth": around} if around else {}),
        "threads": f"{_any_of(threads)} a tracker, {_any_of(workers)} at a time",
        **machine.describe(),
    }


def _any_of(numbers: Iterable[int | None]) -> str:
    return " or ".join(sorted({str(number) for number in numbers}))


if __name__ == "__main__":
    run_main(main)
