"""Learning from another network."""

from __future__ import annotations

from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

from tests.training.data import tiny_kestrel, tiny_sampler  # noqa: E402
from tests.training.test_train_tool import tool  # noqa: E402
from tracker.network.kestrel import SearchOutput  # noqa: E402
from tracker.training.checkpoint import save_checkpoint  # noqa: E402
from tracker.training.imitation import Teacher, imitation_loss, relative_error  # noqa: E402
from tracker.training.objective import LossOptions, make_objective  # noqa: E402
from tracker.training.pairs import PairDataset  # noqa: E402


def batch(count: int = 3) -> dict[str, torch.Tensor]:
    return torch.utils.data.default_collate(
        [PairDataset(tiny_sampler(search=224), count)[n] for n in range(count)]
    )


def test_relative_error_by_hand() -> None:
    wanted = torch.tensor([[[[0.0, 2.0]], [[10.0, 14.0]]]])  # variances 1 and 4
    assert float(relative_error(wanted, wanted)) == 0
    assert float(relative_error(wanted + 1, wanted)) == pytest.approx(1 / 2.5)


def test_each_output_counts_the_same() -> None:
    torch.manual_seed(0)
    maps = [torch.randn(2, c, 4, 4) for c in (4, 6, 8)]
    score = torch.randn(2, 4, 4)
    wanted = SearchOutput(score, maps[0], maps[1], maps[2])
    assert float(imitation_loss(wanted, wanted)) == 0
    means = [m.mean((0, 2, 3), keepdim=True).expand_as(m) for m in maps]
    level = torch.logit(score.sigmoid().mean()).expand_as(score)
    for number, value in ((0, level), (2, means[1]), (3, means[2])):
        changed = list(wanted)
        changed[number] = value
        assert float(imitation_loss(SearchOutput(*changed), wanted)) == pytest.approx(1 / 3)


def test_only_the_pupil_learns() -> None:
    pupil, teacher = tiny_kestrel(1), Teacher(tiny_kestrel(2))
    before = {n: v.clone() for n, v in teacher.state_dict().items()}
    objective = make_objective(pupil, LossOptions(imitation=2.0), teacher).train()
    assert pupil.training and not any(m.training for m in teacher.modules())
    optimiser = torch.optim.SGD((p for p in objective.parameters() if p.requires_grad), lr=0.1)
    parts = objective(batch())
    others = {n: v for n, v in parts.items() if n not in ("loss", "imitation")}
    options = LossOptions()
    expected = (
        others["score"] + options.box * others["box"] + options.triplet * others["triplet"]
        + options.contrastive * others["contrastive"] + 2 * parts["imitation"]
    )  # fmt: skip
    assert parts["loss"].item() == pytest.approx(expected.item(), rel=1e-5)
    parts["imitation"].backward()
    assert pupil.trunk.stem.weight.grad is not None
    optimiser.step()
    for name, value in teacher.state_dict().items():
        assert torch.equal(value, before[name])


def test_a_pupil_comes_nearer() -> None:
    pupil, teacher = tiny_kestrel(1), Teacher(tiny_kestrel(2))
    objective = make_objective(pupil, LossOptions(imitation=5.0), teacher).train()
    optimiser = torch.optim.Adam(pupil.parameters(), lr=3e-3)
    given, found = batch(), []
    for _ in range(12):
        parts = objective(given)
        optimiser.zero_grad()
        parts["loss"].backward()
        optimiser.step()
        found.append(parts["imitation"].item())
    assert found[-1] < 0.8 * found[0]


def test_a_teacher_of_its_own_weights_has_nothing_to_say() -> None:
    pupil = tiny_kestrel(1).eval()
    objective = make_objective(pupil, LossOptions(), Teacher(pupil)).eval()
    assert objective(batch())["imitation"].item() == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (("--teacher", "none.pt"), "there is no checkpoint at none.pt"),
        (("--teacher", "t.pt", "--network", "siamfc"), "is a kestrel and --network is siamfc"),
    ],
)
def test_mistakes(
    args: tuple[str, ...],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    from tests.training.data import write_clip

    monkeypatch.chdir(tmp_path)
    write_clip(tmp_path / "data" / "a")
    state = tiny_kestrel().state_dict()
    settings = {"channels": 8, "identity_channels": 6, "tower_depth": 1}
    save_checkpoint(tmp_path / "t.pt", {
        "network": "kestrel", "model": state, "average": state, "record": {"settings": settings},
    })  # fmt: skip
    call = ("--data", "data", "--init", "none", "--out", "run", "--quiet", *args)
    status, said = tool(monkeypatch, capsys, "train", *call)
    assert status == 2
    assert message in said and said.count("\n") == 1
