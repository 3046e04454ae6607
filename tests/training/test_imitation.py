"""Learning from another network."""

from __future__ import annotations

from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

from tests.training.data import tiny_kestrel, tiny_sampler  # noqa: E402
from tests.training.test_train_tool import tool  # noqa: E402
from tracker.network.kestrel import Response  # noqa: E402
from tracker.training.checkpoint import save_checkpoint  # noqa: E402
from tracker.training.imitation import (  # noqa: E402
    ImitationObjective,
    only_trunk_learns,
    relative_error,
)
from tracker.training.loader import PairDataset  # noqa: E402
from tracker.training.loop import RunOptions, Trainer  # noqa: E402


def batch(count: int = 3) -> dict[str, torch.Tensor]:
    return torch.utils.data.default_collate(
        [PairDataset(tiny_sampler(search=224), count)[n] for n in range(count)]
    )


def test_relative_error_by_hand() -> None:
    wanted = torch.tensor([[[[0.0, 2.0]], [[10.0, 14.0]]]])  # variances 1 and 4
    assert float(relative_error(wanted, wanted)) == 0
    assert float(relative_error(wanted + 1, wanted)) == pytest.approx(1 / 2.5)


def test_only_the_trunk_of_the_pupil_learns() -> None:
    pupil, teacher = tiny_kestrel(1), tiny_kestrel(2)
    only_trunk_learns(pupil)
    objective = ImitationObjective(pupil, teacher).train()
    assert not any(module.training for module in objective.modules())
    before = {n: v.clone() for n, v in objective.state_dict().items()}
    optimiser = torch.optim.SGD((p for p in objective.parameters() if p.requires_grad), lr=0.01)
    parts = objective(batch())
    stages, branches = {f"stage{n}" for n in (1, 2, 3, 4)}, {"neck", "identity", "exemplar"}
    assert parts.keys() == {*stages, *branches, "score", "sides", "loss"}
    assert parts["loss"].item() == pytest.approx(
        sum(v.item() for n, v in parts.items() if n != "loss"), rel=1e-5
    )
    parts["loss"].backward()
    optimiser.step()
    changed = {n for n, v in objective.state_dict().items() if not torch.equal(v, before[n])}
    assert changed and all(name.startswith("network.trunk.") for name in changed)


def test_a_pupil_comes_nearer() -> None:
    teacher = tiny_kestrel(2)
    pupil = tiny_kestrel(2)
    with torch.no_grad():
        for parameter in pupil.trunk.parameters():
            parameter.add_(0.1 * parameter.abs().mean() * torch.randn_like(parameter))
    only_trunk_learns(pupil)
    objective = ImitationObjective(pupil, teacher).train()
    # fresh weights give features so small that a step of the offsets would drown them
    kernels = [p for p in pupil.trunk.parameters() if p.ndim == 4]
    optimiser = torch.optim.Adam(kernels, lr=1e-3)
    given, found = batch(), []
    for _ in range(12):
        loss = objective(given)["loss"]
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        found.append(loss.item())
    assert found[-1] < 0.5 * found[0]


def test_a_teacher_of_its_own_weights_has_nothing_to_say() -> None:
    pupil = tiny_kestrel(1)
    assert ImitationObjective(pupil, pupil)(batch())["loss"].item() == 0


def test_sides_count_where_the_teacher_sees_the_target() -> None:
    """Off by two strides everywhere: an error of two, whatever the weights of the places."""
    teacher = tiny_kestrel(1)
    objective = ImitationObjective(teacher, teacher)
    respond = objective.network.respond

    def wider(*args: torch.Tensor) -> Response:
        output = respond(*args)
        return output._replace(sides=output.sides + 32)

    objective.network.respond = wider  # type: ignore[method-assign]
    parts = objective(batch())
    assert parts["sides"].item() == pytest.approx(2, rel=1e-4)
    assert parts["loss"].item() == pytest.approx(2, rel=1e-4)


def test_sides_weigh_as_much_as_the_teacher_s_scores() -> None:
    teacher = tiny_kestrel(1)
    objective = ImitationObjective(teacher, teacher)
    rng = torch.Generator().manual_seed(0)
    logits = 2 * torch.randn(14, 14, generator=rng)
    strides = torch.where(logits > 0, 2.0, 0.5)
    respond, twin = objective.teacher.respond, objective.network.respond

    def seeing(*args: torch.Tensor):
        output = respond(*args)
        return output._replace(score=output.score * 0 + logits)

    def off(*args: torch.Tensor):
        output = twin(*args)
        return output._replace(sides=output.sides + 16 * strides)

    objective.teacher.respond, objective.network.respond = seeing, off
    expected = (logits.sigmoid() * strides).sum() / logits.sigmoid().sum()
    assert expected > 1.1 * strides.mean()
    assert objective(batch())["sides"].item() == pytest.approx(expected.item(), rel=1e-4)


def test_a_run_with_a_teacher_changes_the_trunk_alone(tmp_path: Path) -> None:
    pupil, teacher = tiny_kestrel(1), tiny_kestrel(2)
    before = {n: v.clone() for n, v in pupil.state_dict().items()}
    options = RunOptions(pairs=4, batch=2, frozen=2, workers=0, autocast="none", quiet=True)
    run = Trainer(
        pupil, tiny_sampler(search=224), options, tmp_path, torch.device("cpu"), teacher=teacher
    )
    assert run.run()
    changed = {n for n, v in pupil.state_dict().items() if not torch.equal(v, before[n])}
    assert changed and all(n.startswith("trunk.stages.") for n in changed)
    assert not any(n.startswith("trunk.stages.0.") for n in changed)  # frozen


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (("--teacher", "none.pt"), "there is no checkpoint at none.pt"),
        (("--teacher", "t.pt", "--network", "siamfc"), "is a kestrel and --network is siamfc"),
        (("--teacher", "t.pt", "--frozen", "6"), "--frozen 6 keeps all of it"),
        (("--spoil", ".5"), "--spoil is for a network that learns from a teacher"),
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
