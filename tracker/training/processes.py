"""Training by several processes (``torchrun``): who is who, and what they agree on."""

from __future__ import annotations

import gc
import os

import torch
import torch.distributed as dist
from torch import Tensor

from tracker.errors import UserError


def join_processes(batch: int) -> None:
    """Join the processes that ``torchrun`` started; alone, do nothing.

    Raises:
        UserError: the batch cannot be divided among them.
    """
    count = int(os.environ.get("WORLD_SIZE", "1"))
    if count < 2:
        return
    if batch % count:
        raise UserError(
            f"a batch of {batch} pairs cannot be divided among {count} processes; "
            f"give --batch {max(batch // count, 1) * count}"
        )
    dist.init_process_group("nccl" if torch.cuda.is_available() else "gloo")


def leave_processes() -> None:
    """Undo ``join_processes``.

    Nothing may hold the group any more: DistributedDataParallel would drop the last hold on it
    with Python's lock taken, and wait for ever for a thread of gloo that waits for that lock.
    """
    if dist.is_initialized():
        gc.collect()  # DistributedDataParallel is part of reference cycles
        dist.destroy_process_group()


def choose_training_device() -> torch.device:
    """This process's own GPU where there is one, else the CPU."""
    if not torch.cuda.is_available():
        return torch.device("cpu")
    device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
    torch.cuda.set_device(device)
    return device


def fast_autocast() -> str:
    """``bf16`` where the GPU or the processor computes in it, else ``none``.

    A processor without such instructions converts every number on the way: a step takes 1.4
    times as long as in float32 (two cores of an Intel Xeon of 2019).
    """
    if torch.cuda.is_available():
        return "bf16" if torch.cuda.get_device_capability() >= (8, 0) else "none"
    known = getattr(torch.cpu, "get_capabilities", None)  # older releases do not tell
    if known is None:
        return "bf16"
    found = known()
    return "bf16" if any(v for k, v in found.items() if k.endswith("bf16")) else "none"


def process_rank() -> int:
    """Number of this process among those that train together."""
    return dist.get_rank() if dist.is_initialized() else 0


def process_count() -> int:
    """How many processes train together."""
    return dist.get_world_size() if dist.is_initialized() else 1


def any_process(flag: bool, device: torch.device) -> bool:
    """Whether the flag is set in any process: all must leave a loop in the same step."""
    if process_count() == 1:
        return flag
    value = torch.tensor([float(flag)], device=device)
    dist.all_reduce(value, dist.ReduceOp.MAX)
    return bool(value.item())


def mean_of_processes(values: Tensor) -> Tensor:
    """The mean over processes of a tensor that each has."""
    if process_count() == 1:
        return values
    total = values.clone()
    dist.all_reduce(total)
    return total / process_count()


def gather_all(values: Tensor) -> Tensor:
    """Rows of all processes in order, without a gradient."""
    if process_count() == 1:
        return values
    parts = [torch.empty_like(values) for _ in range(process_count())]
    dist.all_gather(parts, values.contiguous())
    return torch.cat(parts)
