"""What the tensors inside of a graph hold, for the tools that change one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import onnx
from numpy.typing import NDArray
from onnx import NodeProto, helper


def values_of(
    model: onnx.ModelProto, names: Sequence[str], feeds: Sequence[dict[str, Any]]
) -> Iterator[dict[str, NDArray[Any]]]:
    """The tensors of these names, for one feed after the other; nothing is fused."""
    import onnxruntime

    watched = onnx.ModelProto()
    watched.CopyFrom(model)
    known = {output.name for output in watched.graph.output}
    watched.graph.output.extend(
        helper.make_empty_tensor_value_info(name) for name in names if name not in known
    )
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(
        watched.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    for feed in feeds:
        yield dict(zip(names, session.run(list(names), feed), strict=True))


def attribute(node: NodeProto, name: str, default: Any) -> Any:
    """An attribute of a node: a number, or a list of them."""
    for entry in node.attribute:
        if entry.name == name:
            return helper.get_attribute_value(entry)
    return default
