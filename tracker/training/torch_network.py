"""A network in torch behind the interface that the online tracker expects."""

from __future__ import annotations

import numpy as np
import torch

from tracker.image import Array, Image
from tracker.network.kestrel import Kestrel
from tracker.network.siamfc import SiamFC
from tracker.runtime import SearchOutput
from tracker.spec import ModelSpec
from tracker.training.branches import ExemplarGraph, SearchGraph, make_spec


class TorchNetwork:
    """Tracks with weights that are not exported: ``SiameseTracker(TorchNetwork(network))``.

    It is ``tracker.runtime.Network`` without ONNX Runtime; what it answers is what the
    export is compared with. The network is put into evaluation mode.

    Args:
        network: to track with, on any device.
        spec: its record; ``None`` takes the default online parameters.
    """

    def __init__(self, network: SiamFC | Kestrel, spec: ModelSpec | None = None) -> None:
        self.spec = spec or make_spec(network)
        self.device = next(network.parameters()).device
        network.eval()
        self._exemplar, self._search = ExemplarGraph(network), SearchGraph(network)

    @torch.inference_mode()
    def embed(self, crops: Image, boxes: Array) -> tuple[Array, Array | None]:
        """See ``tracker.runtime.Network.embed``."""
        image = torch.from_numpy(np.ascontiguousarray(crops)).to(self.device)
        if self.spec.kind == "response":
            return _array(self._exemplar(image)), None
        embedding, identity = self._exemplar(image, torch.from_numpy(boxes).to(self.device))
        return _array(embedding), _array(identity)

    @torch.inference_mode()
    def search(self, embedding: Array, crops: Image) -> SearchOutput:
        """See ``tracker.runtime.Network.search``."""
        given = (torch.from_numpy(np.ascontiguousarray(a)) for a in (embedding, crops))
        output = self._search(*(t.to(self.device) for t in given))
        if self.spec.kind == "response":
            return SearchOutput(_array(output))
        return SearchOutput(*(_array(o) for o in output))


def _array(tensor: torch.Tensor) -> Array:
    return np.asarray(tensor.float().cpu().numpy(), dtype=np.float32)
