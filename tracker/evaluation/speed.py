"""Speed figures from alternating runs of single-tracker processes."""

from __future__ import annotations

import json
import math
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from tracker.errors import UserError
from tracker.evaluation import timing
from tracker.evaluation.timing import STAGES, TimingJob, to_argument

START = (
    "import runpy, sys; sys.path.insert(0, sys.argv.pop(1)); "
    "runpy.run_module('tracker.evaluation.timing', run_name='__main__', alter_sys=True)"
)
"""Not ``python -m``: it takes the current folder first, in which users have trackers too."""

Measure = Callable[[TimingJob], dict[str, Any]]


def measure_in_process(job: TimingJob) -> dict[str, Any]:
    """Run a job in a fresh Python process.

    Raises:
        UserError: the process failed; the last line that it wrote says why.
    """
    root = Path(__file__).resolve().parent.parent.parent
    job = replace(job, started=time.time())
    command = [sys.executable, "-c", START, str(root), to_argument(job)]
    done = subprocess.run(
        command, capture_output=True, text=True, errors="backslashreplace", check=False
    )
    _, found, figures = done.stdout.rpartition(timing.MARK)
    if done.returncode != 0 or not found:
        said = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
        reason = said.removeprefix("error: ")
        said_by = "" if reason.startswith(job.tracker) else f"{job.tracker}: "
        raise UserError(f"{said_by}{reason}")
    # what the tracker itself prints may stand before it and after it
    answer: dict[str, Any] = json.JSONDecoder().raw_decode(figures)[0]
    return answer


@dataclass
class Runs:
    """What the rounds of one tracker gave; ``error`` says why there is nothing."""

    answers: list[dict[str, Any]] = field(default_factory=list)
    error: str | None = None


def alternate(
    jobs: Mapping[str, TimingJob],
    rounds: int,
    measure: Measure = measure_in_process,
    tell: Callable[[str], None] = lambda text: None,
) -> dict[str, Runs]:
    """Run every tracker once a round, in an order that turns from round to round.

    What the machine does meanwhile (turbo, other programs) then falls on all alike. Memory
    over many frames is watched in the first round only.
    """
    runs = {name: Runs() for name in jobs}
    for number in range(rounds):
        names = list(jobs)
        shift = number % len(names)
        for name in names[shift:] + names[:shift]:
            if runs[name].error:
                continue
            tell(f"round {number + 1} of {rounds}: {name}")
            job = jobs[name] if number == 0 else replace(jobs[name], loop_frames=0)
            try:
                runs[name].answers.append(measure(job))
            except UserError as error:
                runs[name].error = str(error)
    return runs


@dataclass(frozen=True)
class Speed:
    """Figures of one tracker, in milliseconds, seconds, frames a second and MiB.

    Attributes:
        stages: stage -> (p50, p95) in milliseconds, over the frames of all rounds.
        fps: all frames over the sum of their times, end to end.
        fps_rounds: the same by round.
        update_fps: likewise for the tracker alone, without decoding and drawing.
        startup: seconds from the start of the process to the first box, median of rounds.
        outside_network: share of the update that is not the network; NaN if not known.
        memory: MiB at the start and at the end of the long loop, or ``None``.
        drift: latency at the end of the loop over that at its start, or ``None``.
        told: what the tracker says of itself: model, device, precision, threads.
    """

    stages: dict[str, tuple[float, float]]
    fps: float
    fps_rounds: tuple[float, ...]
    update_fps: float
    startup: float
    outside_network: float
    memory: tuple[float, float] | None
    drift: float | None
    told: dict[str, str]


def summarise(answers: list[dict[str, Any]]) -> Speed:
    """Pool the frames of the rounds.

    Raises:
        ValueError: no rounds.
    """
    if not answers:
        raise ValueError("no round to summarise")
    names = [n for n in (*STAGES, "update", "total") if n in answers[0]["stages"]]
    pooled = {n: np.concatenate([a["stages"][n] for a in answers]) for n in names}
    network = pooled.get("network")
    memory = answers[0].get("memory")
    return Speed(
        stages={n: _percentiles(v) for n, v in pooled.items()},
        fps=_rate(pooled["total"]),
        fps_rounds=tuple(_rate(np.array(a["stages"]["total"])) for a in answers),
        update_fps=_rate(pooled["update"]),
        startup=float(np.median([a["startup"] for a in answers])),
        outside_network=(
            math.nan if network is None else 1 - float(network.sum() / pooled["update"].sum())
        ),
        memory=None if not memory else (memory[0] / 2**20, memory[-1] / 2**20),
        drift=answers[0].get("drift"),
        told=answers[0].get("told", {}),
    )


def paired_ratio(ours: Speed, theirs: Speed) -> tuple[float, float, float]:
    """How many times as fast ours is, end to end: median, least and greatest of the rounds."""
    pairs = zip(ours.fps_rounds, theirs.fps_rounds, strict=False)
    ratios = [a / b for a, b in pairs]
    return float(np.median(ratios)), min(ratios), max(ratios)


def text_table(speeds: Mapping[str, Speed]) -> str:
    """The table that the command prints: stages in rows of p50 / p95, one tracker a column."""
    if not speeds:
        return "nothing was measured"
    width = max(18, *(len(name) + 2 for name in speeds))
    lines = ["ms, p50 / p95".ljust(18) + "".join(name.rjust(width) for name in speeds)]
    for stage in (*STAGES, "update", "total"):
        cells = [_cell(s.stages.get(stage)) for s in speeds.values()]
        if any(cell != "-" for cell in cells):
            lines.append(stage.ljust(18) + "".join(cell.rjust(width) for cell in cells))
    rows = {
        "frames/s": [f"{s.fps:.0f}" for s in speeds.values()],
        "  tracker alone": [f"{s.update_fps:.0f}" for s in speeds.values()],
        "outside network": [_share(s.outside_network) for s in speeds.values()],
        "first box, s": [f"{s.startup:.2f}" for s in speeds.values()],
        "memory, MiB": [_memory(s) for s in speeds.values()],
        "latency drift": ["-" if s.drift is None else f"x{s.drift:.2f}" for s in speeds.values()],
    }
    for name, cells in rows.items():
        if any(cell != "-" for cell in cells):
            lines.append(name.ljust(18) + "".join(cell.rjust(width) for cell in cells))
    first = next(iter(speeds))
    for name in list(speeds)[1:]:
        median, least, most = paired_ratio(speeds[first], speeds[name])
        lines.append(
            f"{first} is {median:.2f} times as fast as {name} "
            f"({least:.2f} to {most:.2f} over {len(speeds[name].fps_rounds)} rounds)"
        )
    return "\n".join(lines)


def to_json(speed: Speed) -> dict[str, Any]:
    """Figures as plain types."""
    return {
        "stages_ms": {n: {"p50": p50, "p95": p95} for n, (p50, p95) in speed.stages.items()},
        "fps": speed.fps,
        "fps_by_round": list(speed.fps_rounds),
        "update_fps": speed.update_fps,
        "startup_seconds": speed.startup,
        "outside_network": None if math.isnan(speed.outside_network) else speed.outside_network,
        "memory_mib": None if speed.memory is None else list(speed.memory),
        "latency_drift": speed.drift,
        **speed.told,
    }


def _rate(seconds: np.ndarray) -> float:
    return len(seconds) / float(seconds.sum())


def _percentiles(seconds: np.ndarray) -> tuple[float, float]:
    p50, p95 = np.percentile(seconds, [50, 95]) * 1000
    return float(p50), float(p95)


def _cell(pair: tuple[float, float] | None) -> str:
    return "-" if pair is None else f"{pair[0]:.2f} / {pair[1]:.2f}"


def _share(value: float) -> str:
    return "-" if math.isnan(value) else f"{100 * value:.0f} %"


def _memory(speed: Speed) -> str:
    return "-" if speed.memory is None else f"{speed.memory[0]:.0f} -> {speed.memory[1]:.0f}"
