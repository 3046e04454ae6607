"""What ``tools/evaluate.py`` does: trackers over annotated clips, and what they come to."""

from __future__ import annotations

import argparse
import dataclasses
import datetime
import json
import shlex
import sys
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

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
from tracker.evaluation.evaluate_options import (
    PROTOCOLS,
    VERIFICATION,
    parse_arguments,
    results_root,
)
from tracker.evaluation.report import write_report
from tracker.evaluation.results_io import check_folder, toolkit_files, vot_run_files
from tracker.evaluation.summary import SequenceScore, score_sequence, summarise, to_json
from tracker.evaluation.summary_text import text_table
from tracker.files import check_writable, write_atomic
from tracker.standard_streams import bar_interval


def main(description: str | None) -> int:
    """Run the command; returns the exit status."""
    args = parse_arguments(description)
    check_folder(results_root(args), args.overwrite)
    opponents.check_labels(args.trackers)
    sequences = datasets.load(args.data, args.kind, args.only)
    unscored = [] if args.protocol == "still" else datasets.left_out(sequences)
    judge = verify if args.protocol == VERIFICATION else track_all
    problems, failed = judge(sequences, unscored, args)
    for problem in problems:
        print(f"not scored: {problem}", file=sys.stderr)
    return 1 if failed else 0


def track_all(
    sequences: list[datasets.Sequence], unscored: list[str], args: argparse.Namespace
) -> tuple[list[str], bool]:
    """All trackers over all clips; what is not scored, and whether a run failed."""
    worse = [conditions.under(s, name) for name in args.conditions for s in sequences]
    sequences = [*sequences, *worse]
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
    conclude = conclude_one_pass if protocol == runner.ONE_PASS else conclude_other
    conclude(outcomes, sequences, problems, root, args)
    return problems, bool(failures)


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
    """Of one tracker and clip: a pass, or one from every anchor."""
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


def conclude_one_pass(
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
    finish({"header": header, **to_json(summary)}, text_table(summary), root)
    if not args.no_report and summary.trackers:
        write_report(root / "report.html", summary, header)
        print(f"report:  {root / 'report.html'}")


def conclude_other(
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
    record = {
        "header": describe_run(args, outcomes),
        "trackers": room.to_json(scores),
        "problems": problems,
    }
    finish(record, room.text_table(scores, Counter(s.dataset for s in sequences)), root)


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
) -> tuple[list[str], bool]:
    """Table and json of same-or-not questions; quick, so that nothing is kept for later.

    Returns what ``track_all`` does.
    """
    sequences = with_truth(sequences, args)
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
    texts = [
        (f"\n{condition}\n" if condition else "") + embedders.text_table(scores)
        for condition, scores in judged.items()
    ]
    finish(record, "\n".join(texts), root)
    if not args.no_report:
        shown = {
            f"{name} {condition}".strip(): score
            for condition, scores in judged.items()
            for name, score in scores.items()
        }
        write_atomic(root / "roc.svg", plots.roc_curves(shown))
        print(f"curves:  {root / 'roc.svg'}")
    return problems, False


def finish(record: dict[str, Any], text: str, root: Path) -> None:
    """Write summary.json; print the table, a word on its truth if there is one, and the file."""
    write_atomic(root / "summary.json", json.dumps(record, indent=1))
    print(text)
    if "truth" in record["header"]:
        print(f"\ntruth: {record['header']['truth']}")
    print(f"\nresults: {root / 'summary.json'}")


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
