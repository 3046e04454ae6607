"""Run many trackers over many sequences: skip what is done, keep what was done.

A finished run is two files: the csv with the track, and a json beside it that says what made
it. The json holds a key over the tracker (code, files, parameters), the sequence and the
protocol: when any of them changes, the run is repeated. Both appear whole or not at all, so
that an interrupt at any moment costs only the sequences that were under way.
"""

from __future__ import annotations

import contextlib
import datetime
import functools
import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tracker.data.datasets import Sequence
from tracker.errors import UserError
from tracker.evaluation import opponents, pool, protocols
from tracker.evaluation.results_io import Track, read_track, track_to_csv
from tracker.evaluation.vot import Anchor, anchor_frames
from tracker.files import hold_folder, write_atomic

FORMAT = 1
"""Raised when the meaning of the files changes."""

ONE_PASS, ANCHORS, RESETS, STILL = "one-pass", "vot-anchors", "vot-resets", "still"


@dataclass(frozen=True, eq=False)
class Job:
    """One run of one tracker over one sequence.

    Attributes:
        tracker: name, as ``opponents.build`` takes it.
        sequence: what it follows.
        path: csv to be written; the json lies beside it.
        key: digest of all that the result depends on.
        protocol: ``one-pass``, ``vot-anchors``, ``vot-resets`` or ``still``.
        anchor: where it starts, for ``vot-anchors``.
        max_frames: only so many frames, for a quick look.
    """

    tracker: str
    options: opponents.Options
    sequence: Sequence
    path: Path
    key: str
    protocol: str = ONE_PASS
    anchor: Anchor | None = None
    max_frames: int | None = None

    @property
    def frames(self) -> int:
        """Number of frames that it runs over."""
        if self.anchor is not None:
            return len(anchor_frames(self.anchor, len(self.sequence)))
        return min(self.max_frames or len(self.sequence), len(self.sequence))

    @property
    def record(self) -> Path:
        """The json that says what made the csv."""
        return self.path.with_suffix(".json")


@dataclass(frozen=True)
class Outcome:
    """A finished run, or why there is none.

    Attributes:
        skipped: it was done before.
        workers, threads: processes side by side and threads a tracker, when it was done.
    """

    job: Job
    track: Track | None
    size: tuple[int, int] | None
    error: str | None = None
    skipped: bool = False
    workers: int = 1
    threads: int | None = None


def results_root(out: Path, protocol: str, max_frames: int | None) -> Path:
    """Where a kind of run lives: quick looks never mix with whole clips."""
    root = out if max_frames is None else out / f"first-{max_frames}-frames"
    return root if protocol == ONE_PASS else root / protocol


def make_job(
    tracker: str,
    options: opponents.Options,
    identity: str,
    sequence: Sequence,
    out: Path,
    protocol: str = ONE_PASS,
    anchor: Anchor | None = None,
    max_frames: int | None = None,
) -> Job:
    """Name the files of a run and work out its key."""
    folder = results_root(out, protocol, max_frames) / opponents.label(tracker) / sequence.dataset
    path = folder / f"{sequence.name}.csv"
    if anchor is not None:
        way = "backward" if anchor.backward else "forward"
        path = folder / sequence.name / f"{anchor.frame:08d}_{way}.csv"
    parts = [
        FORMAT,
        identity,
        protocol,
        None if anchor is None else [anchor.frame, anchor.backward],
        max_frames,
        sequence.key,
        sequence.source.fingerprint(),
        hashlib.sha256(sequence.truth.tobytes()).hexdigest(),
    ]
    if protocol == RESETS and sequence.corners is not None:  # they say when it is started anew
        parts.append(hashlib.sha256(sequence.corners.tobytes()).hexdigest())
    key = hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:32]
    return Job(tracker, options, sequence, path, key, protocol, anchor, max_frames)


def finished(job: Job) -> Outcome | None:
    """The result of a run that was done before with the same key; ``None`` if it was not.

    Raises:
        UserError: a csv of that name exists that this program did not write.
    """
    if not job.record.is_file():
        if job.path.exists():
            raise UserError(
                f"{job.path}: this file was not written by an evaluation and would be replaced; "
                "give another --out, or --overwrite"
            )
        return None
    try:
        record = json.loads(job.record.read_text(encoding="utf-8"))
        if record["key"] != job.key:
            return None
        raw = job.path.read_bytes()
        if hashlib.sha256(raw).hexdigest() != record["csv_sha256"]:
            return None
        size = (int(record["width"]), int(record["height"]))
        workers, threads = int(record["workers"]), record["threads"]
        return Outcome(job, read_track(job.path), size, None, True, workers, threads)
    except (OSError, ValueError, KeyError, TypeError, UserError):
        return None  # damaged: run it again


def distrust(job: Job) -> None:
    """Let ``finished`` take nothing that is there: its file stays until the new one replaces it.

    Raises:
        UserError: the place cannot be written to.
    """
    if job.path.exists() or job.record.exists():
        write_atomic(job.record, json.dumps({"key": None}))


def run_job(job: Job, on_frame: Callable[[], None] | None = None, workers: int = 1) -> Outcome:
    """Run, write both files, and return the outcome; errors come back as a sentence."""
    try:
        tracker = opponents.build(job.tracker, job.options)
        if job.protocol == RESETS:
            track, size = protocols.run_with_resets(tracker, job.sequence, on_frame)
        elif job.anchor is not None:
            track, size = protocols.run_from_anchor(tracker, job.sequence, job.anchor, on_frame)
        else:
            track, size = protocols.run_one_pass(tracker, job.sequence, job.max_frames, on_frame)
        _save(job, track, size, workers)
        track = read_track(job.path)  # as a later run will see it, rounded to the file's digits
    except UserError as error:
        return Outcome(job, None, None, str(error))
    except (Exception, SystemExit) as error:  # a tracker may raise anything; the others go on
        return Outcome(job, None, None, f"{type(error).__name__}: {error}")
    return Outcome(job, track, size, None, False, workers, job.options.threads)


def _save(job: Job, track: Track, size: tuple[int, int], workers: int) -> None:
    text = track_to_csv(track)
    record = {
        "key": job.key,
        "csv_sha256": hashlib.sha256(text.encode()).hexdigest(),
        "tracker": job.tracker,
        "sequence": job.sequence.key,
        "protocol": job.protocol,
        "max_frames": job.max_frames,
        "width": size[0],
        "height": size[1],
        "threads": job.options.threads,
        "device": job.options.device,
        "workers": workers,
        "written": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
    }
    # The record first: it holds the sum of the csv, so that one without the other is run again; a
    # csv without a record would be taken for somebody else's file. Alone, since another program
    # that writes the same run between the two would leave its csv beside our record.
    with contextlib.suppress(OSError):  # the write says it better
        job.path.parent.mkdir(parents=True, exist_ok=True)
    with hold_folder(job.path.parent):
        write_atomic(job.record, json.dumps(record, indent=1))
        try:
            write_atomic(job.path, text)
        except UserError:
            job.record.unlink(missing_ok=True)
            raise


def run_all(
    jobs: list[Job], workers: int, on_frames: Callable[[int], object] | None = None
) -> Iterator[Outcome]:
    """Run the jobs, one sequence a process at a time, and yield outcomes as they come.

    Args:
        workers: processes; 1 stays in this process.
        on_frames: told how many further frames are done, for a progress bar.
    """
    tell = on_frames or (lambda count: None)
    if workers <= 1:
        for job in jobs:
            done = 0

            def on_frame() -> None:
                nonlocal done
                done += 1
                tell(1)

            outcome = run_job(job, on_frame)
            tell(job.frames - done)
            yield outcome
        return
    task = functools.partial(run_job, on_frame=None, workers=workers)
    for job, answer in pool.run(task, jobs, workers):
        tell(job.frames)
        yield answer or Outcome(job, None, None, pool.DIED)
