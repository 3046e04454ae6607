"""The step of the scene between two frames, and what it is good for."""

from __future__ import annotations

import dataclasses

import cv2
import numpy as np
import pytest

from tests.online.scripted import SPEC, ScriptedNetwork, see_green
from tracker import Session, SiameseTracker, State, camera
from tracker.camera import Camera
from tracker.geometry import iou
from tracker.motion import Motion
from tracker.results import Box
from tracker.spec import BoxPolicy

ONLINE = BoxPolicy(window=0.3, penalty=0.05, size_rate=1.0, motion=1.0, narrow=128, blend=0.0)


def landscape(width: int, height: int, seed: int = 0) -> np.ndarray:
    """Hills of grey without an end in sight, (height, width, 3) uint8."""
    noise = np.random.default_rng(seed).normal(size=(height, width)).astype(np.float32)
    smooth = cv2.GaussianBlur(noise, (0, 0), height / 30)
    grey = 100 + 40 * smooth / smooth.std()
    return cv2.cvtColor(grey.clip(0, 200).astype(np.uint8), cv2.COLOR_GRAY2BGR)


def view(scene: np.ndarray, x: float, y: float, width: int, height: int) -> np.ndarray:
    """What a camera shows that looks at a part of the landscape."""
    middle = (x + (width - 1) / 2, y + (height - 1) / 2)
    return cv2.getRectSubPix(scene, (width, height), middle)


@pytest.mark.parametrize(
    ("width", "height"),
    [(320, 240), (1280, 720), (360, 640), (40, 30), (1280, 160), (160, 1280)],
)
@pytest.mark.parametrize("share", [(0.0, 0.0), (0.11, -0.05), (-0.013, 0.15)])
def test_the_step_of_the_scene(width: int, height: int, share: tuple[float, float]) -> None:
    scene = landscape(2 * width, 2 * height)
    dx, dy = share[0] * width, share[1] * height
    camera = Camera()
    camera.see(view(scene, width / 2, height / 2, width, height))
    found = camera.next(view(scene, width / 2 - dx, height / 2 - dy, width, height))()
    assert found == pytest.approx((dx, dy), abs=0.006 * max(width, height))


def test_steps_start_from_the_frame_before() -> None:
    scene, camera = landscape(900, 700), Camera()
    camera.see(view(scene, 200, 200, 320, 240))
    camera.next(view(scene, 180, 200, 320, 240))()
    assert camera.next(view(scene, 170, 205, 320, 240))() == pytest.approx((10, -5), abs=2)


def test_a_frame_that_nobody_asked_about_is_not_one_to_start_from() -> None:
    scene, camera = landscape(900, 700), Camera()
    camera.see(view(scene, 200, 200, 320, 240))
    camera.next(view(scene, 180, 200, 320, 240))
    step = camera.next(view(scene, 170, 200, 320, 240))
    assert step() is None  # not 30 pixels, which two frames made
    assert camera.next(view(scene, 160, 200, 320, 240))() == pytest.approx((10, 0), abs=2)


def icons(x: int, y: int) -> np.ndarray:
    """Equal ones, 110 pixels apart, (720, 1280, 3) uint8; scrolled by so much."""
    tile = landscape(110, 110)
    return np.roll(np.tile(tile, (9, 14, 1)), (y, x), axis=(0, 1))[:720, :1280]


def test_what_repeats_did_not_leap_by_one_repetition() -> None:
    camera = Camera()
    for _ in range(2):
        camera.see(icons(0, 0))
        assert camera.next(icons(0, 0))() == (0, 0)
    for x, y in ((8, 6), (40, -30), (0, 25)):  # how far it was scrolled, or one icon more?
        camera.see(icons(0, 0))
        assert camera.next(icons(x, y))() is None


def test_icons_in_uneven_light_are_several_of_a_kind_too() -> None:
    camera, light = Camera(), landscape(1280, 720, seed=3) / 8
    camera.see((icons(0, 0) + light).astype(np.uint8))
    scrolled = icons(40, -30) + np.roll(light, (-30, 40), axis=(0, 1))
    assert camera.next(scrolled.astype(np.uint8))() is None


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("step", [8, 40, -25])
def test_what_repeats_along_one_axis_did_not_leap_either(axis: int, step: int) -> None:
    fence, camera = np.tile(landscape(110, 720), (1, 14, 1)), Camera()
    before, now = (
        np.ascontiguousarray(np.moveaxis(picture[:, :1280], 1, axis))
        for picture in (fence, np.roll(fence, step, axis=1))
    )
    camera.see(before)
    assert camera.next(now)() is None


def framed(picture: np.ndarray, middle: np.ndarray) -> np.ndarray:
    """The rim of one picture around the middle of another, both (240, 320, 3) uint8."""
    shown = picture.copy()
    shown[30:-30, 40:-40] = middle[30:-30, 40:-40]
    return shown


def test_what_cannot_be_told_is_no_step() -> None:
    hills, flat = landscape(320, 240), np.full((240, 320, 3), 90, np.uint8)
    fog = hills // 40
    for before, now in (
        (None, hills),
        (flat, flat),
        (hills, flat),
        (landscape(320, 240, seed=1), hills),  # another scene
        (landscape(640, 240), hills),  # another form
        (np.roll(hills, 160, axis=1), hills),  # half of the picture: further than is looked
        (np.roll(hills, 68, axis=1), hills),  # a little further than a fifth: no peak, but a slope
        *((np.roll(hills, step, axis=0), hills) for step in (-52, -49, 49, 52)),  # and down
        (fog, np.roll(fog, 8, axis=1)),
        (framed(hills, fog), framed(np.roll(hills, 8, axis=1), np.roll(fog, 8, axis=1))),
    ):
        camera = Camera()
        if before is not None:
            camera.see(before)
        assert camera.next(now)() is None


def test_water_that_is_as_alike_anywhere_is_no_step() -> None:
    waves = (100 + 60 * np.sin(np.arange(240) / 9))[:, None, None]
    ripples = [landscape(320, 240, seed) / 2.0 - 50 for seed in (0, 1)]
    camera = Camera()
    camera.see((waves + ripples[0]).clip(0, 255).astype(np.uint8))
    assert camera.next((waves + ripples[1]).clip(0, 255).astype(np.uint8))() == (0, 0)


def test_the_guess_that_was_right_of_late_is_taken() -> None:
    passed, followed = Motion(), Motion()
    shakes = np.random.default_rng(0).normal(0, 30, (30, 2)).tolist()
    for dx, dy in shakes:
        passed.expected_step((dx, dy), 5)
        passed.observe(dx, dy)  # goes with the scene
        followed.expected_step((dx, dy), 5)
        followed.observe(1, 0)  # stays in the picture
    assert passed.expected_step((40, -20), 5) == pytest.approx((40, -20), abs=1)
    assert followed.expected_step((40, -20), 5) == pytest.approx((1, 0), abs=0.2)


@pytest.mark.parametrize(("share", "expected"), [(0.4, (0, 0)), (0.6, (40, -20))])
def test_of_two_guesses_that_were_wrong_the_better_one_is_taken(
    share: float, expected: tuple[float, float]
) -> None:
    motion = Motion()
    for dx, dy in np.random.default_rng(0).normal(0, 30, (30, 2)).tolist():
        motion.expected_step((dx, dy), 5)
        motion.observe(share * dx, share * dy)
    assert motion.expected_step((40, -20), 5) == pytest.approx(expected, abs=2)


def test_what_walks_through_a_shaken_scene_is_expected_to_walk_on() -> None:
    walker = Motion()
    shakes = np.random.default_rng(0).normal(0, 30, (40, 2)).tolist()
    for dx, dy in shakes:
        walker.expected_step((dx, dy), 5)
        walker.observe(dx + 4, dy - 3)
    for dx, dy in shakes[:5]:
        walker.expected_step(None)  # what is not known of the camera teaches nothing of the scene
        walker.observe(dx, dy)
    assert walker.expected_step((40, -20), 5) == pytest.approx((44, -23), abs=0.5)


@pytest.mark.parametrize(("step", "leaps"), [(9, False), (11, True)])
def test_a_leap_is_a_step_that_was_not_expected(step: float, leaps: bool) -> None:
    motion = Motion()
    motion.observe(0, step)
    assert motion.leaps(10) == leaps


def test_a_camera_that_hardly_moves_is_not_asked_for_its_opinion() -> None:
    assert Motion().expected_step((3, 2), tolerance=5) == (0, 0)
    assert Motion().expected_step((6, 2), tolerance=5) == (6, 2)


def found_in_a_shaken_picture(motion: float) -> float:
    """Share of 20 frames with the target, which the camera jerks out of its search region."""
    scene, rng = landscape(1500, 1200), np.random.default_rng(3)
    online = dataclasses.replace(ONLINE, motion=motion)
    tracker = SiameseTracker(
        ScriptedNetwork(see_green, spec=dataclasses.replace(SPEC, online=online))
    )
    found = []
    for n in range(21):
        x, y = 500 + rng.uniform(-55, 55), 500 + rng.uniform(-35, 35)  # the region reaches 48
        frame = view(scene, x, y, 640, 480)
        box: Box = (300 + 500 - x, 220 + 500 - y, 24.0, 24.0)
        cv2.rectangle(frame, [round(v) for v in box], (0, 255, 0), cv2.FILLED)
        if n == 0:
            tracker.init(frame, box)
        else:
            result = tracker.update(frame)
            found.append(result.state is not State.LOST and float(iou(result.box, box)) > 0.5)
    return float(np.mean(found))


def test_a_target_in_a_shaken_picture_is_followed() -> None:
    assert found_in_a_shaken_picture(motion=1.0) == 1
    assert found_in_a_shaken_picture(motion=0.0) < 0.7  # which leaves the camera out as well


def test_calm_and_lost_targets_do_not_ask(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    shrunk = camera._shrunk
    monkeypatch.setattr(camera, "_shrunk", lambda image: (asked.append(1), shrunk(image))[1])
    scene = landscape(640, 480)
    network = ScriptedNetwork(see_green, spec=dataclasses.replace(SPEC, online=ONLINE))
    session = Session(network)

    def frame(there: bool) -> np.ndarray:
        picture = scene.copy()
        if there:
            cv2.rectangle(picture, (300, 220, 24, 24), (0, 255, 0), cv2.FILLED)
        return picture

    number = session.add(frame(there=True), (300, 220, 24, 24))
    assert len(asked) == 1, "the first step starts from here"
    for _ in range(30):
        session.update(frame(there=True))
    assert 2 <= len(asked) < 30  # until it is known to be calm
    before = len(asked)
    session.update(frame(there=True))
    assert len(asked) == before
    for _ in range(10):
        result = session.update(frame(there=False))[number]
    assert result.state is State.LOST
    before = len(asked)
    session.update(frame(there=False))
    assert len(asked) == before
