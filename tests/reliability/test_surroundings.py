"""The machine around the program: no network, no libGL, no home, an empty environment."""

from __future__ import annotations

import http.server
import os
import re
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
COMMANDS = ("demo.py", *(f"tools/{n}.py" for n in ("evaluate", "benchmark", "tune", "quantize")))
NO_SOCKETS = """
import sys
def no_network(event, args):
    if event in ("socket.connect", "socket.getaddrinfo", "socket.sendto", "socket.bind"):
        raise SystemExit(f"reached for the network: {event} {args}")
sys.addaudithook(no_network)
"""


def run(*command: object, **environment: str) -> subprocess.CompletedProcess[str]:
    keep = ("PATH", "LD_LIBRARY_PATH", "OPENBLAS_CORETYPE", "SYSTEMROOT")
    clean = {k: os.environ[k] for k in keep if k in os.environ}
    return subprocess.run(
        [str(c) for c in command], capture_output=True, text=True, timeout=240, check=False,
        env={**clean, "OMP_NUM_THREADS": "1", **environment},
    )  # fmt: skip


@pytest.fixture
def fenced(tmp_path: Path) -> str:
    """A folder for PYTHONPATH under which Python's sockets reach nothing."""
    (tmp_path / "fence").mkdir()
    (tmp_path / "fence" / "sitecustomize.py").write_text(NO_SOCKETS)
    return str(tmp_path / "fence")


def in_an_empty_network() -> list[str]:
    """``unshare`` to a network without interfaces, which native code cannot get out of either."""
    try:
        command = ["unshare", "--net", "true"]
        subprocess.run(command, check=True, capture_output=True, timeout=20)
    except (OSError, subprocess.SubprocessError):
        return []
    return command[:2]


def test_tracking_reaches_for_no_network(fenced: str, tmp_path: Path) -> None:
    """Neither through Python nor, where the system can cut it off, through a library."""
    done = run(
        *in_an_empty_network(), sys.executable, ROOT / "demo.py",
        "--video", ROOT / "tracker" / "assets" / "sample.mp4", "--init-box", "150,80,40,40",
        "--max-frames", "8", "--results", tmp_path / "o.csv", "--save", tmp_path / "o.mp4",
        PYTHONPATH=fenced,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert len((tmp_path / "o.csv").read_text().splitlines()) == 9
    # and the fence holds
    code = "import socket; socket.create_connection(('127.0.0.1', 9))"
    assert "reached for the network" in run(sys.executable, "-c", code, PYTHONPATH=fenced).stderr


def test_no_room_imports_what_reaches_for_the_network() -> None:
    """Streams that a person names are opened by OpenCV; nothing else goes out."""
    wanted = re.compile(
        r"^\s*(?:import|from)\s+(urllib|http|ftplib|requests|socket|ssl|smtplib|xmlrpc)\b", re.M
    )
    found = {
        (str(path.relative_to(ROOT)), match[1])
        for folder in ("tracker", "tools")
        for path in (ROOT / folder).rglob("*.py")
        for match in wanted.finditer(path.read_text(encoding="utf-8"))
    }
    assert found <= {("tracker/app/display.py", "socket")}  # asks the X server whether it is there


@pytest.fixture
def listener() -> Iterator[tuple[int, list[str]]]:
    """A server on this machine, and who called it."""
    calls: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def log_message(self, *arguments: object) -> None:
            pass

        def do_GET(self) -> None:
            calls.append(self.path)
            self.send_error(404)

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server.server_port, calls
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize("suffix", [".mp4", ".m3u8", ".ts", ".txt"])
@pytest.mark.parametrize("kind", ["playlist", "dash", "concat", "sdp"])
def test_a_file_cannot_make_the_decoder_call_home(
    tmp_path: Path, listener: tuple[int, list[str]], suffix: str, kind: str
) -> None:
    """Playlists are text that names addresses and other files, whatever their name ends in."""
    from tracker.app.sources import open_source
    from tracker.errors import UserError

    port, calls = listener
    url = f"http://127.0.0.1:{port}/secret.ts"
    text = {
        "playlist": f"#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXTINF:5,\n{url}\n#EXT-X-ENDLIST\n",
        "dash": '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static" '
        'mediaPresentationDuration="PT5S"><Period><AdaptationSet mimeType="video/mp4">'
        f'<Representation id="1" bandwidth="1"><BaseURL>{url}</BaseURL></Representation>'
        "</AdaptationSet></Period></MPD>",
        "concat": f"ffconcat version 1.0\nfile '{url}'\n",
        "sdp": f"v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\n"
        f"m=video {port} RTP/AVP 96\na=rtpmap:96 H264/90000\n",
    }[kind]
    path = tmp_path / f"clip{suffix}"
    path.write_text(text)
    with pytest.raises(UserError, match="cannot be read as a video"):
        open_source(str(path), print).read()
    assert calls == []


def broken(library: str, folder: Path, said: str) -> str:
    (folder / library).mkdir()
    (folder / library / "__init__.py").write_text(f"raise ImportError({said!r})\n")
    return str(folder)


def test_a_machine_without_libgl_is_told_what_to_install(tmp_path: Path) -> None:
    said = "libGL.so.1: cannot open shared object file: No such file or directory"
    done = run(sys.executable, ROOT / "demo.py", "--video", "a.mp4",
               PYTHONPATH=broken("cv2", tmp_path, said))  # fmt: skip
    assert done.returncode == 2 and done.stdout == ""
    assert re.fullmatch(r"error: [^\n]*libGL[^\n]*opencv-python-headless[^\n]*\n", done.stderr)


@pytest.mark.parametrize("command", COMMANDS)
def test_a_missing_library_is_one_sentence(tmp_path: Path, command: str) -> None:
    place = broken("numpy", tmp_path, "No module named 'numpy'")
    done = run(sys.executable, ROOT / command, PYTHONPATH=place)
    assert done.returncode == 2
    assert re.fullmatch(r"error: [^\n]*install[^\n]*\n", done.stderr)


def test_a_mistake_of_ours_is_not_called_a_missing_library(tmp_path: Path) -> None:
    code = (
        "from tracker.cli import run_main\n"
        "def main():\n    from tracker.cli import no_such_name\n"
        "run_main(main)"
    )
    done = run(sys.executable, "-c", code, PYTHONPATH=str(ROOT))
    assert done.returncode == 1 and "Traceback" in done.stderr


def test_an_empty_environment_and_no_home_are_enough(tmp_path: Path) -> None:
    code = (
        "import numpy as np, tracker\n"
        "t = tracker.SiameseTracker(device='cpu', threads=1); f = np.zeros((90, 90, 3), np.uint8)\n"
        "t.init(f, (9, 9, 20, 20)); print(len(t.update(f).box))"
    )
    done = run(sys.executable, "-c", code, PYTHONPATH=str(ROOT), HOME="/nonexistent")
    assert done.returncode == 0 and done.stdout == "4\n", done.stderr


@pytest.mark.parametrize("command", COMMANDS)
def test_ctrl_c_while_libraries_are_loaded_is_one_line(tmp_path: Path, command: str) -> None:
    """The first second of a run is imports."""
    (tmp_path / "numpy").mkdir()
    (tmp_path / "numpy" / "__init__.py").write_text(
        "import os, signal, time\nos.kill(os.getpid(), signal.SIGINT)\ntime.sleep(5)\n"
    )
    done = run(sys.executable, ROOT / command, PYTHONPATH=str(tmp_path))
    assert done.returncode == 130
    assert done.stderr == "interrupted; what was written so far is kept\n"


def test_sockets_of_this_process_are_fenced_too() -> None:
    """The tests themselves stay on this machine: see conftest.py."""
    with pytest.raises(RuntimeError, match="tests stay on this machine"):
        socket.create_connection(("192.0.2.1", 80), timeout=0.1)
