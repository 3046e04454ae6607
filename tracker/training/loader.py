"""From numbers of steps to batches of pairs, made by other processes while the network learns."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator

import cv2
import torch
from torch.utils.data import DataLoader, Dataset, Sampler, default_collate

from tracker.errors import UserError
from tracker.training.objective import Batch
from tracker.training.pairs import PairSampler
from tracker.training.processes import process_count, process_rank
from tracker.training.shortage import pair_shortage


class PairDataset(Dataset[Batch]):
    """The first ``count`` pairs of a sampler as tensors, for ``DataLoader``."""

    def __init__(self, sampler: PairSampler, count: int) -> None:
        self.sampler, self.count = sampler, count

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> Batch:
        cv2.setNumThreads(1)
        pair = self.sampler.pair(index)
        return {
            "exemplar": torch.from_numpy(pair.exemplar),
            "search": torch.from_numpy(pair.search),
            "exemplar_box": torch.from_numpy(pair.exemplar_box),
            "search_box": torch.from_numpy(pair.search_box),
            "positive": torch.tensor(pair.positive),
            "track": torch.tensor(pair.track),
            "shown": torch.tensor(pair.shown),
            "exact": torch.tensor(pair.exact),
            "beside_box": torch.from_numpy(pair.beside_box),
            # a pair without one repeats its exemplar: the tensors of a batch have one shape
            "later": torch.from_numpy(pair.exemplar if pair.later is None else pair.later),
            "later_box": torch.from_numpy(pair.later_box),
            "visible": torch.tensor(pair.visible, dtype=torch.float32),
        }


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
        loader: DataLoader[Batch | UserError] = DataLoader(
            PairsOrErrors(self.sampler, stop * self.batch),
            batch_sampler=StepSampler(start, stop, self.batch),
            num_workers=self.workers,
            prefetch_factor=4 if self.workers else None,
            pin_memory=self.device.type == "cuda",
            worker_init_fn=leave_signals_to_the_trainer,
            collate_fn=joined,
            # else each iterator draws from torch's own, and a resumed run makes one more of them
            generator=torch.Generator(),
        )
        asked = time.monotonic()
        batches = iter(loader)
        try:
            while True:
                batch = next(batches, None)
                waited = time.monotonic() - asked
                self.waited += waited
                self.first = self.first or waited
                if batch is None:
                    return
                if isinstance(batch, UserError):
                    raise batch
                yield {k: v.to(self.device, non_blocking=True) for k, v in batch.items()}
                asked = time.monotonic()
        finally:
            # An error keeps the iterator alive by its traceback. Its processes take no signals, and
            # the end of the program would wait for them for ever.
            end: Callable[[], None] | None = getattr(batches, "_shutdown_workers", None)
            if end is not None:
                end()


class PairsOrErrors(Dataset[Batch | UserError]):
    """Pairs, or what is wrong with a picture, or that there is no memory for it.

    Raised between processes, it would be a traceback.
    """

    def __init__(self, sampler: PairSampler, count: int) -> None:
        self.pairs = PairDataset(sampler, count)

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, index: int) -> Batch | UserError:
        try:
            return self.pairs[index]
        except UserError as error:
            return error
        except (MemoryError, cv2.error) as error:
            told = pair_shortage(error)
            if told is None:
                raise
            return told


def joined(pairs: list[Batch | UserError]) -> Batch | UserError:
    """Pairs as one batch; or the error of the first that could not be made."""
    failed = next((pair for pair in pairs if isinstance(pair, UserError)), None)
    batch: Batch | UserError = default_collate(pairs) if failed is None else failed
    return batch


def leave_signals_to_the_trainer(_: int) -> None:
    """Ctrl-c reaches all processes of a terminal; the trainer ends the loaders itself."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
