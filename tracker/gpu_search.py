"""The search graph on a GPU: what stays there stays there."""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tracker.image import Image

Array = NDArray[np.float32]
KEPT = 16  # embeddings on the device, for as many targets of one network


@dataclass
class _Slot:
    """Everything that a batch of crops of one size needs, allocated once."""

    binding: Any
    image: Any
    outputs: list[Array]
    embedding: Any = None


class GpuSearch:
    """Runs the search graph with bound memory.

    A frame costs one copy of its crops to the GPU and one run, at whose end ONNX Runtime
    copies the answers into memory of ours and waits: that is the only synchronisation.
    Embeddings are copied once and found again by their array, so an array that was handed
    over must not be changed in place.

    Args:
        session: of the search graph, on a GPU.
        index: number of the GPU.
        stride: pixels of a crop for one row of an answer, where the graph leaves rows free.
    """

    def __init__(self, session: Any, index: int, stride: int) -> None:
        self._session, self._index, self._stride = session, index, stride
        self._slots: dict[tuple[int, ...], _Slot] = {}
        self._embeddings: OrderedDict[int, tuple[Array, Any]] = OrderedDict()
        self._lock = threading.Lock()  # several trackers may share one network

    def run(self, embedding: Array, crops: Image) -> list[Array]:
        """Outputs of the graph, in its order; arrays of the caller's own."""
        with self._lock:
            slot = self._slots.get(crops.shape) or self._allocate(crops)
            slot.image.update_inplace(np.ascontiguousarray(crops))
            resident = self._resident(embedding)
            if slot.embedding is not resident:
                slot.binding.bind_ortvalue_input("embedding", resident)
                slot.embedding = resident
            self._session.run_with_iobinding(slot.binding)
            return [output.copy() for output in slot.outputs]

    def _allocate(self, crops: Image) -> _Slot:
        import onnxruntime as ort

        binding = self._session.io_binding()
        image = ort.OrtValue.ortvalue_from_numpy(np.ascontiguousarray(crops), "cuda", self._index)
        binding.bind_ortvalue_input("image", image)
        outputs, cells = [], crops.shape[1] // self._stride
        for output in self._session.get_outputs():
            sizes = (n if isinstance(n, int) else cells for n in output.shape[1:])
            array = np.empty((len(crops), *sizes), np.float32)
            binding.bind_output(
                output.name, "cpu", 0, np.float32, list(array.shape), array.ctypes.data
            )
            outputs.append(array)
        slot = self._slots[crops.shape] = _Slot(binding, image, outputs)
        return slot

    def _resident(self, embedding: Array) -> Any:
        import onnxruntime as ort

        known = self._embeddings.get(id(embedding))
        if known is not None and known[0] is embedding:
            self._embeddings.move_to_end(id(embedding))
            return known[1]
        value = ort.OrtValue.ortvalue_from_numpy(
            np.ascontiguousarray(embedding), "cuda", self._index
        )
        self._embeddings[id(embedding)] = embedding, value
        if len(self._embeddings) > KEPT:
            self._embeddings.popitem(last=False)
        return value
