"""Variants of an exported model in other precisions: float16, and static 8-bit integers.

Only the search graph changes: the exemplar graph runs once a target. A variant is a model of
its own beside the other (``kestrel-int8``), of the same training, and says in its record what
it is. Whether it is good enough is for ``tools/evaluate.py`` to say, not for this module.
"""

from __future__ import annotations

import contextlib
import copy
import dataclasses
import io
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper

from tracker.devices import Device
from tracker.runtime import OnnxNetwork, SearchOutput
from tracker.training.equalise import equalise
from tracker.training.rounding import rounded_weights
from tracker.training.stamp import spec_of, with_record
from tracker.weights import ROLES, ModelFiles

Feed = dict[str, Any]
_SUMMED = {"Conv", "Add"}
CHUNK = 8  # feeds whose intermediate results are in memory at once


def variant(files: ModelFiles, search: bytes, precision: str, notes: dict[str, Any]) -> ModelFiles:
    """The model with another search graph; ``notes`` go into its training record."""
    graphs = []
    for role, content in zip(ROLES, (files.exemplar, search), strict=True):
        spec = spec_of(files, role)
        record = {**spec.training, precision: notes}
        changed = dataclasses.replace(spec, precision=precision, training=record)
        graphs.append(with_record(content, changed, role))
    return ModelFiles(f"{files.name}-{precision}", graphs[0], graphs[1], files.folder)


def to_float16(content: bytes) -> bytes:
    """The search graph in float16; inputs and outputs keep their types.

    What follows the last convolutions stays in float32: from 128 pixels on float16 has steps of
    an eighth of a pixel, which a box would show.
    """
    from onnxruntime.quantization.onnx_model import ONNXModel
    from onnxruntime.transformers.float16 import convert_float_to_float16

    model = onnx.load_from_string(content)
    converted = convert_float_to_float16(
        model, keep_io_types=True, node_block_list=_after_the_convolutions(model.graph)
    )
    ONNXModel(converted).topological_sort()
    onnx.checker.check_model(converted)
    return bytes(converted.SerializeToString())


def _after_the_convolutions(graph: onnx.GraphProto) -> list[str]:
    """Names of the nodes that no convolution or product depends on."""
    needed: set[str] = set()
    tail = []
    for node in reversed(graph.node):
        if node.op_type in ("Conv", "MatMul", "Gemm") or needed & set(node.output):
            needed |= set(node.input)
        else:
            tail.append(node.name)
    return tail


class Int8:
    """Post-training quantisation of a search graph: per channel, QDQ, U8 features, S8 weights.

    Nagel et al. 2021, "A White Paper on Neural Network Quantization", section 3: ranges of
    the features come from real crops, weights are scaled a channel. The channels of a tensor
    are brought to one range first (``equalise``), and weights are rounded so that the answers
    stay, not the weights (``rounding``).

    Layers that stay in float32 must stand together at the start or at the end of the graph:
    ONNX Runtime turns a float convolution between quantised ones into integers all the same,
    with one scale for all of its channels. What compares with the exemplar stays in float32,
    and all that follows: that takes away a fifth of the error for a twentieth more time.

    Args:
        content: of the float32 search graph.
        feeds: inputs of the graph, for the ranges.
        percentile: share of the values of a tensor that its range holds; 100 for all.
        full_range: 8-bit weights instead of 7-bit ones. Processors without VNNI add two
            products in 16 bits, which 8-bit weights overflow.
    """

    def __init__(
        self,
        content: bytes,
        feeds: Sequence[Feed],
        percentile: float = 100.0,
        full_range: bool = False,
    ) -> None:
        content = equalise(content, feeds)
        self._model = onnx.shape_inference.infer_shapes(onnx.load_from_string(content))
        self._full_range = full_range
        self._ranges = _calibrate(content, feeds, percentile)
        top = 127 if full_range else 64  # as the quantiser does, whose scales are used
        self._weights = rounded_weights(content, self.layers, feeds, top)
        self._pixels = _find_pixels(self._model.graph)
        if self._pixels is not None:  # whatever was seen: the pixels themselves are the codes
            low = np.float32(-self._pixels.mean)
            self._set_range(self._pixels.name, low, low + np.float32(255))

    @property
    def layers(self) -> list[str]:
        """Names of the convolutions, and of the sums between them, of the crop alone, in order."""
        producers = {o: n.op_type for n in self._model.graph.node for o in n.output}
        compared = {"embedding"}
        names = []
        for node in self._model.graph.node:
            sums = node.op_type == "Add" and {producers.get(i) for i in node.input} <= _SUMMED
            if compared & set(node.input):
                compared |= set(node.output)
            elif node.op_type == "Conv" or sums:
                names.append(node.name)
        return names

    def quantize(self, layers: Iterable[str]) -> bytes:
        """The graph with these layers, and their activations, in integers."""
        from onnxruntime.quantization import QuantType
        from onnxruntime.quantization.qdq_quantizer import QDQQuantizer

        model, layers = copy.deepcopy(self._model), set(layers)
        if not layers:  # the quantiser would take none for all
            return bytes(model.SerializeToString())
        made = {o for n in model.graph.node if n.name in layers for o in n.output}
        activations = [
            n.name for n in model.graph.node if n.op_type in ("Clip", "Relu") and n.input[0] in made
        ]
        quantizer = QDQQuantizer(
            model,
            per_channel=True,
            reduce_range=not self._full_range,
            weight_qType=QuantType.QInt8,
            activation_qType=QuantType.QUInt8,
            tensors_range=self._ranges,
            nodes_to_quantize=[*layers, *activations],
            nodes_to_exclude=[],
            op_types_to_quantize=["Conv", "Add", "Clip", "Relu"],
            extra_options={"ActivationSymmetric": False, "WeightSymmetric": True},
        )
        quantizer.quantize_model()
        quantizer.model.topological_sort()
        result = quantizer.model.model
        _set_weights(result.graph, self._weights)
        if self._pixels is not None:
            _take_pixels_as_they_are(result.graph, self._pixels)
        onnx.checker.check_model(result)
        return bytes(result.SerializeToString())

    def _set_range(self, tensor: str, low: np.float32, high: np.float32) -> None:
        from onnxruntime.quantization.calibrate import TensorData

        self._ranges[tensor] = TensorData(lowest=np.array(low), highest=np.array(high))


def _set_weights(graph: onnx.GraphProto, weights: dict[str, NDArray[np.int8]]) -> None:
    """Put these integers in the place of the quantiser's own, whose scales stay."""
    for constant in graph.initializer:
        found = weights.get(constant.name.removesuffix("_quantized"))
        if found is not None and constant.data_type == onnx.TensorProto.INT8:
            constant.CopyFrom(numpy_helper.from_array(found, constant.name))


def _calibrate(content: bytes, feeds: Sequence[Feed], percentile: float) -> Any:
    """Ranges of all tensors between the layers."""
    from onnxruntime.quantization import CalibrationMethod
    from onnxruntime.quantization.calibrate import create_calibrator

    minmax = percentile >= 100
    with tempfile.TemporaryDirectory() as folder:
        plain, augmented = Path(folder) / "model.onnx", Path(folder) / "augmented.onnx"
        plain.write_bytes(content)
        calibrator = create_calibrator(
            plain,
            ["Conv", "Add", "Clip", "Relu"],
            augmented_model_path=str(augmented),
            calibrate_method=CalibrationMethod.MinMax if minmax else CalibrationMethod.Percentile,
            extra_options={} if minmax else {"percentile": percentile, "num_bins": 2048},
        )
        with contextlib.redirect_stdout(io.StringIO()):  # it talks for every chunk
            for start in range(0, len(feeds), CHUNK):
                calibrator.collect_data(_Reader(feeds[start : start + CHUNK]))
            return calibrator.compute_data()


class _Reader:
    """What ONNX Runtime's calibrators read from."""

    def __init__(self, feeds: Sequence[Feed]) -> None:
        self._feeds: Iterator[Feed] = iter(feeds)

    def get_next(self) -> Feed | None:
        return next(self._feeds, None)


@dataclass(frozen=True)
class _Pixels:
    """Where a graph turns its crops into floats: codes (uint8) -> codes - mean."""

    codes: str
    name: str
    mean: float


def _find_pixels(graph: onnx.GraphProto) -> _Pixels | None:
    casts = {n.output[0]: n.input[0] for n in graph.node if n.op_type == "Cast"}
    constants = {i.name: numpy_helper.to_array(i) for i in graph.initializer}
    for node in graph.node:
        if node.op_type == "Sub" and node.input[0] in casts and node.input[1] in constants:
            mean = float(constants[node.input[1]].item())
            if mean == int(mean) and 0 <= mean <= 255:
                return _Pixels(casts[node.input[0]], node.output[0], mean)
    return None


def _take_pixels_as_they_are(graph: onnx.GraphProto, pixels: _Pixels) -> None:
    """Read the pixels as integers around the mean instead of converting them twice."""
    users = [n for n in graph.node if pixels.name in n.input]
    if [n.op_type for n in users] != ["QuantizeLinear"]:
        return  # the first convolution stays in float
    constants = {i.name: numpy_helper.to_array(i) for i in graph.initializer}
    scale, zero = (float(constants[name]) for name in users[0].input[1:])
    if abs(scale - 1) > 1e-6 or zero != pixels.mean:
        return
    for node in graph.node:
        if node.op_type == "DequantizeLinear" and node.input[0] == users[0].output[0]:
            node.input[0] = pixels.codes
    subtraction = next(n for n in graph.node if pixels.name in n.output)
    cast = next(n for n in graph.node if subtraction.input[0] in n.output)
    for unused in (users[0], subtraction, cast):
        graph.node.remove(unused)


def disagreement(
    reference: Sequence[SearchOutput], found: Sequence[SearchOutput], stride: int
) -> float:
    """How far answers differ where it counts, mean over crops; 0 for the same answers.

    The sum of three: the largest difference of a score; the mean distance of the corners at
    the reference's best cell, in strides; one minus the cosine of the features there.
    """
    total = 0.0
    for a, b in zip(reference, found, strict=True):
        assert a.boxes is not None and b.boxes is not None
        assert a.identity is not None and b.identity is not None
        row, column = np.unravel_index(int(a.score[0].argmax()), a.score[0].shape)
        total += float(np.abs(a.score - b.score).max())
        corners = a.boxes[0, :, row, column] - b.boxes[0, :, row, column]
        total += float(np.abs(corners).mean()) / stride
        u, v = a.identity[0, :, row, column], b.identity[0, :, row, column]
        total += 1 - float(u @ v) / max(float(np.linalg.norm(u) * np.linalg.norm(v)), 1e-9)
    return total / len(reference)


def answers(files: ModelFiles, search: bytes, feeds: Sequence[Feed]) -> list[SearchOutput]:
    """What a search graph says to the feeds."""
    changed = dataclasses.replace(files, search=search)
    network = OnnxNetwork(changed, Device("cpu"), threads=1, spinning=False)
    return [network.search(feed["embedding"], feed["image"]) for feed in feeds]
