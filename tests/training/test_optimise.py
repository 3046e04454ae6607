"""Schedules, groups of parameters and the moving average, by hand."""

from __future__ import annotations

import math
import os

import pytest

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402

from tests.training.data import tiny_kestrel  # noqa: E402
from tracker.errors import UserError  # noqa: E402
from tracker.training.log import RunningMeans, Table, plot_run, read_table  # noqa: E402
from tracker.training.loop import RunOptions  # noqa: E402
from tracker.training.optimise import (  # noqa: E402
    MovingAverage,
    OptimOptions,
    make_optimiser,
    rate_factor,
    restore_optimiser,
    trunk_stage,
)


@pytest.mark.parametrize("kinds", [("sgd", "adamw"), ("adamw", "sgd")])
def test_moments_of_another_optimiser_are_left(kinds: tuple[str, str]) -> None:
    network = tiny_kestrel(1)
    saved, fresh = (
        make_optimiser(network, OptimOptions(optimiser=kind))  # type: ignore[arg-type]
        for kind in kinds
    )
    for group in saved.param_groups:
        for parameter in group["params"]:
            parameter.grad = torch.ones_like(parameter)
    saved.step()
    missing = restore_optimiser(fresh, saved.state_dict())
    assert len(missing) == sum(len(group["params"]) for group in fresh.param_groups)
    for parameter in network.parameters():
        parameter.grad = torch.ones_like(parameter)
    fresh.step()


@pytest.mark.parametrize(
    ("schedule", "done", "expected"),
    [
        ("cosine", 0.0, 0.0),
        ("cosine", 0.05, 0.5),  # half of the warm-up
        ("cosine", 0.1, 1.0),
        ("cosine", 0.55, 0.01 + 0.99 * 0.5),
        ("cosine", 1.0, 0.01),
        ("exponential", 0.55, math.sqrt(0.01)),
        ("exponential", 1.0, 0.01),
        ("step", 0.6, 1.0),
        ("step", 0.7, 0.1),
        ("step", 0.9, 0.01),
        ("constant", 0.99, 1.0),
    ],
)
def test_schedules(schedule: str, done: float, expected: float) -> None:
    options = OptimOptions(schedule=schedule, warmup=0.1)
    assert rate_factor(options, done) == pytest.approx(expected)


def test_no_warmup_starts_at_the_peak() -> None:
    assert rate_factor(OptimOptions(warmup=0.0), 0.0) == pytest.approx(1.0)


def test_unknown_names_are_refused() -> None:
    with pytest.raises(ValueError, match="'magic'"):
        rate_factor(OptimOptions(schedule="magic"), 0.5)
    with pytest.raises(ValueError, match="'lion'"):
        make_optimiser(nn.Linear(2, 2), OptimOptions(optimiser="lion"))


def test_sgd_looks_ahead_along_its_momentum() -> None:
    """Sutskever et al. 2013, as torch has it: v = .9 v + g, and a step of g + .9 v."""
    layer = nn.Linear(1, 1)
    optimiser = make_optimiser(layer, OptimOptions(optimiser="sgd", lr=0.5))
    expected, velocity = float(layer.bias.detach()), 0.0  # an offset, which does not decay
    for gradient in (1.0, -3.0):
        layer.weight.grad, layer.bias.grad = torch.zeros(1, 1), torch.tensor([gradient])
        optimiser.step()
        velocity = 0.9 * velocity + gradient
        expected -= 0.5 * (gradient + 0.9 * velocity)
    assert float(layer.bias.detach()) == pytest.approx(expected)


def test_groups_of_rates_and_decay() -> None:
    network = tiny_kestrel()
    factors = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5)
    optimiser = make_optimiser(network, OptimOptions(lr=2.0, trunk_lr=factors))
    named = dict(network.named_parameters())
    seen = set()
    for group in optimiser.param_groups:
        for name, parameter in zip(group["names"], group["params"], strict=True):
            assert named[name] is parameter
            trunk = name.startswith("trunk.")
            assert group["peak"] == pytest.approx(2 * factors[trunk_stage(name)] if trunk else 2.0)
            assert (group["weight_decay"] > 0) == (parameter.ndim > 1)
            seen.add(name)
    assert seen == named.keys()
    assert trunk_stage("trunk.stem.weight") == 0
    assert trunk_stage("trunk.stages.4.0.expand.gamma") == 5


def test_frozen_stages_are_left_out() -> None:
    network = tiny_kestrel()
    network.trunk.freeze_stages(6)
    groups = make_optimiser(network, OptimOptions()).param_groups
    assert not any(n.startswith("trunk.") for g in groups for n in g["names"])


def test_moving_average_by_hand() -> None:
    network = nn.BatchNorm1d(1)
    average = MovingAverage(network, 0.9)
    expected = 1.0
    for step, value in enumerate([3.0, 5.0, -1.0]):
        with torch.no_grad():
            network.weight.fill_(value)
        network.num_batches_tracked += 1
        average.update(network, step)
        decay = min(0.9, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * value
    assert float(average.network.weight) == pytest.approx(expected)
    assert int(average.network.num_batches_tracked) == 3
    assert not average.network.weight.requires_grad


def test_freezing_schedule() -> None:
    options = RunOptions(pairs=1000, batch=10, frozen=4, unfreeze_at=((0.2, 2), (0.5, 0)))
    assert [options.frozen_at(s) for s in (0, 19, 20, 49, 50, 99)] == [4, 4, 2, 2, 0, 0]


def test_table_of_a_resumed_run_forgets_later_rows(tmp_path) -> None:
    table = Table(tmp_path / "log.csv", 0)
    for step in (10, 20, 30):
        table.add({"step": step, "loss": step / 10})
    with (tmp_path / "log.csv").open("a") as file:
        file.write("40")  # cut short by a kill
    again = Table(tmp_path / "log.csv", 20)
    again.add({"step": 30, "loss": 7.0})
    rows = read_table(tmp_path / "log.csv")
    assert [(r["step"], r["loss"]) for r in rows] == [("10", "1.0"), ("20", "2.0"), ("30", "7.0")]
    again.add({"step": 40, "auc b": 0.5})  # gone on with something else to be measured
    rows = read_table(tmp_path / "log.csv")
    assert [(r["step"], r["loss"], r["auc b"]) for r in rows[-2:]] == [
        ("30", "7.0", ""), ("40", "", "0.5"),
    ]  # fmt: skip
    Table(tmp_path / "log.csv", 0)
    assert not (tmp_path / "log.csv").exists()


def test_table_on_a_full_disk_keeps_its_rows(tmp_path, monkeypatch) -> None:
    table = Table(tmp_path / "log.csv", 0)
    for step in (10, 20):
        table.add({"step": step, "loss": step / 10})
    before = (tmp_path / "log.csv").read_bytes()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    for change in (lambda: Table(tmp_path / "log.csv", 20), lambda: table.add({"auc": 1})):
        with pytest.raises(UserError, match="No space left"):
            change()
        assert (tmp_path / "log.csv").read_bytes() == before


def test_running_means() -> None:
    means = RunningMeans()
    for value in (1.0, 2.0, 6.0):
        means.add({"loss": torch.tensor(value)})
    copy = RunningMeans()
    copy.load_state_dict(means.state_dict(), torch.device("cpu"))
    assert means.take() == copy.take() == {"loss": 3.0}
    assert means.take() == {}
    means.add({"loss": torch.tensor(float("inf"))})
    assert not means.finite()


def test_plot(tmp_path) -> None:
    pytest.importorskip("matplotlib")
    import cv2

    assert plot_run(tmp_path) is None
    for name, column in (("log.csv", "loss"), ("validation.csv", "iou")):
        table = Table(tmp_path / name, 0)
        for step in range(1, 6):
            table.add({"step": step, "lr": 1.0, column: 1 / step})
    path = plot_run(tmp_path)
    assert path == tmp_path / "losses.png"
    assert cv2.imread(str(path)).std() > 5
