"""Videos have the size and rate of the source and are readable however the program ends."""

import errno
import io
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from tests.app import scene
from tests.app.calls import ROOT
from tracker.app import encoder
from tracker.app.frame_source import Frame
from tracker.app.recorder import Recorder
from tracker.app.video_out import VideoOut
from tracker.errors import UserError


def written_and_read(path, fps, count):
    """Frames and rate of a video of so many numbered pictures, as it comes back."""
    with VideoOut(path, fps) as video:
        for index in range(count):
            video.write(scene.picture(index))
    return scene.read_clip(path)


@pytest.mark.parametrize("suffix", [".mp4", ".avi", ".mkv", ".mov"])
@pytest.mark.parametrize("fps", [29.97, 23.976, 60.0])
def test_frames_size_and_rate_come_back(tmp_path, suffix, fps) -> None:
    frames, found = written_and_read(tmp_path / f"a{suffix}", fps, 12)
    assert found == pytest.approx(fps, abs=2e-3)
    assert [scene.number_of(f) for f in frames] == list(range(12))
    assert frames[0].shape == (240, 320, 3)


@pytest.mark.parametrize("suffix", [".mp4", ".avi", ".mkv", ".webm"])
@pytest.mark.parametrize("fps", [119.8765, 119.881, 119.88, 65.5365, 499.123456])
def test_rates_that_a_codec_cannot_count_are_rounded(tmp_path, suffix, fps) -> None:
    frames, found = written_and_read(tmp_path / f"a{suffix}", fps, 6)
    assert len(frames) == 6 and found == pytest.approx(fps, rel=1e-4)


@pytest.mark.parametrize("fps, written", [(0.001, 0.01), (1e9, 1000.0), (29.97, 29.97)])
def test_rates_beyond_what_is_played_are_the_nearest(tmp_path, fps, written) -> None:
    frames, found = written_and_read(tmp_path / "a.mp4", fps, 3)
    assert len(frames) == 3 and found == pytest.approx(written, rel=1e-6)


def test_a_size_that_the_codec_refuses_is_named(tmp_path) -> None:
    video = VideoOut(tmp_path / "a.mp4", 30)
    with pytest.raises(UserError, match=r"frames of 9000 x 16 pixels are too large .* \.avi takes"):
        for _ in range(100):
            video.write(np.zeros((16, 9000, 3), np.uint8))
    video.close()
    assert not (tmp_path / "a.mp4").exists()


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_pipe_gets_a_format_that_can_be_piped_and_stays(tmp_path) -> None:
    for name in ("a.mp4", "a.MOV", "a.m4v"):
        os.mkfifo(tmp_path / name)
        with pytest.raises(UserError, match=r"is a pipe, .*; take \.ts or \.mkv"):
            VideoOut(tmp_path / name, 30)
        assert (tmp_path / name).is_fifo()
    path, got = tmp_path / "a.ts", []
    os.mkfifo(path)
    reader = threading.Thread(target=lambda: got.append(path.read_bytes()), daemon=True)
    reader.start()
    with VideoOut(path, 30) as video:
        for index in range(12):
            video.write(scene.picture(index))
    reader.join(timeout=60)
    (tmp_path / "b.ts").write_bytes(got[0])
    assert path.is_fifo() and len(scene.read_clip(tmp_path / "b.ts")[0]) == 12


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_video_into_a_pipe_that_fails_leaves_the_pipe(tmp_path, monkeypatch) -> None:
    script = tmp_path / "encoder.py"
    script.write_text("import sys; sys.exit('no room')")
    monkeypatch.setattr(encoder, "__file__", str(script))
    path = tmp_path / "a.ts"
    os.mkfifo(path)
    reader = threading.Thread(target=path.read_bytes, daemon=True)
    reader.start()
    with pytest.raises(UserError, match="no room"):
        written_and_read(path, 30, 100)
    reader.join(timeout=60)
    assert path.is_fifo()


@pytest.mark.parametrize("size, stored", [((321, 241), (322, 242)), ((1, 1), (16, 16))])
def test_odd_sizes_lose_nothing(tmp_path, size, stored) -> None:
    with VideoOut(tmp_path / "a.mp4", 30) as video:
        for _ in range(3):
            video.write(np.full((size[1], size[0], 3), 200, np.uint8))
    frames, _ = scene.read_clip(tmp_path / "a.mp4")
    assert len(frames) == 3 and frames[0].shape == (stored[1], stored[0], 3)
    assert abs(int(frames[0][-1, -1, 0]) - 200) < 6


def test_no_file_appears_before_the_first_frame(tmp_path) -> None:
    VideoOut(tmp_path / "a.mp4", 30).close()
    assert not (tmp_path / "a.mp4").exists()


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_a_killed_program_leaves_a_readable_video(tmp_path, how) -> None:
    path = tmp_path / "a.mp4"
    code = (
        "import sys, time; sys.path.insert(0, sys.argv[2])\n"
        "from pathlib import Path; from tracker.app.video_out import VideoOut\n"
        "from tests.app import scene\n"
        "video = VideoOut(Path(sys.argv[1]), 30)\n"
        "for i in range(40): video.write(scene.picture(i))\n"
        "print('written', flush=True); time.sleep(60)\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(path), str(ROOT)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    )
    assert process.stdout.readline() == "written\n"
    os.killpg(process.pid, how)  # the whole group, as a terminal does it
    process.wait(timeout=60)
    process.stdout.close()
    frames = wait_for_frames(path, 40)
    assert [scene.number_of(f) for f in frames] == list(range(40))


def wait_for_frames(path, count, seconds=60):
    """The encoder goes on by itself for a moment; wait until it is done."""
    deadline = time.monotonic() + seconds
    while True:
        frames, _ = scene.read_clip(path)
        if len(frames) >= count or time.monotonic() > deadline:
            return frames
        time.sleep(0.2)


def test_half_a_frame_is_left_out(tmp_path) -> None:
    image = scene.picture(0)
    data = image.tobytes()
    pipe = io.BytesIO(data + data[: len(data) // 2])
    assert encoder.encode(pipe, str(tmp_path / "a.mp4"), 320, 240, 30) is None
    assert len(scene.read_clip(tmp_path / "a.mp4")[0]) == 1


def test_a_full_disk_ends_the_video_while_its_index_still_fits(tmp_path, monkeypatch) -> None:
    space = iter([1 << 30, 1 << 30, 1 << 20])
    monkeypatch.setattr(encoder, "_free_bytes", lambda path: next(space))
    pipe = io.BytesIO(b"".join(scene.picture(i).tobytes() for i in range(60)))
    said = encoder.encode(pipe, str(tmp_path / "a.mp4"), 320, 240, 30)
    assert said == "the disk is almost full; the video ends after 32 frames"
    assert len(scene.read_clip(tmp_path / "a.mp4")[0]) == 32


def test_a_file_that_cannot_be_written_is_one_sentence(tmp_path) -> None:
    video = VideoOut(tmp_path / "none" / "a.mp4", 30)
    with pytest.raises(UserError, match=r"a\.mp4 cannot be written"):
        for index in range(500):
            video.write(scene.picture(index))
    video.close()


def test_unknown_endings_are_refused() -> None:
    with pytest.raises(UserError, match=r"ends in one of \.mp4"):
        VideoOut(Path("a.txt"), 30)


def test_live_pictures_are_held_or_left_out_so_that_time_is_right(tmp_path) -> None:
    # 10 a second, a gap of half a second, then 60 a second, then a pause of a minute.
    times = [0.1 * i for i in range(5)] + [0.9] + [0.9 + i / 60 for i in range(1, 31)] + [61.4]
    with VideoOut(tmp_path / "a.mp4", 30) as video:
        for index, at in enumerate(times):
            video.write(scene.picture(index), at)
    frames, _ = scene.read_clip(tmp_path / "a.mp4")
    numbers = [scene.number_of(f) for f in frames]
    assert numbers == sorted(numbers)
    assert abs(len(frames) - 1.4 * 30) <= 2  # the pause is cut out
    assert numbers[:5] == [0, 0, 0, 1, 1] and numbers.count(4) == 15 and numbers.count(5) <= 2


def test_a_frame_of_another_size_is_a_mistake_of_the_caller(tmp_path) -> None:
    with VideoOut(tmp_path / "a.mp4", 30) as video:
        video.write(scene.picture(0))
        with pytest.raises(ValueError, match="one frame size"):
            video.write(np.zeros((10, 10, 3), np.uint8))


def numbered(index, seconds=None, timed=True):
    """What a recorder is given of a frame."""
    image = scene.picture(index)
    return image, Frame(image, index, index / 30 if seconds is None else seconds, 0.0, timed)


def recorded(tmp_path, frames):
    """The numbers of the pictures in the video that is saved of such frames: (index, seconds)."""
    recorder = Recorder(tmp_path, "clip", 10.0, tmp_path / "a.mp4")
    for index, seconds in frames:
        recorder.write(*numbered(index, seconds))
    recorder.close()
    return [scene.number_of(f) for f in scene.read_clip(tmp_path / "a.mp4")[0]]


def test_a_file_whose_frames_come_unevenly_is_saved_at_the_speed_of_life(tmp_path) -> None:
    # 10 a second as the file states, then 5, a gap of four seconds, then 20
    times = [0.1 * i for i in range(4)] + [0.5, 0.7, 4.7, 4.75, 4.8, 4.85, 4.9]
    numbers = recorded(tmp_path, enumerate(times))
    assert len(numbers) == 50 and numbers[:4] == [0, 1, 2, 3]
    assert numbers[4:8] == [3, 4, 4, 5] and numbers.count(5) == 40 and numbers[-1] == 10


def test_where_frames_come_evenly_each_is_saved_once(tmp_path) -> None:
    """Times are stated in steps of a clock, here of a fifteenth of a second."""
    times = [round(0.1 * i * 15) / 15 for i in range(40)]
    assert recorded(tmp_path, enumerate(times)) == list(range(40))


def test_a_jump_in_a_file_is_no_gap(tmp_path) -> None:
    sought = [(i, 0.1 * i) for i in (0, 1, 2, 50, 51, 3, 4)]
    assert recorded(tmp_path, sought) == [0, 1, 2, 50, 51, 3, 4]


def test_times_that_are_no_guide_hold_nothing(tmp_path) -> None:
    recorder = Recorder(tmp_path, "clip", 10.0, tmp_path / "a.mp4")
    for index, seconds in enumerate([0.0, 0.5, 0.1, 900.0]):
        recorder.write(*numbered(index, seconds, timed=False))
    recorder.close()
    assert len(scene.read_clip(tmp_path / "a.mp4")[0]) == 4


def test_the_recorder_starts_and_ends_files_of_free_names(tmp_path) -> None:
    recorder = Recorder(tmp_path, "clip", 30.0)
    assert not recorder.wanted and recorder.seconds is None
    for expected in ("demo_clip.mp4", "demo_clip_2.mp4"):
        assert expected in recorder.toggle()
        recorder.write(*numbered(0))
        assert recorder.seconds == pytest.approx(1 / 30)
        assert "1 frames" in recorder.toggle()
        assert len(scene.read_clip(tmp_path / expected)[0]) == 1
    recorder.snapshot(scene.picture(3), 3)
    recorder.snapshot(scene.picture(3), 3)
    assert {p.name for p in tmp_path.glob("*.png")} == {
        "demo_clip_000003.png",
        "demo_clip_000003_2.png",
    }
    recorder.close()


def test_a_snapshot_is_there_whole_or_not_at_all(tmp_path, monkeypatch) -> None:
    def full(descriptor):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    recorder = Recorder(tmp_path, "clip", 30.0)
    monkeypatch.setattr(os, "fsync", full)
    said = recorder.snapshot(scene.picture(0), 0)
    assert "demo_clip_000000.png" in said and "No space left on device" in said
    assert list(tmp_path.iterdir()) == []
    monkeypatch.undo()
    assert "saved" in recorder.snapshot(scene.picture(0), 0)


def test_a_disk_that_is_full_before_the_first_frame_is_named(tmp_path, monkeypatch) -> None:
    class Closed:
        def isOpened(self):
            return False

    monkeypatch.setattr(encoder, "_free_bytes", lambda path: 0)
    monkeypatch.setattr(encoder, "_writer", lambda *arguments: Closed())
    pipe = io.BytesIO(scene.picture(0).tobytes())
    assert encoder.encode(pipe, str(tmp_path / "a.mp4"), 320, 240, 30) == "the disk is full"


def test_a_recording_of_no_frame_leaves_no_file_and_says_why(tmp_path, monkeypatch) -> None:
    notes = []
    recorder = Recorder(tmp_path, "clip", 30.0, tmp_path / "a.avi", go_on=notes.append)
    usage = "shutil.disk_usage = lambda path: type('Usage', (), {'free': 0})"
    script = tmp_path / "encoder.py"
    lines = ("import sys, shutil", usage, f"sys.path.insert(0, {str(ROOT)!r})",
             "from tracker.app.encoder import main", "sys.exit(main(sys.argv[1:]))")  # fmt: skip
    script.write_text("\n".join(lines))
    monkeypatch.setattr(encoder, "__file__", str(script))
    for index in range(40):
        recorder.write(*numbered(index))
    with pytest.raises(UserError, match="the video ends after 0 frames"):
        recorder.close()
    assert [p.name for p in tmp_path.iterdir()] == ["encoder.py"]
    assert len(notes) == 1 and "0 frames; tracking goes on" in notes[0]


@pytest.mark.parametrize("number", [errno.EACCES, errno.ESTALE])
def test_a_folder_that_cannot_be_looked_into_ends_nothing(tmp_path, monkeypatch, number) -> None:
    """Permission that was taken away, a share whose server is gone."""

    def gone(path, **options):
        raise OSError(number, os.strerror(number), str(path))

    recorder = Recorder(tmp_path, "clip", 30.0)
    monkeypatch.setattr(Path, "exists", gone)
    assert os.strerror(number) in recorder.snapshot(scene.picture(0), 0)
    with pytest.raises(UserError, match=os.strerror(number)):  # the player shows it
        recorder.toggle()
    assert not recorder.wanted
