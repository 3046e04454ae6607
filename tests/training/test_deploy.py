"""What is exported answers as what was trained, in fewer and simpler steps."""

from __future__ import annotations

import copy

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")
torch = pytest.importorskip("torch")

from onnx import TensorProto, helper, numpy_helper  # noqa: E402

import tracker.training.export as export_module  # noqa: E402
from tracker.devices import Device  # noqa: E402
from tracker.errors import UserError  # noqa: E402
from tracker.network.correlation import SIMILARITIES  # noqa: E402
from tracker.network.kestrel import Kestrel  # noqa: E402
from tracker.network.siamfc import SiamFC  # noqa: E402
from tracker.runtime import OnnxNetwork  # noqa: E402
from tracker.training.branches import (  # noqa: E402
    ExemplarGraph,
    SearchGraph,
    make_spec,
)
from tracker.training.deploy import deployed_graphs  # noqa: E402
from tracker.training.export import export  # noqa: E402
from tracker.training.simplify import simplify  # noqa: E402


@pytest.fixture(scope="module")
def kestrel() -> Kestrel:
    """A small network whose batch norms have statistics of their own."""
    torch.manual_seed(3)
    network = Kestrel(channels=16, identity_channels=8, tower_depth=1)
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            for tensor in (module.weight, module.running_var):
                torch.nn.init.uniform_(tensor, 0.5, 2.0)  # type: ignore[arg-type]
            for tensor in (module.bias, module.running_mean):
                torch.nn.init.normal_(tensor)  # type: ignore[arg-type]
    return network.eval()


def given(count: int, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Exemplar crops, boxes in them, search crops."""
    rng = torch.Generator().manual_seed(seed)
    boxes = torch.tensor([[30.0, 41.0, 99.0, 77.0], [50, 20, 80, 120], [1, 2, 126, 120]])
    exemplars = torch.randint(256, (count, 128, 128, 3), generator=rng, dtype=torch.uint8)
    crops = torch.randint(256, (count, 224, 224, 3), generator=rng, dtype=torch.uint8)
    return exemplars, boxes[:count], crops


@pytest.mark.parametrize(("targets", "crops"), [(1, 1), (1, 3), (3, 3)])
@torch.no_grad()
def test_the_kernel_answers_as_the_network(kestrel: Kestrel, targets: int, crops: int) -> None:
    exemplars, boxes, images = given(3)
    embedding, identity = ExemplarGraph(kestrel)(exemplars[:targets], boxes[:targets])
    expected = SearchGraph(kestrel)(embedding, images[:crops])
    graphs = deployed_graphs(kestrel)
    kernel, same = graphs["exemplar"](exemplars[:targets], boxes[:targets])
    assert kernel.shape == (targets, 16, kestrel.feature_channels + 1)
    torch.testing.assert_close(same, identity, rtol=1e-4, atol=1e-5)
    for found, wanted in zip(graphs["search"](kernel, images[:crops]), expected, strict=True):
        torch.testing.assert_close(found, wanted, rtol=1e-3, atol=1e-3)


@torch.no_grad()
def test_kernels_blend_as_embeddings_do(kestrel: Kestrel) -> None:
    """``tracker.exemplar`` averages what the exemplar graph gives."""
    exemplars, boxes, images = given(2)
    embedding, _ = ExemplarGraph(kestrel)(exemplars, boxes)
    kernel, _ = deployed_graphs(kestrel)["exemplar"](exemplars, boxes)
    mixed = [(0.7 * e[:1] + 0.3 * e[1:]) for e in (embedding, kernel)]
    expected = SearchGraph(kestrel)(mixed[0], images)
    found = deployed_graphs(kestrel)["search"](mixed[1], images)
    torch.testing.assert_close(found[0], expected[0], rtol=1e-3, atol=1e-4)


def test_boxes_that_are_off_by_a_part_of_a_pixel_are_refused(
    kestrel: Kestrel, monkeypatch: pytest.MonkeyPatch
) -> None:
    graphs = deployed_graphs(kestrel)
    graphs["search"].centres += 0.3
    monkeypatch.setattr(export_module, "deployed_graphs", lambda _: graphs)
    with pytest.raises(UserError, match="differs from torch in boxes at batch 1"):
        export(kestrel, make_spec(kestrel), given(3)[2].numpy())


def test_a_network_that_answers_nothing_is_refused(kestrel: Kestrel) -> None:
    broken = copy.deepcopy(kestrel)
    with torch.no_grad():
        broken.head.score.bias.fill_(torch.nan)
    with pytest.raises(UserError, match="differs from torch in score at batch 1"):
        export(broken, make_spec(broken), given(3)[2].numpy())


def test_the_number_of_threads_does_not_round(kestrel: Kestrel) -> None:
    exemplars, boxes, images = (tensor.numpy() for tensor in given(3))
    files = export(kestrel, make_spec(kestrel), images)
    networks = [OnnxNetwork(files, Device("cpu"), threads) for threads in (1, 2, 3, 4)]
    embedding, _ = networks[0].embed(exemplars[:1], boxes[:1])
    for size in (160, 192, 224):
        crop = np.ascontiguousarray(images[:1, :size, :size])
        expected, *others = (network.search(embedding, crop) for network in networks)
        for found in others:
            assert all(np.array_equal(a, b) for a, b in zip(found, expected, strict=True))


def test_deployment_leaves_the_network_as_it_was(kestrel: Kestrel) -> None:
    before = {name: value.clone() for name, value in kestrel.state_dict().items()}
    graphs = deployed_graphs(kestrel)
    assert not any(module.training for graph in graphs.values() for module in graph.modules())
    for name, value in kestrel.state_dict().items():
        assert torch.equal(value, before[name])


@torch.no_grad()
def test_siamfc_is_exported_as_it_is() -> None:
    torch.manual_seed(0)
    network = SiamFC().eval()
    rng = torch.Generator().manual_seed(1)
    z = torch.randint(256, (1, 127, 127, 3), generator=rng, dtype=torch.uint8)
    x = torch.randint(256, (2, 255, 255, 3), generator=rng, dtype=torch.uint8)
    graphs = deployed_graphs(network)
    found = graphs["search"](graphs["exemplar"](z), x)
    torch.testing.assert_close(found, network.search(network.exemplar(z), x), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("similarity", SIMILARITIES)
def test_every_similarity_can_be_exported(similarity: str) -> None:
    torch.manual_seed(0)
    network = SiamFC(similarity)
    rng = np.random.default_rng(1)
    crops = rng.integers(256, size=(3, 255, 255, 3), dtype=np.uint8)
    files = export(network, make_spec(network), crops)  # compares them
    response = OnnxNetwork(files, Device("cpu"), 1)
    embedding, _ = response.embed(np.ascontiguousarray(crops[:1, :127, :127]), None)
    assert response.search(embedding, crops).score.shape == (3, 17, 17)


def padded_graph(pads: list[int], mode: str = "constant", value: float = 0.0) -> bytes:
    """x -> Pad -> Conv with padding 1 -> y, and a sum of constants that nothing needs."""
    weight = np.random.default_rng(0).normal(size=(2, 3, 3, 3)).astype(np.float32)
    nodes = [
        helper.make_node("Add", ["one", "one"], ["two"]),
        helper.make_node("Pad", ["x", "pads", "value"], ["padded"], mode=mode),
        helper.make_node("Conv", ["padded", "weight"], ["conv"], pads=[1, 1, 1, 1], strides=[2, 2]),
        helper.make_node("Mul", ["conv", "two"], ["y"]),
    ]
    constants = {
        "one": np.float32(1), "pads": np.array(pads, np.int64),
        "value": np.float32(value), "weight": weight,
    }  # fmt: skip
    graph = helper.make_graph(
        nodes,
        "test",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 3, 9, 11])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(np.asarray(v), name) for name, v in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return bytes(model.SerializeToString())


@pytest.mark.parametrize(
    ("pads", "mode", "value", "merged"),
    [
        ([0, 0, 0, 0, 0, 0, 1, 1], "constant", 0.0, True),
        ([0, 0, 2, 0, 0, 0, 0, 3], "constant", 0.0, True),
        ([0, 0, 0, 0, 0, 0, 1, 1], "constant", 0.5, False),
        ([0, 0, 1, 1, 0, 0, 1, 1], "edge", 0.0, False),
        ([1, 0, 0, 0, 0, 0, 0, 0], "constant", 0.0, False),
    ],
)
def test_padding_is_merged_where_that_is_the_same(
    pads: list[int], mode: str, value: float, merged: bool
) -> None:
    import onnxruntime as ort

    content = padded_graph(pads, mode, value)
    simple = simplify(content)
    kinds = [node.op_type for node in onnx.load_from_string(simple).graph.node]
    assert "Add" not in kinds and ("Pad" not in kinds) == merged
    x = np.random.default_rng(1).normal(size=(2, 3, 9, 11)).astype(np.float32)
    first, second = (
        ort.InferenceSession(c, providers=["CPUExecutionProvider"]).run(None, {"x": x})[0]
        for c in (content, simple)
    )
    assert np.allclose(first, second, atol=1e-5)
