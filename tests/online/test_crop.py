"""Crops: where each pixel comes from, and the way back."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tracker import crop as crop_room
from tracker.crop import SMALL, SMALLEST, Region, cut, mean_colour

FILL = (10.0, 20.0, 30.0)


def ramp(height: int, width: int) -> np.ndarray:
    """A picture whose blue is the column and whose green is the row."""
    image = np.zeros((height, width, 3), np.uint8)
    image[..., 0] = np.arange(width)[None]
    image[..., 1] = np.arange(height)[:, None]
    return image


def test_a_crop_at_its_own_size_is_a_copy() -> None:
    image = np.random.default_rng(0).integers(0, 256, (90, 120, 3), dtype=np.uint8)
    crop = cut(image, Region(cx=60, cy=45, side=32), 32, FILL)
    assert np.array_equal(crop, image[29:61, 44:76])


def test_enlarging_keeps_pixel_areas_in_place() -> None:
    # pixel i covers [i, i + 1): at twice the size its middle is at 2 i + 1, between two pixels
    crop = cut(ramp(100, 200), Region(cx=50, cy=40, side=20), 40, FILL).astype(float)
    expected = 40 + (np.arange(40) + 0.5) / 2 - 0.5
    assert np.abs(crop[20, :, 0] - expected).max() <= 0.5
    assert np.abs(crop[:, 20, 1] - (expected - 10)).max() <= 0.5


@pytest.mark.parametrize("factor", [1.5, 2.0, 3.7, 8.0])
def test_shrinking_keeps_pixel_areas_in_place(factor: float) -> None:
    size = 24
    region = Region(cx=125, cy=100, side=size * factor)
    crop = cut(ramp(220, 250), region, size, FILL).astype(float)
    x0 = region.cx - region.side / 2
    expected = x0 + (np.arange(size) + 0.5) * factor - 0.5
    inside = (expected > 2) & (expected < 247)
    assert np.abs(crop[size // 2, inside, 0] - expected[inside]).max() <= 1.0
    expected += region.cy - region.cx
    inside = (expected > 2) & (expected < 217)
    assert np.abs(crop[inside, size // 2, 1] - expected[inside]).max() <= 1.0


def test_shrinking_averages_instead_of_skipping() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (256, 256, 3), dtype=np.uint8)
    crop = cut(noise, Region(128, 128, 200), 25, FILL)
    assert crop.std() < 0.2 * noise.std(), "of four neighbours alone it would be half"


def test_detail_that_three_pixels_apart_would_miss_is_averaged() -> None:
    squares = (np.indices((900, 900)).sum(0) % 2 * 255).astype(np.uint8)[..., None].repeat(3, 2)
    crop = cut(squares, Region(450, 450, 768), 256, FILL)
    assert np.abs(crop.astype(float) - 127.5).max() <= 2


def test_outside_of_the_frame_is_filled() -> None:
    image = np.full((50, 50, 3), 200, np.uint8)
    crop = cut(image, Region(0, 0, 40), 40, FILL)
    assert np.array_equal(crop[:19, :19], np.broadcast_to(np.uint8(FILL), (19, 19, 3)))
    assert (crop[21:, 21:] == 200).all()


@pytest.mark.parametrize("place", [(-900, 20), (900, 20), (20, -900), (20, 900), (900, 900)])
@pytest.mark.parametrize("side", [16, 40.5, 640])
def test_a_region_beside_the_frame_shows_none_of_it(place: tuple[int, int], side: float) -> None:
    crop = cut(np.full((50, 60, 3), 200, np.uint8), Region(*map(float, place), side), 16, FILL)
    assert (crop == np.uint8(FILL)).all()


@settings(max_examples=200, deadline=None)
@given(
    st.floats(-3000, 3000), st.floats(-3000, 3000), st.floats(1, 5000),
    st.integers(1, 60), st.integers(1, 60),
)  # fmt: skip
def test_any_region_of_any_frame_can_be_cut(
    cx: float, cy: float, side: float, height: int, width: int
) -> None:
    image = np.full((height, width, 3), 255, np.uint8)
    crop = cut(image, Region(cx, cy, side), 16, (0.0, 0.0, 0.0))
    assert crop.shape == (16, 16, 3) and crop.dtype == np.uint8


def test_the_buffer_is_used_and_the_frame_may_be_a_view() -> None:
    image = ramp(100, 100)[::2, ::-1]
    out = np.empty((16, 16, 3), np.uint8)
    assert cut(image, Region(50, 25, 16), 16, FILL, out) is out
    assert np.array_equal(out, image[17:33, 42:58])


@given(
    st.floats(-50, 50), st.floats(-50, 50), st.floats(1, 90), st.floats(1, 90), st.floats(5, 500)
)
def test_to_the_crop_and_back(x: float, y: float, w: float, h: float, side: float) -> None:
    region = Region(20, -10, side)
    x1, y1, x2, y2 = (float(v) for v in region.to_crop((x, y, w, h), 256))
    back = region.to_frame((x1 + x2) / 2, (y1 + y2) / 2, x2 - x1, y2 - y1, 256)
    assert np.allclose(back, (x, y, w, h), atol=1e-2)


@pytest.mark.parametrize(
    ("box", "whole"),
    [
        ((60.0, 70.0, 40.0, 30.0), True),
        ((53.0, 53.0, 94.0, 94.0), True),
        ((50.0, 70.0, 40.0, 30.0), False),  # at the left edge
        ((60.0, 70.0, 89.5, 30.0), False),  # so near to the right one that it may be cut off
        ((60.0, 30.0, 40.0, 60.0), False),
        ((60.0, 70.0, 40.0, 90.0), False),
    ],
)
def test_a_region_shows_all_of_what_lies_inside(
    box: tuple[float, float, float, float], whole: bool
) -> None:
    assert Region(100.0, 100.0, 100.0).shows(box) == whole


def test_mean_colour_of_a_plain_frame() -> None:
    assert mean_colour(np.full((700, 900, 3), (1, 2, 3), np.uint8)) == (1.0, 2.0, 3.0)


def test_mean_colour_of_a_large_frame_is_of_many_pixels() -> None:
    image = np.random.default_rng(0).integers(0, 256, (1080, 1920, 3), dtype=np.uint8)
    assert mean_colour(image) == pytest.approx((127.5,) * 3, abs=3)  # of 10,000: +-.7


@settings(max_examples=100, deadline=None)
@given(st.floats(-200, 1400), st.floats(-200, 900), st.floats(20, 700))
def test_the_short_way_of_aligned_regions_shows_the_same(cx: float, cy: float, side: float) -> None:
    """They are cut by another routine, which must not move anything, at the frame's edge too."""
    photo = np.random.default_rng(1).integers(0, 256, (23, 40, 3), dtype=np.uint8)
    image = cv2.resize(photo, (1280, 720), interpolation=cv2.INTER_CUBIC)
    region = Region(cx, cy, side).aligned(64)
    with pytest.MonkeyPatch.context() as patch:
        short = cut(image, region, 64, FILL)
        patch.setattr(crop_room, "_square", lambda *args: None)
        long = cut(image, region, 64, FILL)
    # at the rim the long way mixes in what lies outside
    difference = np.abs(short.astype(int) - long.astype(int))[1:-1, 1:-1]
    assert difference.max() <= 8  # OpenCV 4 samples the long way at 32nds of a pixel


@given(st.floats(-500, 5000), st.floats(-500, 5000), st.floats(1, 9000))
def test_aligning_moves_a_region_by_at_most_a_hundredth(cx: float, cy: float, side: float) -> None:
    region = Region(cx, cy, side)
    moved = region.aligned(256)
    bound = 0.0101 * side
    assert abs(moved.side - side) <= bound
    for axis in (0, 1):
        assert abs(moved.box[axis] - region.box[axis]) <= bound
        if moved is not region and side >= SMALL:
            assert moved.box[axis] == round(moved.box[axis])


def test_an_aligned_region_of_a_large_frame_takes_the_short_way() -> None:
    image = np.random.default_rng(2).integers(0, 256, (2160, 3840, 3), dtype=np.uint8)
    for side in (150.3, 611.7, 1300.2, 1999.9):
        region = Region(1900.4, 1080.6, side).aligned(256)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(cv2, "warpAffine", None)
            assert cut(image, region, 256, FILL).shape == (256, 256, 3)


@settings(max_examples=200, deadline=None)
@given(
    st.floats(60, 580), st.floats(60, 420), st.floats(SMALLEST, SMALL, exclude_max=True),
    st.sampled_from([160, 192, 224]),
)  # fmt: skip
def test_a_small_aligned_region_takes_a_short_way_too(
    cx: float, cy: float, side: float, size: int
) -> None:
    image = np.random.default_rng(3).integers(0, 256, (480, 640, 3), dtype=np.uint8)
    region = Region(cx, cy, side)
    moved = region.aligned(size)
    assert np.abs(np.subtract(moved.box, region.box)).max() <= 1.01 * side / size
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cv2, "warpAffine", None)
        short = cut(image, moved, size, FILL)
        patch.undo()
        patch.setattr(crop_room, "_enlarged", lambda *args: None)
        long = cut(image, moved, size, FILL)
    assert np.abs(short.astype(int) - long.astype(int)).max() <= 8  # as above
