"""Frames in bad light: what their levels become, and that a tracker sees by them."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from tests.online.scripted import ScriptedNetwork, see_green
from tests.online.test_camera import landscape
from tests.online.test_exemplar import LEARNS
from tracker import Session, SiameseTracker, State
from tracker.geometry import iou
from tracker.levels import AS_THEY_ARE, EVERY, Ends, Levels, Light, Reach, ends, spreading

BOX = (300.0, 200.0, 60.0, 40.0)
WHOLE = (0.0, 0.0, 640.0, 480.0)


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


def spread(image: np.ndarray) -> np.ndarray:
    """A frame as the network sees it."""
    light, shown = Light(), image.copy()
    light.levels(light.start(image, WHOLE)).spread(shown)
    return shown


def test_the_ends_are_levels_that_are_not_rare() -> None:
    image = np.tile(np.arange(80, 180, dtype=np.uint8)[None, :, None], (100, 1, 3))
    assert ends(image, 0.02) == pytest.approx((82, 177), abs=1.5)
    image[:3, :20], image[3:6, :20] = 255, 0  # a lamp and dead pixels: .6 % each
    assert ends(image, 0.02) == pytest.approx((81.5, 177.5), abs=1.5)


def test_frames_of_usual_contrast_stay_as_they_are() -> None:
    for image in (scene(), in_light(scene(), 0.5), in_light(scene(), 0.45, 140)):
        assert (spread(image) == image).all()


@pytest.mark.parametrize("gain", [0.25, 0.3])
@pytest.mark.parametrize("offset", [0.0, 20.0, 170.0])
def test_a_dark_or_foggy_frame_becomes_a_usual_one(gain: float, offset: float) -> None:
    shown = spread(in_light(scene(), gain, offset)).astype(float)
    low, high = np.percentile(shown, [1, 99])
    assert high - low > 200
    assert (shown == 255).mean() < 0.01, "nothing is cut off"
    # the same picture but for brightness and contrast: a line through what it was
    was = scene().astype(float).ravel()
    assert np.corrcoef(was, shown.ravel())[0, 1] > 0.999


def test_colours_stay_in_the_dark() -> None:
    x, y, *_ = (round(v) for v in BOX)
    blue, green, red = spread(in_light(scene(), 0.25))[y + 9, x + 9].astype(float)
    assert green / blue == pytest.approx(220 / 40, rel=0.05) and blue == red


def test_the_less_the_contrast_the_more_is_spread_without_a_step() -> None:
    gains = [spreading(Ends(40, 40 + span)).gain for span in range(256)]
    assert gains == sorted(gains, reverse=True)
    assert max(gains[:-1][n] - gains[1:][n] for n in range(60, 255)) < 0.1
    assert gains[110:] == [1.0] * 146 and gains[0] == 4.0


def test_levels_are_what_opencv_makes_of_them() -> None:
    crops = np.arange(256, dtype=np.uint8).repeat(3).reshape(1, 16, 16, 3).copy()
    Levels(2.5, -30.0).spread(crops)
    assert crops[0, ..., 0].ravel().tolist() == np.clip(
        np.rint(np.arange(256) * 2.5 - 30), 0, 255
    ).tolist()  # fmt: skip


@pytest.mark.parametrize("level", [0, 7, 128, 250, 255])
def test_what_has_one_colour_keeps_it(level: int) -> None:
    shown = spread(np.full((480, 640, 3), level, np.uint8))
    assert int(shown.min()) == int(shown.max()) == pytest.approx(level, abs=4)


def test_a_target_in_an_empty_sky_keeps_its_levels_apart() -> None:
    sky = (
        np.full((480, 640, 3), 150, np.uint8) + np.arange(480, dtype=np.uint8)[:, None, None] // 16
    )
    bird = np.arange(40, 90, 2, dtype=np.uint8)  # rare in the frame
    sky[200:225, 300:325] = bird[:, None, None]
    light = Light()
    blind, reach = Reach(), light.start(sky, (300, 200, 25, 25))
    rows = {}
    for name, which in (("blind", blind), ("known", reach)):
        crop = sky[200:225, 300:325].copy()
        light.levels(which).spread(crop)
        rows[name] = len(np.unique(crop))
    assert rows == {"blind": 1, "known": 25}
    for gain in (0.6, 0.8):  # and in another light
        later = in_light(sky, gain)
        for _ in range(EVERY):
            light.follow(later)
        crop = later[200:225, 300:325].copy()
        before = len(np.unique(crop))
        light.levels(reach).spread(crop)
        assert len(np.unique(crop)) >= before - 1


def test_every_fifth_frame_is_measured() -> None:
    light = Light()
    reach = light.start(in_light(scene(), 0.25), BOX)
    assert light.levels(reach) != AS_THEY_ARE
    for _ in range(EVERY - 1):
        light.follow(scene())
        assert light.levels(reach) != AS_THEY_ARE
    light.follow(scene())
    assert light.levels(reach) == AS_THEY_ARE
    light.follow(scene())
    light.start(in_light(scene(), 0.25), BOX)
    for _ in range(EVERY - 1):  # counted from there
        light.follow(scene())
        assert light.levels(reach) != AS_THEY_ARE


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


def test_a_new_target_starts_in_its_own_light() -> None:
    tracker = SiameseTracker(ScriptedNetwork(see_green))
    tracker.init(in_light(scene(), 0.25), BOX)
    tracker.init(scene(), BOX)
    assert tracker._searcher.light.levels(Reach()) == AS_THEY_ARE
