"""What a resumed run says of data that are not as they were."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch")

from tests.training.data import tiny_source
from tracker.training.continuation import changed_data
from tracker.training.record import make_record
from tracker.training.tracks import Source, Track


def data_of(*tracks: Track, name: str = "tiny") -> list[dict[str, Any]]:
    record = make_record([Source(name, tracks)], ["train.py"], [name], {})
    data: list[dict[str, Any]] = record["data"]
    return data


A, B, C = (replace(t, boxes=t.boxes + n) for n, t in enumerate(tiny_source(3).tracks))


def moved(track: Track) -> Track:
    boxes = track.boxes.copy()
    boxes[1, 2] += 0.5
    return replace(track, boxes=boxes)


def absent(track: Track) -> Track:
    boxes = track.boxes.copy()
    boxes[2] = np.nan
    return replace(track, boxes=boxes)


OUTLINE = (np.array([[0, 0], [9, 0], [9, 9]], np.float32),)


@pytest.mark.parametrize(
    "mended",
    [
        (moved(A), B, C),
        (A, absent(B), C),
        (A, B, replace(C, category="other")),
        (A, B, replace(C, category=None)),
        (B, A, C),
        (A, B, replace(C, polygons=OUTLINE)),
        (A, B, replace(C, others=(A.boxes,) * 4)),
    ],
    ids=["moved", "absent", "class", "no class", "order", "outline", "others"],
)
def test_mended_annotations_are_told(mended: tuple[Track, ...]) -> None:
    before = data_of(A, B, C)
    assert changed_data(before, data_of(*mended)) == [
        "the annotations of tiny have changed: not an exact continuation"
    ]
    assert changed_data(data_of(*mended), data_of(*mended)) == []
    assert changed_data(before, data_of(A, B, C, name="elsewhere/tiny")) == []


def test_of_several_sources_those_are_named_that_changed() -> None:
    before = [*data_of(A), *data_of(B, name="b"), *data_of(C, name="c@2")]
    now = [*data_of(moved(A)), *data_of(B, name="b"), *data_of(moved(C), name="c@2")]
    (note,) = changed_data(before, now)
    assert note == "the annotations of tiny and c@2 have changed: not an exact continuation"


def test_checkpoints_from_before_know_nothing_of_annotations() -> None:
    old = [{k: v for k, v in d.items() if k != "annotations"} for d in data_of(A, B)]
    assert old != data_of(A, B)
    assert (
        changed_data(old, data_of(A, moved(B))) == []
        and changed_data(data_of(A, moved(B)), old) == []
    )
    (note,) = changed_data(old, data_of(A))
    assert note.startswith("the data were tiny (weight 1, 2 objects, 8 pictures) and are tiny (")


def test_another_number_of_objects_says_all() -> None:
    (note,) = changed_data(data_of(A, B), data_of(A))
    assert "were tiny (weight 1, 2 objects" in note
