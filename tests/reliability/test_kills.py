"""Programs that are ended at random moments: what is on the disk is whole, and they go on.

The short forms run with the rest; ``-m long`` ends each program dozens of times. The moments
are drawn over the whole life of the program, its start and its end included.
"""

from __future__ import annotations

import csv
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from tests.app import scene
from tests.reliability.checks import effort
from tracker.data.datasets import Sequence
from tracker.weights import read_model

pytestmark = pytest.mark.skipif(os.name == "nt", reason="signals as POSIX has them")

ROOT = Path(__file__).resolve().parents[2]
TESTS = ROOT / "tests"
SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
ENVIRONMENT = {
    **{k: v for k, v in os.environ.items() if k not in ("DISPLAY", "WAYLAND_DISPLAY")},
    "OMP_NUM_THREADS": "1",
    "PYTHONPATH": os.pathsep.join(str(TESTS / name) for name in ("app", "evaluation")),
    "MALLOC_TOP_PAD_": "1",  # the training tool need not start itself anew
}
LONG = pytest.param(30, marks=[pytest.mark.long, pytest.mark.timeout(7200)])


def start(*command: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, *map(str, command)], env=ENVIRONMENT, text=True,
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
    )  # fmt: skip


def end_at(process: subprocess.Popen[str], seconds: float, number: int) -> str:
    """Wait, send a signal, and return what the program said; "" if it was done before."""
    try:
        process.communicate(timeout=seconds)
        assert process.returncode == 0
        return ""
    except subprocess.TimeoutExpired:
        process.send_signal(number)
    _, said = process.communicate(timeout=120)
    # before Python has read the program, a signal ends it in Python's own way
    assert process.returncode in (0, 1, 2, 130, -number), (process.returncode, said)
    return said


def lifetime(*command: object) -> float:
    """Seconds that a program takes when it is left alone."""
    began = time.monotonic()
    process = start(*command)
    said = process.communicate(timeout=600)[1]
    assert process.returncode == 0, said
    return time.monotonic() - began


def moments(count: int, life: float, seed: int) -> list[tuple[float, int]]:
    rng = random.Random(seed)
    # most of them in the second half: the first is the start of Python and its packages
    return [
        (life * (1 - rng.random() ** 2 * 0.95), SIGNALS[i % len(SIGNALS)]) for i in range(count)
    ]


# --- tracking -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return scene.write_clip(tmp_path_factory.mktemp("clip") / "clip.mp4", 90)


def frames_of(path: Path) -> int:
    capture, count = cv2.VideoCapture(str(path)), 0
    while capture.read()[0]:
        count += 1
    capture.release()
    return count


@pytest.mark.parametrize("count", [2, LONG])
def test_tracking_leaves_whole_files_at_any_moment(tmp_path: Path, clip: Path, count: int) -> None:
    def command(folder: Path) -> tuple[object, ...]:
        options = ["--video", clip, "--init-box", "30,60,40,40", "--quiet"]
        outputs = ["--results", folder / "o.json", "--save", folder / "o.mp4"]
        return TESTS / "app" / "demo.py", "--slow", *options, *outputs

    whole = tmp_path / "whole"
    whole.mkdir()
    life = lifetime(*command(whole))
    expected = json.loads((whole / "o.json").read_text())
    for number, (moment, kind) in enumerate(moments(count, life, 1)):
        folder = tmp_path / str(number)
        folder.mkdir()
        end_at(start(*command(folder)), moment, kind)
        rows: list[Any] = []
        if (folder / "o.json").exists():
            rows = json.loads((folder / "o.json").read_text())
            assert rows == expected[: len(rows)]
        if (folder / "o.mp4").exists():  # the encoder is still finishing it
            deadline = time.monotonic() + 30
            while abs(frames_of(folder / "o.mp4") - len(rows)) > 1 and time.monotonic() < deadline:
                time.sleep(0.1)
            assert abs(frames_of(folder / "o.mp4") - len(rows)) <= 1


# --- evaluation ---------------------------------------------------------------------------


@pytest.mark.parametrize("count", [2, LONG])
def test_evaluation_goes_on_from_any_moment_to_the_same_result(tmp_path: Path, count: int) -> None:
    data = tmp_path / "data"
    data.mkdir()
    for name in "abc":
        writer = cv2.VideoWriter(
            str(data / f"{name}.avi"), cv2.VideoWriter.fourcc(*"MJPG"), 10, (96, 72)
        )
        for index in range(12):
            frame = np.full((72, 96, 3), 40, np.uint8)
            frame[20 + index : 40 + index, 10 + 2 * index : 30 + 2 * index] = 230
            writer.write(frame)
        writer.release()
        (data / f"{name}.txt").write_text(
            "\n".join(f"{10 + 2 * i},{20 + i},20,20" for i in range(12))
        )

    def command(out: Path) -> tuple[object, ...]:
        return (ROOT / "tools" / "evaluate.py", "--data", data, "--out", out, "--no-report",
                "--quiet", "--trackers", "trackers_under_test:Slow")  # fmt: skip

    life = lifetime(*command(tmp_path / "whole"))
    out = tmp_path / "out"
    for moment, kind in moments(count, life, 2):
        end_at(start(*command(out)), moment, kind)
        for path in out.rglob("*.csv"):
            assert json.loads(path.with_suffix(".json").read_text())["key"]
            with path.open() as file:
                assert len(list(csv.reader(file))) == 13
        if len(list(out.rglob("*.csv"))) == 3:  # done: the next one starts anew
            shutil.rmtree(out)
    lifetime(*command(out))
    scores = [json.loads((f / "summary.json").read_text()) for f in (out, tmp_path / "whole")]
    assert boxes(out) == boxes(tmp_path / "whole")
    assert scores[0]["datasets"].keys() == scores[1]["datasets"].keys()


@pytest.mark.parametrize("writes", [0, 1])
def test_an_evaluation_ended_between_its_two_files_is_run_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, writes: int
) -> None:
    """A moment of some milliseconds, which random ones seldom meet."""
    from tracker.evaluation import opponents, runner
    from tracker.evaluation.results_io import Track
    from tracker.files import write_atomic
    from tracker.frames import Pictures

    picture = tmp_path / "a.png"
    cv2.imwrite(str(picture), np.zeros((9, 9, 3), np.uint8))
    sequence = Sequence("set", "clip", Pictures((picture,)), np.array([[1.0, 1.0, 5.0, 5.0]]))
    job = runner.make_job("identity", opponents.Options(), "x", sequence, tmp_path / "out")
    track = Track(np.array([0]), sequence.truth, np.ones(1), ("tracking",), np.ones(1))
    left = [write_atomic] * writes

    def write_and_die(path: Path, data: str) -> None:
        if not left:
            raise KeyboardInterrupt
        left.pop()(path, data)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(runner, "write_atomic", write_and_die)
        runner._save(job, track, (9, 9), 1)
    assert runner.finished(job) is None  # neither done nor somebody else's
    runner._save(job, track, (9, 9), 1)
    assert runner.finished(job) is not None


def boxes(out: Path) -> dict[str, list[list[str]]]:
    """Every column of the result files but the time that it took."""
    found = {}
    for path in out.rglob("*.csv"):
        with path.open() as file:
            found[path.name] = [row[:-1] for row in csv.reader(file)]
    return found


# --- training -----------------------------------------------------------------------------


@pytest.mark.train
@pytest.mark.parametrize("count", [LONG])  # in short: training/test_run_ends.py, test_trainer.py
def test_training_goes_on_from_any_moment_to_the_same_losses(tmp_path: Path, count: int) -> None:
    torch = pytest.importorskip("torch")
    from tests.training.data import write_clip
    from tracker.training.checkpoint import load_checkpoint
    from tracker.training.log import read_table

    for number in (1, 2):
        write_clip(tmp_path / "data" / str(number), seed=number)
    steps = 40

    def command(out: Path) -> list[object]:
        options = ["--init", "none", "--channels", "8", "--tower-depth", "1", "--frozen", "6",
                   "--batch", "2", "--autocast", "none", "--workers", "0", "--threads", "1",
                   "--log-every", "1", "--save-every", "1", "--mine-every", "5", "--quiet",
                   "--pairs", 2 * steps, "--data", tmp_path / "data", "--out", out]  # fmt: skip
        return [ROOT / "tools" / "train.py", *options]

    def again(out: Path) -> str:
        """What a person adds after a run was ended, before or after its first checkpoint."""
        return "--resume" if (out / "checkpoint.pt").exists() else "--overwrite"

    life = lifetime(*command(tmp_path / "whole"))
    out = tmp_path / "out"
    for moment, kind in moments(count, life, 3):
        end_at(start(*command(out), again(out)), moment, kind)
        if (out / "checkpoint.pt").exists():
            content = load_checkpoint(out / "checkpoint.pt")  # never half of one
            if content["step"] >= steps:  # done: the next one starts anew
                assert same(torch, tmp_path / "whole", out) and logged(out) == logged(
                    tmp_path / "whole"
                )
                for path in out.iterdir():
                    path.unlink()
    lifetime(*command(out), again(out))
    assert len(read_table(out / "log.csv")) == steps
    assert logged(out) == logged(tmp_path / "whole")
    assert same(torch, tmp_path / "whole", out)


def logged(out: Path) -> list[dict[str, str]]:
    from tracker.training.log import read_table

    rows = read_table(out / "log.csv")
    return [{k: v for k, v in row.items() if k not in ("seconds", "waited")} for row in rows]


def same(torch: Any, a: Path, b: Path) -> bool:
    from tracker.training.checkpoint import load_checkpoint

    one, two = (load_checkpoint(p / "checkpoint.pt") for p in (a, b))
    return all(
        torch.equal(value, two[kind][name])
        for kind in ("model", "average")
        for name, value in one[kind].items()
    )


# --- export -------------------------------------------------------------------------------

WRITE = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from tracker.weights import ModelFiles, write_model
for n in range(100000):
    a, b = bytes([n % 256]) * 300_000, bytes([n % 256]) * 400_000
    write_model(ModelFiles("m", a, b, Path()), Path(sys.argv[2]))
    print(n, flush=True)
"""


@pytest.mark.parametrize("count", [8, LONG])
def test_a_model_that_was_being_replaced_is_whole_or_refused(tmp_path: Path, count: int) -> None:
    """What takes the time in an export writes nothing; this does nothing but write."""
    from tracker.errors import UserError

    rng, whole = random.Random(4), 0
    tries = effort(count) * (10 if count > 8 else 1)
    for number in range(10 * tries):
        if number >= tries and whole:  # by chance the first ones may all end between two files
            break
        process = subprocess.Popen(
            [sys.executable, "-c", WRITE, str(ROOT), str(tmp_path / "m")],
            stdout=subprocess.PIPE, env=ENVIRONMENT,
        )  # fmt: skip
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(rng.random() * 0.05)
        process.send_signal(SIGNALS[0] if number % 2 else SIGNALS[1])
        process.communicate(timeout=60)
        try:
            files = read_model(tmp_path / "m")
        except UserError as error:
            assert "is not the file that SHA256SUMS lists" in str(error)
            continue
        whole += 1
        assert len(set(files.exemplar + files.search)) == 1, "of two exports"
        assert (len(files.exemplar), len(files.search)) == (300_000, 400_000)
    assert whole > 0
