"""Memory that runs out while training, and processes that the system ends: one sentence."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch

from tracker.errors import UserError


@contextlib.contextmanager
def shortages_told(batch: int) -> Iterator[None]:
    """Turn errors of torch and numpy that tell of a shortage into UserError; all others pass.

    Around whole steps: torch tells of a loader process that ended wherever it learns of it.

    Args:
        batch: pairs a step, for the message.
    """
    try:
        yield
    except (RuntimeError, MemoryError) as error:  # that of CUDA is a RuntimeError
        sentence = _shortage(error, batch)
        if sentence is None:
            raise
        raise UserError(sentence) from None


def _shortage(error: Exception, batch: int) -> str | None:
    text = str(error)
    if text.startswith("DataLoader worker") and (
        "killed by signal" in text or "exited unexpectedly" in text
    ):
        return (
            "a process that makes pairs was ended from outside (out of memory, or /dev/shm too "
            "small?); the last checkpoint is kept: go on with --resume and fewer --workers, or "
            "--workers 0"
        )
    shortage = isinstance(error, (torch.cuda.OutOfMemoryError, MemoryError))
    if shortage or "can't allocate memory" in text:
        return f"there is not enough memory for {batch} pairs a step; give a smaller --batch"
    return None
