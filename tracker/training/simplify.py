"""What torch's exporter leaves in a graph and no runtime takes out again."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import onnx
from onnx import numpy_helper

from tracker.errors import UserError
from tracker.onnx_runtime import onnx_runtime
from tracker.ort_session import said
from tracker.training.graph_values import attribute

Graph = onnx.GraphProto


def simplify(content: bytes) -> bytes:
    """Fold constants, then put paddings into the convolutions that they belong to.

    The answers are those of the graph as it came; ``export.compare`` sees to that.
    """
    model = onnx.load_from_string(fold_constants(content))
    merge_padding(model.graph)
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


def fold_constants(content: bytes) -> bytes:
    """Let ONNX Runtime compute what does not depend on the inputs."""
    ort = onnx_runtime()
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.log_severity_level = 3
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "folded.onnx"
        options.optimized_model_filepath = str(path)
        try:
            ort.InferenceSession(content, options, providers=["CPUExecutionProvider"])
            model = onnx.load(str(path))
        except Exception as error:  # ONNX Runtime raises a dozen unrelated classes
            raise UserError(
                f"the graph could not be rewritten in {folder} ({said(error)}); is that disk full?"
            ) from None
    used = {node.domain for node in model.graph.node}
    opsets = [o for o in model.opset_import if o.domain in used]
    del model.opset_import[:]
    model.opset_import.extend(opsets)
    return bytes(model.SerializeToString())


def merge_padding(graph: Graph) -> None:
    """Zeros around the input of a convolution become its own padding.

    torch has no convolution that pads more on one side; ONNX has. ONNX Runtime keeps its
    features in blocks of channels, and a padding on its own makes it unpack and pack them.
    """
    constants = {i.name: numpy_helper.to_array(i) for i in graph.initializer}
    uses = [name for node in graph.node for name in node.input]
    convolutions = {n.input[0]: n for n in graph.node if n.op_type == "Conv"}
    for pad in [n for n in graph.node if n.op_type == "Pad"]:
        amounts, value = constants.get(pad.input[1]), _fill(pad, constants)
        conv = convolutions.get(pad.output[0])
        if amounts is None or value != 0 or conv is None or uses.count(pad.output[0]) != 1:
            continue
        start, end = np.split(amounts.astype(int), 2)
        if (start[:2] != 0).any() or (end[:2] != 0).any() or (amounts < 0).any():
            continue  # of batch or channels, or a cut
        own = next((a for a in conv.attribute if a.name == "pads"), None)
        if own is None:
            own = conv.attribute.add(name="pads", type=onnx.AttributeProto.INTS)
            own.ints.extend([0] * 2 * (len(start) - 2))
        added = [*start[2:], *end[2:]]
        own.ints[:] = [a + int(b) for a, b in zip(own.ints, added, strict=True)]
        conv.input[0] = pad.input[0]
        graph.node.remove(pad)
    used = {name for node in graph.node for name in node.input}
    for unused in [i for i in graph.initializer if i.name not in used]:
        graph.initializer.remove(unused)


def _fill(pad: onnx.NodeProto, constants: dict[str, np.ndarray]) -> float:
    """The value that a padding writes; NaN where it is not known or is no constant."""
    if attribute(pad, "mode", b"constant") != b"constant":
        return float("nan")
    if len(pad.input) < 3 or not pad.input[2]:
        return 0.0
    return float(constants[pad.input[2]]) if pad.input[2] in constants else float("nan")
