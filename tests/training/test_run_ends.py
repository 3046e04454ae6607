"""How a run ends: signals, kills, limits, losses that are no numbers; and what it keeps."""

from __future__ import annotations

import argparse
import dataclasses
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

torch = pytest.importorskip("torch")

from tests.training.quick_runs import QUICK, assert_same, one_thread, stop_after, trainer, weights  # noqa: E402, F401
from tracker.errors import UserError  # noqa: E402
from tracker.training import train_cli  # noqa: E402
from tracker.training.checkpoint import load_checkpoint, save_checkpoint  # noqa: E402
from tracker.training.loop import Trainer  # noqa: E402

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signal_ends_at_a_whole_step(tmp_path: Path, number: int) -> None:
    before = signal.getsignal(number)
    run = trainer(tmp_path)
    stop_after(run, 3, number)
    assert not run.run()
    assert signal.getsignal(number) == before
    content = load_checkpoint(tmp_path / "checkpoint.pt")
    assert content["step"] == 3
    again = trainer(tmp_path)
    assert again.resume(tmp_path / "checkpoint.pt") == []
    assert_same(weights(run), weights(again))


def test_an_error_inside_of_a_step_leaves_the_last_checkpoint(tmp_path: Path) -> None:
    run = trainer(tmp_path, dataclasses.replace(QUICK, save_every=2))

    def broken(network: torch.nn.Module, step: int) -> None:
        if step == 3:
            raise ArithmeticError
        del network

    run.average.update = broken  # type: ignore[method-assign]
    with pytest.raises(ArithmeticError):
        run.run()
    assert load_checkpoint(tmp_path / "checkpoint.pt")["step"] == 2


def test_loss_that_is_no_number_stops_the_run(tmp_path: Path) -> None:
    run = trainer(tmp_path, dataclasses.replace(QUICK, save_every=1, log_every=1))
    poison(run, 2)
    with pytest.raises(UserError, match="not a number any more at step 3"):
        run.run()
    assert_sound(tmp_path / "checkpoint.pt", step=2)


def test_one_wrong_bit_in_the_weights_is_found(tmp_path: Path) -> None:
    """A disk's mistake between the tensors' numbers: torch itself reads on."""
    path, weights = tmp_path / "checkpoint.pt", torch.arange(1000.0)
    save_checkpoint(path, {"network": "kestrel", "model": {"w": weights}})
    content, block = bytearray(path.read_bytes()), weights[500:504].numpy().tobytes()
    content[content.index(block)] ^= 1
    path.write_bytes(content)
    with pytest.raises(UserError, match="is damaged"):
        load_checkpoint(path)


def assert_sound(checkpoint: Path, step: int) -> None:
    content = load_checkpoint(checkpoint)
    assert content["step"] == step
    assert all(torch.isfinite(v).all() for v in content["model"].values())


@pytest.mark.parametrize("after", [False, True])
def test_weights_that_are_no_numbers_are_never_saved(tmp_path: Path, after: bool) -> None:
    """Nor those of a step whose loss was one yet."""
    run = trainer(tmp_path, dataclasses.replace(QUICK, save_every=2, log_every=100))
    poison(run, 3, after)
    with pytest.raises(UserError, match="not a number any more at step 4"):
        run.run()
    assert_sound(tmp_path / "checkpoint.pt", step=2)


def poison(run: Trainer, step: int, after: bool = False) -> None:
    """Make the weights no numbers before or after a step."""
    inner = run._train_step

    def poisoned(batch: dict[str, torch.Tensor]) -> None:
        if after:
            inner(batch)
        if run.step == step:
            with torch.no_grad():
                run.network.head.score.weight.fill_(float("nan"))  # type: ignore[union-attr]
        if not after:
            inner(batch)

    run._train_step = poisoned  # type: ignore[method-assign]


def test_ctrl_c_does_not_keep_weights_that_are_no_numbers(tmp_path: Path) -> None:
    """Between two rows of the log nobody has looked at the loss."""
    run = trainer(tmp_path, dataclasses.replace(QUICK, save_every=2, log_every=100))
    poison(run, 2)
    stop_after(run, 3)
    with pytest.raises(UserError, match="not a number any more at step 3"):
        run.run()
    assert_sound(tmp_path / "checkpoint.pt", step=2)


def test_a_run_replaces_an_earlier_one_from_its_start(tmp_path: Path) -> None:
    """Else --resume after an early failure would go on with the run that was overwritten."""
    assert trainer(tmp_path).run()
    run = trainer(tmp_path)
    poison(run, 0)
    with pytest.raises(UserError, match="the last checkpoint is kept: resume it"):
        run.run()
    assert load_checkpoint(tmp_path / "checkpoint.pt")["step"] == 0


def test_ctrl_c_in_the_last_step_is_a_complete_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = trainer(tmp_path)
    stop_after(run, QUICK.steps, signal.SIGINT)
    assert train_cli.train(run, argparse.Namespace(toy=False, out=tmp_path)) == 0
    assert "complete: " in capsys.readouterr().out


def test_ctrl_c_while_the_last_checkpoint_is_written(tmp_path: Path) -> None:
    run = trainer(tmp_path)
    inner = run.save

    def save() -> None:
        if run.step == QUICK.steps:
            os.kill(os.getpid(), signal.SIGINT)
        inner()

    run.save = save  # type: ignore[method-assign]
    assert run.run()
    assert load_checkpoint(tmp_path / "checkpoint.pt")["step"] == QUICK.steps


def test_a_loader_process_that_is_killed_is_one_sentence(tmp_path: Path) -> None:
    """As the system does it where memory runs out."""
    run = trainer(tmp_path, dataclasses.replace(QUICK, workers=1, save_every=2))
    inner = run._train_step

    def step_and_kill(batch: dict[str, torch.Tensor]) -> None:
        inner(batch)
        if run.step == 2:
            (worker,) = multiprocessing.active_children()
            worker.kill()
            worker.join(10)

    run._train_step = step_and_kill  # type: ignore[method-assign]
    with pytest.raises(UserError, match=r"makes pairs was ended from outside .* fewer --workers"):
        run.run()
    assert load_checkpoint(tmp_path / "checkpoint.pt")["step"] >= 2
    assert not multiprocessing.active_children()


def memory_error_of_opencv() -> cv2.error:
    error = cv2.error("Failed to allocate 768 bytes")
    error.code = cv2.Error.StsNoMem
    return error


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (torch.cuda.OutOfMemoryError("CUDA out of memory."), True),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to"), True),
        (MemoryError("Unable to allocate 768. KiB for an array"), True),  # of numpy, for a pair
        (memory_error_of_opencv(), True),
        (RuntimeError("mat1 and mat2 shapes cannot be multiplied"), False),
    ],
)
def test_too_little_memory_for_a_step(tmp_path: Path, error: Exception, said: bool) -> None:
    run = trainer(tmp_path)

    def fail(batch: dict[str, torch.Tensor]) -> None:
        del batch
        raise error

    run._train_step = fail  # type: ignore[method-assign]
    expected = UserError if said else RuntimeError
    message = "not enough memory for 2 pairs a step; give a smaller --batch" if said else "mat1"
    with pytest.raises(expected, match=message):
        run.run()
    assert load_checkpoint(tmp_path / "checkpoint.pt")["step"] == 0


@dataclasses.dataclass
class Failing:
    """A sampler that travels to a loader process and fails there."""

    make: Callable[[], object]

    def pair(self, index: int) -> object:
        return self.make()


def too_many_numbers() -> np.ndarray:
    return np.empty(1 << 50)


def too_many_pixels() -> np.ndarray:
    return cv2.resize(np.zeros((2, 2), np.uint8), (1 << 30, 1 << 30))


def no_pixels() -> np.ndarray:
    return cv2.resize(np.zeros((2, 2), np.uint8), (-1, 2))


@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.parametrize("make", [too_many_numbers, too_many_pixels])
def test_too_little_memory_for_a_pair(
    tmp_path: Path, make: Callable[[], object], workers: int
) -> None:
    run = trainer(tmp_path, dataclasses.replace(QUICK, workers=workers))
    run.loader.sampler = Failing(make)  # type: ignore[assignment]
    with pytest.raises(UserError, match=r"not enough memory to make pairs; give fewer --workers"):
        run.run()
    assert load_checkpoint(tmp_path / "checkpoint.pt")["step"] == 0


def test_other_errors_of_a_pair_pass(tmp_path: Path) -> None:
    run = trainer(tmp_path)
    run.loader.sampler = Failing(no_pixels)  # type: ignore[assignment]
    with pytest.raises(cv2.error):
        run.run()


def test_time_limit_stops_and_is_resumable(tmp_path: Path) -> None:
    run = trainer(tmp_path, dataclasses.replace(QUICK, max_minutes=1e-9))
    assert not run.run()
    assert load_checkpoint(tmp_path / "checkpoint.pt")["step"] == 1


LOOP = """
import sys, pathlib, torch, dataclasses
sys.path.insert(0, {root!r})
torch.set_num_threads(1)
from tests.training.quick_runs import QUICK, trainer
options = dataclasses.replace(QUICK, pairs=100000, save_every=1)
trainer(pathlib.Path({out!r}), options).run()
"""


@pytest.mark.timeout(600)
def test_kill_leaves_a_checkpoint_that_loads(tmp_path: Path) -> None:
    """SIGKILL at once after a checkpoint appeared: the next is being written."""
    code = LOOP.format(root=str(ROOT), out=str(tmp_path))
    process = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT)
    path = tmp_path / "checkpoint.pt"
    try:
        deadline = time.monotonic() + 300
        log = tmp_path / "log.csv"  # its second row: a step is in the checkpoint
        while (
            not (log.exists() and log.read_text().count("\n") > 2)
            and time.monotonic() < deadline
            and process.poll() is None
        ):
            time.sleep(0.05)
        partial = tmp_path / "checkpoint.pt.partial"
        while not partial.exists() and time.monotonic() < deadline and process.poll() is None:
            time.sleep(0.001)
    finally:
        process.kill()
        process.wait()
    again = trainer(tmp_path)
    again.resume(path)
    assert again.step >= 1
