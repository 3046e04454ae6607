"""The training loop."""

from __future__ import annotations

import csv
import dataclasses
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader, Sampler
from tqdm import tqdm

from tracker.network.kestrel import Kestrel
from tracker.network.siamfc import SiamFC
from tracker.training.checkpoint import load_checkpoint, save_checkpoint
from tracker.training.objective import Batch, LossOptions, make_objective
from tracker.training.optimise import MovingAverage, OptimOptions, make_optimiser, rate_factor
from tracker.training.pairs import PairDataset, PairSampler


@dataclass(frozen=True)
class RunOptions:
    """One training run.

    Attributes:
        pairs: pairs in the whole run; the schedule is laid over them.
        batch: pairs a step, of all processes together.
        seed: of weights and pairs.
        frozen: stages of Kestrel's trunk that do not learn.
        workers: processes that make pairs.
        max_minutes: stop (resumable) after this time; 0 for no limit.
        save_every: steps between checkpoints.
        autocast: ``bf16``, ``fp16`` or ``none``.
    """

    pairs: int
    batch: int = 32
    seed: int = 0
    frozen: int = 3
    workers: int = 1
    max_minutes: float = 0.0
    save_every: int = 200
    autocast: str = "bf16"
    optim: OptimOptions = field(default_factory=OptimOptions)
    loss: LossOptions = field(default_factory=LossOptions)

    @property
    def steps(self) -> int:
        return max(self.pairs // self.batch, 1)


class StepSampler(Sampler[list[int]]):
    """Numbers of the pairs of each step from ``start`` on, for one of several processes."""

    def __init__(self, start: int, steps: int, batch: int) -> None:
        self.start, self.steps, self.batch = start, steps, batch
        self.rank, self.world = process_rank(), process_count()

    def __len__(self) -> int:
        return self.steps - self.start

    def __iter__(self) -> Iterator[list[int]]:
        share = self.batch // self.world
        for step in range(self.start, self.steps):
            first = step * self.batch + self.rank * share
            yield list(range(first, first + share))


class Trainer:
    """Trains a network on pairs; resumes exactly; writes checkpoints and a log.

    Args:
        network: to train, changed in place.
        sampler: makes the pairs.
        options: of the run.
        out: folder for ``checkpoint.pt`` and ``log.csv``.
        device: where to train.
    """

    def __init__(
        self,
        network: SiamFC | Kestrel,
        sampler: PairSampler,
        options: RunOptions,
        out: Path,
        device: torch.device,
    ) -> None:
        self.options, self.out, self.device = options, out, device
        self.sampler = sampler
        self.network = network.to(device=device, memory_format=torch.channels_last)
        if isinstance(network, Kestrel):
            network.trunk.freeze_stages(options.frozen)
        self.optimiser = make_optimiser(network, options.optim)
        self.average = MovingAverage(network, options.optim.ema)
        objective: nn.Module = make_objective(network, options.loss)
        self.objective = DistributedDataParallel(objective) if process_count() > 1 else objective
        self.step = 0
        self.seconds = 0.0
        self.waited = 0.0

    def resume(self, path: Path) -> None:
        """Go on exactly where a checkpoint of the same options stopped."""
        content = load_checkpoint(path)
        self.network.load_state_dict(content["model"])
        self.average.network.load_state_dict(content["average"])
        self.optimiser.load_state_dict(content["optimiser"])
        self.sampler.confused.copy_(content["confused"])
        self.step, self.seconds = int(content["step"]), float(content["seconds"])
        torch.set_rng_state(content["rng"])

    def save(self) -> None:
        """Write ``checkpoint.pt``."""
        if process_rank() != 0:
            return
        content = {
            "network": self.network.name,
            "model": self.network.state_dict(),
            "average": self.average.network.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "confused": self.sampler.confused,
            "step": self.step,
            "seconds": self.seconds,
            "rng": torch.get_rng_state(),
            "options": dataclasses.asdict(self.options),
        }
        save_checkpoint(self.out / "checkpoint.pt", content)

    def run(self) -> bool:
        """Train to the end, or to the time limit. Returns whether the run is complete."""
        started, already = time.monotonic(), self.seconds
        limit = self.options.max_minutes * 60
        bar = tqdm(
            total=self.options.steps * self.options.batch,
            initial=self.step * self.options.batch,
            unit="pair", disable=process_rank() != 0, mininterval=5,
        )  # fmt: skip
        log = TrainingLog(self.out / "log.csv", self.step)
        try:
            for batch in self._timed(self._loader()):
                parts = self._train_step(batch)
                self.step += 1
                self.seconds = already + time.monotonic() - started
                log.add(self.step, parts)
                bar.update(self.options.batch)
                if self.step % 50 == 0:
                    rate = self.optimiser.param_groups[-1]["lr"]
                    values = log.write(self.step, self.seconds, rate, self.waited)
                    bar.set_postfix({k: f"{v:.3f}" for k, v in values.items()})
                if self.step % self.options.save_every == 0:
                    self.save()
                if limit and time.monotonic() - started > limit:
                    break
        finally:
            bar.close()
            self.save()
        return self.step >= self.options.steps

    def _loader(self) -> DataLoader[Batch]:
        dataset = PairDataset(self.sampler, self.options.steps * self.options.batch)
        workers = self.options.workers
        return DataLoader(
            dataset,
            batch_sampler=StepSampler(self.step, self.options.steps, self.options.batch),
            num_workers=workers,
            prefetch_factor=4 if workers else None,
            pin_memory=self.device.type == "cuda",
        )

    def _timed(self, loader: DataLoader[Batch]) -> Iterator[Batch]:
        """The loader's batches, with the time spent waiting for them added up."""
        batches = iter(loader)
        while True:
            asked = time.monotonic()
            batch = next(batches, None)
            if batch is None:
                return
            self.waited += time.monotonic() - asked
            yield batch

    def _train_step(self, batch: Batch) -> dict[str, float]:
        factor = rate_factor(self.options.optim, self.step / self.options.steps)
        for group in self.optimiser.param_groups:
            group["lr"] = group["peak"] * factor
        self.objective.train()
        batch = {k: v.to(self.device, non_blocking=True) for k, v in batch.items()}
        with self._autocast():
            parts: dict[str, Tensor] = self.objective(batch)
        self.optimiser.zero_grad(set_to_none=True)
        parts["loss"].backward()
        nn.utils.clip_grad_norm_(self.network.parameters(), self.options.optim.clip)
        self.optimiser.step()
        self.average.update(self.network, self.step)
        return {k: float(v.detach()) for k, v in parts.items()}

    def _autocast(self) -> Any:
        kinds = {"bf16": torch.bfloat16, "fp16": torch.float16}
        dtype = kinds.get(self.options.autocast)
        return torch.autocast(self.device.type, dtype, enabled=dtype is not None)


class TrainingLog:
    """``log.csv``: a row of mean losses every so many steps, flushed as it is written."""

    def __init__(self, path: Path, step: int) -> None:
        self.path, self._sums, self._count = path, dict[str, float](), 0
        if step == 0 and process_rank() == 0 and path.exists():
            path.unlink()

    def add(self, step: int, parts: dict[str, float]) -> None:
        """Count one step's losses in."""
        for name, value in parts.items():
            self._sums[name] = self._sums.get(name, 0.0) + value
        self._count += 1

    def write(self, step: int, seconds: float, rate: float, waited: float) -> dict[str, float]:
        """Append a row and start a new mean."""
        values = {k: v / max(self._count, 1) for k, v in self._sums.items()}
        self._sums, self._count = {}, 0
        row = {"step": step, "seconds": round(seconds, 1), "lr": rate, "waited": round(waited, 1)}
        row |= {k: round(v, 5) for k, v in values.items()}
        if process_rank() == 0:
            fresh = not self.path.exists()
            with self.path.open("a", newline="") as file:
                writer = csv.DictWriter(file, row)
                if fresh:
                    writer.writeheader()
                writer.writerow(row)
        return values


def process_rank() -> int:
    """Number of this process among those that train together."""
    return dist.get_rank() if dist.is_initialized() else 0


def process_count() -> int:
    """How many processes train together."""
    return dist.get_world_size() if dist.is_initialized() else 1


def keep_memory() -> None:
    """Start this program again with a malloc that keeps its memory (glibc, once).

    glibc gives large blocks back to the system after every step and faults them in
    again at the next: half of the time of a CPU run.
    """
    import sys

    settings = {
        "MALLOC_MMAP_THRESHOLD_": str(1 << 32),
        "MALLOC_TRIM_THRESHOLD_": str(1 << 33),
        "MALLOC_TOP_PAD_": str(1 << 28),
        "MALLOC_ARENA_MAX": "1",  # the backward pass runs in a thread with an arena of its own
    }
    if sys.platform != "linux" or "MALLOC_TOP_PAD_" in os.environ:
        return
    os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], {**os.environ, **settings})
