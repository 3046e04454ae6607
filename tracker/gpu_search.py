"""The search graph on a GPU: what stays there stays there, and forms of batches are few."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from tracker.image import Array, Image

KEPT = 16  # embeddings on the device, for as many targets of one network
LEAST = 2  # crops a batch: what one target takes while it is followed, and while it is lost


@dataclass
class _Slot:
    """Everything that a batch of one form needs, allocated once."""

    session: Any
    binding: Any
    crops: Image
    image: Any
    outputs: list[Array]
    embedding: Any = None


class GpuSearch:
    """Runs the search graph with bound memory.

    A frame costs one copy of its crops to the GPU and one run, at whose end ONNX Runtime
    copies the answers into memory of ours and waits: that is the only synchronisation.
    Embeddings are copied once and found again by their array, so an array that was handed
    over must not be changed in place.

    Batches are filled up to 2, 4, 8 ... crops, and on CUDA each form of batch has a session of
    its own: when the shape of an input changes, a session makes the plans of all convolutions
    anew, which takes seconds (onnxruntime issue 23006; 3 s on an H100).

    Args:
        session: of the search graph, on a GPU.
        another: opens one more session of it; ``None`` where one serves all forms.
        index: number of the GPU.
        stride: pixels of a crop for one row of an answer, where the graph leaves rows free.
    """

    def __init__(
        self, session: Any, another: Callable[[], Any] | None, index: int, stride: int
    ) -> None:
        self._session, self._another = session, another
        self._index, self._stride = index, stride
        self._slots: dict[tuple[int, ...], _Slot] = {}
        self._embeddings: OrderedDict[tuple[int, int], tuple[Array, Any]] = OrderedDict()
        self._lock = threading.Lock()  # several trackers may share one network

    def run(self, embedding: Array, crops: Image) -> list[Array]:
        """Outputs of the graph, in its order; arrays of the caller's own."""
        count = len(crops)
        form = (filled(count), *crops.shape[1:])
        with self._lock:
            slot = self._slots.get(form) or self._allocate(form)
            slot.crops[:count] = crops
            slot.image.update_inplace(slot.crops)
            resident = self._resident(embedding, len(slot.crops))
            if slot.embedding is not resident:
                slot.binding.bind_ortvalue_input("embedding", resident)
                slot.embedding = resident
            slot.session.run_with_iobinding(slot.binding)
            return [output[:count].copy() for output in slot.outputs]

    def _allocate(self, form: tuple[int, ...]) -> _Slot:
        import onnxruntime as ort

        session = self._another() if self._slots and self._another else self._session
        binding = session.io_binding()
        crops = np.zeros(form, np.uint8)
        image = ort.OrtValue.ortvalue_from_numpy(crops, "cuda", self._index)
        binding.bind_ortvalue_input("image", image)
        outputs, cells = [], form[1] // self._stride
        for output in session.get_outputs():
            sizes = (n if isinstance(n, int) else cells for n in output.shape[1:])
            array = np.empty((len(crops), *sizes), np.float32)
            binding.bind_output(
                output.name, "cpu", 0, np.float32, list(array.shape), array.ctypes.data
            )
            outputs.append(array)
        slot = self._slots[form] = _Slot(session, binding, crops, image, outputs)
        return slot

    def _resident(self, embedding: Array, rows: int) -> Any:
        """The embedding on the device: one row for all crops, or one for each of ``rows``."""
        import onnxruntime as ort

        if len(embedding) == 1:
            rows = 1
        known = self._embeddings.get((id(embedding), rows))
        if known is not None and known[0] is embedding:
            self._embeddings.move_to_end((id(embedding), rows))
            return known[1]
        whole = np.zeros((rows, *embedding.shape[1:]), np.float32)
        whole[: len(embedding)] = embedding
        value = ort.OrtValue.ortvalue_from_numpy(whole, "cuda", self._index)
        self._embeddings[id(embedding), rows] = embedding, value
        if len(self._embeddings) > KEPT:
            self._embeddings.popitem(last=False)
        return value


def filled(count: int) -> int:
    """Crops of the batch that ``count`` of them are put into."""
    return max(LEAST, 1 << (count - 1).bit_length())
