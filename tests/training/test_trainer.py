"""The run as a whole: resumed, stopped, killed, repeated, and spread over processes."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

torch = pytest.importorskip("torch")

from tests.training.data import (  # noqa: E402
    tiny_kestrel,
    tiny_sampler,
    tiny_source,
    write_clip,
)
from tests.training.quick_runs import (  # noqa: E402, F401
    QUICK,
    assert_same,
    losses,
    one_thread,
    stop_after,
    trainer,
    weights,
)
from tracker.errors import UserError  # noqa: E402
from tracker.training import train_cli  # noqa: E402
from tracker.training.checkpoint import load_checkpoint  # noqa: E402
from tracker.training.log import read_table  # noqa: E402
from tracker.training.loop import RunOptions, Trainer  # noqa: E402
from tracker.training.objective import LossOptions  # noqa: E402
from tracker.training.optimise import OptimOptions  # noqa: E402
from tracker.training.pair_options import PairOptions  # noqa: E402
from tracker.training.pairs import PairSampler  # noqa: E402
from tracker.training.processes import fast_autocast  # noqa: E402
from tracker.training.record import make_record  # noqa: E402

torch = pytest.importorskip("torch")


ROOT = Path(__file__).resolve().parents[2]


# frozen stages come in at half of the run, confusions are mined in rounds of 3 steps,
# and the run is cut in the middle of a round and between two rows of the log
FULL = dataclasses.replace(
    QUICK, unfreeze_at=((0.25, 5), (0.5, 6), (0.75, 5)), mine_every=3, log_every=2
)


@pytest.mark.parametrize(
    ("workers", "options", "taught"),
    [
        (0, FULL, False),
        (1, QUICK, False),
        (0, dataclasses.replace(QUICK, identity_only=True), False),
        (0, dataclasses.replace(QUICK, frozen=5, loss=LossOptions(spoil=0.6)), True),
    ],
    ids=["everything", "a worker", "identity only", "spoilt pictures"],
)
def test_resumed_run_equals_unbroken_one(
    tmp_path: Path, workers: int, options: RunOptions, taught: bool
) -> None:
    options = dataclasses.replace(options, workers=workers)
    teacher = tiny_kestrel(2) if taught else None
    whole = trainer(tmp_path / "whole", options, teacher=teacher)
    assert whole.run()
    first = trainer(tmp_path / "cut", options, teacher=teacher)
    stop_after(first, 5)
    assert not first.run()
    second = trainer(tmp_path / "cut", options, teacher=teacher)
    assert second.resume(tmp_path / "cut" / "checkpoint.pt") == []
    assert second.step == 5
    assert second.run()
    assert_same(weights(whole), weights(second))
    assert torch.equal(whole.sampler.confused, second.sampler.confused)
    assert losses(tmp_path / "whole") == losses(tmp_path / "cut")
    assert len(losses(tmp_path / "whole")) == 8 // options.log_every


def test_seeds_repeat(tmp_path: Path) -> None:
    found = []
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        out = tmp_path / name
        out.mkdir()
        sampler = tiny_sampler(seed)
        options = dataclasses.replace(QUICK, pairs=6)
        Trainer(tiny_kestrel(seed), sampler, options, out, torch.device("cpu")).run()
        found.append(losses(out))
    assert found[0] == found[1] != found[2]


def test_half_precision_learns(tmp_path: Path) -> None:
    run = trainer(tmp_path, dataclasses.replace(QUICK, pairs=6, autocast="fp16"))
    run.scaler = torch.amp.GradScaler("cpu", init_scale=256.0)  # else the first steps find it
    before = {name: value.clone() for name, value in weights(run).items()}
    assert run.run()
    assert np.isfinite([float(loss) for loss in losses(tmp_path)]).all()
    moved = [n for n, v in weights(run).items() if not torch.equal(v, before[n])]
    assert "model.head.score.weight" in moved


def test_worker_starts_although_opencv_has_threads(tmp_path: Path) -> None:
    """A validation before and between rounds uses OpenCV's pool in the process that forks."""
    cv2.setNumThreads(2)
    noise = np.random.default_rng(0).integers(0, 255, (900, 900, 3)).astype(np.uint8)
    cv2.warpAffine(noise, np.eye(2, 3), (900, 900))
    run = trainer(tmp_path, dataclasses.replace(QUICK, pairs=4, workers=1))
    assert run.run()


def test_a_resumed_optimiser_keeps_its_moments(tmp_path: Path) -> None:
    run = trainer(tmp_path)
    stop_after(run, 4)
    run.run()
    again = trainer(tmp_path)
    assert again.resume(tmp_path / "checkpoint.pt") == []
    moments = [s["exp_avg"] for s in again.optimiser.state.values()]
    assert len(moments) == len(run.optimiser.state)
    pairs = zip(moments, (s["exp_avg"] for s in run.optimiser.state.values()), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)
    # and with another part of the trunk frozen: what learned before keeps its moments
    other = trainer(tmp_path, dataclasses.replace(QUICK, frozen=5))
    notes = other.resume(tmp_path / "checkpoint.pt")
    assert any("frozen was 6 and is 5" in n for n in notes)
    assert any("begin without moments" in n for n in notes)
    head = other.network.head.score.weight  # type: ignore[union-attr]
    assert torch.equal(
        other.optimiser.state[head]["exp_avg"],
        run.optimiser.state[run.network.head.score.weight]["exp_avg"],  # type: ignore[union-attr]
    )


def test_changed_options_are_told(tmp_path: Path) -> None:
    run = trainer(tmp_path, dataclasses.replace(QUICK, pairs=2))
    run.run()
    options = dataclasses.replace(QUICK, optim=dataclasses.replace(QUICK.optim, lr=1e-4))
    again = trainer(tmp_path, options)
    notes = again.resume(tmp_path / "checkpoint.pt")
    assert notes == [
        "optim lr was 0.005 and is 0.0001: not an exact continuation",
        "pairs was 2 and is 16: not an exact continuation",
    ]
    assert {g["peak"] for g in again.optimiser.param_groups} == {1e-4}


def test_changed_pairs_and_data_are_told(tmp_path: Path) -> None:
    def run(negative: float, tracks: int, weight: float) -> Trainer:
        source = dataclasses.replace(tiny_source(tracks), weight=weight)
        pairs = PairOptions(128, 256, shift=24, negative=negative)
        record = make_record([source], ["train.py"], ["tiny"], {})
        sampler = PairSampler([source], pairs, 0)
        device = torch.device("cpu")
        return Trainer(tiny_kestrel(), sampler, QUICK, tmp_path, device, record)

    def notes(other: Trainer) -> list[str]:
        found = other.resume(tmp_path / "checkpoint.pt")
        return [note for note in found if "moments" not in note]  # no step was made

    run(0.2, 3, 1.0).save()
    assert notes(run(0.2, 3, 1.0)) == []
    assert notes(run(0.4, 3, 1.0)) == [
        "pair negative was 0.2 and is 0.4: not an exact continuation"
    ]
    assert notes(run(0.2, 2, 0.5)) == [
        "the data were tiny (weight 1, 3 objects, 12 pictures) and are tiny (weight 0.5, "
        "2 objects, 8 pictures): not an exact continuation"
    ]

    # a teacher that is forgotten, or another one
    def taught(seed: int) -> Trainer:
        return Trainer(
            tiny_kestrel(), tiny_sampler(), dataclasses.replace(QUICK, frozen=5), tmp_path,
            torch.device("cpu"), teacher=tiny_kestrel(seed),
        )  # fmt: skip

    taught(1).save()
    assert notes(taught(1)) == []
    (note,) = notes(taught(2))
    assert note.startswith("teacher's weights was ")
    alone = trainer(tmp_path, dataclasses.replace(QUICK, frozen=5))
    assert "teacher was True and is False: not an exact continuation" in notes(alone)


def test_no_limit_of_the_gradient(tmp_path: Path) -> None:
    found = []
    for clip in (0.0, 1e9):
        options = dataclasses.replace(QUICK, pairs=4, optim=OptimOptions(clip=clip))
        run = trainer(tmp_path / f"{clip:g}", options)
        run.run()
        found.append(weights(run))
    assert_same(*found)


def test_unfrozen_stages_learn_from_their_step_on(tmp_path: Path) -> None:
    options = dataclasses.replace(QUICK, pairs=8, unfreeze_at=((0.5, 5),))
    run = trainer(tmp_path, options)
    last = run.network.trunk.stages[4]  # type: ignore[union-attr]
    start = {n: v.clone() for n, v in last.named_parameters()}
    seen = []
    inner = run._train_step

    def watch(batch: dict[str, torch.Tensor]) -> None:
        inner(batch)
        seen.append(any(not torch.equal(v, start[n]) for n, v in last.named_parameters()))

    run._train_step = watch  # type: ignore[method-assign]
    run.run()
    assert seen == [False, False, True, True]
    first = run.network.trunk.stages[0]  # type: ignore[union-attr]
    assert not any(p.requires_grad for p in first.parameters())


@pytest.mark.timeout(900)
def test_two_processes_equal_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """``torchrun`` with two gloo processes: losses and weights of one with the same batch."""
    write_clip(tmp_path / "data" / "a", seed=1)
    write_clip(tmp_path / "data" / "b", seed=2)
    command = [
        str(ROOT / "tools" / "train.py"), "--data", str(tmp_path / "data"), "--init", "none",
        "--channels", "8", "--tower-depth", "1", "--frozen", "5", "--batch", "4", "--pairs", "12",
        "--optimiser", "sgd", "--lr", "0.02", "--warmup", "0", "--autocast", "none",
        "--log-every", "1", "--workers", "0", "--threads", "1", "--mine-every", "2", "--quiet",
    ]  # fmt: skip
    monkeypatch.setattr(sys, "argv", [*command, "--out", str(tmp_path / "one")])
    assert train_cli.main() == 0
    spread = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "MALLOC_TOP_PAD_": "1"}  # no restart
    done = subprocess.run(
        [sys.executable, *spread, *command, "--out", str(tmp_path / "two")],
        capture_output=True, text=True, timeout=800, cwd=ROOT, env=environment,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    tables = [read_table(tmp_path / n / "log.csv") for n in ("one", "two")]
    for name in ("loss", "score", "box", "triplet", "contrastive"):
        one, two = ([float(row[name]) for row in t] for t in tables)
        assert len(one) == 3
        np.testing.assert_allclose(one, two, rtol=2e-4, atol=2e-5, err_msg=name)
    contents = [load_checkpoint(tmp_path / n / "checkpoint.pt") for n in ("one", "two")]
    assert torch.equal(contents[0]["confused"], contents[1]["confused"])
    assert (contents[0]["confused"] >= 0).any()
    moved = 0
    start = tiny_like(contents[0])
    for name, value in contents[0]["model"].items():
        way = value.double() - start[name]
        apart = value.double() - contents[1]["model"][name]
        assert float(apart.norm()) <= 0.01 * float(way.norm()) + 1e-5, name
        moved += float(way.norm()) > 1e-3
    assert moved > 20  # or the comparison says nothing


def tiny_like(content: dict[str, object]) -> dict[str, torch.Tensor]:
    from tracker.training.models import make_network

    torch.manual_seed(0)
    settings = content["record"]["settings"]  # type: ignore[index]
    return dict(make_network("kestrel", **settings).state_dict())


def test_batch_that_does_not_divide(monkeypatch: pytest.MonkeyPatch) -> None:
    from tracker.training.processes import join_processes

    monkeypatch.setenv("WORLD_SIZE", "3")
    with pytest.raises(UserError, match="batch of 32 pairs cannot be divided among 3"):
        join_processes(32)


def test_identity_only_changes_nothing_that_tracks(tmp_path: Path) -> None:
    run = trainer(tmp_path, dataclasses.replace(QUICK, identity_only=True))
    before = {name: value.clone() for name, value in run.network.state_dict().items()}
    run.run()
    changed = {n for n, v in run.network.state_dict().items() if not torch.equal(v, before[n])}
    assert changed, "nothing was learned"
    assert all(name.startswith("identity.") for name in changed)


@pytest.mark.parametrize(
    ("capabilities", "gpu", "found"),
    [
        ({"avx512_bf16": False, "amx_bf16": False, "avx2": True}, None, "none"),
        ({"avx512_bf16": True, "amx_bf16": False}, None, "bf16"),
        ({"bf16": True, "neon": True, "l1d_cache_size": 65536}, None, "bf16"),
        ({"avx512_bf16": True}, (7, 5), "none"),
        ({"avx2": True}, (8, 6), "bf16"),
    ],
)
def test_autocast_is_what_the_machine_computes_in(
    capabilities: dict[str, object],
    gpu: tuple[int, int] | None,
    found: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: gpu is not None)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda: gpu)
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities, raising=False)
    assert fast_autocast() == found
