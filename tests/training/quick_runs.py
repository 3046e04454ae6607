"""Runs of a few steps, and what they are compared by."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

from tests.training.data import (  # noqa: E402
    tiny_kestrel,
    tiny_sampler,
)
from tracker.training.log import read_table  # noqa: E402
from tracker.training.loop import RunOptions, Trainer  # noqa: E402
from tracker.training.optimise import OptimOptions  # noqa: E402

QUICK = RunOptions(
    pairs=16, batch=2, frozen=6, workers=0, autocast="none", log_every=1, save_every=100,
    quiet=True, optim=OptimOptions(lr=5e-3, warmup=0.2),
)  # fmt: skip


@pytest.fixture(autouse=True)
def one_thread() -> None:
    """For every test of a module that imports it."""
    torch.set_num_threads(1)


def trainer(out: Path, options: RunOptions = QUICK, **more: object) -> Trainer:
    out.mkdir(exist_ok=True)
    return Trainer(
        tiny_kestrel(), tiny_sampler(), options, out, torch.device("cpu"), **more  # type: ignore[arg-type]
    )  # fmt: skip


def losses(out: Path) -> list[str]:
    return [row["loss"] for row in read_table(out / "log.csv")]


def weights(run: Trainer) -> dict[str, torch.Tensor]:
    kinds = {"model": run.network, "average": run.average.network}
    return {f"{k}.{n}": v for k, net in kinds.items() for n, v in net.state_dict().items()}


def assert_same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> None:
    assert a.keys() == b.keys()
    assert [n for n in a if not torch.equal(a[n], b[n])] == []


def stop_after(run: Trainer, step: int, number: int = signal.SIGTERM) -> None:
    """Send a signal in the middle of a step."""
    inner = run._train_step

    def step_and_signal(batch: dict[str, torch.Tensor]) -> None:
        if run.step == step - 1:
            os.kill(os.getpid(), number)
        inner(batch)

    run._train_step = step_and_signal  # type: ignore[method-assign]
