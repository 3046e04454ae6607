"""VOT's short-term figures from finished runs: anchors (VOT2022) or resets."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from collections.abc import Sequence as SequenceOf
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tracker.data.datasets import Sequence
from tracker.evaluation import opponents, vot
from tracker.evaluation.metrics import present_frames
from tracker.evaluation.results_io import Track
from tracker.evaluation.runner import Outcome
from tracker.evaluation.tables import by_dataset, name_width, partly, plain
from tracker.evaluation.vot import Anchor, AnchorRun, ResetRun, ResetScore, VotScore
from tracker.geometry import FloatArray

Scores = Mapping[str, Mapping[str, VotScore | ResetScore]]
"""Tracker -> data set -> figures."""


def anchors_of(sequence: Sequence) -> list[Anchor]:
    """The anchors that VOT's files give, else one every 50 frames."""
    if sequence.anchors is not None:
        return vot.anchors_from_values(sequence.anchors)
    return vot.place_anchors(sequence.truth)


def anchor_run(outcome: Outcome) -> AnchorRun:
    """Score one run from an anchor.

    Frames without the target are then taken out. VOT's own clips have none; where others
    do, the toolkit would count a box there as overlap 0, and a perfect tracker below 1.
    """
    _, present, overlaps = _parts(outcome)
    run = vot.score_anchor_run(overlaps, present)
    return AnchorRun(run.overlaps[present], int(present[: run.progress].sum()))


def reset_run(outcome: Outcome) -> ResetRun:
    """Overlaps and codes of a run with resets."""
    track, present, overlaps = _parts(outcome)
    codes = np.array([vot.Code.of(state) for state in track.states], dtype=np.int64)
    # frames without truth say nothing of accuracy
    codes[(codes == vot.TRACKED) & ~present] = vot.SKIPPED
    return ResetRun(overlaps, codes)


def summarise(outcomes: SequenceOf[Outcome]) -> dict[str, dict[str, VotScore | ResetScore]]:
    """Figures by tracker and data set; sequences with a missing run are left out."""
    grouped: dict[str, dict[str, dict[str, list[Outcome]]]] = {}
    for outcome in outcomes:
        sequence = outcome.job.sequence
        by_dataset = grouped.setdefault(opponents.label(outcome.job.tracker), {})
        by_dataset.setdefault(sequence.dataset, {}).setdefault(sequence.name, []).append(outcome)
    return {
        tracker: {dataset: _score(found) for dataset, found in datasets.items() if _whole(found)}
        for tracker, datasets in grouped.items()
    }


def text_table(scores: Scores, expected: Mapping[str, int]) -> str:
    """The table that the command prints.

    Args:
        expected: data set -> number of its sequences; who was scored on fewer is marked.
    """
    lines = []
    width = name_width(scores)
    for dataset, rows in by_dataset(scores).items():
        anchored = isinstance(next(iter(rows.values())), VotScore)
        lines.append(f"{dataset} ({expected[dataset]} sequences)")
        if anchored:
            lines.append(f"  {'tracker':<{width}}    EAO  accuracy  robustness")
        else:
            lines.append(f"  {'tracker':<{width}}    EAO  accuracy  failures  reliability")
        for tracker, row in rows.items():
            if isinstance(row, VotScore):
                rest = f"{row.accuracy:8.3f}  {row.robustness:10.3f}"
            else:
                rest = f"{row.accuracy:8.3f}  {row.failures:8.2f}  {row.reliability:11.3f}"
            eao = "    -" if math.isnan(row.eao) else f"{row.eao:.3f}"
            rest += partly(row.sequences, expected[dataset])
            lines.append(f"  {tracker:<{width}}  {eao}  {rest}")
        lines.append("")
    return "\n".join(lines).rstrip()


def to_json(scores: Scores) -> dict[str, Any]:
    """Figures as plain types."""
    return {
        tracker: {
            dataset: {
                name: value.tolist() if isinstance(value, np.ndarray) else plain(value)
                for name, value in dataclasses.asdict(row).items()
            }
            for dataset, row in found.items()
        }
        for tracker, found in scores.items()
    }


def _score(found: Mapping[str, list[Outcome]]) -> VotScore | ResetScore:
    whole = {name: runs for name, runs in found.items() if _complete(runs)}
    if next(iter(whole.values()))[0].job.anchor is None:
        return vot.summarise_resets([reset_run(runs[0]) for runs in whole.values()])
    runs = [[anchor_run(outcome) for outcome in outcomes] for outcomes in whole.values()]
    lengths = [len(outcomes[0].job.sequence) for outcomes in whole.values()]
    return vot.summarise_anchors(runs, lengths)


def _whole(found: Mapping[str, list[Outcome]]) -> bool:
    return any(_complete(runs) for runs in found.values())


def _complete(outcomes: list[Outcome]) -> bool:
    job = outcomes[0].job
    return len(outcomes) == (1 if job.anchor is None else len(anchors_of(job.sequence)))


def _parts(outcome: Outcome) -> tuple[Track, NDArray[np.bool_], FloatArray]:
    """The track, where the target is, and the overlaps."""
    track, size, sequence = outcome.track, outcome.size, outcome.job.sequence
    assert track is not None and size is not None  # only finished runs come here
    truth = sequence.truth[track.frames]
    corners = None if sequence.corners is None else sequence.corners[track.frames]
    overlaps = vot.bounded_overlaps(track.boxes, truth, size, corners)
    return track, present_frames(truth), overlaps
