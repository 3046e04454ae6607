"""Training crops against plain geometry, and against those of the tracker."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("torch")

from tests.training.data import BOX, STILL, picture, rng
from tracker.crop import Region, cut
from tracker.training.crops import (
    Jitter,
    averaged,
    crop_matrix,
    exemplar_side,
    map_box,
    square_fill,
    warp,
)
from tracker.training.cutout import paste


def test_crop_without_jitter_is_the_online_trackers() -> None:
    """Training and tracking must see the same pixels, and boxes in the same place."""
    image = picture(1, 200, 160)
    for box in (BOX, np.array([60.0, 40, 90, 70], np.float32)):
        side = exemplar_side(box)
        matrix = crop_matrix(box, 127, side, STILL, rng(), flip=False)
        mine = warp(image, matrix, 127, np.zeros((127, 127, 3), np.uint8))
        x, y, w, h = (float(v) for v in box)
        region = Region(x + w / 2, y + h / 2, side)
        theirs = cut(image, region, 127, (0.0, 0.0, 0.0))
        inside = theirs.any(2) & mine.any(2)
        assert inside.mean() > 0.8
        assert np.abs(mine.astype(int) - theirs)[inside].max() <= 2
        assert map_box(matrix, box).tolist() == pytest.approx(
            region.to_crop((x, y, w, h), 127).tolist(), abs=1e-3
        )


@pytest.mark.parametrize("step", [0.7, 1.5, 2.2, 2.45, 3.0, 4.9, 6.0])
def test_fine_detail_is_sampled_as_the_online_tracker_does_it(step: float) -> None:
    """Of noise each way of averaging leaves something else."""
    noise = rng().integers(0, 256, (900, 900, 3)).astype(np.uint8)
    side = 127 * step
    start, width = 40, side / 2  # a whole number of the blocks that are averaged
    box = np.array([start + width / 2, start + width / 2, width, width], np.float32)
    assert exemplar_side(box) == pytest.approx(side)
    matrix = crop_matrix(box, 127, side, STILL, rng(), flip=False)
    mine = warp(noise, matrix, 127, np.zeros((127, 127, 3), np.uint8))
    region = Region(start + side / 2, start + side / 2, side)
    theirs = cut(noise, region, 127, (0.0, 0.0, 0.0))
    # 7 levels and more between two ways of averaging
    assert np.abs(mine.astype(int) - theirs).mean() < 0.5


@pytest.mark.parametrize("height", [0.0, 1e-300])
def test_a_map_that_leaves_no_area_can_be_sampled(height: float) -> None:
    matrix = np.array([[0.5, 0.0, 8.0], [0.0, height, 8.0]])
    (small,), scaled = averaged([picture(1)], matrix)  # of 96 x 80 pixels
    assert small.shape == (1, 1, 3)
    assert scaled[0, 0] == 32
    black = np.zeros((16, 16, 3), np.uint8)
    assert warp(picture(1), matrix, 16, black).shape == black.shape


def test_a_cut_out_is_averaged_as_its_mask_is() -> None:
    """At any scale the object and its mask stay in one place."""
    image, mask = np.zeros((401, 403, 3), np.uint8), np.zeros((401, 403), np.float32)
    image[100:300, 80:320], mask[100:300, 80:320] = 200, 1
    for scale in (0.6, 0.41, 0.3, 0.11, 0.03):
        matrix = np.array([[scale, 0.0, 7.0], [0.0, scale, 5.0]])
        pasted, alpha = paste(np.zeros((256, 256, 3), np.uint8), image, mask, matrix)
        x1, y1, x2, y2 = (n * scale + o for n, o in ((80, 7), (100, 5), (320, 7), (300, 5)))
        rows, columns = alpha.sum(1), alpha.sum(0)
        assert (rows @ (np.arange(256) + 0.5)) / rows.sum() == pytest.approx((y1 + y2) / 2, abs=0.1)
        middle = (columns @ (np.arange(256) + 0.5)) / columns.sum()
        assert middle == pytest.approx((x1 + x2) / 2, abs=0.1)
        assert alpha.sum() == pytest.approx((x2 - x1) * (y2 - y1), rel=0.1)
        assert (pasted[alpha == 1] == 200).all()


def test_a_crop_is_mirrored_turned_and_moved_to_all_sides() -> None:
    plain, mirrored = (crop_matrix(BOX, 128, 64, STILL, rng(), flip) for flip in (False, True))
    np.testing.assert_allclose(plain[:, :2], [[2, 0], [0, 2]])
    np.testing.assert_allclose(mirrored[:, :2], [[-2, 0], [0, 2]])
    np.testing.assert_allclose(map_box(mirrored, BOX), map_box(plain, BOX), atol=1e-3)
    turned = [crop_matrix(BOX, 128, 64, Jitter(0, 0, 0, 15), rng(n), False) for n in range(60)]
    angles = np.rad2deg([np.arctan2(m[1, 0], m[0, 0]) for m in turned])
    assert -15 <= angles.min() < -10 and 10 < angles.max() <= 15
    sized = [crop_matrix(BOX, 128, 64, Jitter(0, 0.3, 0.4), rng(n), False) for n in range(80)]
    x, y = np.log([[m[0, 0] / 2, m[1, 1] / 2] for m in sized]).T  # 2 without jitter
    for change, most in (((x + y) / 2, 0.3), (x - y, 0.4)):  # of scale, of aspect
        assert -most <= change.min() < -0.9 * most and 0.9 * most < change.max() <= most
    moved = [crop_matrix(BOX, 128, 64, Jitter(20, 0), rng(n), False) for n in range(60)]
    offsets = np.array([map_box(m, BOX)[:2] - map_box(plain, BOX)[:2] for m in moved])
    assert abs(np.corrcoef(offsets.T)[0, 1]) < 0.5, "right and down have nothing to do"


def test_what_fills_is_a_square_piece_from_anywhere_in_a_picture() -> None:
    image = np.zeros((50, 200, 3), np.uint8)
    image[..., 0], image[..., 1] = np.arange(200)[None], np.arange(50)[:, None]
    pieces = [square_fill(image, 64, rng(n)).astype(int) for n in range(60)]
    assert min(p[..., 0].min() for p in pieces) < 20 and max(p[..., 0].max() for p in pieces) > 180
    for piece in pieces:
        width, height = np.ptp(piece[..., 0]), np.ptp(piece[..., 1])
        assert 20 <= width <= 50 and abs(width - height) <= 2


@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize("seed", range(6))
def test_map_box_holds_the_turned_ellipse(flip: bool, seed: int) -> None:
    matrix = crop_matrix(BOX, 256, 120, Jitter(40, 0.2, 0.2, 15), rng(seed), flip)
    x, y, w, h = BOX
    turn = np.linspace(0, 2 * np.pi, 3601)
    points = np.stack([x + w / 2 + w / 2 * np.cos(turn), y + h / 2 + h / 2 * np.sin(turn)])
    moved = matrix[:, :2] @ points + matrix[:, 2:]
    expected = [*moved.min(1), *moved.max(1)]
    np.testing.assert_allclose(map_box(matrix, BOX), expected, atol=1e-3)


@pytest.mark.parametrize("seed", range(4))
def test_warp_puts_pixels_where_map_box_says(seed: int) -> None:
    image = np.zeros((120, 110, 3), np.uint8)
    x, y, w, h = (int(v) for v in BOX)
    image[y : y + h, x : x + w] = 255
    matrix = crop_matrix(BOX, 200, 90, Jitter(30, 0.2, 0.1, 0), rng(seed), flip=seed % 2 == 1)
    crop = warp(image, matrix, 200, np.zeros((200, 200, 3), np.uint8))
    rows, columns = np.nonzero(crop[:, :, 0] > 127)
    found = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
    np.testing.assert_allclose(map_box(matrix, BOX), found, atol=0.8)


def test_warp_of_a_large_target_averages() -> None:
    noise = rng().integers(0, 255, (800, 800, 3)).astype(np.uint8)
    box = np.array([200.0, 200, 400, 400], np.float32)
    matrix = crop_matrix(box, 64, exemplar_side(box), STILL, rng(), flip=False)
    crop = warp(noise, matrix, 64, np.zeros((64, 64, 3), np.uint8))
    assert crop[8:-8, 8:-8].std() < 20  # a bilinear sample alone keeps about 50


def test_outside_of_the_picture_shows_the_background() -> None:
    image, background = np.full((40, 40, 3), 200, np.uint8), picture(5, 128, 128)
    matrix = crop_matrix(np.array([0.0, 0, 20, 20], np.float32), 128, 80, STILL, rng(), False)
    crop = warp(image, matrix, 128, background)
    # the picture's corner lies at (48, 48) of the crop
    assert np.array_equal(crop[:46, :46], background[:46, :46])
    assert (crop[52:100, 52:100] == 200).all()


@pytest.mark.parametrize("shape", [(1, 30), (30, 1), (1, 1), (2, 30)])
def test_a_thin_picture_fills_a_square(shape: tuple[int, int]) -> None:
    image = np.full((*shape, 3), 7, np.uint8)
    assert (square_fill(image, 16, rng()) == 7).all()
