"""A live source hands out the newest frame, reconnects, and ends; no camera is needed."""

import threading
import time

import cv2
import numpy as np
import pytest

from tracker.app.live import LiveSource, paced
from tracker.errors import UserError


class FakeCamera:
    """A capture that gives numbered frames at a rate, and fails after ``frames`` of them."""

    def __init__(self, fps=200.0, frames=10**9):
        self._period, self._left = 1 / fps, frames
        self.taken, self.released = 0, False

    def grab(self):
        time.sleep(self._period)
        self._left -= 1
        self.taken += self._left >= 0
        return self._left >= 0

    def retrieve(self):
        return True, np.full((8, 8, 3), self.taken % 256, np.uint8)

    def get(self, prop) -> float:
        return 60.0 if prop == cv2.CAP_PROP_FPS else 0.0

    def release(self) -> None:
        self.released = True


def quiet(text) -> None:
    pass


def test_a_slow_consumer_never_builds_up_delay() -> None:
    camera = FakeCamera(fps=200)
    source = LiveSource(0, quiet, camera)
    ages, indices, seen = [], [], []
    for _ in range(12):
        time.sleep(0.05)  # ten frames come in the time that one takes
        frame = source.read()
        ages.append(time.monotonic() - frame.captured_at)
        indices.append(frame.index)
        seen.append(int(frame.image[0, 0, 0]))
    source.close()
    assert indices == list(range(12))
    assert np.diff(seen).min() >= 1 and np.diff(seen).mean() > 2  # the newest, never one twice
    # A queue would have aged by 12 * 45 ms = 540 ms at the end.
    assert np.median(ages[6:]) < 0.1
    assert camera.released


def test_a_dropped_stream_is_opened_again_with_growing_pauses() -> None:
    away = [None, None]
    pauses, notes, ready = [], [], threading.Event()

    class Gone(FakeCamera):
        def grab(self):
            return not ready.wait(60)

    def reopen():
        return away.pop() if away else FakeCamera(frames=3)

    source = LiveSource("rtsp://x", notes.append, Gone(), reopen, patience=60, first_pause=0.05)
    source._stop.wait = pauses.append  # nobody waits
    ready.set()
    while len(pauses) < 4:
        source.read(timeout=60)
    assert source.read(timeout=60) is not None and not source.ended
    source.close()
    assert pauses[:4] == [0.05, 0.1, 0.2, 0.05]  # it was back, and dropped again
    assert notes[:2] == ["stream dropped; trying to reach it again", "stream is back"]


def test_a_camera_that_stays_away_ends_the_source() -> None:
    notes = []
    source = LiveSource(
        0, notes.append, FakeCamera(frames=2), lambda: None, patience=0.3, first_pause=0.05
    )
    deadline = time.monotonic() + 20
    while not source.ended:
        source.read(timeout=0.1)
        assert time.monotonic() < deadline
    assert source.read(timeout=0.1) is None
    assert any("it ends here" in n for n in notes)
    source.close()
    assert not any(t.name == "camera" and t.is_alive() for t in threading.enumerate())


def test_a_stalled_stream_returns_nothing_instead_of_blocking() -> None:
    class Stalled(FakeCamera):
        def grab(self):
            time.sleep(1.0)
            return True

    source = LiveSource(0, quiet, Stalled())
    start = time.monotonic()
    assert source.read(timeout=0.1) is None and not source.ended
    assert time.monotonic() - start < 0.9
    source.close()


def test_broken_frames_count_as_a_drop_and_not_as_a_crash() -> None:
    class Broken(FakeCamera):
        def retrieve(self):
            return True, np.zeros((0, 0, 3), np.uint8)

    good = FakeCamera()
    source = LiveSource(0, quiet, Broken(), lambda: good, first_pause=0.01)
    deadline = time.monotonic() + 20
    frame = None
    while frame is None and time.monotonic() < deadline:
        frame = source.read()
    assert frame is not None and frame.image.shape == (8, 8, 3)
    source.close()


def test_what_fails_in_the_thread_is_raised_where_frames_are_read() -> None:
    class Full(FakeCamera):
        def retrieve(self):
            raise MemoryError("no room for a picture")

    camera = Full()
    source = LiveSource(0, quiet, camera)
    with pytest.raises(MemoryError):
        for _ in range(20):
            source.read(timeout=0.5)
    assert source.ended and camera.released


class StillAtFirst(FakeCamera):
    def retrieve(self):
        return True, np.full((8, 8, 3), max(self.taken, 4), np.uint8)


@pytest.mark.parametrize("camera, frames", [(FakeCamera, 5), (StillAtFirst, 9)])
def test_a_stream_that_begins_anew_each_time_is_a_file_and_ends(camera, frames) -> None:
    def reopen():
        return camera(frames=frames)

    notes = []
    source = LiveSource("http://x/a.ts", notes.append, reopen(), reopen, first_pause=0.02)
    deadline = time.monotonic() + 20
    while not source.ended:
        source.read(timeout=0.1)
        assert time.monotonic() < deadline
    assert "begins anew" in notes[-1]


def test_a_camera_server_that_begins_with_the_same_card_each_time_is_live() -> None:
    """Such as "no signal", until the camera answers."""

    class Card(FakeCamera):
        start = 0

        def retrieve(self):
            grey = 7 if self.taken < 4 else self.start + self.taken
            return True, np.full((8, 8, 3), grey, np.uint8)

    starts = iter([40, 80, 120])

    def reopen():
        camera = Card(frames=12)
        camera.start = next(starts, 160)
        return camera

    notes, seen = [], set()
    source = LiveSource("http://x/cam", notes.append, reopen(), reopen, first_pause=0.02)
    deadline = time.monotonic() + 20
    while max(seen, default=0) < 120:
        frame = source.read(timeout=0.1)
        seen |= set() if frame is None else {int(frame.image[0, 0, 0])}
        assert not source.ended and time.monotonic() < deadline
    source.close()


class Burst(FakeCamera):
    """Sixty frames that come at once, and state that they are those of a second and a half."""

    def __init__(self):
        super().__init__(fps=1e6, frames=60)
        self.count = -1.0

    def get(self, prop):
        known = {cv2.CAP_PROP_POS_MSEC: 25.0 * self.taken, cv2.CAP_PROP_FRAME_COUNT: self.count}
        return known.get(prop, 40.0)


def captured_within(where, camera):
    """Seconds between the first and the last frame of a source."""
    source = LiveSource(where, quiet, camera, lambda: None, patience=0.1, first_pause=0.02)
    times, deadline = [], time.monotonic() + 60
    while not source.ended:
        frame = source.read(timeout=0.1)
        times += [] if frame is None else [frame.captured_at]
        assert time.monotonic() < deadline
    source.close()
    return times[-1] - times[0]


@pytest.mark.parametrize("where", ["http://x/live.m3u8", "https://x/LIVE.M3U8?token=a/b"])
def test_what_comes_in_segments_is_held_to_its_times(where) -> None:
    assert captured_within(where, Burst()) > 1.0


@pytest.mark.parametrize(
    "where", ["rtsp://x/a.m3u8.sdp", "udp://x", 0, "http://x/live.flv", "http://x/ts?list=a.m3u8"]
)
def test_cameras_and_other_streams_are_taken_as_they_come(where) -> None:
    """What FFmpeg queues up at first to know them would be a delay that stays."""
    assert paced(where) is None


def test_a_broadcast_that_has_become_a_recording_ends() -> None:
    """An HLS server closes its list of segments, and would send all of them from then on."""
    recording = Burst()
    recording.count = 60.0
    notes = []
    source = LiveSource(
        "http://x/live.m3u8", notes.append, FakeCamera(frames=3), lambda: recording, None, 0.02
    )
    deadline = time.monotonic() + 20
    while not source.ended:
        source.read(timeout=0.1)
        assert time.monotonic() < deadline
    assert "has ended: its address holds a recording" in notes[-1] and recording.taken == 0
    assert recording.released


def test_what_cannot_be_opened_at_the_start_is_refused() -> None:
    with pytest.raises(UserError, match="camera 7 cannot be opened"):
        LiveSource(7, quiet, None, lambda: None)
