"""From weights to two ONNX graphs that say what they are, compared before they are kept."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from tracker.devices import Device
from tracker.errors import UserError
from tracker.network.kestrel import Kestrel
from tracker.network.siamfc import SiamFC
from tracker.runtime import OnnxNetwork
from tracker.spec import ModelSpec
from tracker.training.branches import ExemplarGraph, SearchGraph
from tracker.training.deploy import deployed_graphs
from tracker.training.simplify import simplify
from tracker.training.stamp import with_record
from tracker.weights import ROLES, ModelFiles

OPSET = 17
# Of scores 0..1, of features relative to the largest, and of boxes in strides: .03 of a pixel,
# where exports of the trained Kestrel differ by .00005.
TOLERANCE = 2e-3


def export(network: SiamFC | Kestrel, spec: ModelSpec, crops: NDArray[np.uint8]) -> ModelFiles:
    """Export both graphs and compare them with torch on real crops.

    Args:
        network: in evaluation mode.
        spec: its record.
        crops: (N >= 3, S, S, 3) uint8 BGR search crops for the comparison.

    Raises:
        UserError: ONNX Runtime's answers differ from torch's.
    """
    network.eval()
    graphs = deployed_graphs(network)
    exemplar, search = (_export_graph(graphs, spec, role) for role in ROLES)
    files = ModelFiles(spec.name, exemplar, search, Path("."))
    compare(network, OnnxNetwork(files, Device("cpu"), threads=2), crops)
    return files


def _export_graph(graphs: dict[str, nn.Module], spec: ModelSpec, role: str) -> bytes:
    e, s = spec.exemplar_size, spec.search_size
    exemplar = torch.zeros(2, e, e, 3, dtype=torch.uint8)
    box = torch.tensor([[32.0, 32.0, 96.0, 96.0]] * 2)
    is_box = spec.kind == "box"
    inputs: tuple[Tensor, ...] = (exemplar, box) if is_box else (exemplar,)
    if role == "exemplar":
        input_names = ["image", "box"][: len(inputs)]
        output_names = ["embedding", "identity"][: 2 if is_box else 1]
        axes = {name: {0: "batch"} for name in input_names + output_names}
    else:
        with torch.no_grad():
            embedding = graphs["exemplar"](*inputs)
        embedding = embedding[0] if is_box else embedding[:1]
        inputs = (embedding, torch.zeros(2, s, s, 3, dtype=torch.uint8))
        input_names = ["embedding", "image"]
        output_names = ["score", "boxes", "identity"][: 3 if is_box else 1]
        axes = {name: {0: "batch"} for name in ["image", *output_names]}
        if is_box:
            axes["embedding"] = {0: "targets"}
            axes["image"].update({1: "height", 2: "width"})
            axes["score"].update({1: "rows", 2: "columns"})
            for name in output_names[1:]:
                axes[name].update({2: "rows", 3: "columns"})
    buffer = io.BytesIO()
    torch.onnx.export(
        graphs[role], inputs, buffer,  # type: ignore[arg-type]
        input_names=input_names, output_names=output_names,
        dynamic_axes=axes, opset_version=OPSET, dynamo=False, do_constant_folding=True,
    )  # fmt: skip
    return with_record(simplify(buffer.getvalue()), spec, role)


def compare(network: SiamFC | Kestrel, runtime: OnnxNetwork, crops: NDArray[np.uint8]) -> None:
    """Refuse graphs that answer otherwise than the network, at batch 1 and 3 and on smaller crops.

    Raises:
        UserError: names the output and the difference.
    """
    spec = runtime.spec
    middle = (spec.search_size - spec.exemplar_size) // 2
    exemplars = np.ascontiguousarray(
        crops[:, middle : middle + spec.exemplar_size, middle : middle + spec.exemplar_size]
    )
    quarter = spec.exemplar_size / 4
    middle_box = np.array([quarter, quarter, 3 * quarter, 3 * quarter], np.float32)
    boxes = np.tile(middle_box, (len(crops), 1))
    whole = spec.search_size
    smaller = whole if spec.kind == "response" else whole - 2 * spec.stride
    for count, size in ((1, whole), (3, whole), (2, smaller)):
        z, b = exemplars[:count], boxes[:count]
        x = np.ascontiguousarray(crops[:count, :size, :size])
        embedding, identity = runtime.embed(z, b)
        with torch.no_grad():
            given = (torch.from_numpy(z), torch.from_numpy(b))[: 2 if spec.kind == "box" else 1]
            expected = ExemplarGraph(network)(*given)
            parts = expected if isinstance(expected, tuple) else (expected,)
            used = parts[0] if spec.kind == "box" else parts[0][:1]
            response = SearchGraph(network)(used, torch.from_numpy(x))
        found = runtime.search(embedding if spec.kind == "box" else embedding[:1], x)
        responses = response if isinstance(response, tuple) else (response,)
        # Kestrel's embedding has another form there; the responses show that it is the same
        pairs = (
            [("embedding", parts[0], embedding)]
            if identity is None
            else [("identity", parts[1], identity)]
        )
        outputs = [o for o in (found.score, found.boxes, found.identity) if o is not None]
        pairs += list(zip(("score", "boxes", "identity map"), responses, outputs, strict=False))
        for name, a, o in pairs:
            unit = spec.stride if name == "boxes" else max(1.0, float(a.abs().max()))
            _check_close(f"{name} at batch {count}, {size} pixels", a.numpy(), o, unit)


def _check_close(name: str, expected: NDArray[Any], found: NDArray[Any], unit: float) -> None:
    if expected.shape != found.shape:
        raise UserError(f"the export differs: {name} is {found.shape}, torch has {expected.shape}")
    difference = float(np.abs(expected - found).max()) / unit
    if not difference <= TOLERANCE:  # NaN is refused, too
        raise UserError(f"the export differs from torch in {name} by {difference:.2g} (relative)")
