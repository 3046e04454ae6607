"""Frames of video files: their order and times, seeking, rotation, and damage."""

import math
import struct
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from tests.app import scene
from tests.app.scene import read_all
from tracker.app.decoder_log import DecoderLog
from tracker.app.frame_times import FrameTimes
from tracker.app.prefetch import Prefetch
from tracker.app.sources import open_source
from tracker.app.video_file import VideoFile
from tracker.errors import UserError


@pytest.fixture
def clip(tmp_path):
    return scene.write_clip(tmp_path / "clip.mp4", 50, 29.97)


@pytest.mark.parametrize("wrap", [lambda s: s, Prefetch], ids=["plain", "prefetched"])
def test_a_file_gives_every_frame_in_order_with_its_time(clip, wrap) -> None:
    source = wrap(open_source(str(clip), pytest.fail))
    assert (source.fps, source.frame_count) == (pytest.approx(29.97), 50)
    frames = read_all(source)
    source.close()
    assert [scene.number_of(f.image) for f in frames] == list(range(50))
    assert [f.index for f in frames] == list(range(50))
    times = [f.timestamp for f in frames]
    np.testing.assert_allclose(times, np.arange(50) / 29.97, atol=2e-3)


def test_time_begins_with_the_first_frame(clip, monkeypatch) -> None:
    """An avi with B-frames states .08 s for it."""
    stated = VideoFile._stated_time
    monkeypatch.setattr(VideoFile, "_stated_time", lambda self: stated(self) + 0.08)
    source = open_source(str(clip), pytest.fail)
    expected = np.arange(50) / 29.97
    np.testing.assert_allclose([f.timestamp for f in read_all(source)], expected, atol=2e-3)
    source.seek(20)
    frame = source.read()
    assert scene.number_of(frame.image) == frame.index == 20
    assert frame.timestamp == pytest.approx(20 / 29.97, abs=2e-3)


@pytest.mark.parametrize("wrap", [lambda s: s, Prefetch], ids=["plain", "prefetched"])
@pytest.mark.parametrize(
    "suffix, codec",
    [(".mp4", "mp4v"), (".avi", "MJPG"), (".mkv", "mp4v"), (".ts", "mp4v")],
)
def test_seek_lands_on_the_frame_that_was_asked_for(tmp_path, wrap, suffix, codec) -> None:
    path = scene.write_clip(tmp_path / f"clip{suffix}", 80, codec=codec)
    source = wrap(open_source(str(path), pytest.fail))
    for _ in range(3):
        source.read()
    for index in (40, 41, 5, 0, 79, 20, 1, 9, 75, 13, 51):
        source.seek(index)
        frame = source.read()
        assert (frame.index, scene.number_of(frame.image)) == (index, index)
    source.seek(1000)
    assert source.read().index == 79
    assert source.read() is None and source.ended
    source.seek(-5)
    assert [f.index for f in read_all(source)] == list(range(80))
    source.close()


def slow_down(path: Path, at: int) -> None:
    """Make the frames of an mp4 come at half the rate from one on, as phones do in the dark."""
    data = bytearray(path.read_bytes())
    place = data.index(b"stts") + 4
    count, step = struct.unpack(">II", data[place + 8 : place + 16])
    entries = struct.pack(">5I", 2, at, step, count - at, 2 * step)
    data[place + 4 : place + 16] = entries
    for tag in (b"moov", b"trak", b"mdia", b"minf", b"stbl", b"stts"):
        start = data.index(tag) - 4
        (size,) = struct.unpack(">I", data[start : start + 4])
        data[start : start + 4] = struct.pack(">I", size + 8)
    place = data.index(b"elst") + 12
    (length,) = struct.unpack(">I", data[place : place + 4])
    data[place : place + 4] = struct.pack(">I", 2 * length)
    path.write_bytes(data)


@pytest.mark.parametrize("before", [1, 8], ids=["one read", "eight read"])
@pytest.mark.parametrize("wrap", [lambda s: s, Prefetch], ids=["plain", "prefetched"])
@pytest.mark.parametrize("codec", ["mp4v", "MJPG"])
def test_seek_lands_where_frames_come_unevenly(tmp_path, wrap, codec, before) -> None:
    """A decoder seeks by time, which tells nothing of how many frames came before."""
    path = scene.write_clip(tmp_path / "clip.mp4", 150, codec=codec)
    slow_down(path, 70)
    source = wrap(open_source(str(path), pytest.fail))
    for _ in range(before):
        source.read()
    for index in (110, 60, 40, 149, 100, 0, 149, 1, 0, 75, 70, 69, 120):
        source.seek(index)
        frame = source.read()
        assert (frame.index, scene.number_of(frame.image)) == (index, index)
    assert [f.index for f in read_all(source)] == list(range(121, 150))
    source.close()


class LosesAPiece:
    """A decoder that fails once before frame 30, and goes on with frame 42."""

    def __init__(self, capture: Any) -> None:
        self._capture, self._given = capture, 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._capture, name)

    def read(self) -> tuple[bool, Any]:
        self._given += 1
        if self._given != 31:
            return self._capture.read()
        for _ in range(12):
            self._capture.grab()
        return False, None


def test_one_failed_read_may_stand_for_a_lost_piece(tmp_path, monkeypatch) -> None:
    """A cluster of Matroska, say: the times tell how long it was."""
    path, opened, said = scene.write_clip(tmp_path / "clip.mp4", 80), cv2.VideoCapture, []
    monkeypatch.setattr(cv2, "VideoCapture", lambda *given: LosesAPiece(opened(*given)))
    frames = read_all(open_source(str(path), said.append))
    assert [f.index for f in frames] == [scene.number_of(f.image) for f in frames]
    assert [f.index for f in frames] == [*range(30), *range(42, 80)]
    assert said == [f"{path}: frames 30 to 41 cannot be decoded; they are left out"]


def test_a_single_frame_can_be_sought(tmp_path) -> None:
    source = open_source(str(scene.write_clip(tmp_path / "clip.mp4", 1)), pytest.fail)
    for _ in range(3):
        assert [f.index for f in read_all(source)] == [0]
        source.seek(0)
    source.close()


def test_frames_without_a_time_follow_the_one_before() -> None:
    """B-frames in an avi: the decoder states no time for the last ones."""
    times = FrameTimes(60.0)
    stated = [0.067, 0.1, 0.133, 0.167, 0.0, math.nan]
    told = [times.of(index, seconds) for index, seconds in enumerate(stated)]
    assert told[:4] == stated[:4] and (np.diff(told) > 0).all()
    assert [FrameTimes(25.0).of(i, 0.0) for i in (0, 1, 50)] == [0.0, 0.04, 2.0]


def rotate_mp4(path: Path) -> None:
    """Write a quarter turn into the track header, as phones do."""
    data = bytearray(path.read_bytes())
    at = data.index(b"tkhd") + 4 + 40  # version and flags, times, id, ..., then the matrix
    data[at : at + 36] = struct.pack(">9i", 0, 1 << 16, 0, -(1 << 16), 0, 0, 0, 0, 1 << 30)
    path.write_bytes(data)


def test_rotation_metadata_is_applied(clip) -> None:
    upright = read_all(open_source(str(clip), pytest.fail))[0].image
    rotate_mp4(clip)
    turned = read_all(open_source(str(clip), pytest.fail))[0].image
    np.testing.assert_array_equal(turned, cv2.rotate(upright, cv2.ROTATE_90_CLOCKWISE))


def test_a_cut_off_file_gives_its_frames_and_then_names_the_damage(tmp_path) -> None:
    path = scene.write_clip(tmp_path / "clip.avi", 90, codec="MJPG")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    source = Prefetch(open_source(str(path), pytest.fail))
    numbers = []
    with pytest.raises(UserError, match=r"cut off.*frame \d+.*90 frames"):
        while True:
            frame = source.read()
            if frame is not None:
                numbers.append(scene.number_of(frame.image))
    assert numbers == list(range(len(numbers))) and 30 < len(numbers) < 60
    source.close()


def cut_in_front(path: Path, frames: int) -> None:
    """Begin an mp4 at a later frame, as cutting without encoding does: the rest stays inside."""
    data = bytearray(path.read_bytes())
    (step,) = struct.unpack(">I", data[(at := data.index(b"stts") + 16) : at + 4])
    at = data.index(b"elst") + 16  # version and flags, count, length, then where it begins
    data[at : at + 4] = struct.pack(">I", frames * step)
    path.write_bytes(data)


def test_what_was_cut_without_encoding_it_anew_is_whole(tmp_path) -> None:
    path = scene.write_clip(tmp_path / "clip.mp4", 80)
    cut_in_front(path, 30)
    source = open_source(str(path), pytest.fail)
    numbers = [scene.number_of(f.image) for f in read_all(source)]
    assert source.frame_count == 80 and numbers == list(range(30, 80))
    source.close()


@pytest.mark.parametrize("suffix", [".mp4", ".mov"])
def test_an_mp4_that_is_cut_off_is_named(tmp_path, suffix) -> None:
    path = scene.write_clip(tmp_path / f"clip{suffix}", 90, codec="MJPG")
    data = path.read_bytes()
    at = data.index(b"moov") - 4
    before, index = data[:at], bytearray(data[at:])
    place = index.index(b"stco") + 8  # where the pictures are, when the index stands before them
    (count,) = struct.unpack(">I", index[place : place + 4])
    for chunk in range(place + 4, place + 4 + 4 * count, 4):
        (offset,) = struct.unpack(">I", index[chunk : chunk + 4])
        index[chunk : chunk + 4] = struct.pack(">I", offset + len(index))
    first = int.from_bytes(data[:4], "big")
    whole = before[:first] + index + before[first:]
    path.write_bytes(whole)
    assert len(read_all(open_source(str(path), pytest.fail))) == 90
    path.write_bytes(whole[: len(whole) // 2])
    source = open_source(str(path), pytest.fail)
    with pytest.raises(UserError, match=r"cut off.*frame \d+.*90 frames"):
        read_all(source)


def test_a_file_that_is_longer_than_its_pictures_is_whole(tmp_path) -> None:
    """Its sound goes on, say: a container that counts no frames only knows its length."""
    path = scene.write_clip(tmp_path / "clip.mkv", 60, 30, codec="MJPG")
    data, tag = path.read_bytes(), b"\x44\x89\x88"  # duration, a double of 8 bytes
    at = data.index(tag) + len(tag)
    (duration,) = struct.unpack(">d", data[at : at + 8])
    path.write_bytes(data[:at] + struct.pack(">d", 1.5 * duration) + data[at + 8 :])
    source = open_source(str(path), pytest.fail)
    assert source.frame_count == 90 and len(read_all(source)) == 60
    source.seek(80)
    assert source.read() is None and source.ended


def test_seeking_waits_for_a_slow_decoder(tmp_path, clip) -> None:
    """Two threads in one decoder crash it."""
    source = open_source(str(clip), pytest.fail)
    inside, most, read = [], [], source.read

    def slow(timeout=1.0):
        inside.append(1)
        most.append(len(inside))
        if len(most) == 3:
            time.sleep(2.5)
        frame = read()
        inside.pop()
        return frame

    source.read = slow
    ahead = Prefetch(source)
    assert ahead.read(5.0).index == 0
    ahead.seek(20)
    assert ahead.read(5.0).index == 20 and max(most) == 1
    ahead.close()


def test_flipped_bits_are_named_in_a_process_of_its_own(tmp_path) -> None:
    path = scene.write_clip(tmp_path / "clip.mp4", 60)
    data = bytearray(path.read_bytes())
    for at in np.random.default_rng(3).integers(200, len(data) // 2, 60):
        data[at] ^= 0x10
    path.write_bytes(data)
    code = (
        "import sys, pathlib; from tracker.app.decoder_log import DecoderLog\n"
        "from tracker.app.sources import open_source\n"
        "from tracker.errors import UserError\n"
        "with DecoderLog() as log:\n"
        "    source = open_source(sys.argv[1], print, log=log); n = 0\n"
        "    try:\n"
        "        while source.read(): n += 1\n"
        "    except UserError as error: print(error)\n"
        "    print('frames', n); print('to stderr', file=sys.stderr)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(path)],
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[2],
        timeout=120,
    )
    frames = int(done.stdout.rpartition("frames ")[2])
    if cv2.__version__.startswith("5.0."):
        assert frames == 60 and "is damaged: the decoder reported" in done.stdout
    else:  # the FFmpeg of others gives up at the first picture that it cannot mend
        assert frames > 5 and "is damaged" in done.stdout
    assert done.stderr == "to stderr\n"  # the decoder's own lines are not shown


def test_what_a_jump_makes_the_decoder_miss_is_no_damage(tmp_path) -> None:
    """Pictures right after the place of a jump may refer to ones before it, which were not read."""

    class Log(DecoderLog):
        def excuse(self, excused):
            calls.append((excused, source._numbers.next))

    calls = []
    source = open_source(str(scene.write_clip(tmp_path / "clip.mp4", 200)), pytest.fail, log=Log())
    read_all(source)
    calls.clear()
    source.seek(50)
    read_all(source)
    source.close()
    assert calls[0] == (True, 200)
    assert next(at for excused, at in calls[1:] if not excused) in range(130, 150)


def test_errors_may_be_excused_but_not_an_early_end() -> None:
    code = (
        "import os; from tracker.app.decoder_log import DecoderLog\n"
        "with DecoderLog() as log:\n"
        "    log.excuse(True)\n"
        "    os.write(2, b'[h264 @ 0x1] mmco: unref short failure\\n')\n"
        "    os.write(2, b'[mov @ 0x2] stream 0, offset 0x61ce: partial file\\n')\n"
        "    os.write(2, b'[http @ 0x3] Stream ends prematurely at 8, should be 9\\n')\n"
        "    log.excuse(False)\n"
        "    os.write(2, b'[h264 @ 0x1] overread 8\\n')\n"
        "    log.catch_up()\n"
        "    print(log.count, log.first, log.early_ends)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120,
        cwd=Path(__file__).parents[2],
    )  # fmt: skip
    assert done.stdout == "1 overread 8 2\n" and not done.stderr


def test_the_decoder_log_leaves_stderr_as_it_was() -> None:
    before = sys.stderr
    with DecoderLog() as log:
        pass
    assert sys.stderr is before and log.count == 0
