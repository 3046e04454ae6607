"""A narrower trunk: what goes, what makes up for it, and the tool."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from tests.training.data import picture, tiny_kestrel, write_clip  # noqa: E402
from tests.training.test_train_tool import SMALL, tool  # noqa: E402
from tracker.network.backbone import FULL_WIDTHS, EfficientNetLiteTrunk  # noqa: E402
from tracker.network.siamfc import SiamFC  # noqa: E402
from tracker.training.checkpoint import load_checkpoint, save_checkpoint  # noqa: E402
from tracker.training.imitation import relative_error  # noqa: E402
from tracker.training.models import restore_network  # noqa: E402
from tracker.training.prune import eliminate, prune  # noqa: E402

NARROW = (8, 16, 24, 24, 16, 32, 16, 24, 32, 16, 24)


def squared_error(x: np.ndarray, y: np.ndarray) -> float:
    """Of the best sum of the columns of ``x`` and a constant, by NumPy's own solver."""
    given = np.column_stack([x, np.ones(len(x))])
    weight = np.linalg.lstsq(given, y, rcond=None)[0]
    return float(((y - given @ weight) ** 2).sum())


def mixed(samples: int = 400, channels: int = 7, out: int = 3) -> tuple[torch.Tensor, torch.Tensor]:
    """Channels that say partly the same, and sums of them."""
    rng = np.random.default_rng(4)
    x = rng.normal(1, 1, (samples, channels)) @ rng.normal(0, 1, (channels, channels))
    y = x @ rng.normal(0, 1, (channels, out)) + rng.normal(0, 0.3, (samples, out)) + 5
    return torch.from_numpy(x), torch.from_numpy(y)


def test_every_channel_that_goes_is_the_one_that_is_missed_least() -> None:
    x, y = mixed()
    left = set(range(7))
    for keep in range(6, 0, -1):
        best = min(
            itertools.combinations(sorted(left), keep),
            key=lambda some: squared_error(x[:, list(some)].numpy(), y.numpy()),
        )
        found = eliminate(x, y, keep)
        assert tuple(found.kept.tolist()) == best
        left = set(best)
        spread = float(((y - y.mean(0)) ** 2).sum())
        least = squared_error(x[:, list(best)].numpy(), y.numpy())
        assert found.error * spread == pytest.approx(least, rel=1e-3)
        summed = x[:, found.kept].float() @ found.weight.T + found.bias
        assert float((summed - y).square().sum()) == pytest.approx(least, rel=1e-2)


def test_what_is_said_twice_goes_for_nothing() -> None:
    x, y = mixed()
    found = eliminate(torch.cat([x, 2 * x[:, :3]], 1), y, 7)
    spread = float(((y - y.mean(0)) ** 2).sum())
    assert found.error * spread == pytest.approx(squared_error(x.numpy(), y.numpy()), rel=1e-2)


@pytest.mark.parametrize("keep", [0, 8])
def test_as_many_channels_as_there_are(keep: int) -> None:
    with pytest.raises(ValueError, match=f"1 to 7 channels can stay, found {keep}"):
        eliminate(*mixed(), keep)


def pictures() -> torch.Tensor:
    return torch.from_numpy(np.stack([picture(seed, 96, 96) for seed in range(12)]))


def test_whole_widths_change_nothing() -> None:
    network = tiny_kestrel().eval()
    same, errors = prune(network, FULL_WIDTHS, pictures())
    assert errors == [0.0] * 11
    for name, value in network.state_dict().items():
        assert torch.equal(same.state_dict()[name], value)


def twice(narrow: EfficientNetLiteTrunk) -> EfficientNetLiteTrunk:
    """The same function with every channel inside of a block there twice, each with half a say."""
    wide = EfficientNetLiteTrunk([2 * width for width in NARROW]).eval()

    def double(name: str, value: torch.Tensor) -> torch.Tensor:
        if "project" in name:
            return torch.cat([value, value], 1) / 2 if name.endswith("weight") else value
        return torch.cat([value, value])

    wide.load_state_dict({n: double(n, v) for n, v in narrow.state_dict().items()})
    return wide


def test_doubled_channels_are_found_and_nothing_is_lost() -> None:
    network = tiny_kestrel().eval()
    torch.manual_seed(2)
    narrow = EfficientNetLiteTrunk(NARROW).eval()
    network.trunk = twice(narrow)
    pruned, errors = prune(network, NARROW, pictures())
    assert max(errors) < 1e-3
    shapes = {n: v.shape for n, v in narrow.state_dict().items()}
    assert {n: v.shape for n, v in pruned.trunk.state_dict().items()} == shapes
    fresh = network.preprocess(torch.from_numpy(picture(77, 96, 96))[None])
    with torch.no_grad():
        for found, wanted in zip(pruned.trunk(fresh), network.trunk(fresh), strict=True):
            assert float((found - wanted).square().mean() / wanted.var()) < 1e-2


def test_a_block_makes_up_for_those_before_it() -> None:
    """Solved in turn, the error of the whole is less than that of parts solved alone."""
    network = tiny_kestrel().eval()
    half = [width // 2 for width in FULL_WIDTHS]
    together, errors = prune(network, half, pictures())
    alone = EfficientNetLiteTrunk(half).eval()
    for number, block in enumerate(alone.blocks()):
        only = [half[n] if n == number else width for n, width in enumerate(FULL_WIDTHS)]
        lone, _ = prune(network, only, pictures())
        block.load_state_dict(lone.trunk.blocks()[number].state_dict())
        if number == 0:
            alone.stem.load_state_dict(lone.trunk.stem.state_dict())
    with torch.no_grad():
        x = network.preprocess(pictures())
        wanted = network.trunk(x)[1]
        error = [float(relative_error(t(x)[1], wanted)) for t in (together.trunk, alone)]
    assert error[0] < 0.9 * error[1]
    assert errors[-1] == pytest.approx(error[0], rel=1e-4)


def save(path: Path, network: torch.nn.Module) -> Path:
    settings = {"channels": 8, "identity_channels": 6, "tower_depth": 1}
    record = {"commands": ["python tools/train.py --data a"], "settings": settings}
    state = network.state_dict()
    save_checkpoint(path, {
        "network": network.name, "model": state, "average": state, "record": record, "step": 3,
        "seconds": 60.0, "options": {"batch": 2, "seed": 1},
    })  # fmt: skip
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("prune")
    write_clip(folder / "data" / "a", seed=1)
    write_clip(folder / "data" / "b", seed=2)
    save(folder / "whole.pt", tiny_kestrel())
    return folder


def test_prune_train_and_export(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("onnx")
    from tracker.runtime import open_network

    monkeypatch.chdir(folder)
    start, out = folder / "start.pt", folder / "run"
    call = ("--checkpoint", "whole.pt", "--data", "data", "--crops", "6", "--out", start)
    assert tool(monkeypatch, capsys, "prune", *call, "--keep", "0.3") == (0, "")
    status, said = tool(monkeypatch, capsys, "prune", *call)
    assert (status, said) == (
        2,
        f"error: {start} exists; add --overwrite to replace it, or give another name\n",
    )
    widths = [16, 32, 48, 48, 64, 64, 144, 144, 144, 208, 208]
    content = load_checkpoint(start)
    assert content["record"]["settings"]["trunk_widths"] == widths
    names = [Path(c.split()[1]).name for c in content["record"]["commands"]]
    assert names == ["train.py", "prune.py"]
    given = SMALL[SMALL.index("--batch") :]
    common = ("--data", "data", "--out", out, "--init", start, "--pairs", "4", *given)
    status, _ = tool(monkeypatch, capsys, "train", *common, "--teacher", "whole.pt")
    assert status == 0
    assert "stage4" in (out / "log.csv").read_text().splitlines()[0]
    trained = load_checkpoint(out / "checkpoint.pt")
    assert trained["record"]["settings"]["trunk_widths"] == widths
    start.unlink()  # going on needs the run's own checkpoint alone
    status, _ = tool(monkeypatch, capsys, "train", *common, "--resume", "--pairs", "6")
    assert status == 0
    to = ("--checkpoint", out / "checkpoint.pt", "--out", "narrow")
    assert tool(monkeypatch, capsys, "export", *to) == (0, "")
    assert open_network("./narrow", "cpu", 1).spec.training["settings"]["trunk_widths"] == widths
    network = restore_network(load_checkpoint(out / "checkpoint.pt"), "average", out)
    assert [b.depthwise.weight.shape[0] for b in network.trunk.blocks()] == widths


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (("--checkpoint", "none.pt"), "there is no checkpoint at none.pt"),
        (("--checkpoint", "siamfc.pt"), "is a siamfc; a kestrel can be pruned"),
        (("--keep", "0"), "a share above 0, up to 1, is needed, found 0"),
        (("--widths", "1,2"), "11 whole numbers above 0 are needed, found 1,2"),
        (
            ("--widths", "33,96,144,144,240,240,480,480,480,672,673"),
            "a block cannot become wider than it is, found 33 of 32, 673 of 672",
        ),
        (("--data", "no/where"), "there is no training data at no/where"),
        (("--seed", "-1"), "a whole number of 0 to"),
        (("--threads", "100000"), "a whole number of 1 to 256 is needed"),
        (("--out", "whole.pt", "--overwrite"), "which is read; write it elsewhere"),
        (("--out", "siamfc.pt/x.pt"), "siamfc.pt: no results can be written here"),
        (("--out", "no/where/x.pt"), ""),
    ],
)
def test_mistakes(
    args: tuple[str, ...],
    message: str,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(folder)
    if not Path("siamfc.pt").exists():
        network = SiamFC()
        state = network.state_dict()
        save_checkpoint(Path("siamfc.pt"), {
            "network": "siamfc", "model": state, "average": state, "record": {"settings": {}},
        })  # fmt: skip
    call = ["--checkpoint", "whole.pt", "--data", "data", "--crops", "4", "--out", "x.pt", *args]
    if args == ("--out", "no/where/x.pt"):  # the folder is made: work that was done is kept
        assert tool(monkeypatch, capsys, "prune", *call) == (0, "")
        return
    status, said = tool(monkeypatch, capsys, "prune", *call)
    assert status == 2
    assert message in said and "Traceback" not in said
