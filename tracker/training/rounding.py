"""Weights in 8 bits, each rounded so that it makes up for those before it.

Frantar et al. 2022, "GPTQ: Accurate Post-Training Quantization for Generative Pre-trained
Transformers", algorithm 1, here for convolutions: what matters is not how near a weight stays
to its float, but how near a layer's answers stay on what it really sees. After a weight is
rounded, those of its kernel that are still to come take over what its error does to them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import NodeProto, numpy_helper

from tracker.training.graph_values import attribute, values_of

Floats = NDArray[Any]  # float32 as seen, float64 where sums are long
DAMPING = 0.01  # of the mean curvature, as in the paper
POSITIONS = 1000  # of a depthwise layer in a crop; its kernels are small


def rounded_weights(
    content: bytes, layers: Iterable[str], feeds: Sequence[dict[str, Any]], top: int = 127
) -> dict[str, NDArray[np.int8]]:
    """Integers for the weights of convolutions, one scale a channel.

    Args:
        content: of a float32 graph.
        layers: names of nodes; those that are no convolution are passed over.
        feeds: inputs of the graph.
        top: largest magnitude of an integer; it stands for the largest weight of a channel.

    Returns:
        For each convolution the integers (O, I, k, k) under the name of its weights.
    """
    model = onnx.load_from_string(content)
    nodes = {n.name: n for n in model.graph.node}
    constants = {i.name: numpy_helper.to_array(i) for i in model.graph.initializer}
    chosen = [nodes[name] for name in layers if nodes[name].op_type == "Conv"]
    curvatures: dict[str, Floats] = {}
    inputs = sorted({n.input[0] for n in chosen})
    for values in values_of(model, inputs, feeds):
        for node in chosen:
            seen = _seen(values[node.input[0]], node, constants[node.input[1]])
            curvature = (seen.swapaxes(-1, -2) @ seen).astype(np.float64)
            curvatures[node.name] = curvatures.get(node.name, 0) + curvature
    return {
        node.input[1]: _round(constants[node.input[1]], curvatures[node.name], top)
        for node in chosen
    }


def _seen(value: Floats, conv: NodeProto, weights: Floats) -> Floats:
    """What the kernels are multiplied with: (positions, I k k), a depthwise layer's by channel."""
    size = weights.shape[-1]
    top, left, bottom, right = attribute(conv, "pads", [0] * 4)
    step = attribute(conv, "strides", [1, 1])[0]
    padded = np.pad(value, ((0, 0), (0, 0), (top, bottom), (left, right)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (size, size), (2, 3))
    windows = windows[:, :, ::step, ::step]
    if attribute(conv, "group", 1) == 1:
        return windows.transpose(0, 2, 3, 1, 4, 5).reshape(-1, weights[0].size)
    channels = windows.transpose(1, 0, 2, 3, 4, 5).reshape(len(weights), -1, size * size)
    return channels[:, :: -(-channels.shape[1] // POSITIONS)]


def _round(weights: Floats, curvature: Floats, top: int) -> NDArray[np.int8]:
    kernels = weights.reshape(len(weights), -1).astype(np.float64)
    scale = np.maximum(np.abs(kernels).max(1), 1e-12) / top
    if curvature.ndim == 2:
        found = round_kernels(kernels, curvature, scale, top)
    else:
        rows = zip(kernels, curvature, scale, strict=True)
        found = np.concatenate([round_kernels(k[None], c, s[None], top) for k, c, s in rows])
    return found.reshape(weights.shape).astype(np.int8)


def round_kernels(kernels: Floats, curvature: Floats, scale: Floats, top: int = 127) -> Floats:
    """Integers q (O, K) for which q scale answers nearly as the kernels do.

    Args:
        kernels: (O, K) float64.
        curvature: (K, K) sum over positions of what is seen times what is seen.
        scale: (O,) of an integer's step.
    """
    count = len(curvature)
    damped = curvature + np.eye(count) * (DAMPING * np.diag(curvature).mean() + 1e-9)
    order = np.argsort(-np.diag(damped))  # what counts most first, while others can follow
    upper = np.linalg.cholesky(np.linalg.inv(damped[np.ix_(order, order)])).T
    left, found = kernels[:, order].copy(), np.zeros(kernels.shape)
    for column in range(count):
        whole = np.clip(np.round(left[:, column] / scale), -top, top)
        error = (left[:, column] - whole * scale) / upper[column, column]
        left[:, column:] -= np.outer(error, upper[column, column:])
        found[:, order[column]] = whole
    return found
