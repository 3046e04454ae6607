"""Boxes: checks, clipping, overlap against counted pixels."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tracker.geometry import (
    check_box,
    clip_box,
    context_side,
    corners_to_xywh,
    iou,
    overlap,
    polygon_to_box,
    xywh_to_corners,
)

whole_boxes = st.tuples(*[st.integers(0, 30)] * 2, *[st.integers(1, 30)] * 2)
any_float = st.floats(-1e6, 1e6)
any_size = st.floats(1e-3, 1e6)


def pixels(box: tuple[int, int, int, int]) -> set[tuple[int, int]]:
    x, y, w, h = box
    return {(i, j) for i in range(x, x + w) for j in range(y, y + h)}


@given(whole_boxes, whole_boxes)
def test_overlap_is_that_of_counted_pixels(
    a: tuple[int, int, int, int], b: tuple[int, int, int, int]
) -> None:
    expected = len(pixels(a) & pixels(b)) / len(pixels(a) | pixels(b))
    assert iou(a, b) == pytest.approx(expected, abs=1e-12)
    assert overlap(a, b) == pytest.approx(expected, abs=1e-12)


def test_overlap_of_absent_or_empty_boxes_is_zero() -> None:
    nan, box = [math.nan] * 4, [0, 0, 10, 10]
    rows = iou([nan, box, box], [box, [2, 2, 0, 5], [2, 2, -3, 5]])
    assert rows.tolist() == [0, 0, 0]
    for empty in ((2.0, 2.0, 0.0, 5.0), (2.0, 2.0, -3.0, 5.0), (20.0, 0.0, 10.0, 10.0)):
        assert overlap((0.0, 0.0, 10.0, 10.0), empty) == overlap(empty, (0.0, 0.0, 10.0, 10.0)) == 0


@given(
    st.tuples(any_float, any_float, any_size, any_size), st.integers(1, 5000), st.integers(1, 5000)
)
def test_a_clipped_box_lies_in_the_frame_and_has_a_size(
    box: tuple[float, float, float, float], width: int, height: int
) -> None:
    x, y, w, h = clip_box(box, width, height)
    assert x >= 0 and y >= 0 and x + w <= width + 1e-6 and y + h <= height + 1e-6
    assert w >= min(1, width) - 1e-6 and h >= min(1, height) - 1e-6


def test_a_box_inside_is_not_changed_by_clipping() -> None:
    assert clip_box((3.5, 4.25, 10, 20), 100, 100) == (3.5, 4.25, 10, 20)
    assert clip_box((0, 80, 10, 20), 100, 100) == (0, 80, 10, 20)


def test_of_a_box_at_the_border_what_lies_inside_is_left() -> None:
    assert clip_box((-5, 90, 10, 20), 100, 100) == (0, 90, 5, 10)


def test_a_box_that_is_too_small_grows_around_its_middle() -> None:
    assert clip_box((10, 10, 0.5, 0.25), 100, 100) == (9.75, 9.625, 1, 1)
    assert clip_box((5, 5, 3, 3), 1, 2, min_size=2) == (0, 0, 1, 2), "but not out of the frame"


@pytest.mark.parametrize(
    ("box", "found"),
    [
        ((1, 2, 3), "found 3"),
        ((1, 2, 3, math.nan), "finite"),
        ((1, 2, math.inf, 4), "finite"),
        ((1, 2, 0, 4), "0 x 4"),
        ((1, 2, 3, 0), "3 x 0"),
        ((1, 2, 3, -4), "3 x -4"),
        ((100, 2, 3, 4), "outside the frame of 100 x 80"),
        ((1, 80, 3, 4), "outside the frame of 100 x 80"),
        ((-9, 2, 9, 4), "outside the frame"),
        ((1, -4, 3, 4), "outside the frame"),
        ("four", "four numbers x, y, w, h, found 'four'"),
        (None, "four numbers"),
        ("1234", "four numbers"),
        ({1: 0, 2: 0, 3: 0, 4: 0}, "four numbers"),
        ((10**400, 0, 10, 10), "four numbers"),
    ],
)
def test_a_box_that_cannot_be_a_target_is_named(box: object, found: str) -> None:
    with pytest.raises(ValueError, match=found):
        check_box(box, 100, 80)  # type: ignore[arg-type]


@pytest.mark.parametrize("boxes", [np.ones((3, 4)), np.ones((900, 4)), [1.5] * 900])
def test_many_boxes_are_refused_in_one_line(boxes: object) -> None:
    with pytest.raises(ValueError, match="four numbers") as error:
        check_box(boxes, 100, 80)  # type: ignore[arg-type]
    assert "\n" not in str(error.value) and len(str(error.value)) < 160


def test_a_box_half_outside_is_a_target() -> None:
    assert check_box(np.array([-5, -5, 10, 10], np.int32), 100, 80) == (-5.0, -5.0, 10.0, 10.0)


@given(st.lists(st.tuples(any_float, any_float, any_size, any_size), min_size=1, max_size=5))
def test_corners_and_back(boxes: list[tuple[float, float, float, float]]) -> None:
    back = corners_to_xywh(xywh_to_corners(boxes))
    assert np.allclose(back, boxes, rtol=1e-6, atol=1e-6)


def test_the_box_around_a_polygon() -> None:
    assert polygon_to_box([3, 1, 7, 2, 5, 9]) == (3, 1, 4, 8)


def test_context_of_a_square_target_is_twice_its_side() -> None:
    assert context_side(10, 10) == pytest.approx(20)
    assert context_side(30, 10) == pytest.approx(math.sqrt(50 * 30))
    assert context_side(30, 10, context=0.25) == pytest.approx(math.sqrt(40 * 20))
