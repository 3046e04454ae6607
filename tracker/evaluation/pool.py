"""Work in several processes that survives what native code and people do to them.

A worker that dies takes one task with it and no more: those that ran beside it are run again.
Ctrl-c reaches the parent alone; workers end with their parent, however that ends.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from typing import Any, TypeVar

Task = TypeVar("Task")
Answer = TypeVar("Answer")

DIED = "its process died (a crash in native code, or out of memory)"


def run(
    function: Callable[[Task], Answer], tasks: Sequence[Task], workers: int
) -> Iterator[tuple[Task, Answer | None]]:
    """Yield each task with its answer as they come, ``None`` where a process died.

    Args:
        function: importable by name, so that a fresh process can call it; it handles its
            own errors: what it raises ends the run.
        workers: processes; each does one task at a time.
    """
    waiting = list(reversed(tasks))
    while waiting:
        suspects: list[Task] = []
        yield from _until_broken(function, waiting, workers, suspects)
        for task in suspects:  # one of them was fatal: each gets a process of its own
            fatal: list[Task] = []
            yield from _until_broken(function, [task], 1, fatal)
            yield from ((one, None) for one in fatal)


def _until_broken(
    function: Callable[[Task], Answer], waiting: list[Task], workers: int, suspects: list[Task]
) -> Iterator[tuple[Task, Answer | None]]:
    """Work off ``waiting`` from its end, until a worker dies: then ``suspects`` were running."""
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(workers, mp_context=context, initializer=_begin_worker)
    running: dict[Future[Answer], Task] = {}
    try:
        while running or (waiting and not suspects):
            while waiting and len(running) < workers and not suspects:
                task = waiting.pop()
                try:
                    running[pool.submit(function, task)] = task
                except BrokenProcessPool:
                    suspects.append(task)
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                task = running.pop(future)
                try:
                    answer = future.result()
                except BrokenProcessPool:
                    suspects.append(task)
                else:
                    yield task, answer
    finally:
        _stop(pool)


def _stop(pool: ProcessPoolExecutor) -> None:
    """End the workers at once: what they had not finished is not wanted."""
    processes: dict[int, Any] = dict(getattr(pool, "_processes", None) or {})
    pool.shutdown(wait=False, cancel_futures=True)
    for process in processes.values():
        process.terminate()


def _begin_worker() -> None:
    # ctrl-c reaches the whole group; the parent alone decides what to do
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    if parent is not None:
        sentinel = parent

        def leave_with_parent() -> None:
            sentinel.join()
            os._exit(1)  # the parent was killed: nobody waits for the result

        threading.Thread(target=leave_with_parent, daemon=True).start()
