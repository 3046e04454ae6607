"""Both graphs of a model in ONNX Runtime."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from tracker.devices import Device, choose_device
from tracker.errors import UserError
from tracker.image import Image
from tracker.spec import METADATA_KEY, ModelSpec
from tracker.weights import ModelFiles, read_model

Array = NDArray[np.float32]


@dataclass(frozen=True)
class SearchOutput:
    """What the search graph says of a batch of search crops.

    Attributes:
        score: (B, H, W) similarity 0..1 of kind ``box``; SiamFC's raw response of kind
            ``response``.
        boxes: (B, 4, H, W) corners x1 y1 x2 y2 in crop pixels; kind ``box`` only.
        identity: (B, D, H, W) features whose mean over a box, normalised, is compared with
            the exemplar's identity; kind ``box`` only.
    """

    score: Array
    boxes: Array | None = None
    identity: Array | None = None


class Network(Protocol):
    """What the online tracker needs of a network."""

    @property
    def spec(self) -> ModelSpec: ...

    def embed(self, crops: Image, boxes: Array) -> tuple[Array, Array | None]:
        """Exemplar crops (B, E, E, 3) and corner boxes (B, 4) -> embedding, identity (B, D)."""

    def search(self, embedding: Array, crops: Image) -> SearchOutput:
        """Embedding (1 or B, ...) and search crops (B, S, S, 3) -> responses."""


class OnnxNetwork:
    """The exported graphs of a model.

    Args:
        files: contents of the two graphs.
        device: where to run.
        threads: of each graph on the CPU; 0 takes the number of cores, at most 4.
        spinning: let waiting threads spin: faster, and warmer.
    """

    def __init__(
        self, files: ModelFiles, device: Device, threads: int = 0, spinning: bool = True
    ) -> None:
        self.device, self.digest, self.threads = device, files.digest, threads or default_threads()
        where = str(files.folder / files.name)
        self._exemplar, self.spec = self._open(files.exemplar, "exemplar", where, spinning)
        self._search, other = self._open(files.search, "search", where, spinning)
        if other.pair != self.spec.pair:
            raise UserError(
                f"the exemplar and the search graph of {where} are not of one training "
                f"({self.spec.name} {self.spec.pair[:8]}, {other.name} {other.pair[:8]}); "
                "export them together"
            )

    def _open(self, content: bytes, role: str, where: str, spinning: bool) -> tuple[Any, ModelSpec]:
        import onnxruntime as ort

        options = ort.SessionOptions()
        options.intra_op_num_threads = self.threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 4  # what goes wrong is said in our own sentence
        options.add_session_config_entry("session.intra_op.allow_spinning", str(int(spinning)))
        try:
            session = ort.InferenceSession(content, options, providers=list(self.device.providers))
        except Exception as error:  # ONNX Runtime raises a dozen unrelated classes here
            raise UserError(
                f"the {role} graph of {where} cannot be loaded by ONNX Runtime "
                f"({str(error).splitlines()[0][:160]}); fetch or export it again"
            ) from None
        text = session.get_modelmeta().custom_metadata_map.get(METADATA_KEY, "")
        return session, ModelSpec.from_json(text, role, f"the {role} graph of {where}")

    def embed(self, crops: Image, boxes: Array) -> tuple[Array, Array | None]:
        """See ``Network.embed``."""
        feeds: dict[str, Any] = {"image": crops}
        if self.spec.kind == "box":
            feeds["box"] = boxes
        outputs = self._exemplar.run(None, feeds)
        return outputs[0], outputs[1] if len(outputs) > 1 else None

    def search(self, embedding: Array, crops: Image) -> SearchOutput:
        """See ``Network.search``."""
        return SearchOutput(*self._search.run(None, {"embedding": embedding, "image": crops}))


def default_threads() -> int:
    """Threads for one tracker: the cores this process may use, at most 4."""
    affinity: Callable[[int], set[int]] | None = getattr(os, "sched_getaffinity", None)
    cores = len(affinity(0)) if affinity else os.cpu_count() or 1
    return min(cores, 4)


def open_network(
    model: str | Path | None = None, device: str = "auto", threads: int | None = None
) -> OnnxNetwork:
    """Load a model; see ``read_model`` for names and ``choose_device`` for devices.

    Raises:
        UserError: anything that is wrong with the files or the device, in one sentence.
    """
    return OnnxNetwork(read_model(model), choose_device(device), threads or 0)
