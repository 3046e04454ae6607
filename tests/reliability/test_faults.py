"""Disks that are full or read-only, seen from outside: exit status 2, one sentence, work kept."""

from __future__ import annotations

import contextlib
import csv
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import pytest

from tests.app import scene
from tracker.errors import UserError
from tracker.files import make_folder, write_atomic
from tracker.weights import read_model, write_model

resource = pytest.importorskip("resource", reason="limits on files as POSIX has them")

ROOT = Path(__file__).resolve().parents[2]
TESTS = ROOT / "tests"
BOX = "30,60,40,40"
SMALL = (
    "--init", "none", "--channels", "8", "--tower-depth", "1", "--frozen", "6", "--batch", "2",
    "--autocast", "none", "--workers", "0", "--quiet", "--threads", "1", "--log-every", "1",
)  # fmt: skip


def call(
    *command: object, largest: int | None = None, cwd: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """Run Python; ``largest`` is the size in bytes at which every file is full."""

    def limit() -> None:
        if largest is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (largest, largest))

    environment = {k: v for k, v in os.environ.items() if k not in ("DISPLAY", "WAYLAND_DISPLAY")}
    environment |= {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(TESTS / "evaluation")}
    environment |= {"PYTHONDONTWRITEBYTECODE": "1", "MALLOC_TOP_PAD_": "1"}
    return subprocess.run(
        [sys.executable, *map(str, command)], capture_output=True, text=True, timeout=240,
        check=False, preexec_fn=limit, env=environment, cwd=cwd,
    )  # fmt: skip


def refused(done: subprocess.CompletedProcess[str], words: str) -> None:
    assert done.returncode == 2, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    errors = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1 and words in errors[0], done.stderr


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return scene.write_clip(tmp_path_factory.mktemp("clip") / "clip.mp4", 200)


def demo(clip: Path, *options: object, **more: object) -> subprocess.CompletedProcess[str]:
    script = TESTS / "app" / "demo.py"
    return call(script, "--video", clip, "--init-box", BOX, "--quiet", *options, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["o.csv", "o.txt"])
def test_tracking_onto_a_full_disk_keeps_whole_rows(clip: Path, tmp_path: Path, name: str) -> None:
    refused(demo(clip, "--results", tmp_path / name, largest=2000), "rows so far are kept")
    text = (tmp_path / name).read_text()
    assert text.endswith("\n") and len(text) <= 2000
    rows = list(csv.reader(text.splitlines()))
    assert len(rows) > 20 and len({len(row) for row in rows}) == 1


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 20 MB."""
    if os.name != "posix" or os.geteuid() != 0:
        pytest.skip("needs root to mount a small file system")
    place = tmp_path / "disk"
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=20m", "tmpfs", str(place)],
        capture_output=True, check=False,
    )  # fmt: skip
    if mounted.returncode:
        pytest.skip("no file system may be mounted here")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


def test_a_video_on_a_full_disk_can_be_watched_up_to_its_end(clip: Path, small_disk: Path) -> None:
    """A real file system that is nearly full when the video begins, and is so after 16 frames."""
    (small_disk / "ballast").write_bytes(bytes(3 * 2**19))
    out, rows = small_disk / "o.avi", small_disk / "o.csv"
    refused(demo(clip, "--save", out, "--results", rows), "the disk is almost full")
    capture, frames = cv2.VideoCapture(str(out)), 0
    while capture.read()[0]:
        frames += 1
    capture.release()
    assert 16 <= frames < 200 and frames % 16 == 0
    assert len(rows.read_text().splitlines()) > frames


READ_ONLY = "/proc/self/task"  # not even root may make files there


@pytest.mark.skipif(not Path(READ_ONLY).is_dir(), reason="needs Linux's /proc")
@pytest.mark.parametrize(("option", "name"), [("--results", "o.csv"), ("--save", "o.mp4")])
def test_a_folder_that_cannot_be_written_to(clip: Path, option: str, name: str) -> None:
    refused(demo(clip, option, f"{READ_ONLY}/{name}"), f"{name} cannot be written")


# --- training, export, evaluation ---------------------------------------------------------


@contextlib.contextmanager
def full_at(size: int) -> Iterator[None]:
    """Every file of this process is full at a size in bytes."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    old = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, old)


@pytest.fixture
def train(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    """``tools/train.py`` in this process: a start of torch takes seconds."""
    pytest.importorskip("torch")
    from tests.training.data import write_clip
    from tracker.training import train_cli

    for number in (1, 2):
        write_clip(tmp_path / "data" / str(number), seed=number)
    monkeypatch.setattr(train_cli, "tell", lambda notes: None)  # pytest's own file is full, too
    command = ["tools/train.py", "--data", str(tmp_path / "data"), "--out", str(tmp_path / "out")]

    def run(*options: object) -> int:
        monkeypatch.setattr(sys, "argv", [*command, *SMALL, *map(str, options)])
        return train_cli.main()

    return run


@pytest.mark.parametrize(
    ("size", "said"),
    [(50, "log.csv: the result cannot be written"), (200_000, "could not be written")],
    ids=["full for the log", "full for the checkpoint"],
)
def test_training_onto_a_full_disk_keeps_the_last_checkpoint(
    train: Callable[..., int], tmp_path: Path, size: int, said: str
) -> None:
    assert train("--pairs", 2) == 0
    checkpoint = tmp_path / "out" / "checkpoint.pt"
    before = checkpoint.read_bytes()
    assert len(before) > 200_000
    with full_at(size), pytest.raises(UserError, match=said):
        train("--pairs", 8, "--resume")
    assert checkpoint.read_bytes() == before
    assert not list(tmp_path.rglob("*.partial"))


def test_ctrl_c_in_the_middle_of_a_file_leaves_no_part_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("torch")
    from tracker.training.checkpoint import save_checkpoint

    def ended(descriptor: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", ended)
    for write, content in ((write_atomic, "text"), (save_checkpoint, {"model": {}})):
        with pytest.raises(KeyboardInterrupt):
            write(tmp_path / "file", content)  # type: ignore[operator]
        assert list(tmp_path.iterdir()) == []


def test_two_trainings_do_not_share_a_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("torch")
    from tracker.training import train_cli

    monkeypatch.setattr(train_cli, "PATIENCE", 0.3)
    with (
        train_cli.hold(tmp_path),
        pytest.raises(UserError, match="another program writes to"),
        train_cli.hold(tmp_path),
    ):
        pass
    with train_cli.hold(tmp_path):
        pass


def test_an_export_onto_a_full_disk_leaves_nothing_half_written(tmp_path: Path) -> None:
    files = read_model("kestrel")
    with full_at(300_000), pytest.raises(UserError, match="cannot be written"):
        write_model(files, tmp_path / "m")
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_for_temporary_files_is_said_by_the_export() -> None:
    pytest.importorskip("onnx")
    from tracker.training.simplify import fold_constants

    with full_at(100_000), pytest.raises(UserError, match="is that disk full"):
        fold_constants(read_model("kestrel").search)


def test_evaluation_onto_a_full_disk_names_every_run(clip: Path, tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    (data / "a.mp4").symlink_to(clip)
    (data / "a.txt").write_text("30,60,40,40\n" * 60)
    command = (ROOT / "tools" / "evaluate.py", "--data", data, "--trackers", "identity")
    done = call(*command, "--out", tmp_path / "out", "--no-report", "--quiet", largest=500)
    refused(done, "cannot be written")
    assert not [p for p in (tmp_path / "out").rglob("*") if p.is_file()]


def test_a_folder_that_cannot_be_made_is_one_sentence(tmp_path: Path) -> None:
    make_folder(tmp_path / "new" / "one")
    make_folder(tmp_path / "new" / "one")  # it may be there
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=r"^the folder .*file/x cannot be made \(.+\)$"):
        make_folder(tmp_path / "file" / "x")
