"""Memory that runs out while training, and processes that the system ends: one sentence."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import cv2
import torch

from tracker.errors import UserError
from tracker.training.tracks import lacks_memory


@contextlib.contextmanager
def shortages_told(batch: int) -> Iterator[None]:
    """Turn errors of torch, numpy and OpenCV that tell of a shortage into UserError.

    All others pass. Around whole steps: torch tells of a loader process that ended wherever it
    learns of it.

    Args:
        batch: pairs a step, for the message.
    """
    try:
        yield
    except (RuntimeError, MemoryError, cv2.error) as error:  # that of CUDA is a RuntimeError
        sentence = _shortage(error, batch)
        if sentence is None:
            raise
        raise UserError(sentence) from None


def pair_shortage(error: MemoryError | cv2.error) -> UserError | None:
    """What to say where memory ran out while a pair was made; None: it was something else."""
    if not _is_shortage(error):
        return None
    return UserError(
        "there is not enough memory to make pairs; give fewer --workers or a smaller --batch"
    )


def _is_shortage(error: Exception) -> bool:
    of_opencv = isinstance(error, cv2.error) and lacks_memory(error)
    return of_opencv or isinstance(error, (torch.cuda.OutOfMemoryError, MemoryError))


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
    if _is_shortage(error) or "can't allocate memory" in text:
        return f"there is not enough memory for {batch} pairs a step; give a smaller --batch"
    return None
