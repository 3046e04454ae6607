"""The same graph with channels of like range, so that one 8-bit scale suits a whole tensor.

Nagel et al. 2019, "Data-Free Quantization Through Weight Equalization and Bias Correction",
section 4.1: what a convolution gives may be multiplied a channel, as long as its readers divide
by it. Here the factors come from the values seen on real crops, not from the weights: weights
have a scale a channel anyway.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import NodeProto, numpy_helper

from tracker.image import Array
from tracker.training.graph_values import attribute, values_of

LARGEST_FACTOR = 32.0  # what never answered on the crops may still answer elsewhere


def equalise(content: bytes, feeds: Sequence[dict[str, Any]]) -> bytes:
    """Scale the channels between the convolutions of a graph.

    Answers stay as they are, except where a bounded activation (ReLU6) exceeds all that it
    gave on the feeds: it is then cut off there, as 8 bits would do.

    Args:
        content: of a float32 graph whose batch norms are folded into its convolutions.
        feeds: inputs of the graph.
    """
    model = onnx.load_from_string(content)
    graph = _Graph(model.graph)
    groups = list(graph.groups())
    largest = _largest_values(model, sorted({name for group in groups for name in group}), feeds)
    for group in groups:
        graph.scale(group, _factors(graph, group, largest))
    return bytes(model.SerializeToString())


def _factors(graph: _Graph, group: set[str], largest: dict[str, Array]) -> Array:
    """What each channel is multiplied by: (C,), not below 1 for what has an upper bound."""
    bounds = graph.bounds(group)
    # what leaves activations, else sums, has the widest range of what is read
    for kinds in (("Clip", "Relu"), ("Add",), ("Conv",)):
        read = [name for name in group if graph.producer[name].op_type in kinds]
        if read:
            break
    top = np.max([largest[name] for name in read], axis=0)
    top = np.maximum(top, max(float(top.max()), 1e-6) / LARGEST_FACTOR)
    return np.asarray((min(bounds) if bounds else float(top.max())) / top, dtype=np.float32)


@dataclass
class _Graph:
    """Who makes and who reads which tensor."""

    proto: onnx.GraphProto

    def __post_init__(self) -> None:
        self.constants = {i.name: i for i in self.proto.initializer}
        self.producer = {o: n for n in self.proto.node for o in n.output}
        self.readers: dict[str, list[NodeProto]] = {}
        for node in self.proto.node:
            for name in node.input:
                self.readers.setdefault(name, []).append(node)

    def groups(self) -> Iterator[set[str]]:
        """Sets of tensors whose channels have to have the same factors, and may have any."""
        seen: set[str] = set()
        for node in self.proto.node:
            if node.op_type == "Conv" and node.output[0] not in seen:
                group = self._tied(node.output[0])
                seen |= group
                if self._may_change(group):
                    yield group

    def _tied(self, name: str) -> set[str]:
        """The tensors that activations and sums tie to this one."""
        found, waiting = {name}, [name]
        while waiting:
            name = waiting.pop()
            made_by = self.producer.get(name)
            around = [n for n in self.readers.get(name, []) if n.op_type in _TYING]
            beside = [n.output[0] for n in around]
            for node in [*around, *([made_by] if made_by and made_by.op_type in _TYING else [])]:
                # of a Clip the first input alone has channels
                beside += node.input if node.op_type == "Add" else node.input[:1]
            new = {n for n in beside if n not in found}
            found |= new
            waiting += new
        return found

    def _may_change(self, group: set[str]) -> bool:
        if group & {output.name for output in self.proto.output}:
            return False
        made = [self.producer[name] for name in group if name in self.producer]
        read = [node for name in group for node in self.readers.get(name, [])]
        return (
            len(made) == len(group)
            and all(n.op_type in ("Conv", *_TYING) for n in made + read)
            and any(n.op_type == "Conv" for n in read)
            and all(self._scalable(n) for n in made + read if n.op_type == "Conv")
            and all(self._from_nought(n) for n in made if n.op_type == "Clip")
        )

    def _from_nought(self, clip: NodeProto) -> bool:
        """A Clip between 0, which no factor moves, and a constant."""
        low, high = (*clip.input[1:], "", "")[:2]
        both = low in self.constants and high in self.constants
        return both and float(self._array(low).item()) == 0.0

    def _scalable(self, conv: NodeProto) -> bool:
        """A convolution with constants of its own, with one group or one a channel."""
        constants = list(conv.input)[1:]
        own = all(n in self.constants and len(self.readers[n]) == 1 for n in constants)
        return own and _groups(conv) in (1, self.constants[conv.input[1]].dims[0])

    def bounds(self, group: set[str]) -> list[float]:
        """Upper bounds of the group's activations."""
        clips = [self.producer[n] for n in group if self.producer[n].op_type == "Clip"]
        return [float(self._array(n.input[2]).item()) for n in clips]

    def scale(self, group: set[str], factors: Array) -> None:
        """Multiply the channels of the group's tensors, and divide where they are read."""
        convolutions = [n for n in self.proto.node if n.op_type == "Conv"]
        for node in convolutions:
            if node.output[0] in group:
                self._multiply(node.input[1], factors[:, None, None, None])
                for bias in list(node.input)[2:]:
                    self._multiply(bias, factors)
            if node.input[0] in group:
                shape = (-1, 1, 1, 1) if _groups(node) > 1 else (1, -1, 1, 1)
                self._multiply(node.input[1], (1 / factors).reshape(shape))

    def _array(self, name: str) -> Array:
        return np.asarray(numpy_helper.to_array(self.constants[name]))

    def _multiply(self, name: str, by: NDArray[Any]) -> None:
        changed = (self._array(name) * by).astype(np.float32)
        self.constants[name].CopyFrom(numpy_helper.from_array(changed, name))


_TYING = ("Clip", "Relu", "Add")


def _groups(conv: NodeProto) -> int:
    return int(attribute(conv, "group", 1))


def _largest_values(
    model: onnx.ModelProto, names: Sequence[str], feeds: Sequence[dict[str, Any]]
) -> dict[str, Array]:
    """The largest magnitude of each channel (C,) of tensors (B, C, H, W) over the feeds."""
    tops = [
        {name: np.abs(value).max((0, 2, 3)) for name, value in values.items()}
        for values in values_of(model, names, feeds)
    ]
    return {name: np.max([top[name] for top in tops], axis=0) for name in names}
