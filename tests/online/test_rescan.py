"""The walk over the frame for a lost target: every place, in time, and none twice at once."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from tracker.crop import Region
from tracker.redetection import CROPS_A_FRAME, FARTHEST, MOST_IN_A_ROW, NEAR, Rescan


@pytest.mark.parametrize("size", [(640, 480), (1920, 1080), (100, 2000), (64, 48)])
@pytest.mark.parametrize("home", [(100, 100, 80), (10, 10, 300), (600, 400, 900)])
def test_a_rescan_sees_every_place_of_the_frame(
    size: tuple[int, int], home: tuple[float, float, float]
) -> None:
    width, height = size
    rescan = Rescan(Region(*map(float, home)), width, height)
    regions = [r for _ in range(800) for r in rescan.next()]
    assert len(regions) == 800 * CROPS_A_FRAME
    points = [(x, y) for x in np.linspace(0, width, 9) for y in np.linspace(0, height, 9)]
    for x, y in points:
        reach = [max(abs(r.cx - x), abs(r.cy - y)) / r.side for r in regions]
        assert min(reach) < 0.45, "well inside of a region, not at its rim"


def test_beside_the_last_position_is_searched_at_the_usual_scale() -> None:
    home = Region(400.0, 300.0, 100.0)
    rescan = Rescan(home, 800, 600)
    regions = [r for _ in range(1 + 2 * 8) for r in rescan.next() if r.side == home.side]
    places = {((r.cx - 400) / 100, (r.cy - 300) / 100) for r in regions}
    assert {(round(x, 6), round(y, 6)) for x, y in places} == {
        (x, y) for x in (-0.7, 0.0, 0.7) for y in (-0.7, 0.0, 0.7)
    }


@pytest.mark.parametrize(
    ("x", "y", "at_home"),
    [(400, 300, True), (429, 300, True), (400, 271, True), (432, 300, False), (400, 268, False)],
)
def test_what_is_at_the_last_position(x: float, y: float, at_home: bool) -> None:
    rescan = Rescan(Region(400.0, 300.0, 100.0), 800, 600)
    assert rescan.at_home((x - 10.0, y - 20.0, 20.0, 40.0)) is at_home, "by its middle"


def test_a_rescan_begins_around_the_last_position_and_goes_outwards() -> None:
    home = Region(1500.0, 200.0, 100.0)
    rescan = Rescan(home, 1920, 1080)
    coarse = [r for _ in range(60) for r in rescan.next() if r.side == 2 * home.side]
    away = [math.hypot(r.cx - home.cx, r.cy - home.cy) for r in coarse]
    assert away[0] == 0 and away == sorted(away) and away[-1] > 3 * home.side


def test_all_of_a_frame_is_searched_at_the_usual_scale_within_six_seconds() -> None:
    home = Region(300.0, 200.0, 240.0)  # of about 70 x 70 pixels
    rescan = Rescan(home, 1280, 720)
    usual = [r for _ in range(180) for r in rescan.next() if r.side == home.side]
    for x, y in itertools.product(np.linspace(0, 1280, 40), np.linspace(0, 720, 30)):
        assert any(max(abs(r.cx - x), abs(r.cy - y)) < 0.4 * r.side for r in usual)


def test_the_walk_at_the_usual_scale_ends_somewhere() -> None:
    """A frame in which a tiny target is lost must not wait for a list of 50,000 places."""
    home = Region(2000.0, 1000.0, 17.0)
    rescan = Rescan(home, 3840, 2160)
    walk = {r for _ in range(8000) for r in rescan.next()}
    usual = {r for r in walk if r.side == home.side}
    assert len(walk - usual) < MOST_IN_A_ROW**2
    assert 900 < len(usual) <= (2 * FARTHEST + 1) ** 2 + 9


def test_a_small_target_is_looked_for_in_all_of_a_large_frame_within_two_seconds() -> None:
    rescan = Rescan(Region(300.0, 200.0, 175.0), 1920, 1080)  # of 50 x 50 pixels
    regions = [r for _ in range(60) for r in rescan.next()]
    for x, y in itertools.product(np.linspace(25, 1895, 60), np.linspace(25, 1055, 40)):
        # twice as coarse, all of it inside
        assert any(max(abs(r.cx - x), abs(r.cy - y)) < r.side / 2 - 25 for r in regions)


def test_the_last_position_is_looked_at_in_every_frame_and_later_in_every_second_one() -> None:
    home = Region(400.0, 300.0, 100.0)
    rescan = Rescan(home, 800, 600)
    looks = [home in rescan.next() for _ in range(NEAR + 20)]
    assert looks == [True] * NEAR + [False, True] * 10


@pytest.mark.parametrize(
    "home",
    [Region(32.0, 24.0, 400.0), Region(5.0, 24.0, 50.0), Region(5.0, 5.0, 50.0)],
    ids=["one coarse region", "and one beside", "and three"],
)
def test_no_place_of_a_small_frame_is_looked_at_twice_at_once(home: Region) -> None:
    rescan = Rescan(home, 64, 48)
    for _ in range(NEAR + 20):
        regions = rescan.next()
        assert len(set(regions)) == len(regions)


@pytest.mark.parametrize(
    ("home", "width", "height"),
    [
        (Region(5.0, 300.0, 100.0), 800, 600),
        (Region(400.0, 590.0, 100.0), 800, 600),
        (Region(20.0, 20.0, 90.0), 40, 40),
    ],
)
def test_no_crop_is_spent_beside_the_frame(home: Region, width: int, height: int) -> None:
    rescan = Rescan(home, width, height)
    regions = [r for _ in range(60) for r in rescan.next()]
    assert all(0 <= r.cx < width and 0 <= r.cy < height for r in regions)
