"""From numbers of steps to batches of pairs, made by other processes while the network learns."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator

import cv2
import torch
from torch.utils.data import DataLoader, Sampler

from tracker.training.objective import Batch
from tracker.training.pairs import PairDataset, PairSampler
from tracker.training.processes import process_count, process_rank


class StepSampler(Sampler[list[int]]):
    """Numbers of the pairs of the steps ``start`` .. ``stop - 1``, for one of several processes.

    Args:
        batch: pairs a step, of all processes together; each takes its share in order.
    """

    def __init__(self, start: int, stop: int, batch: int) -> None:
        self.start, self.stop, self.batch = start, stop, batch
        self.rank, self.world = process_rank(), process_count()

    def __len__(self) -> int:
        return max(self.stop - self.start, 0)

    def __iter__(self) -> Iterator[list[int]]:
        share = self.batch // self.world
        for step in range(self.start, self.stop):
            first = step * self.batch + self.rank * share
            yield list(range(first, first + share))


class PairLoader:
    """Batches of pairs, and how long the trainer had to wait for them.

    Attributes:
        waited: seconds in which the network had nothing to do.
        first: seconds of them before the first batch: loader processes were starting.
    """

    def __init__(
        self, sampler: PairSampler, batch: int, workers: int, device: torch.device
    ) -> None:
        self.sampler, self.batch, self.workers = sampler, batch, workers
        self.device = device
        self.waited = self.first = 0.0

    def batches(self, start: int, stop: int) -> Iterator[Batch]:
        """The batches of steps ``start`` .. ``stop - 1``, made with the sampler as it is now."""
        # A forked process that inherits OpenCV's pool of threads waits for them for ever.
        cv2.setNumThreads(1)
        loader: DataLoader[Batch] = DataLoader(
            PairDataset(self.sampler, stop * self.batch),
            batch_sampler=StepSampler(start, stop, self.batch),
            num_workers=self.workers,
            prefetch_factor=4 if self.workers else None,
            pin_memory=self.device.type == "cuda",
            worker_init_fn=leave_signals_to_the_trainer,
        )
        asked = time.monotonic()
        batches = iter(loader)
        while True:
            batch = next(batches, None)
            waited = time.monotonic() - asked
            self.waited += waited
            self.first = self.first or waited
            if batch is None:
                return
            yield {k: v.to(self.device, non_blocking=True) for k, v in batch.items()}
            asked = time.monotonic()


def leave_signals_to_the_trainer(_: int) -> None:
    """Ctrl-c reaches all processes of a terminal; the trainer ends the loaders itself."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
