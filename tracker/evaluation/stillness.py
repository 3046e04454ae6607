"""How much a box trembles about a target at rest.

The first frame of a clip is shown again and again, each time with the noise of a camera. Nothing
moves, so whatever the box does is the tracker's own.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Mapping
from collections.abc import Sequence as SequenceOf
from dataclasses import dataclass
from typing import Any

import numpy as np

from tracker.data.datasets import Sequence
from tracker.evaluation import opponents
from tracker.evaluation.conditions import noisy
from tracker.evaluation.results_io import Track
from tracker.evaluation.runner import Outcome
from tracker.evaluation.tables import by_dataset, name_width, partly
from tracker.frames import Frames
from tracker.geometry import FloatArray, iou
from tracker.image import Image

FRAMES = 60
SETTLING = 10  # first frames that do not count: a tracker may correct the box that it was given
NOISE = 5.0  # standard deviation, of 255 levels: a webcam in a room


@dataclass(frozen=True)
class Held:
    """The first frame of a source, again and again, each time with other noise."""

    source: Frames

    def read(self, frames: range) -> Iterator[Image]:
        """Yield the frames of a range, the same at every call; UserError as the source does."""
        first = next(iter(self.source.read(range(1))))
        for index in frames:
            yield noisy(first, NOISE, index)

    def fingerprint(self) -> str:
        """Changes with the source, and with the noise."""
        return f"first frame, noise {NOISE:g}, of {self.source.fingerprint()}"

    def clip(self) -> str:
        """That of the source."""
        return self.source.clip()


@dataclass(frozen=True)
class Stillness:
    """What a tracker's box does about a target at rest; lower is calmer.

    Attributes:
        place: mean distance between the middles of consecutive boxes, as a share of the size
            (root of the area) of the first one.
        size: mean change of width and height (absolute difference of logarithms) from one box to
            the next.
        overlap: mean overlap with the first box: one that lets go is calm, too.
    """

    place: float
    size: float
    overlap: float


def at_rest(sequence: Sequence) -> Sequence:
    """The sequence whose target stays where it is in the first frame."""
    return Sequence(
        sequence.dataset,
        sequence.name,
        Held(sequence.source),
        np.repeat(sequence.truth[:1], FRAMES, axis=0),
    )


def judge(track: Track) -> Stillness:
    """Figures of one run over ``at_rest``; its first row is the box that was given."""
    first, boxes = track.boxes[0], track.boxes[SETTLING:]
    steps = np.diff(boxes[:, :2] + boxes[:, 2:] / 2, axis=0)
    sides: FloatArray = np.log(np.maximum(boxes[:, 2:], 1e-3))
    return Stillness(
        float(np.hypot(*steps.T).mean() / math.sqrt(first[2] * first[3])),
        float(np.abs(np.diff(sides, axis=0)).mean()),
        float(iou(boxes, first).mean()),
    )


Scores = Mapping[str, Mapping[str, Mapping[str, Stillness]]]
"""Tracker -> data set -> sequence -> figures."""


def summarise(outcomes: SequenceOf[Outcome]) -> dict[str, dict[str, dict[str, Stillness]]]:
    """Figures of finished runs."""
    scores: dict[str, dict[str, dict[str, Stillness]]] = {}
    for outcome in outcomes:
        if outcome.track is not None:
            sequence = outcome.job.sequence
            of_tracker = scores.setdefault(opponents.label(outcome.job.tracker), {})
            of_tracker.setdefault(sequence.dataset, {})[sequence.name] = judge(outcome.track)
    return scores


def median(found: Mapping[str, Stillness]) -> Stillness:
    """The median over sequences of each figure."""
    rows = [dataclasses.astuple(row) for row in found.values()]
    return Stillness(*(float(value) for value in np.median(rows, axis=0)))


def text_table(scores: Scores, expected: Mapping[str, int]) -> str:
    """The table that the command prints; ``expected`` is the number of sequences by data set."""
    width, parts = name_width(scores), []
    for dataset, rows in by_dataset(scores).items():
        count = expected[dataset]
        lines = [
            f"{dataset} ({count} sequences), median from frame to frame",
            f"  {'tracker':<{width}}   place    size  overlap",
        ]
        for tracker, found in rows.items():
            row = median(found)
            figures = f"{row.place:6.2%}  {row.size:6.2%}  {row.overlap:7.3f}"
            lines.append(f"  {tracker:<{width}}  {figures}{partly(len(found), count)}")
        parts.append("\n".join(lines))
    return "\n\n".join(parts)


def to_json(scores: Scores) -> dict[str, Any]:
    """Medians and figures of each sequence as plain types."""
    return {
        tracker: {
            dataset: {
                "median": dataclasses.asdict(median(found)),
                "sequences": {name: dataclasses.asdict(row) for name, row in found.items()},
            }
            for dataset, found in datasets.items()
        }
        for tracker, datasets in scores.items()
    }
