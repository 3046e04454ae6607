"""The worst moments of a report: where a target was lost, and which losses cost most."""

from __future__ import annotations

import numpy as np
import pytest

from tests.evaluation.test_runner import make_sequence
from tracker.evaluation import results_io
from tracker.evaluation.moments import draw_boxes, first_loss, worst_moments
from tracker.evaluation.summary import score_sequence

GONE = np.nan


@pytest.mark.parametrize(
    ("overlaps", "expected"),
    [
        ([1.0] * 5 + [0.1] * 10, 5),
        ([1.0] * 5 + [0.1] * 9 + [0.11] * 9, None),
        ([0.0] * 9 + [0.5] + [0.0] * 12, 10),  # a short spell before is not where it begins
        ([1.0] * 3 + [0.0] * 4 + [GONE] * 20 + [0.0] * 6, 3),  # absence neither ends it nor counts
        ([1.0] * 3 + [GONE] * 20 + [0.0] * 9, None),
        ([], None),
    ],
)
def test_ten_frames_in_a_row_without_overlap_are_a_loss(overlaps, expected):
    assert first_loss(np.array(overlaps)) == expected


def lost_from(sequence, start: int):
    """The score of a track that is right up to a frame and far away from there on."""
    n = len(sequence)
    boxes = np.where(np.isnan(sequence.truth), 0.0, sequence.truth)
    boxes[start:] = (80, 60, 8, 8)
    states = ("tracking",) * n
    track = results_io.Track(np.arange(n), boxes, np.ones(n), states, np.full(n, 0.01))
    return score_sequence(sequence, track, (96, 72))


def test_those_that_cost_most_of_their_frames_come_first(tmp_path):
    """The target is absent in frames 6 and 7; what is lost for fewer than ten is not shown."""
    starts = {"a": (24, 12), "b": (24, 3), "c": (24, 18), "d": (14, 4)}
    sequences = {n: make_sequence(tmp_path, n, length) for n, (length, _) in starts.items()}
    scores = [lost_from(sequences[n], start) for n, (_, start) in starts.items()]
    found = worst_moments(scores)
    assert [(m.sequence.rpartition("/")[2], m.frame, m.frames_lost, m.frames) for m in found] == [
        ("b", 3, 19, 22), ("a", 12, 12, 22),
    ]  # fmt: skip
    assert [t.frame for t in found[1].thumbnails] == [0, 12, 23]
    assert [t.overlap for t in found[1].thumbnails] == ["overlap 1.00", "overlap 0.00"] + [
        "overlap 0.00"
    ]
    assert len(worst_moments(scores * 5)) == 8  # of ten


def test_a_thumbnail_shows_all_of_its_boxes():
    image = np.zeros((480, 640, 3), np.uint8)
    boxes = [((30.0, 40.0, 60.0, 50.0), (0, 255, 0)), ((500.0, 300.0, 40.0, 40.0), (0, 0, 255))]
    view = draw_boxes(image, boxes)
    assert view.shape[0] == 216 and abs(view.shape[1] - 384) < 100
    for channel, (w, h) in ((1, (60, 50)), (2, (40, 40))):
        rows, columns = np.nonzero(view[:, :, channel] > 200)
        across, down = np.ptp(columns), np.ptp(rows)
        assert across / down == pytest.approx(w / h, rel=0.15)
