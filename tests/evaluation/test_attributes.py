"""Attributes from made-up truths, each with one thing happening."""

from __future__ import annotations

import numpy as np
import pytest

from tracker.evaluation.attributes import (
    frame_attributes,
    scores_by_attribute,
    sequence_attributes,
)

SIZE = (640, 480)


def still(n: int = 20, box=(300.0, 200.0, 40.0, 40.0)) -> np.ndarray:
    return np.tile(box, (n, 1)).astype(float)


def names(truth, size=SIZE, **more) -> list[str]:
    return sequence_attributes(frame_attributes(truth, size, **more))


def test_a_still_target_has_none():
    assert names(still()) == []


def test_absence_in_the_middle_is_occlusion_and_at_the_border_leaving():
    hidden = still()
    hidden[8:14] = np.nan
    assert names(hidden) == ["occlusion"]
    leaving = still(box=(600.0, 200.0, 40.0, 40.0))
    leaving[8:14] = np.nan
    assert names(leaving) == ["out of view"]
    assert names(hidden, size=None) == []  # without the picture's size nothing can be told


def test_a_box_cut_by_the_border_is_out_of_view():
    assert names(still(box=(-12.0, 200.0, 40.0, 40.0))) == ["out of view"]


@pytest.mark.parametrize(
    ("last", "expected"),
    [
        ((280.0, 180.0, 85.0, 85.0), ["scale change"]),  # sides x 2.1
        ((310.0, 210.0, 19.0, 19.0), ["scale change", "low resolution"]),
        ((280.0, 200.0, 85.0, 41.0), ["aspect change"]),
        ((290.0, 195.0, 70.0, 45.0), []),
    ],
)
def test_shape(last, expected):
    truth = still()
    truth[10:] = last
    assert names(truth) == expected


def test_fast_motion_is_fast_for_the_size():
    small = still(box=(10.0, 200.0, 30.0, 30.0))
    small[:, 0] += 25.0 * np.arange(20)  # 25 px: more than 20, more than half of 30
    assert names(small) == ["fast motion"]
    large = still(box=(10.0, 100.0, 150.0, 150.0))
    large[:, 0] += 25.0 * np.arange(20) % 300
    assert "fast motion" not in names(large[:10])


def test_two_odd_frames_make_no_attribute():
    truth = still()
    truth[4:6] = np.nan
    assert names(truth) == []
    truth[6] = np.nan
    assert names(truth) == ["occlusion"]


def test_stated_tags_win():
    stated = np.zeros(20, dtype=bool)
    hidden = still()
    hidden[8:14] = np.nan
    assert names(hidden, tags={"occlusion": stated}) == []
    stated[2:9] = True
    assert names(still(), tags={"occlusion": stated, "night": stated}) == ["occlusion", "night"]


def test_what_is_stated_of_a_sequence_wins_over_its_truth():
    hidden = still()
    hidden[8:14] = np.nan
    frames = frame_attributes(hidden, SIZE)
    stated = {"occlusion": False, "camera motion": True, "fast motion": False}
    assert sequence_attributes(frames, stated) == ["camera motion"]
    assert sequence_attributes(frames, {"low resolution": True}) == ["occlusion", "low resolution"]


def test_scores_by_attribute_are_means_over_the_sequences_that_have_it():
    found = scores_by_attribute(
        {"a": 0.2, "b": 0.6, "c": 1.0},
        {"a": ["occlusion"], "b": ["occlusion", "fast motion"], "c": []},
    )
    assert found == {"occlusion": (pytest.approx(0.4), 2), "fast motion": (0.6, 1)}
