"""Variants in other precisions: close, smaller, and honest about what they are."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")

from onnx import TensorProto, helper, numpy_helper  # noqa: E402

from tests.online.scripted import SPEC  # noqa: E402
from tracker.devices import Device  # noqa: E402
from tracker.runtime import OnnxNetwork, SearchOutput  # noqa: E402
from tracker.spec import METADATA_KEY  # noqa: E402
from tracker.training.precision import Int8, answers, disagreement, to_float16, variant  # noqa: E402
from tracker.training.rounding import rounded_weights  # noqa: E402
from tracker.weights import ModelFiles, read_model  # noqa: E402

SMALL = dataclasses.replace(SPEC, name="small", exemplar_size=32, search_size=64, stride=4)


def small_model() -> ModelFiles:
    """Graphs with the parts that matter: pixels, ReLU6, a sum, a depthwise layer, a tail."""
    rng = np.random.default_rng(0)

    def weight(*shape: int) -> np.ndarray:
        spread = 1 / np.sqrt(np.prod(shape[1:]))
        return rng.normal(scale=spread, size=shape).astype(np.float32)

    constants = {
        "mean": np.float32(127), "zero": np.float32(0), "six": np.float32(6),
        "stem": weight(16, 3, 3, 3) * np.float32(0.025), "stem_b": weight(16),
        "deep": weight(16, 1, 3, 3), "deep_b": weight(16),
        "plain": weight(16, 16, 1, 1), "plain_b": weight(16),
        "score_w": weight(1, 16, 1, 1), "score_b": np.float32([-0.5]),
        "sides_w": weight(4, 16, 1, 1) * np.float32(0.2), "sides_b": np.float32([0.5] * 4),
        "scale": np.float32(4), "axis": np.array([1], np.int64), "last": np.array([3], np.int64),
    }  # fmt: skip
    node = helper.make_node
    trunk = [
        node("Transpose", ["image"], ["planes"], "planes", perm=[0, 3, 1, 2]),
        node("Cast", ["planes"], ["floats"], "cast", to=TensorProto.FLOAT),
        node("Sub", ["floats", "mean"], ["pixels"], "sub"),
        node(
            "Conv", ["pixels", "stem", "stem_b"], ["s"], "stem_conv", pads=[1] * 4, strides=[4] * 2
        ),
        node("Clip", ["s", "zero", "six"], ["s6"], "stem_clip"),
        node("Conv", ["s6", "deep", "deep_b"], ["d"], "deep_conv", pads=[1] * 4, group=16),
        node("Clip", ["d", "zero", "six"], ["d6"], "deep_clip"),
        node("Conv", ["d6", "plain", "plain_b"], ["p"], "plain_conv"),
        node("Add", ["s6", "p"], ["identity"], "skip"),
    ]
    tail = [
        node("Unsqueeze", ["embedding", "last"], ["kernel"], "unsqueeze"),
        node("Mul", ["identity", "kernel"], ["fused"], "fuse"),
        node("Conv", ["fused", "score_w", "score_b"], ["raw"], "score_conv"),
        node("Sigmoid", ["raw"], ["probability"], "sigmoid"),
        node("Squeeze", ["probability", "axis"], ["score"], "squeeze"),
        node("Conv", ["fused", "sides_w", "sides_b"], ["sides"], "sides_conv"),
        node("Exp", ["sides"], ["grown"], "exp"),
        node("Mul", ["grown", "scale"], ["boxes"], "grow"),
    ]
    used = [numpy_helper.from_array(np.asarray(v), name) for name, v in constants.items()]
    info = helper.make_tensor_value_info
    search = helper.make_graph(
        trunk + tail,
        "search",
        [info("embedding", TensorProto.FLOAT, ["targets", 16, 1]),
         info("image", TensorProto.UINT8, ["batch", "height", "width", 3])],
        [info("score", TensorProto.FLOAT, ["batch", "rows", "columns"]),
         info("boxes", TensorProto.FLOAT, ["batch", 4, "rows", "columns"]),
         info("identity", TensorProto.FLOAT, ["batch", 16, "rows", "columns"])],
        used,
    )  # fmt: skip
    exemplar = helper.make_graph(
        [node("Unsqueeze", ["box", "end"], ["embedding"]), node("Identity", ["box"], ["identity"])],
        "exemplar",
        [info("image", TensorProto.UINT8, ["batch", 32, 32, 3]),
         info("box", TensorProto.FLOAT, ["batch", 4])],
        [info("embedding", TensorProto.FLOAT, ["batch", 4, 1]),
         info("identity", TensorProto.FLOAT, ["batch", 4])],
        [numpy_helper.from_array(np.array([2], np.int64), "end")],
    )  # fmt: skip
    contents = []
    for role, graph in (("exemplar", exemplar), ("search", search)):
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
        entry = model.metadata_props.add()
        entry.key, entry.value = METADATA_KEY, SMALL.to_json(role)
        contents.append(bytes(model.SerializeToString()))
    return ModelFiles("small", contents[0], contents[1], Path("."))


@pytest.fixture(scope="module")
def files() -> ModelFiles:
    return small_model()


@pytest.fixture(scope="module")
def feeds() -> list[dict]:
    rng = np.random.default_rng(1)
    return [
        {
            "embedding": rng.uniform(0.5, 1.5, (1, 16, 1)).astype(np.float32),
            "image": rng.integers(0, 256, (1, 64, 64, 3), dtype=np.uint8),
        }
        for _ in range(12)
    ]


@pytest.fixture(scope="module")
def int8(files: ModelFiles, feeds: list[dict]) -> Int8:
    return Int8(files.search, feeds[:6])


def error(files: ModelFiles, search: bytes, feeds: list[dict]) -> float:
    return disagreement(
        answers(files, files.search, feeds), answers(files, search, feeds), SMALL.stride
    )


def kinds(content: bytes) -> list[str]:
    return [node.op_type for node in onnx.load_from_string(content).graph.node]


def test_disagreement_is_nought_for_the_same_and_grows_with_each_part() -> None:
    rng = np.random.default_rng(0)
    score = rng.random((1, 4, 4), np.float32)
    boxes, features = rng.random((1, 4, 4, 4), np.float32), rng.random((1, 3, 4, 4), np.float32)
    same = SearchOutput(score, boxes, features)
    assert disagreement([same], [same], 16) == pytest.approx(0, abs=1e-6)
    shifted = SearchOutput(score, boxes + np.float32(8), features)
    assert disagreement([same], [shifted], 16) == pytest.approx(0.5, abs=1e-6)
    higher = SearchOutput(score + np.float32(0.25), boxes, features)
    assert disagreement([same, same], [same, higher], 16) == pytest.approx(0.125, abs=1e-6)
    one = score.copy()
    one[0, 1, 2] += 0.25  # a single false cell may be a false target
    assert disagreement([same], [SearchOutput(one, boxes, features)], 16) == pytest.approx(0.25)
    opposite = SearchOutput(score, boxes, -features)
    assert disagreement([same], [opposite], 16) == pytest.approx(2, abs=1e-5)


def test_layers_are_the_convolutions_and_the_sums_between_them(int8: Int8) -> None:
    # the sum of an activation and a convolution is not one of two layers' outputs
    # and what compares with the exemplar stays in float32
    assert int8.layers == ["stem_conv", "deep_conv", "plain_conv"]


def test_integers_answer_nearly_as_floats(int8: Int8, files: ModelFiles, feeds: list[dict]) -> None:
    every = error(files, int8.quantize(int8.layers), feeds[6:])
    fewer = error(files, int8.quantize(int8.layers[1:]), feeds[6:])
    assert 0 < fewer < every < 0.25
    assert error(files, int8.quantize([]), feeds[6:]) < every
    # the ranges of these are known
    assert error(files, int8.quantize([]), feeds[:6]) == pytest.approx(0, abs=1e-5)


def test_pixels_are_read_as_the_integers_that_they_are(int8: Int8) -> None:
    graph = onnx.load_from_string(int8.quantize(int8.layers)).graph
    assert "Cast" not in [n.op_type for n in graph.node]
    (reader,) = [n for n in graph.node if "planes" in n.input]
    constants = {i.name: numpy_helper.to_array(i) for i in graph.initializer}
    assert reader.op_type == "DequantizeLinear"
    assert float(constants[reader.input[1]]) == 1.0 and int(constants[reader.input[2]]) == 127
    # a first layer in float gets its pixels as before
    assert "Cast" in kinds(int8.quantize(["plain_conv"]))


def test_weights_are_integers_of_their_own_scale_each_channel(int8: Int8) -> None:
    graph = onnx.load_from_string(int8.quantize(["plain_conv"])).graph
    constants = {i.name: numpy_helper.to_array(i) for i in graph.initializer}
    weights = [v for v in constants.values() if v.dtype == np.int8 and v.shape == (16, 16, 1, 1)]
    assert len(weights) == 1 and np.abs(weights[0].astype(int)).max(axis=(1, 2, 3)).min() >= 63
    assert any(
        v.shape == (16,) and v.dtype == np.float32 for n, v in constants.items() if "scale" in n
    )


@pytest.mark.parametrize("full_range", [False, True])
def test_the_graph_holds_the_weights_that_were_rounded_for_it(
    files: ModelFiles, feeds: list[dict], full_range: bool
) -> None:
    """With the quantiser's scales: else each weight would be off by a factor."""
    model = Int8(files.search, feeds[:4], full_range=full_range)
    content = model.quantize([])
    plain = onnx.load_from_string(content).graph
    quantised = onnx.load_from_string(model.quantize(["deep_conv", "plain_conv"])).graph
    before = {i.name: numpy_helper.to_array(i) for i in plain.initializer}
    after = {i.name: numpy_helper.to_array(i) for i in quantised.initializer}
    top = 127 if full_range else 64
    whole = rounded_weights(content, ["deep_conv", "plain_conv"], feeds[:4], top)
    for name in ("deep", "plain"):
        np.testing.assert_array_equal(after[f"{name}_quantized"], whole[name])
        scale = np.abs(before[name]).max((1, 2, 3)) / top
        np.testing.assert_allclose(after[f"{name}_scale"].ravel(), scale, rtol=1e-5)


def test_two_products_fit_into_sixteen_bits(files: ModelFiles, feeds: list[dict]) -> None:
    """That is how processors without VNNI add them: what does not fit is cut off."""
    for content in (
        Int8(files.search, feeds[:2]).quantize(["plain_conv"]),
        read_model("kestrel-int8").search,
    ):
        stored = onnx.load_from_string(content).graph.initializer
        constants = [numpy_helper.to_array(i) for i in stored]
        weights = [v.astype(int) for v in constants if v.dtype == np.int8 and v.ndim == 4]
        assert weights and 2 * 255 * max(np.abs(w).max() for w in weights) < 2**15


def test_a_percentile_cuts_off_outliers(files: ModelFiles, feeds: list[dict]) -> None:
    content = Int8(files.search, feeds[:4], percentile=99.0).quantize(["plain_conv"])
    assert error(files, content, feeds[6:]) < 0.5


def test_float16_keeps_the_inputs_the_outputs_and_the_tail(
    files: ModelFiles, feeds: list[dict]
) -> None:
    content = to_float16(files.search)
    graph = onnx.load_from_string(content).graph
    types = {v.name: v.type.tensor_type.elem_type for v in (*graph.input, *graph.output)}
    assert types == {
        "embedding": TensorProto.FLOAT, "image": TensorProto.UINT8, "score": TensorProto.FLOAT,
        "boxes": TensorProto.FLOAT, "identity": TensorProto.FLOAT,
    }  # fmt: skip
    half = {i.name for i in graph.initializer if i.data_type == TensorProto.FLOAT16}
    assert {"stem", "deep", "plain", "sides_w"} <= half and "scale" not in half
    assert 0 < error(files, content, feeds) < 0.01


def test_a_variant_says_what_it_is_and_stays_of_one_pair(files: ModelFiles, int8: Int8) -> None:
    made = variant(files, int8.quantize(int8.layers), "int8", {"crops": 6})
    network = OnnxNetwork(made, Device("cpu"), threads=1)
    assert made.name == "small-int8"
    assert network.spec.precision == "int8" and network.spec.pair == SMALL.pair
    assert network.spec.training["int8"] == {"crops": 6}
    assert network.spec.online == SMALL.online


def test_a_precision_that_is_not_known_is_refused() -> None:
    from tracker.errors import UserError
    from tracker.spec import ModelSpec

    data = {**json.loads(SPEC.to_json("search")), "precision": "int3"}
    with pytest.raises(UserError, match="unknown precision 'int3'"):
        ModelSpec.from_json(json.dumps(data), "search", "a test")
    del data["precision"]
    assert ModelSpec.from_json(json.dumps(data), "search", "a test").precision == "fp32"
