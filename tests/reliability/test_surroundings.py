"""The machine around the program: no network, no libGL, no home, an empty environment."""

from __future__ import annotations

import http.server
import json
import os
import re
import shlex
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tracker.assets import sample_clip
from tracker.errors import UserError, told
from tracker.frames import Video
from tracker.native_path import native_path

ROOT = Path(__file__).resolve().parents[2]
COMMANDS = ("demo.py", *(f"tools/{n}.py" for n in ("evaluate", "benchmark", "tune", "quantize")))
NO_SOCKETS = """
import sys
def no_network(event, args):
    if event in ("socket.connect", "socket.getaddrinfo", "socket.sendto", "socket.bind"):
        raise SystemExit(f"reached for the network: {event} {args}")
sys.addaudithook(no_network)
"""


def run(
    *command: object, cwd: Path | None = None, **environment: str
) -> subprocess.CompletedProcess[str]:
    keep = ("PATH", "LD_LIBRARY_PATH", "OPENBLAS_CORETYPE", "SYSTEMROOT")
    clean = {k: os.environ[k] for k in keep if k in os.environ}
    return subprocess.run(
        [str(c) for c in command], capture_output=True, text=True, timeout=240, check=False,
        cwd=cwd, env={**clean, "OMP_NUM_THREADS": "1", **environment},
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
    home = tmp_path / "home"
    home.mkdir()
    done = run(
        *in_an_empty_network(), sys.executable, ROOT / "demo.py",
        "--video", ROOT / "tracker" / "assets" / "sample.mp4", "--init-box", "150,80,40,40",
        "--max-frames", "8", "--results", tmp_path / "o.csv", "--save", tmp_path / "o.mp4",
        PYTHONPATH=fenced, HOME=str(home),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert list(home.rglob("*")) == []  # ONNX Runtime's telemetry would begin there
    assert len((tmp_path / "o.csv").read_text().splitlines()) == 9
    # and the fence holds
    code = "import socket; socket.create_connection(('127.0.0.1', 9))"
    assert "reached for the network" in run(sys.executable, "-c", code, PYTHONPATH=fenced).stderr


def test_no_room_imports_what_reaches_for_the_network() -> None:
    """Streams that a person names are opened by OpenCV; nothing else goes out."""
    wanted = re.compile(
        r"^\s*(?:import|from)\s+(urllib\.request|http|ftplib|requests|socket|ssl|smtplib|xmlrpc)\b",
        re.M,
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
@pytest.mark.parametrize("kind", ["playlist", "dash", "concat", "neighbour", "sdp"])
def test_a_file_cannot_make_the_decoder_call_home(
    tmp_path: Path, listener: tuple[int, list[str]], suffix: str, kind: str
) -> None:
    """Playlists are text that names addresses and other files, whatever their name ends in."""
    from tracker.app.sources import open_source
    from tracker.errors import UserError
    from tracker.frames import Video

    port, calls = listener
    url = f"http://127.0.0.1:{port}/secret.ts"
    text = {
        "playlist": f"#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXTINF:5,\n{url}\n#EXT-X-ENDLIST\n",
        "dash": '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static" '
        'mediaPresentationDuration="PT5S"><Period><AdaptationSet mimeType="video/mp4">'
        f'<Representation id="1" bandwidth="1"><BaseURL>{url}</BaseURL></Representation>'
        "</AdaptationSet></Period></MPD>",
        "concat": f"ffconcat version 1.0\nfile '{url}'\n",
        "neighbour": "ffconcat version 1.0\nfile other.mp4\n",
        "sdp": f"v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\n"
        f"m=video {port} RTP/AVP 96\na=rtpmap:96 H264/90000\n",
    }[kind]
    path = tmp_path / f"clip{suffix}"
    path.write_text(text)
    (tmp_path / "other.mp4").write_bytes(sample_clip()[0].read_bytes())
    with pytest.raises(UserError, match="cannot be read as a video"):
        open_source(str(path), print).read()
    with pytest.raises(UserError, match=r"cannot be (read|opened) as a video"):
        next(iter(Video(path).read(range(1))))
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


@pytest.mark.parametrize(
    "arguments",
    [
        ("demo.py", "--no-display"),
        ("demo.py", "--no-display", "--device", "openvino"),
        ("tools/benchmark.py", "--video", sample_clip()[0], "--init-box", "50,50,60,60",
         "--trackers", "identity", "--quiet"),
    ],
    ids=["demo", "openvino", "benchmark"],
)  # fmt: skip
def test_what_pip_left_of_onnx_runtime_is_no_library(tmp_path: Path, arguments: tuple) -> None:
    """Its packages share a folder; of two, the one that is uninstalled leaves an empty shell."""
    (tmp_path / "onnxruntime").mkdir()
    (tmp_path / "onnxruntime" / "__init__.py").touch()
    command, *rest = arguments
    done = run(sys.executable, ROOT / command, *rest, cwd=tmp_path, PYTHONPATH=str(tmp_path))
    assert done.returncode == 2
    assert re.fullmatch(
        r"error: [^\n]*ONNX Runtime is incomplete[^\n]*pip uninstall onnxruntime onnxruntime-gpu "
        r"onnxruntime-openvino, then pip install [^\n]*\n",
        done.stderr,
    )


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


@pytest.mark.parametrize("how", ["SIGINT", "SIGTERM"])
@pytest.mark.parametrize("command", [*COMMANDS, "tools/train.py", "tools/export.py"])
def test_a_signal_while_libraries_are_loaded_is_one_line(
    tmp_path: Path, command: str, how: str
) -> None:
    """The first second of a run is imports."""
    if command == "tools/export.py":  # it looks for onnx before it loads anything
        pytest.importorskip("onnx")
    ending = f"import os, signal, time\nos.kill(os.getpid(), signal.{how})\ntime.sleep(5)\n"
    for library in ("numpy", "torch"):
        (tmp_path / library).mkdir()
        (tmp_path / library / "__init__.py").write_text(ending)
    done = run(sys.executable, ROOT / command, PYTHONPATH=str(tmp_path), MALLOC_TOP_PAD_="1")
    assert done.returncode == 130
    assert done.stderr == "interrupted; what was written so far is kept\n"


def test_sockets_of_this_process_are_fenced_too() -> None:
    """The tests themselves stay on this machine: see conftest.py."""
    with pytest.raises(RuntimeError, match="tests stay on this machine"):
        socket.create_connection(("192.0.2.1", 80), timeout=0.1)


ODD = os.fsdecode(b"cl\xe9p")  # as on a disk from long ago: no UTF-8
SAMPLE = ROOT / "tracker" / "assets" / "sample.mp4"
FOLLOW = ("--init-box", "150,80,40,40", "--max-frames", "8", "--no-display")


def copied(path: Path) -> Path:
    """The sample under another name."""
    try:
        shutil.copy(SAMPLE, path)
    except (OSError, UnicodeError):
        pytest.skip("this file system takes no such name")
    return path


@pytest.mark.parametrize(
    ("name", "locale"),
    [
        (ODD, {}),
        ("clüp", {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}),
        ("12:30", {}),  # FFmpeg would take "12" for a protocol
    ],
)
def test_videos_of_any_name(tmp_path: Path, name: str, locale: dict[str, str]) -> None:
    copied(tmp_path / f"{name}.mp4")
    (tmp_path / "temporary").mkdir()
    done = run(
        sys.executable, ROOT / "demo.py", "--video", f"{name}.mp4", *FOLLOW,
        "--save", f"{name}-out.mp4", "--results", f"{name}.csv",
        cwd=tmp_path, TMPDIR=str(tmp_path / "temporary"), **locale,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert len((tmp_path / f"{name}.csv").read_text().splitlines()) == 9
    assert len(list(Video(tmp_path / f"{name}-out.mp4").read(range(8)))) == 8
    assert list((tmp_path / "temporary").glob("siamtrack-*")) == []


def test_data_of_any_name(tmp_path: Path) -> None:
    """Names go into result files, tables, plots and json."""
    pytest.importorskip("matplotlib")
    folder = tmp_path / "data" / ODD
    try:
        folder.mkdir(parents=True)
    except OSError:
        pytest.skip("this file system takes no such name")
    copied(folder / f"{ODD}.mp4").with_suffix(".txt").write_text("150,80,40,40\n" * 6)
    done = run(sys.executable, ROOT / "tools" / "evaluate.py", "--data", tmp_path / "data",
               "--trackers", "identity", "--out", tmp_path / "out", "--quiet")  # fmt: skip
    assert done.returncode == 0, done.stderr
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert list(summary["datasets"]) == [r"cl\udce9p"]
    assert r"cl\udce9p" in (tmp_path / "out" / "report.html").read_text()


def test_a_name_that_cannot_be_used_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*arguments: object) -> None:
        raise OSError("no links here")

    monkeypatch.setattr(os, "symlink", refused)
    with (
        pytest.raises(UserError, match=r"is not UTF-8 text, .*; rename the file"),
        native_path(tmp_path / ODD),
    ):
        pass


@pytest.mark.parametrize(
    "arguments",
    [
        ("--video", "locked/x/s.mp4", "--results", "o.csv"),
        ("--images", "locked", "--results", "o.csv"),
        ("--video", "s.mp4", "--results", "locked/x/o.csv"),
        ("--video", "s.mp4", "--save", "locked/x/o.mp4"),
    ],
)
def test_no_permission_is_one_sentence(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    powerless: list[str] = []
    if os.geteuid() == 0:
        if shutil.which("setpriv") is None:
            pytest.skip("root may do everything, and there is no setpriv to give that up")
        rights = "-dac_override,-dac_read_search"
        powerless = ["setpriv", f"--bounding-set={rights}", "--inh-caps=-all"]
    copied(tmp_path / "s.mp4")
    (tmp_path / "locked" / "x").mkdir(parents=True)
    (tmp_path / "locked").chmod(0)
    try:
        done = run(*powerless, sys.executable, ROOT / "demo.py", *arguments, *FOLLOW, cwd=tmp_path)
    finally:
        (tmp_path / "locked").chmod(0o755)
    if "setpriv" in done.stderr:
        pytest.skip("setpriv is refused here")
    assert done.returncode == 2 and done.stdout == ""
    assert re.fullmatch(r"error: locked[^\n]*: Permission denied; ask [^\n]*\n", done.stderr)


def test_only_what_the_system_says_of_files_is_a_sentence() -> None:
    assert told(OSError(28, "No space left on device")) == (
        "a file cannot be written: No space left on device; make room, or give another place"
    )
    assert told(OSError(32, "Broken pipe")) is None  # a mistake of ours keeps its traceback


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("benchmark --video no.mp4 --init-box -5,1,9,9", "no.mp4: there is no such video file"),
        ("benchmark --threads 1,999 --data .", "a whole number of 1 to 256 is needed, found 999"),
        ("evaluate --trackers kcf --data . --jobs 9999", "1 to 256 is needed, found 9999"),
        ("evaluate --trackers kcf --data ''", "the name is empty; give a path"),
        ("quantize --data . --out /", "/ is a folder; the name of a file without its ending"),
        ("quantize --data . --out a --threads -1", "a whole number of 1 to 256 is needed"),
        ("tune --start a.json --write ..", ".. is a folder; the name of a file without its"),
    ],
)
def test_arguments_of_the_tools(tmp_path: Path, command: str, said: str) -> None:
    tool, *arguments = shlex.split(command)
    done = run(sys.executable, ROOT / "tools" / f"{tool}.py", *arguments, cwd=tmp_path)
    assert done.returncode == 2 and done.stdout == ""
    assert said in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr
