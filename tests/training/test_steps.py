"""What the steps of a run do, beside the same arithmetic by hand."""

from __future__ import annotations

import copy
import math
from dataclasses import replace
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

from tests.training.data import tiny_kestrel, tiny_sampler, tiny_source  # noqa: E402
from tests.training.quick_runs import (  # noqa: E402, F401
    QUICK,
    assert_same,
    one_thread,
    trainer,
    weights,
)
from tracker.training.checkpoint import load_checkpoint  # noqa: E402
from tracker.training.loader import PairLoader  # noqa: E402
from tracker.training.loop import Trainer  # noqa: E402
from tracker.training.objective import make_objective  # noqa: E402
from tracker.training.optimise import OptimOptions  # noqa: E402
from tracker.training.pair_options import PairOptions  # noqa: E402
from tracker.training.pairs import PairSampler  # noqa: E402

CPU = torch.device("cpu")


@pytest.mark.parametrize("scale", [0.0, 64.0])
def test_steps_by_hand(tmp_path: Path, scale: float) -> None:
    """Rates of trunk and head, clipping, momentum, decay, the average; half precision's scale."""
    optim = OptimOptions(
        "sgd", lr=0.05, trunk_lr=0.3, weight_decay=0.01, warmup=0.25, final=0.1, clip=2.0, ema=0.2
    )
    run = trainer(tmp_path, replace(QUICK, pairs=8, frozen=5, optim=optim))
    if scale:
        run.scaler = torch.amp.GradScaler("cpu", init_scale=scale)
    twin = copy.deepcopy(run.network)
    objective = make_objective(twin, run.options.loss)
    learning = {name: p for name, p in twin.named_parameters() if p.requires_grad}
    average = {name: p.detach().clone() for name, p in learning.items()}
    velocity = {name: torch.zeros_like(p) for name, p in learning.items()}
    norms = []
    for step, batch in enumerate(PairLoader(tiny_sampler(), 2, 0, CPU).batches(0, 4)):
        twin.zero_grad()
        objective.train()
        objective(batch)["loss"].backward()
        norms.append(math.sqrt(sum(float(p.grad.square().sum()) for p in learning.values())))
        rate = 0.05 * (0.1 + 0.9 * (1 + math.cos(math.pi * (step - 1) / 3)) / 2 if step else 0)
        decay = (0.1, 2 / 11, 0.2, 0.2)[step]
        for name, p in learning.items():
            wanted = p.grad * min(1, 2 / norms[-1]) + (0.01 * p.detach() if p.ndim > 1 else 0)
            velocity[name] = 0.9 * velocity[name] + wanted
            way = rate * (0.3 if name.startswith("trunk.") else 1) * (wanted + 0.9 * velocity[name])
            p.data -= way
            average[name] = decay * average[name] + (1 - decay) * p.detach()
    assert max(norms) > 3  # or clipping says nothing
    assert any(name.startswith("trunk.") for name in learning)
    assert run.run()
    found = weights(run)
    for name, p in learning.items():
        torch.testing.assert_close(found[f"model.{name}"], p.detach(), rtol=1e-3, atol=1e-5)
        torch.testing.assert_close(found[f"average.{name}"], average[name], rtol=1e-3, atol=1e-5)


def test_what_is_measured_is_the_average_that_is_kept(tmp_path: Path) -> None:
    seen = []

    def validate(network: torch.nn.Module) -> dict[str, float]:
        seen.append({name: value.clone() for name, value in network.state_dict().items()})
        return {"measured": 1.0}

    run = trainer(tmp_path, replace(QUICK, pairs=6, validate_every=2), validate=validate)
    assert run.run()
    content = load_checkpoint(tmp_path / "checkpoint.pt")
    assert len(seen) == 2  # after two steps and at the end
    assert_same(seen[-1], content["average"])
    name = "head.score.weight"
    assert not torch.equal(content["average"][name], content["model"][name])


def test_half_precision_goes_on_with_its_scale(tmp_path: Path) -> None:
    options = replace(QUICK, autocast="fp16")
    run = trainer(tmp_path, options)
    run.scaler = torch.amp.GradScaler("cpu", init_scale=64.0)
    run.save()
    again = trainer(tmp_path, options)
    again.resume(tmp_path / "checkpoint.pt")
    assert again.scaler.get_scale() == 64


def test_loader_processes_show_what_was_mined(tmp_path: Path) -> None:
    """Their tables of confusions are those of the time at which they were started."""
    found = []
    for workers in (0, 1):
        source = tiny_source(6)
        pairs = PairOptions(128, 256, shift=24, negative=1.0, hard=1.0)
        options = replace(QUICK, pairs=12, workers=workers, mine_every=2)
        out = tmp_path / str(workers)
        out.mkdir()
        run = Trainer(tiny_kestrel(), PairSampler([source], pairs, 3), options, out, CPU)
        assert run.run()
        assert (run.sampler.confused >= 0).any()
        found.append(weights(run))
    assert_same(*found)
