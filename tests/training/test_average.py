"""``tools/average.py``: the mean of runs."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

from tests.training.data import tiny_kestrel  # noqa: E402
from tests.training.test_train_tool import tool  # noqa: E402
from tracker.network.backbone import FULL_WIDTHS  # noqa: E402
from tracker.network.kestrel import Kestrel  # noqa: E402
from tracker.network.siamfc import SiamFC  # noqa: E402
from tracker.training.checkpoint import load_checkpoint, save_checkpoint  # noqa: E402
from tracker.training.record import training_record  # noqa: E402


def run_of(
    network: SiamFC | Kestrel, path: Path, steps: int | None = 7, **settings: object
) -> dict[str, torch.Tensor]:
    """Save a run of so many steps; ``None``: what it began with."""
    state = network.state_dict()
    record = {"commands": [path.name], "settings": settings}
    content = {"network": network.name, "model": state, "average": state, "record": record}
    options = {"seed": 10 * (steps or 0), "batch": 4}
    made = {} if steps is None else {"step": steps, "seconds": 3600.0, "options": options}
    save_checkpoint(path, content | made)
    return state


def test_the_mean_is_weighted_and_the_rest_is_the_first_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    a, b, out = (tmp_path / f"{name}.pt" for name in ("a", "b", "mean"))
    first, second = run_of(tiny_kestrel(1), a), run_of(tiny_kestrel(2), b)
    arguments = ("--checkpoint", f"{a}@3", "--checkpoint", b, "--out", out)
    assert tool(monkeypatch, capsys, "average", *arguments) == (0, "")
    content = load_checkpoint(out)
    assert content["record"]["commands"] == ["a.pt"]
    moved = 0.0
    for name, value in first.items():
        expected = 0.75 * value + 0.25 * second[name] if value.is_floating_point() else value
        torch.testing.assert_close(content["average"][name], expected)
        moved = max(moved, float((expected - value).abs().max()))
    assert moved > 0.01
    status, said = tool(monkeypatch, capsys, "average", *arguments)
    assert (status, said.count("\n")) == (2, 1) and "add --overwrite" in said


def test_the_start_may_come_first_and_the_record_is_the_run_s(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    start, run, out = (tmp_path / f"{name}.pt" for name in ("start", "checkpoint", "mean"))
    run_of(tiny_kestrel(1), start, steps=None)
    run_of(tiny_kestrel(2), run)
    arguments = ("--checkpoint", start, "--checkpoint", run, "--out", out)
    assert tool(monkeypatch, capsys, "average", *arguments) == (0, "")
    record = training_record(load_checkpoint(out))
    assert (record["commands"], record["steps"], record["hours"]) == (["checkpoint.pt"], 7, 1.0)
    assert training_record(load_checkpoint(start))["steps"] == 0  # it can be exported, too


def test_the_record_tells_of_every_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Pairs, hours and seed are of the first run; what the others did must be there, too."""
    start, a, b, mean, out = (
        tmp_path / f"{name}.pt" for name in ("start", "a", "b", "mean", "out")
    )
    run_of(tiny_kestrel(1), start, steps=None)
    run_of(tiny_kestrel(2), a)
    run_of(tiny_kestrel(3), b, steps=9)
    both = ("--checkpoint", f"{a}@3", "--checkpoint", f"{b}@1", "--out", mean)
    assert tool(monkeypatch, capsys, "average", *both) == (0, "")
    again = ("--checkpoint", f"{start}@.5", "--checkpoint", f"{mean}@.5", "--out", out)
    assert tool(monkeypatch, capsys, "average", *again) == (0, "")
    first = {"weight": 0.75, "pairs": 28, "hours": 1.0, "seed": 70, "data": []}
    second = {"weight": 0.25, "pairs": 36, "hours": 1.0, "seed": 90, "data": []}
    assert "averaged" not in training_record(load_checkpoint(a))
    record = training_record(load_checkpoint(mean))
    assert (record["pairs"], record["averaged"]) == (28, [first, second])
    json.dumps(record)
    nested = {**first, "weight": 0.5, "averaged": [first, second]}
    parts = training_record(load_checkpoint(out))["averaged"]
    assert parts == [{"weight": 0.5, "pairs": 0}, nested]


def test_a_path_may_have_an_at_and_a_run_is_not_written_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "me@home"
    folder.mkdir()
    run = folder / "c.pt"
    run_of(tiny_kestrel(1), run)
    before = run.read_bytes()
    again = ("--checkpoint", run, "--checkpoint", f"{run}@2", "--out")
    assert tool(monkeypatch, capsys, "average", *again, tmp_path / "mean.pt") == (0, "")
    status, said = tool(monkeypatch, capsys, "average", *again, run, "--overwrite")
    assert status == 2 and "which is read; write it elsewhere" in said
    assert run.read_bytes() == before


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_no_file_takes_the_place_of_a_folder_or_a_pipe(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run_of(tiny_kestrel(1), tmp_path / "a.pt")
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    monkeypatch.chdir(tmp_path)
    for out in ("folder", "pipe", "."):
        arguments = ("--checkpoint", "a.pt", "--out", out, "--overwrite")
        status, said = tool(monkeypatch, capsys, "average", *arguments)
        assert status == 2 and f"{out} is a folder, a pipe or a device" in said
    assert stat.S_ISFIFO(os.stat("pipe").st_mode)


@pytest.mark.parametrize(
    ("second", "message"),
    [("wide.pt", "of another build"), ("a.pt@0", "a weight is a number above 0, found '0'"),
     ("a.pt@much", "found 'much'"), ("none.pt", "there is no checkpoint at"),
     ("empty.pt", "empty.pt is not a checkpoint of a training run")],
)  # fmt: skip
def test_what_cannot_be_averaged_is_one_sentence(
    second: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    run_of(tiny_kestrel(1), tmp_path / "a.pt")
    wide = Kestrel(channels=16, identity_channels=6, tower_depth=1)
    run_of(wide, tmp_path / "wide.pt")
    save_checkpoint(tmp_path / "empty.pt", {"network": "kestrel"})
    status, said = tool(
        monkeypatch, capsys, "average", "--checkpoint", tmp_path / "a.pt", "--checkpoint",
        tmp_path / second, "--out", tmp_path / "mean.pt",
    )  # fmt: skip
    assert (status, said.count("\n")) == (2, 1)
    assert message in said
    assert not (tmp_path / "mean.pt").exists()


def test_networks_whose_weights_look_alike_are_told_apart_by_how_they_were_built(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    run_of(SiamFC(), tmp_path / "a.pt")
    run_of(SiamFC(), tmp_path / "b.pt", similarity="dot")
    run_of(SiamFC("cosine"), tmp_path / "c.pt", similarity="cosine")
    run_of(tiny_kestrel(), tmp_path / "d.pt")
    run_of(tiny_kestrel(), tmp_path / "e.pt", channels=96, trunk_widths=list(FULL_WIDTHS))
    for pair in ("ab", "de"):  # a default is the same, whether it was given or not
        both = [arg for name in pair for arg in ("--checkpoint", f"{name}.pt")]
        assert tool(monkeypatch, capsys, "average", *both, "--out", f"{pair}.pt") == (0, "")
    both = ["--checkpoint", "a.pt", "--checkpoint", "c.pt"]
    status, said = tool(monkeypatch, capsys, "average", *both, "--out", "ac.pt")
    assert (status, said.count("\n")) == (2, 1)
    assert "c.pt is of another build than a.pt" in said
    assert not (tmp_path / "ac.pt").exists()
