"""Frames in bad light: what their levels become, and that a tracker sees by them."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from tests.online.scripted import ScriptedNetwork, see_green
from tests.online.test_camera import landscape
from tests.online.test_exemplar import LEARNS
from tracker import Session, SiameseTracker, State
from tracker.crop import Region
from tracker.geometry import iou
from tracker.levels import AS_THEY_ARE, EVERY, Levels, Light, ends, levels_for

BOX = (300.0, 200.0, 60.0, 40.0)
SOMEWHERE = Region(328, 228, 256.0)


def landscape_of_all_levels(seed: int) -> np.ndarray:
    return cv2.normalize(landscape(640, 480, seed), None, 0, 255, cv2.NORM_MINMAX)


def scene() -> np.ndarray:
    """Hills of all levels with a green target, (480, 640, 3) uint8."""
    hills = landscape_of_all_levels(0)
    x, y, w, h = (round(v) for v in BOX)
    hills[y : y + h, x : x + w] = (40, 220, 40)
    return hills


def in_light(image: np.ndarray, gain: float, offset: float = 0.0) -> np.ndarray:
    return np.clip(np.rint(image * gain + offset), 0, 255).astype(np.uint8)


def whole(image: np.ndarray) -> Region:
    height, width = image.shape[:2]
    return Region(width / 2, height / 2, float(max(height, width)))


def spread(image: np.ndarray) -> np.ndarray:
    """A frame as the network sees it."""
    shown = image.copy()
    levels_for(image, whole(image)).spread(shown)
    return shown


def test_the_ends_are_levels_that_are_not_rare() -> None:
    image = np.tile(np.arange(50, 210, dtype=np.uint8)[None, :, None], (100, 1, 3))
    assert ends(image) == pytest.approx((50, 209), abs=2)
    image[:2, :32], image[2:4, :32] = 255, 0  # a lamp and dead pixels: .4 % each
    assert ends(image) == pytest.approx((50, 209), abs=2)
    image[:4, :32] = 255
    assert ends(image)[1] == 255


def test_frames_of_usual_contrast_stay_as_they_are() -> None:
    for image in (scene(), in_light(scene(), 0.4), in_light(scene(), 0.36, 150)):
        assert (spread(image) == image).all()


def test_a_region_of_one_colour_is_no_bad_light() -> None:
    image = scene()
    image[100:356, 200:456] = 200
    assert levels_for(image, SOMEWHERE) == AS_THEY_ARE


def test_lamps_somewhere_do_not_make_the_surroundings_of_the_target_bright() -> None:
    night = in_light(scene(), 0.25)
    alone = levels_for(night, SOMEWHERE)
    night[:90] = 255
    assert levels_for(night, SOMEWHERE) == alone != AS_THEY_ARE


@pytest.mark.parametrize("place", [(0.0, 0.0), (640.0, 480.0), (-500.0, 200.0), (300.0, 2000.0)])
def test_regions_may_leave_the_frame(place: tuple[float, float]) -> None:
    assert levels_for(in_light(scene(), 0.25), Region(*place, 200.0)).gain > 2


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("middle", [-50.0, 370.0])
def test_beside_a_frame_with_black_bars_no_bar_is_all_of_it(axis: int, middle: float) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (320, 320, 3), dtype=np.uint8)
    bars = np.moveaxis(noise, axis, 0)
    bars[:20] = bars[-20:] = 0
    cx, cy = (160.0, middle) if axis == 0 else (middle, 160.0)
    assert levels_for(noise, Region(cx, cy, 60.0)) == AS_THEY_ARE


@pytest.mark.parametrize("gain", [0.2, 0.25])
@pytest.mark.parametrize("offset", [0.0, 20.0, 170.0])
def test_a_dark_or_foggy_frame_becomes_a_usual_one(gain: float, offset: float) -> None:
    shown = spread(in_light(scene(), gain, offset)).astype(float)
    low, high = np.percentile(shown, [1, 99])
    assert high - low > 180
    assert (shown == 255).mean() < 0.01, "nothing is cut off"
    # the same picture but for brightness and contrast: a line through what it was
    was = scene().astype(float).ravel()
    assert np.corrcoef(was, shown.ravel())[0, 1] > 0.999


def test_colours_stay_in_the_dark() -> None:
    x, y, *_ = (round(v) for v in BOX)
    blue, green, red = spread(in_light(scene(), 0.25))[y + 9, x + 9].astype(float)
    assert green / blue == pytest.approx(220 / 40, rel=0.05) and blue == red


def test_the_less_the_contrast_the_more_is_spread_without_a_step() -> None:
    ramps = [np.linspace(0, span, 4000).astype(np.uint8) for span in range(256)]
    gains = []
    for ramp in ramps:
        image = ramp.reshape(50, 80, 1).repeat(3, 2)
        gains.append(levels_for(image, whole(image)).gain)
    assert gains == sorted(gains, reverse=True)
    assert max(gains[:-1][n] - gains[1:][n] for n in range(60, 255)) < 0.2
    assert gains[0] == 4.0 and gains[95:] == [1.0] * 161


def test_levels_are_what_opencv_makes_of_them() -> None:
    crop = np.arange(256, dtype=np.uint8).repeat(3).reshape(16, 16, 3).copy()
    Levels(2.5, -30.0).spread(crop)
    assert crop[..., 0].ravel().tolist() == np.clip(
        np.rint(np.arange(256) * 2.5 - 30), 0, 255
    ).tolist()  # fmt: skip


@pytest.mark.parametrize("level", [0, 7, 128, 250, 255])
def test_what_has_one_colour_keeps_it(level: int) -> None:
    shown = spread(np.full((480, 640, 3), level, np.uint8))
    assert int(shown.min()) == int(shown.max()) == pytest.approx(level, abs=4)


def test_a_target_in_an_empty_sky_keeps_its_levels_apart() -> None:
    sky = (150 + np.arange(480, dtype=np.uint8) // 16)[:, None, None].repeat(640, 1).repeat(3, 2)
    sky[200:225, 300:325] = np.arange(100, 125, dtype=np.uint8)[:, None, None]  # rare in the frame
    bird = sky[200:225, 300:325].copy()
    levels = levels_for(sky, Region(312, 212, 100.0))
    levels.spread(bird)
    assert levels.gain > 2 and len(np.unique(bird)) == 25


def test_every_fifth_frame_is_measured() -> None:
    dark, bright = in_light(scene(), 0.25), scene()
    light = Light(dark, whole(dark))
    known = light.levels
    assert known != AS_THEY_ARE
    for _ in range(EVERY - 1):
        light.follow(bright, whole(bright))
        assert light.levels == known
    light.follow(bright, whole(bright))
    assert light.levels == AS_THEY_ARE


def test_while_the_target_is_lost_all_frames_are_measured() -> None:
    black = np.zeros_like(scene())
    light = Light(scene(), whole(scene()))
    for _ in range(EVERY):
        light.follow(black, None)
        assert light.levels.gain > 2
        light.follow(scene(), None)
        assert light.levels == AS_THEY_ARE


@pytest.mark.parametrize("frames", range(EVERY))
@pytest.mark.parametrize("level", [0, 255])
def test_a_picture_of_nothing_does_not_spoil_the_next(frames: int, level: int) -> None:
    tracker = SiameseTracker(ScriptedNetwork(see_green))
    tracker.init(scene(), BOX)
    for _ in range(frames):
        tracker.update(scene())
    for _ in range(3):
        nothing = tracker.update(np.full_like(scene(), level))
    assert nothing.state is State.LOST
    assert tracker.update(scene()).state is State.TRACKING


class Lit(ScriptedNetwork):
    """Remembers the least contrast of all crops that it is shown."""

    dullest = 255

    def embed(self, crops, boxes):  # type: ignore[no-untyped-def]
        self._look(crops)
        return super().embed(crops, boxes)

    def search(self, embedding, crops):  # type: ignore[no-untyped-def]
        self._look(crops)
        return super().search(embedding, crops)

    def _look(self, crops: np.ndarray) -> None:
        self.dullest = min(self.dullest, *(int(np.ptp(crop)) for crop in crops))


def test_all_that_the_network_is_shown_is_spread() -> None:
    network = Lit(see_green, spec=LEARNS)
    session, dark = Session(network), in_light(scene(), 0.25)
    before = dark.copy()
    session.add(dark, BOX)
    session.add(dark, (*BOX[:2], 50.0, 40.0))
    for _ in range(12):  # later exemplars are due
        session.update(dark)
    session.update(np.roll(dark, 300, axis=1))
    for _ in range(20):  # lost: several crops each
        session.update(in_light(landscape_of_all_levels(1), 0.25))
    assert max(network.calls) >= 4
    assert network.dullest > 100
    assert (dark == before).all(), "the caller's frame is not written to"


def test_a_target_is_followed_when_the_light_comes_and_goes() -> None:
    tracker = SiameseTracker(ScriptedNetwork(see_green))
    tracker.init(in_light(scene(), 0.25), BOX)
    for gain in (0.25, 1.0, 0.3):
        for _ in range(2 * EVERY):
            result = tracker.update(in_light(scene(), gain))
        assert result.state is State.TRACKING and iou(result.box, BOX) > 0.9, gain


def test_a_lost_target_is_looked_for_in_the_light_of_the_whole_frame() -> None:
    session, bright = Session(ScriptedNetwork(see_green)), scene()
    corner = in_light(bright, 0.25)
    bright[100:356, 200:456] = corner[100:356, 200:456]
    number = session.add(bright, BOX)
    light = session._targets[number].light
    for _ in range(2 * EVERY):
        assert session.update(bright)[number].state is State.TRACKING
    assert light.levels != AS_THEY_ARE
    gone = bright.copy()
    gone[200:240, 300:360] = gone[260:300, 300:360]
    for _ in range(2 * EVERY):
        result = session.update(gone)[number]
    assert result.state is State.LOST and light.levels == AS_THEY_ARE
