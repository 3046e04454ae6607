"""The demo's end: by a signal, with nobody who listens, while a read hangs."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.app import scene, stage
from tests.app.calls import BOX, HERE, ROOT, boxes_in, finish, start, wait_until_it_listens


@pytest.mark.skipif(sys.platform == "win32", reason="there are no such signals")
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_a_pipe_that_gives_nothing_can_be_left(tmp_path, how) -> None:
    rest = ("--init-box", BOX, "--results", tmp_path / "o.csv", "--no-display")
    process = start("--video", "-", *rest, stdin=subprocess.PIPE)
    wait_until_it_listens(process)
    process.send_signal(how)
    try:
        assert process.wait(timeout=30) == 130
    finally:
        process.kill()
    assert finish(process)[2] == "interrupted; what was written so far is kept\n"


def wait_for_rows(path, count, process) -> None:
    deadline = time.monotonic() + 90
    while not (path.exists() and path.read_bytes().count(b'"frame"') >= count):
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.parametrize(
    "how, status", [(signal.SIGINT, 130), (signal.SIGTERM, 130), (signal.SIGKILL, -9)]
)
@pytest.mark.parametrize("after", [3, 60])
def test_whatever_ends_the_program_its_files_are_whole(tmp_path, how, status, after) -> None:
    clip = scene.write_clip(tmp_path / "clip.mp4", 400)
    process = start(
        "--slow",
        "--video",
        clip,
        "--init-box",
        BOX,
        "--save",
        "o.mp4",
        "--results",
        "o.json",
        cwd=tmp_path,
    )
    wait_for_rows(tmp_path / "o.json", after, process)
    os.killpg(process.pid, how)
    returned, _, err = finish(process)
    assert returned == status
    if how != signal.SIGKILL:
        assert "what was written so far is kept" in err
    rows = json.loads((tmp_path / "o.json").read_text())
    assert [r["frame"] for r in rows] == list(range(len(rows)))
    assert after <= len(rows) < 400
    deadline = time.monotonic() + 60
    while not (frames := scene.read_clip(tmp_path / "o.mp4")[0]):
        assert time.monotonic() < deadline  # the encoder finishes by itself
        time.sleep(0.2)
    assert abs(len(frames) - len(rows)) <= 1


FOLLOWED = ["--video", "CLIP", "--init-box", BOX, "--results", "o.csv", "--no-display"]


@pytest.mark.parametrize(
    ("streams", "status"),
    [
        ("> /dev/full", 2),
        ("2> /dev/full", 0),
        (">&-", 0),
        ("2>&-", 0),
        ("<&- >&- 2>&-", 0),
        ("2>&1 | true", 0),
    ],
)
def test_work_goes_on_when_nobody_listens(tmp_path, clip, streams, status) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("there is no /dev/full here")
    arguments = " ".join(FOLLOWED).replace("CLIP", str(clip))
    command = f'"{sys.executable}" "{HERE / "demo.py"}" {arguments} --save o.mp4 {streams}'
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", command],
        cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == status, done.stderr
    said = "error: what is printed cannot be written to standard output (No space left on device)"
    assert done.stderr == (f"{said}; the files are complete\n" if status else "")
    assert len(boxes_in(tmp_path / "o.csv")) == 60
    assert len(scene.read_clip(tmp_path / "o.mp4")[0]) == 60


@pytest.mark.skipif(not os.path.exists("/dev/fd"), reason="this system has no /dev/fd")
@pytest.mark.parametrize(
    ("other", "frames"), [("save", 60), ("window", 60), ("none", 1)], ids=lambda value: str(value)
)
def test_results_that_nobody_reads_end_only_a_run_that_is_for_nothing_else(
    call, clip, tmp_path, capsys, monkeypatch, other, frames
) -> None:
    followed = []
    whole = scene.ColourSession.update
    monkeypatch.setattr(
        scene.ColourSession, "update", lambda *given: followed.append(1) or whole(*given)
    )
    reading, writing = os.pipe()
    os.close(reading)
    rest = {"save": ["--no-display", "--save", "o.mp4"], "window": [], "none": ["--no-display"]}
    into = "--results", f"/dev/fd/{writing}", "--results-format", "csv"
    screen = stage.Script(stage.Clock())

    def look_on() -> None:  # to the end, then the window is closed
        time.sleep(0.001)  # the video plays at its own rate
        if len(followed) < frames - 1:
            screen.steps += [None, look_on]

    screen.steps = [look_on]
    try:
        options = {"make_screen": lambda title, size: screen} if other == "window" else {}
        assert call("--video", clip, "--init-box", BOX, *into, *rest[other], **options) == 0
    finally:
        os.close(writing)
    said = capsys.readouterr()
    assert len(followed) == frames - 1 and said.err == "" and "results:" not in said.out
    if other == "save":
        assert len(scene.read_clip(tmp_path / "o.mp4")[0]) == 60


@pytest.mark.skipif(sys.platform == "win32", reason="there is no bash")
@pytest.mark.parametrize("save", ["", "--save o.mp4"])
def test_who_reads_the_first_results_alone_gets_no_error(tmp_path, clip, save) -> None:
    results = f"--results - --results-format jsonl --no-display --quiet {save}"
    command = f'"{sys.executable}" "{HERE / "demo.py"}" --video {clip} --init-box {BOX} {results}'
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", f"{command} | head -n 1"],
        cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["frame"] == 0
    if save:
        assert len(scene.read_clip(tmp_path / "o.mp4")[0]) == 60


def test_a_read_that_hangs_does_not_abort_the_end_of_the_program() -> None:
    """A stalled stream that goes on while Python ends: OpenCV's call cannot return any more."""
    code = """
import threading, cv2, numpy as np
from tracker.app import __main__ as program

def hang():
    while True:
        cv2.blur(np.zeros((500, 500), np.uint8), (9, 9))

program._run = lambda: print("done") or threading.Thread(target=hang, daemon=True).start()
program.main()
"""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "done\n", "")
