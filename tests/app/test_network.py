"""Streams over HTTP from a server on this machine: a file with an end, and a live camera."""

import contextlib
import csv
import http.server
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.app import scene
from tracker.app.live import LiveSource
from tracker.app.origin import Server
from tracker.app.prefetch import Prefetch
from tracker.app.sources import open_source
from tracker.app.video_file import VideoFile
from tracker.errors import UserError


class Handler(http.server.BaseHTTPRequestHandler):
    """``/clip.mp4`` is a file, of which ``sent`` bytes come, and then perhaps a silence.

    ``/piped`` is a file of which nobody says how long it is. ``/live`` is an endless MJPEG stream
    that can be dropped or stall.
    """

    def log_message(self, *arguments) -> None:
        pass

    def do_GET(self) -> None:
        if self.path.startswith("/clip.mp4"):
            data = self.server.clip
            self.send_response(200)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data[: self.server.sent])
            self.stall()
        elif self.path == "/piped":
            self.send_response(200)
            self.end_headers()
            with contextlib.suppress(ConnectionError):
                self.wfile.write(self.server.clip)
        elif self.path == "/live":
            with contextlib.suppress(ConnectionError):  # who watched has gone
                self.live()
        else:
            self.send_error(404)

    def stall(self) -> None:
        while time.monotonic() < self.server.silent_until and not self.server.over:
            time.sleep(0.05)

    def live(self) -> None:
        self.server.visits += 1
        self.stall()
        self.send_response(200)
        self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
        self.end_headers()
        visit = self.server.visits
        while self.server.dropped < visit and not self.server.over:
            self.stall()
            self.server.number += 1
            _, jpeg = cv2.imencode(".jpg", scene.picture(self.server.number % 4096))
            part = jpeg.tobytes()
            head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(part)}\r\n\r\n"
            self.wfile.write(head.encode() + part + b"\r\n")
            time.sleep(1 / 60)


@pytest.fixture
def server():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.clip, server.visits, server.dropped, server.number, server.over = b"", 0, 0, 0, False
    server.silent_until, server.sent = 0.0, None
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    server.url = f"http://127.0.0.1:{server.server_port}"
    yield server
    server.over = True
    server.shutdown()
    server.server_close()


def test_a_file_on_a_server_keeps_every_frame_and_ends(server, tmp_path) -> None:
    server.clip = scene.write_clip(tmp_path / "clip.avi", 40, codec="MJPG").read_bytes()
    source = open_source(f"{server.url}/clip.mp4?key=of/mine", pytest.fail)
    assert isinstance(source, VideoFile) and not source.live
    assert source.name == "clip.mp4"  # window and files are called after it
    numbers = []
    while (frame := source.read()) is not None:
        numbers.append(scene.number_of(frame.image))
    assert numbers == list(range(40))
    source.close()


def test_a_server_that_cannot_seek_is_no_damage(server, tmp_path) -> None:
    server.clip = scene.write_clip(tmp_path / "clip.avi", 200, codec="MJPG").read_bytes()
    notes = []
    source = Prefetch(open_source(f"{server.url}/clip.mp4", notes.append))
    for _ in range(60):
        source.read()
    source.seek(3)
    rest = []
    while not source.ended:
        frame = source.read()
        rest += [] if frame is None else [(frame.index, scene.number_of(frame.image))]
    assert "cannot seek" in notes[0] and not source.can_seek
    assert all(index == number for index, number in rest)
    assert rest[0][0] < 70 and rest[-1] == (199, 199)
    source.close()


def test_an_mp4_with_its_index_at_the_end_needs_a_server_that_can_jump_there(
    server, tmp_path
) -> None:
    """As ``python -m http.server`` cannot."""
    noise = np.random.default_rng(0).integers(0, 255, (240, 320, 3), np.uint8)
    clip = scene.write_clip(tmp_path / "clip.mp4", 90, codec="MJPG", make=lambda _: noise)
    server.clip = clip.read_bytes()
    source = open_source(f"{server.url}/clip.mp4", pytest.fail)
    with pytest.raises(UserError, match="or an mp4 whose server cannot jump to its end; download"):
        source.read()
    source.close()


def test_a_server_that_falls_silent_in_the_middle_of_a_file_is_named(
    server, tmp_path, monkeypatch
) -> None:
    """A mkv's length alone proves nothing: its sound may go on."""
    monkeypatch.setattr(Server, "patience", 1.0)
    server.clip = scene.write_clip(tmp_path / "clip.mkv", 90, codec="MJPG").read_bytes()
    server.sent, server.silent_until = len(server.clip) // 2, time.monotonic() + 60
    source = open_source(f"{server.url}/clip.mp4", pytest.fail)
    with pytest.raises(UserError, match=r"ends after frame \d\d, and its server fell silent"):
        while source.read() is not None:
            pass
    server.over = True
    source.close()


def test_of_a_file_whose_length_nobody_says_it_is_told_how_much_was_followed(
    server, tmp_path
) -> None:
    """As one that is written to a pipe; it comes as fast as the network is."""
    content = scene.write_clip(tmp_path / "clip.mkv", 40, fps=20).read_bytes()
    server.clip = content.replace(b"\x44\x89\x88", b"\xec\x89\x00")  # no duration any more
    notes, followed = [], 0
    source = open_source(f"{server.url}/piped", notes.append)
    assert isinstance(source, LiveSource)
    deadline = time.monotonic() + 60
    while not source.ended:
        followed += source.read(timeout=0.5) is not None
        assert time.monotonic() < deadline
    source.close()
    assert "it is a file, and ends here" in notes[-1]
    assert f"{followed} of its 40 frames were followed" in notes[-1]


def test_a_live_stream_stays_fresh_behind_a_slow_consumer_and_survives_a_drop(server) -> None:
    notes = []
    source = open_source(f"{server.url}/live", notes.append)
    assert isinstance(source, LiveSource)
    behind = []
    for _ in range(10):
        frame = source.read(timeout=20)
        behind.append(server.number - scene.number_of(frame.image))
        time.sleep(0.1)
    # Ten times 100 ms are 60 frames of the camera; a queue would be as far behind at the end.
    assert np.median(behind[5:]) < 30

    server.dropped = server.visits
    deadline = time.monotonic() + 60
    while not any("is back" in n for n in notes):
        source.read(timeout=0.5)
        assert not source.ended and time.monotonic() < deadline
    assert server.visits >= 2 and source.read(timeout=20) is not None
    server.over = True
    source.close()


@pytest.mark.parametrize("seconds", [2, pytest.param(30, marks=pytest.mark.long)])
def test_a_stream_that_stalls_goes_on_where_it_is(server, tmp_path, seconds) -> None:
    """The connection stays open and nothing comes; after ten seconds the stream is asked anew."""
    results, total = tmp_path / "o.csv", 150
    command = [sys.executable, Path(__file__).with_name("demo.py"), "--video",
               f"{server.url}/live", "--init-box", "30,60,40,40", "--no-display", "--quiet",
               "--results", results, "--max-frames", str(total)]  # fmt: skip
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENCV_LOG_LEVEL": "SILENT"}  # as demo.py
    process = subprocess.Popen(
        [*map(str, command)], env=environment, stderr=subprocess.PIPE, text=True
    )
    deadline = time.monotonic() + 120
    while not (results.exists() and results.read_bytes().count(b"\n") > 20):
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.02)
    server.silent_until = time.monotonic() + seconds
    said = process.communicate(timeout=seconds + 90)[1]
    assert process.returncode == 0, said
    assert "Traceback" not in said
    with results.open() as file:
        times = [float(row["time"]) for row in csv.DictReader(file)]
    pauses = np.diff(times)
    longest = int(pauses.argmax())
    print(f"silent for {pauses[longest]:.1f} s; said {said!r}")
    assert len(times) == total and 10 < longest < total - 2
    # it is back one attempt later at the most, and pictures come at their pace from then on
    assert seconds - 0.5 <= pauses[longest] < seconds + 20
    assert np.median(pauses[longest + 1 :]) < 0.25
    lost = "stream dropped; trying to reach it again\nstream is back\n"
    assert said == (lost if seconds > 10 else "")
