"""Streams over HTTP from a server on this machine: a file with an end, and a live camera."""

import http.server
import threading
import time

import app_scene
import cv2
import numpy as np
import pytest

from tracker.app.live import LiveSource
from tracker.app.sources import VideoFile, open_source


class Handler(http.server.BaseHTTPRequestHandler):
    """``/clip.mp4`` is a file; ``/live`` an endless MJPEG stream that the server can drop."""

    def log_message(self, *arguments):
        pass

    def do_GET(self):
        if self.path == "/clip.mp4":
            data = self.server.clip
            self.send_response(200)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)
        elif self.path == "/live":
            self.live()
        else:
            self.send_error(404)

    def live(self):
        self.server.visits += 1
        self.send_response(200)
        self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
        self.end_headers()
        visit = self.server.visits
        while self.server.dropped < visit and not self.server.over:
            self.server.number += 1
            _, jpeg = cv2.imencode(".jpg", app_scene.picture(self.server.number % 4096))
            part = jpeg.tobytes()
            head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(part)}\r\n\r\n"
            self.wfile.write(head.encode() + part + b"\r\n")
            time.sleep(1 / 60)


@pytest.fixture
def server():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.clip, server.visits, server.dropped, server.number, server.over = b"", 0, 0, 0, False
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    server.url = f"http://127.0.0.1:{server.server_port}"
    yield server
    server.over = True
    server.shutdown()
    server.server_close()


def test_a_file_on_a_server_keeps_every_frame_and_ends(server, tmp_path):
    server.clip = app_scene.write_clip(tmp_path / "clip.avi", 40, codec="MJPG").read_bytes()
    source = open_source(f"{server.url}/clip.mp4", pytest.fail)
    assert isinstance(source, VideoFile) and not source.live
    numbers = []
    while (frame := source.read()) is not None:
        numbers.append(app_scene.number_of(frame.image))
    assert numbers == list(range(40))
    source.close()


def test_a_live_stream_stays_fresh_behind_a_slow_consumer_and_survives_a_drop(server):
    notes = []
    source = open_source(f"{server.url}/live", notes.append)
    assert isinstance(source, LiveSource)
    behind = []
    for _ in range(10):
        frame = source.read(timeout=20)
        behind.append(server.number - app_scene.number_of(frame.image))
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
