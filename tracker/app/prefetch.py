"""Decodes the next frames of a file in a thread while the tracker works on this one."""

from __future__ import annotations

import queue
import threading

from tracker.app.frame_source import Frame, Source

DEPTH = 4


class Prefetch:
    """A source with an end, read ahead by up to four frames: same frames, same order.

    What the source raises is raised by the ``read`` that would have given that frame.
    """

    live = False

    def __init__(self, source: Source) -> None:
        self.name, self.fps, self.frame_count = source.name, source.fps, source.frame_count
        self.ended, self._source = False, source
        self._start()

    @property
    def can_seek(self) -> bool:
        return self._source.can_seek

    def _start(self) -> None:
        # Each thread has its own queue and flag, so one that is left behind disturbs nobody.
        self._queue: queue.Queue[Frame | BaseException | None] = queue.Queue(DEPTH)
        self._stop = threading.Event()
        self._thread = threading.Thread(
            target=_read_ahead,
            args=(self._source, self._queue, self._stop),
            name="decoder",
            daemon=True,
        )
        self._thread.start()

    def read(self, timeout: float = 1.0) -> Frame | None:
        if self.ended:
            return None
        try:
            item = self._queue.get(timeout=timeout)
        except queue.Empty:
            return None
        if isinstance(item, Frame):
            return item
        self.ended = True
        if item is not None:
            raise item
        return None

    def seek(self, index: int) -> None:
        if not self.can_seek:
            return
        self._halt(timeout=None)  # two threads in one decoder would crash it
        self._source.seek(index)
        self.ended = False
        self._start()

    def close(self) -> None:
        if self._halt():
            self._source.close()

    def _halt(self, timeout: float | None = 2.0) -> bool:
        """Stop the thread; False when it hangs in a read (a pipe that nobody feeds)."""
        self._stop.set()
        while True:
            try:
                self._queue.get_nowait()
            except queue.Empty:
                break
        self._thread.join(timeout)
        return not self._thread.is_alive()


def _read_ahead(
    source: Source, out: queue.Queue[Frame | BaseException | None], stop: threading.Event
) -> None:
    while not stop.is_set():
        item: Frame | BaseException | None
        try:
            item = source.read()
        except BaseException as error:  # carried over to the reader
            item = error
        if item is None and not source.ended:
            continue
        while not stop.is_set():
            try:
                out.put(item, timeout=0.1)
                break
            except queue.Full:
                continue
        if not isinstance(item, Frame):
            return
