"""From exported graphs back to a network that can learn."""

from __future__ import annotations

import copy
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("onnx")

from torch import nn  # noqa: E402

from tests.training.data import tiny_sampler, write_clip  # noqa: E402
from tests.training.test_prune import NARROW  # noqa: E402
from tests.training.test_train_tool import SMALL, tool  # noqa: E402
from tracker.errors import UserError  # noqa: E402
from tracker.geometry import iou  # noqa: E402
from tracker.network.kestrel import Kestrel  # noqa: E402
from tracker.network.norm import FrozenNormConv2d  # noqa: E402
from tracker.runtime import OnnxNetwork, SearchOutput, open_network  # noqa: E402
from tracker.training import export_cli, loader, processes, train_cli  # noqa: E402
from tracker.training.branches import make_spec  # noqa: E402
from tracker.training.checkpoint import load_checkpoint, save_checkpoint  # noqa: E402
from tracker.training.export import export  # noqa: E402
from tracker.training.loader import PairLoader  # noqa: E402
from tracker.training.restore import (  # noqa: E402
    checkpoint_of_model,
    restore_kestrel,
    spread_norms,
)
from tracker.training.stamp import spec_of  # noqa: E402
from tracker.training.torch_network import TorchNetwork  # noqa: E402
from tracker.weights import ModelFiles, read_model, write_model  # noqa: E402

Answers = list[np.ndarray]


def trained(seed: int = 4) -> Kestrel:
    """A small network whose norms are not those of a fresh one."""
    torch.manual_seed(seed)
    network = Kestrel(
        channels=12, identity_channels=6, tower_depth=2, detail_channels=5, trunk_widths=NARROW
    ).eval()
    for module in network.modules():
        if isinstance(module, (nn.BatchNorm2d, FrozenNormConv2d)):
            norm = isinstance(module, nn.BatchNorm2d)
            gain, shift = (module.weight, module.bias) if norm else (module.gamma, module.beta)
            nn.init.uniform_(gain, 0.5, 1.5)
            nn.init.normal_(shift, 0, 0.2)
            module.running_mean.normal_(0, 0.2)
            module.running_var.uniform_(0.5, 2)
    for gate in (network.inside, network.outside):
        nn.init.normal_(gate.gain)
        nn.init.normal_(gate.offset)
    return network


@pytest.fixture(scope="module")
def files() -> ModelFiles:
    network = trained()
    crops = np.random.default_rng(0).integers(0, 256, (3, 224, 224, 3), np.uint8)
    spec = make_spec(network, {"commands": ["python tools/train.py --toy"]})
    return export(network, spec, crops)


@torch.no_grad()
def answers(network: Kestrel) -> Answers:
    images = torch.from_numpy(np.random.default_rng(1).integers(0, 256, (2, 224, 224, 3), np.uint8))
    box = torch.tensor([[30.0, 30, 90, 80], [40, 20, 100, 110]])
    embedding, identity = network.exemplar(images[:, :128, :128], box)
    return [identity.numpy(), *(t.numpy() for t in network.search(embedding, images))]


def assert_alike(found: Answers, expected: Answers) -> None:
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-4 * max(1.0, float(np.abs(b).max())))


def test_what_was_exported_comes_back(files: ModelFiles) -> None:
    network, settings = restore_kestrel(files)
    assert settings == {
        "channels": 12, "identity_channels": 6, "tower_depth": 2, "detail_channels": 5,
        "trunk_widths": list(NARROW),
    }  # fmt: skip
    assert_alike(answers(network), answers(trained()))


def test_its_parameters_are_those_of_the_export_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What was tuned for a model holds for what is trained from it, until something else is."""
    checkpoint = tmp_path / "start.pt"
    save_checkpoint(checkpoint, checkpoint_of_model(read_model("kestrel")))
    arguments = ["export.py", "--checkpoint", checkpoint, "--out", tmp_path / "mine"]
    monkeypatch.setattr(sys, "argv", [str(a) for a in arguments])
    assert export_cli.main() == 0
    assert "are those that the run began with" in capsys.readouterr().out
    old, new = (spec_of(read_model(m), "search") for m in ("kestrel", tmp_path / "mine"))
    assert (new.online, new.presence) == (old.online, old.presence)


def test_the_shipped_model_comes_back() -> None:
    from tracker.runtime import OnnxNetwork, as_network

    runtime = as_network("kestrel", "cpu", 1, False)
    assert isinstance(runtime, OnnxNetwork)
    network, _ = restore_kestrel(read_model("kestrel"))
    rng = np.random.default_rng(2)
    crops = rng.integers(0, 256, (2, 224, 224, 3), np.uint8)
    box = np.array([[32, 32, 96, 96]] * 2, np.float32)
    exemplars = np.ascontiguousarray(crops[:, :128, :128])
    embedding, identity = runtime.embed(exemplars, box)
    found = runtime.search(embedding, crops)
    with torch.no_grad():
        rows, known = network.exemplar(torch.from_numpy(exemplars), torch.from_numpy(box))
        expected = network.search(rows, torch.from_numpy(crops))
    assert identity is not None
    np.testing.assert_allclose(known.numpy(), identity, atol=1e-4)
    np.testing.assert_allclose(expected.score.sigmoid().numpy(), found.score, atol=1e-4)


class Both:
    """Tracks with the export, asks torch the same, and keeps the largest difference."""

    def __init__(self, network: OnnxNetwork, other: TorchNetwork) -> None:
        self.network, self.other = network, other
        # one exemplar for the whole track: the two keep embeddings in different forms
        self.spec = replace(network.spec, online=replace(network.spec.online, blend=0.0))
        self.embedding: np.ndarray | None = None
        self.apart = dict.fromkeys(("identity", "score", "boxes", "map"), 0.0)
        self.searches = 0

    def embed(self, crops: np.ndarray, boxes: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        found, wanted = self.network.embed(crops, boxes), self.other.embed(crops, boxes)
        self._compare(("identity",), found[1:], wanted[1:])
        self.embedding = wanted[0]
        return found

    def search(self, embedding: np.ndarray, crops: np.ndarray) -> SearchOutput:
        found, wanted = (
            self.network.search(embedding, crops),
            self.other.search(self.embedding, crops),
        )
        one, two = ((o.score, o.boxes, o.identity) for o in (found, wanted))
        self._compare(("score", "boxes", "map"), one, two)
        self.searches += 1
        return found

    def _compare(self, names: tuple[str, ...], found: tuple, wanted: tuple) -> None:
        for name, a, b in zip(names, found, wanted, strict=True):
            self.apart[name] = max(self.apart[name], float(np.abs(a - b).max() / np.abs(b).max()))


@pytest.mark.slow
def test_torch_answers_what_the_export_answers_along_a_track() -> None:
    """On the sample clip, with crops of all sizes; see test_variants.

    Boxes alone are too coarse and too chaotic: in frame 60 rounding decides between two cells.
    """
    from tests.online.test_variants import follow

    network, _ = restore_kestrel(read_model("kestrel"))
    export = open_network("kestrel", "cpu", 1)
    both = Both(export, TorchNetwork(network, export.spec))
    follow(both)
    assert both.searches >= 149
    assert max(both.apart.values()) < 2e-4, both.apart


@pytest.mark.slow
def test_torch_gives_the_same_track_as_the_export() -> None:
    from tests.online.test_variants import follow

    network, _ = restore_kestrel(read_model("kestrel"))
    ours = TorchNetwork(network, open_network("kestrel", "cpu", 1).spec)
    boxes, claims = follow(ours)
    expected, claimed = follow("kestrel")
    assert (claims == claimed).all()
    overlap = iou(boxes, expected)
    assert overlap[:30].min() >= 0.999
    # from frame 60 on later exemplars are cut by the box of another of two equal cells
    assert overlap.mean() >= 0.93 and np.quantile(overlap, 0.1) >= 0.85


def test_norms_get_the_statistics_of_data_and_change_nothing(files: ModelFiles) -> None:
    network, _ = restore_kestrel(files)
    before = copy.deepcopy(network)
    made = PairLoader(tiny_sampler(search=224), 4, 0, torch.device("cpu"))
    batches = list(made.batches(0, 2))
    seen = []
    hook = network.fuse_norm.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    spread_norms(network, batches)
    hook.remove()
    assert_alike(answers(network), answers(before))
    assert len(seen) == 2
    values = torch.cat(seen).transpose(0, 1).flatten(1).numpy().astype(np.float64)
    mean, var = network.fuse_norm.running_mean, network.fuse_norm.running_var
    assert mean is not None and var is not None
    np.testing.assert_allclose(mean.numpy(), values.mean(1), rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(var.numpy(), values.var(1), rtol=1e-3, atol=1e-5)
    # neck and identity look at both branches, and their norms at the mean of the two
    assert float((network.neck[1].running_var - 1).abs().max()) > 1e-3


def test_norms_are_the_same_in_all_processes(
    files: ModelFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those that are frozen tell the second process what the first one's tell it."""
    found = []
    for rank, count in ((0, 1), (1, 2)):
        for module in (loader, processes):
            monkeypatch.setattr(module, "process_rank", lambda rank=rank: rank)
            monkeypatch.setattr(module, "process_count", lambda count=count: count)
        network, _ = restore_kestrel(files)
        train_cli.settle(network, tiny_sampler(search=224), 2)
        found.append(network.state_dict())
    assert all(torch.equal(value, found[1][name]) for name, value in found[0].items())


def test_training_starts_from_a_model(
    files: ModelFiles,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    data = write_clip(tmp_path / "data" / "a").parent
    write_model(files, tmp_path / "mine")
    keep = tuple(SMALL[SMALL.index("--frozen") :])
    status, said = tool(
        monkeypatch, capsys, "train", "--data", data, "--init", tmp_path / "mine", "--out",
        tmp_path / "run", *keep, "--lr", "0", "--pairs", "4",
    )  # fmt: skip
    assert status == 0, said
    content = load_checkpoint(tmp_path / "run" / "checkpoint.pt")
    network = Kestrel(**content["record"]["settings"]).eval()
    # nothing was learned: the norms have moved with the batches, and kernels are the model's
    network.load_state_dict(content["model"])
    start, _ = restore_kestrel(files)
    for name, kernel in start.named_parameters():
        if kernel.ndim == 4:
            torch.testing.assert_close(network.get_parameter(name), kernel)
    # what it began with, also for an average: a network that answers as the model does
    began = load_checkpoint(tmp_path / "run" / "start.pt")["average"]
    network.load_state_dict(began)
    assert_alike(answers(network), answers(start))
    assert not torch.equal(network.neck[1].running_var, start.neck[1].running_var)
    runs = (tmp_path / "run" / name for name in ("checkpoint.pt", "start.pt"))
    out = ("--out", tmp_path / "mean.pt")
    parts = [part for path in runs for part in ("--checkpoint", path)]
    assert tool(monkeypatch, capsys, "average", *parts, *out) == (0, "")
    record = load_checkpoint(tmp_path / "mean.pt")["record"]
    assert [part["weight"] for part in record.pop("averaged")] == [0.5, 0.5]
    assert record == content["record"]


@pytest.mark.parametrize(("name", "found"), [("kestrel-int8", "int8"), ("siamfc", "siamfc")])
def test_a_model_that_cannot_be_turned_back_is_one_sentence(
    name: str,
    found: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    data = write_clip(tmp_path / "data" / "a").parent
    status, said = tool(
        monkeypatch, capsys, "train", "--data", data, "--init", name, "--out", tmp_path / "run"
    )
    assert (status, said.count("\n")) == (2, 1)
    assert f"training cannot start from {name}" in said
    assert found in said


def test_graphs_of_another_form_are_refused(files: ModelFiles) -> None:
    import dataclasses

    import onnx

    model = onnx.load_from_string(files.search)
    for node in model.graph.node:
        node.name = ""
    nameless = dataclasses.replace(files, search=model.SerializeToString())
    with pytest.raises(UserError, match="not as this version exports them"):
        checkpoint_of_model(nameless)
