"""Channels of one range: the same answers, less to lose in 8 bits."""

from __future__ import annotations

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")
ort = pytest.importorskip("onnxruntime")

from onnx import TensorProto, helper, numpy_helper  # noqa: E402

from tracker.training.equalise import LARGEST_FACTOR, equalise  # noqa: E402

WIDE = np.geomspace(0.02, 1, 8).astype(np.float32)  # what the channels of a trained network do


def chain(middle: str = "depthwise", low: float = 0.0) -> bytes:
    """Convolution, ReLU6, a depthwise or a whole one, a sum around it, ReLU, convolution."""
    rng = np.random.default_rng(0)

    def weight(*shape: int) -> np.ndarray:
        return rng.normal(size=shape).astype(np.float32)

    deep = weight(8, 1, 3, 3) if middle == "depthwise" else weight(8, 8, 3, 3)
    constants = {
        "low": np.float32(low), "six": np.float32(6),
        "a": weight(8, 3, 3, 3) * WIDE[:, None, None, None], "a_b": np.abs(weight(8)) * WIDE,
        "b": weight(8, 8, 1, 1) * WIDE[:, None, None, None], "b_b": weight(8) * WIDE,
        "c": deep, "c_b": np.abs(weight(8)), "d": weight(2, 8, 1, 1),
    }  # fmt: skip
    node = helper.make_node
    nodes = [
        node("Conv", ["image", "a", "a_b"], ["a_out"], "first", pads=[1] * 4),
        node("Clip", ["a_out", "low", "six"], ["a6"]),
        node("Conv", ["a6", "b", "b_b"], ["b_out"]),
        node("Conv", ["b_out", "c", "c_b"], ["c_out"], "middle", pads=[1] * 4,
             group=8 if middle == "depthwise" else 1),
        node("Add", ["b_out", "c_out"], ["sum"], "sum"),
        node("Relu", ["sum"], ["relu"]),
        node("Conv", ["relu", "d"], ["answer"]),
    ]  # fmt: skip
    info = helper.make_tensor_value_info
    graph = helper.make_graph(
        nodes, "chain", [info("image", TensorProto.FLOAT, [1, 3, "h", "w"])],
        [info("answer", TensorProto.FLOAT, [1, 2, "h", "w"])],
        [numpy_helper.from_array(np.asarray(v), k) for k, v in constants.items()],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return bytes(model.SerializeToString())


def images(count: int, seed: int = 0) -> list[dict]:
    rng = np.random.default_rng(seed)
    return [{"image": rng.normal(size=(1, 3, 12, 12)).astype(np.float32)} for _ in range(count)]


def tensors(content: bytes, names: list[str], feeds: list[dict]) -> list[np.ndarray]:
    model = onnx.load_from_string(content)
    known = {o.name for o in model.graph.output}
    model.graph.output.extend(
        helper.make_empty_tensor_value_info(n) for n in names if n not in known
    )
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return [np.concatenate(v) for v in zip(*(session.run(names, f) for f in feeds), strict=True)]


@pytest.mark.parametrize("middle", ["depthwise", "whole"])
def test_answers_to_what_was_seen_stay(middle: str) -> None:
    feeds, content = images(6), chain(middle)
    (before,), (after,) = (
        tensors(c, ["answer"], feeds) for c in (content, equalise(content, feeds))
    )
    np.testing.assert_allclose(after, before, rtol=1e-4, atol=1e-4 * np.abs(before).max())


def test_channels_get_one_range_and_tied_tensors_one_factor() -> None:
    feeds, content = images(6), chain()
    names = ["a6", "sum", "b_out", "relu"]
    before, after = tensors(content, names, feeds), tensors(equalise(content, feeds), names, feeds)

    def spread(value: np.ndarray) -> float:
        top = np.abs(value).max((0, 2, 3))
        return float(top.max() / top.min())

    assert spread(before[0]) > 5 and spread(after[0]) == pytest.approx(1, abs=1e-3)
    assert after[0].max() == pytest.approx(6, abs=1e-3)  # the bound itself stays
    assert spread(before[3]) > 20 and spread(after[3]) < 1.5  # factors have a limit
    ratios = [
        np.abs(a).max((0, 2, 3)) / np.abs(b).max((0, 2, 3))
        for a, b in zip(after, before, strict=True)
    ]
    np.testing.assert_allclose(ratios[1], ratios[2], rtol=1e-3)


def test_a_silent_channel_gets_no_endless_factor() -> None:
    model = onnx.load_from_string(chain())
    for constant in model.graph.initializer:
        if constant.name in ("a", "a_b"):
            value = numpy_helper.to_array(constant).copy()
            value[0] = -1e-6
            constant.CopyFrom(numpy_helper.from_array(value, constant.name))
    changed = onnx.load_from_string(equalise(bytes(model.SerializeToString()), images(3)))
    weights = {i.name: numpy_helper.to_array(i) for i in changed.graph.initializer}
    assert np.abs(weights["a"][0]).max() <= 1e-6 * 6 * LARGEST_FACTOR


def test_what_may_not_change_stays() -> None:
    content = chain(low=-1.0)  # a factor would move this bound
    changed = onnx.load_from_string(equalise(content, images(3)))
    before = {
        i.name: numpy_helper.to_array(i) for i in onnx.load_from_string(content).graph.initializer
    }
    after = {i.name: numpy_helper.to_array(i) for i in changed.graph.initializer}
    np.testing.assert_array_equal(after["a"], before["a"])
    assert np.abs(after["c"] - before["c"]).max() > 0 or np.abs(after["b"] - before["b"]).max() > 0
