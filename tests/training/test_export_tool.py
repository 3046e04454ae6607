"""``tools/export.py``: what it writes, carries and refuses."""

from __future__ import annotations

import dataclasses
import json
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("onnx")

from tests.training.data import picture, tiny_sampler, write_clip, write_view  # noqa: E402
from tracker.errors import UserError  # noqa: E402
from tracker.runtime import OnnxNetwork, open_network  # noqa: E402
from tracker.spec import read_parameters  # noqa: E402
from tracker.training import export as export_module  # noqa: E402
from tracker.training import export_cli  # noqa: E402
from tracker.training.loop import RunOptions, Trainer  # noqa: E402
from tracker.training.models import make_network  # noqa: E402
from tracker.training.torch_network import TorchNetwork  # noqa: E402

SMALL = {"channels": 8, "identity_channels": 6, "tower_depth": 1}


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Checkpoints of one step of each network."""
    torch.set_num_threads(1)
    paths = {}
    for name, settings in (("kestrel", SMALL), ("siamfc", {})):
        out = tmp_path_factory.mktemp(name)
        torch.manual_seed(1)
        network = make_network(name, **settings)
        sampler = tiny_sampler(exemplar=network.exemplar_size, search=network.search_size)
        options = RunOptions(
            pairs=2, batch=2, frozen=6 if name == "kestrel" else 0, workers=0, autocast="none",
            quiet=True, seed=7,
        )  # fmt: skip
        record = {"commands": ["python tools/train.py --data clips"], "settings": settings}
        record["data"] = [{"name": "clips", "weight": 1.0, "tracks": 3, "pictures": 12}]
        Trainer(network, sampler, options, out, torch.device("cpu"), record).run()
        paths[name] = out / "checkpoint.pt"
    folder = tmp_path_factory.mktemp("pictures")
    for index in range(2):
        cv2.imwrite(str(folder / f"{index}.png"), picture(index, 120, 90))
    return paths | {"pictures": folder}


def run(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    monkeypatch.setattr(sys, "argv", ["tools/export.py", *map(str, arguments)])
    return export_cli.main()


@pytest.mark.parametrize("name", ["kestrel", "siamfc"])
def test_export_answers_as_torch_does(
    name: str, runs: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stem = tmp_path / "weights" / "mine"
    given = ("--checkpoint", runs[name], "--out", stem, "--crops", runs["pictures"])
    assert run(monkeypatch, *given) == 0
    found = open_network(str(stem), "cpu", 1)
    training = found.spec.training
    assert training["commands"] == ["python tools/train.py --data clips"]
    assert training["data"][0]["name"] == "clips"
    assert training["seed"] == 7
    assert training["pairs"] == 2
    assert training["options"]["optim"]["lr"] == 1e-3
    assert (stem.parent / "SHA256SUMS").is_file()
    expected = saved(runs[name], "average")
    assert found.spec.pair == expected.spec.pair
    assert_alike(found, expected)
    with pytest.raises(UserError, match=r"mine\.exemplar\.onnx exists; add --overwrite"):
        run(monkeypatch, *given)
    assert run(monkeypatch, *given, "--overwrite", "--weights", "model") == 0
    again = open_network(str(stem), "cpu", 1)
    assert again.spec.pair == saved(runs[name], "model").spec.pair != found.spec.pair


def test_crops_of_the_first_data_that_can_give_some(tmp_path: Path) -> None:
    """Objects alone need other pictures, and a folder may be elsewhere by now."""
    write_view(tmp_path / "views" / "cup" / "0.png", (20, 20, 30, 30), (0, 0, 255))
    clip = write_clip(tmp_path / "clips" / "a")
    names = [str(tmp_path / "gone"), f"views:{tmp_path / 'views'}", str(clip.parent)]
    network = make_network("kestrel", **SMALL)
    crops = export_cli.comparison_crops(network, {"record": {"sources": names}}, None)
    alone = export_cli.comparison_crops(network, {"record": {"sources": names[2:]}}, None)
    assert np.array_equal(crops, alone)


def saved(path: Path, weights: str) -> TorchNetwork:
    content = export_cli.load_checkpoint(path)
    return TorchNetwork(export_cli.restore_network(content, weights, path))


def assert_alike(found: OnnxNetwork, expected: TorchNetwork) -> None:
    """Other crops than those of the export's own comparison, at batches of 1, 2 and 3."""
    spec = found.spec
    e, s = spec.exemplar_size, spec.search_size
    exemplars = np.stack([picture(20 + i, e, e) for i in range(3)])
    boxes = np.array([[30, 20, 90, 100], [50, 50, 70, 80], [5, 40, 120, 70]], np.float32)
    for batch in (1, 2, 3):
        crops = np.stack([picture(30 + 7 * batch + i, s, s) for i in range(batch)])
        ours = found.embed(exemplars[:batch], boxes[:batch])
        theirs = expected.embed(exemplars[:batch], boxes[:batch])
        if ours[1] is not None:
            np.testing.assert_allclose(ours[1], theirs[1], atol=1e-4)
        single = spec.kind == "response"
        answers = []
        for network, (embedding, _) in ((found, ours), (expected, theirs)):
            used = embedding[:1] if single else embedding
            output = network.search(used, crops)
            swapped = network.search(used[::-1].copy(), crops)
            one = network.search(embedding[-1:], crops)  # one target in several crops
            answers.append([v for o in (output, swapped, one) for v in o])
        for a, b in zip(*answers, strict=True):
            assert (a is None) == (b is None)
            if a is not None:
                scale = max(1.0, float(np.abs(b).max()))
                assert np.abs(a - b).max() / scale < 2e-3


def test_a_graph_that_differs_is_not_written(
    runs: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inner = export_module._export_graph

    def spoiled(graphs: dict[str, torch.nn.Module], spec: object, role: str) -> bytes:
        with torch.no_grad():
            if role == "search":
                graphs[role].network.head.score.bias += 0.5  # type: ignore[union-attr]
        return inner(graphs, spec, role)  # type: ignore[arg-type]

    monkeypatch.setattr(export_module, "_export_graph", spoiled)
    stem = tmp_path / "mine"
    with pytest.raises(UserError, match="differs from torch in score at batch 1"):
        run(monkeypatch, "--checkpoint", runs["kestrel"], "--out", stem,
            "--crops", runs["pictures"])  # fmt: skip
    assert list(tmp_path.iterdir()) == []


def test_tuned_parameters_are_carried(
    runs: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = export_cli.load_checkpoint(runs["kestrel"])
    network = export_cli.restore_network(content, "average", runs["kestrel"])
    tuned = {
        "online": {"window": 0.31}, "presence": {"patience": 5}, "scores": {"otb": 0.6},
    }  # fmt: skip
    path = tmp_path / "params.json"
    path.write_text(json.dumps(tuned))
    spec = export_cli.tuned_spec(network, {"seed": 1}, read_parameters(path), "x")
    assert spec.online.window == 0.31
    assert spec.presence.patience == 5
    assert spec.training == {"seed": 1, "scores": {"otb": 0.6}}
    default = export_cli.tuned_spec(network, {}, {}, "x")
    assert dataclasses.replace(spec.online, window=default.online.window) == default.online


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "is not JSON"),
        ("[]", "may have the parts"),
        ('{"offline": {}}', "may have the parts"),
        ('{"online": {"speed": 3}}', "not parameters of a kestrel"),
        ('{"online": {"window": "wide"}}', "cannot be used .*not a number"),
        ('{"presence": {"sure": -1}}', r"cannot be used .*outside of 0\.\.1000"),
    ],
)
def test_wrong_parameters(
    runs: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, message: str
) -> None:
    path = tmp_path / "params.json"
    path.write_text(text)
    with pytest.raises(UserError, match=message):
        run(monkeypatch, "--checkpoint", runs["kestrel"], "--out", tmp_path / "m",
            "--crops", runs["pictures"], "--online", path)  # fmt: skip


def test_checkpoints_that_cannot_be_used(
    runs: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UserError, match="there is no checkpoint at"):
        run(monkeypatch, "--checkpoint", tmp_path / "no.pt", "--out", tmp_path / "m")
    damaged = tmp_path / "damaged.pt"
    whole = runs["kestrel"].read_bytes()
    for content in (b"", b"nonsense", whole[: len(whole) // 2]):
        damaged.write_bytes(content)
        with pytest.raises(UserError, match="is damaged or is not one of this project"):
            run(monkeypatch, "--checkpoint", damaged, "--out", tmp_path / "m")
    torch.save({"format": 1, "network": "kestrel", "model": {}}, damaged)
    with pytest.raises(UserError, match="is not a checkpoint of a training run"):
        run(monkeypatch, "--checkpoint", damaged, "--out", tmp_path / "m")
    torch.save({"weights": 1}, damaged)
    with pytest.raises(UserError, match="not a checkpoint of format 1"):
        run(monkeypatch, "--checkpoint", damaged, "--out", tmp_path / "m")


@pytest.mark.parametrize(
    "change",
    [
        {"record": []},
        {"record": 7},
        {"record": {"settings": [1]}},
        {"record": {"settings": {"channels": -5}}},
        {"record": {"settings": {"channels": 0}}},
        {"record": {"data": torch.zeros(2)}},
        {"average": {1: 2}},
        {"average": [1]},
        {"network": ["kestrel"]},
        {"seconds": None},
        {"step": "x"},
        {"options": [1]},
        {"record": {"tuned": [1]}},
        {"record": {"tuned": {"online": {"window": 10**400}}}},
        {"record": {"tuned": {"online": 5}}},
    ],
)
def test_hostile_values_in_a_checkpoint_are_one_sentence(
    runs: dict[str, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    change: dict[str, object],
) -> None:
    path = tmp_path / "hostile.pt"
    torch.save(torch.load(runs["kestrel"], weights_only=True) | change, path)
    with pytest.raises(UserError, match=r"hostile\.pt"):
        run(monkeypatch, "--checkpoint", path, "--out", tmp_path / "m", "--crops", runs["pictures"])
    assert not list(tmp_path.glob("m.*"))


class Evil:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (exec, ("raise SystemExit('executed')",))


def test_a_checkpoint_executes_nothing(tmp_path: Path) -> None:
    torch.save({"format": 1, "x": Evil()}, tmp_path / "evil.pt")
    with pytest.raises(UserError, match="damaged or is not one of this project"):
        export_cli.load_checkpoint(tmp_path / "evil.pt")


def test_nothing_to_compare_on(
    runs: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export_cli, "SAMPLE", tmp_path / "no.mp4")
    with pytest.raises(UserError, match="there are no crops to compare on"):
        run(monkeypatch, "--checkpoint", runs["kestrel"], "--out", tmp_path / "m")
    for place, message in (("empty", "there is no picture in"), ("no", "there is nothing at")):
        if place == "empty":
            (tmp_path / place).mkdir()
        with pytest.raises(UserError, match=message):
            run(monkeypatch, "--checkpoint", runs["kestrel"], "--out", tmp_path / "m",
                "--crops", tmp_path / place)  # fmt: skip
