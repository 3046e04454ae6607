"""``tools/train.py`` as a person meets it: help, a sheet, a first run, and going on."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import cv2
import pytest

from tests.conftest import ROOT
from tests.training.train_tool import SMALL, tool
from tracker.errors import UserError
from tracker.training.requirements import require


@pytest.mark.parametrize("name", ["train", "export"])
def test_without_torch_there_is_one_sentence(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    status, said = tool(monkeypatch, capsys, name, "--help")
    assert status == 2
    assert said == (
        "error: training and export need the package torch, which is not installed; "
        "run: pip install torch\n"
    )


def test_require_names_the_first_that_is_missing() -> None:
    require("json", "csv")
    message = r"the package no_such_thing, .*: pip install no_such_thing nor_this$"
    with pytest.raises(UserError, match=message):
        require("json", "no_such_thing", "csv", "nor_this")


def test_the_help_tells_what_every_option_is_for_and_its_default() -> None:
    pytest.importorskip("torch")
    from tracker.training.train_options import build_parser

    parser = build_parser()
    assert all(action.help for action in parser._actions)
    told = " ".join(parser.format_help().split())
    for words in ("others beside the target (0.35)", "of the rate (cosine)", "(0: never)"):
        assert words in told


def test_the_help_names_every_layout_of_data() -> None:
    pytest.importorskip("torch")
    from tracker.training.sources import READERS
    from tracker.training.train_options import NOTES, build_parser

    sentence = " ".join(build_parser().format_help().split()).rpartition("Layouts: ")[2]
    names = re.sub(r" \([^)]*\)", "", sentence).rstrip(".").split(", ")
    assert sorted(names) == sorted(READERS)
    assert all(f"{name} ({note})" in sentence for name, note in NOTES.items())


@pytest.mark.parametrize("name", ["train", "export", "prune", "average"])
def test_ctrl_c_while_numpy_is_imported(name: str) -> None:
    """torch passes over what happens in there."""
    code = (
        "import runpy, sys\n"
        "class Interrupt:\n"
        "    def find_spec(self, name, *_):\n"
        "        if name == 'numpy.exceptions':\n"
        "            sys.meta_path.remove(self)\n"
        "            raise KeyboardInterrupt\n"
        "sys.meta_path.insert(0, Interrupt())\n"
        f"sys.argv = ['{name}', '--help']\n"
        f"runpy.run_path('tools/{name}.py', run_name='__main__')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, cwd=ROOT,
        env={**os.environ, "MALLOC_TOP_PAD_": "1"},
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (130, "")
    assert done.stderr == "interrupted; what was written so far is kept\n"


def test_training_needs_no_onnx(data: Path, tmp_path: Path) -> None:
    """``require`` asks for torch and tqdm alone; an export needs onnx, and a start from one."""
    from tests.training.test_sources import write_boxes, write_video

    clip = tmp_path / "clip.avi"
    write_boxes(clip.with_suffix(".txt"), write_video(clip))
    options = ("--data", data, "--out", tmp_path / "run", *SMALL, "--pairs", "2", "--val", data)
    options += ("--val-pairs", "2", "--val-clip", clip, "--val-every", "1")
    code = (
        "import runpy, sys\n"
        "sys.modules['onnx'] = None\n"
        "sys.argv[0] = 'tools/train.py'\n"
        "runpy.run_path('tools/train.py', run_name='__main__')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, options)], capture_output=True, text=True,
        timeout=120, cwd=ROOT, env={**os.environ, "MALLOC_TOP_PAD_": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "complete" in done.stdout
    assert (tmp_path / "run" / "validation.csv").is_file()


def test_run_validate_stop_and_go_on(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from tracker.training.checkpoint import load_checkpoint
    from tracker.training.log import read_table
    from tracker.training.record import training_record

    out = tmp_path / "run"
    common = ("--data", f"{data}@2", "--out", out, *SMALL, "--pairs", "6", "--seed", "5")
    checks = ("--val", data, "--val-pairs", "4", "--val-every", "2")
    status, said = tool(monkeypatch, capsys, "train", *common, *checks, "--max-minutes", "0.000001")
    assert status == 0
    assert "the network waited for pairs in" in said
    status, said = tool(monkeypatch, capsys, "train", *common)
    assert status == 2
    assert "exists; go on with --resume" in said
    status, said = tool(monkeypatch, capsys, "train", *common, *checks, "--resume")
    assert status == 0
    content = load_checkpoint(out / "checkpoint.pt")
    assert content["step"] == 3
    assert [r["step"] for r in read_table(out / "log.csv")] == ["1", "2", "3"]
    figures = read_table(out / "validation.csv")
    assert [r["step"] for r in figures] == ["2", "3"]
    assert figures[0].keys() == {"step", "loss", "iou", "identity_auc"}
    record = training_record(content)
    assert record["seed"] == 5
    assert record["pairs"] == 6
    assert len(record["data"][0].pop("annotations")) == 16
    assert record["data"] == [{"name": "data@2", "weight": 2.0, "tracks": 2, "pictures": 8}]
    assert len(record["commands"]) == 2
    assert str(tmp_path) not in str(record)  # nothing of this machine's folders
    assert record["settings"] == {"channels": 8, "tower_depth": 1}


def test_two_runs_that_start_at_once(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The second waits for the folder, and must not replace what the first one has made."""
    import contextlib

    from tracker.training import train_cli

    @contextlib.contextmanager
    def waited(folder: Path, *_: object) -> Iterator[None]:
        (folder / "checkpoint.pt").write_bytes(b"of the first")
        yield

    monkeypatch.setattr(train_cli, "hold_folder", waited)
    given = ("--data", data, "--out", tmp_path / "run", *SMALL, "--pairs", "2")
    status, said = tool(monkeypatch, capsys, "train", *given)
    assert status == 2
    assert "exists; go on with --resume" in said
    assert (tmp_path / "run" / "checkpoint.pt").read_bytes() == b"of the first"


@pytest.mark.parametrize("workers", [0, 1])
def test_a_picture_that_breaks_meanwhile_is_one_sentence(
    workers: int, data: Path, tmp_path: Path
) -> None:
    """Made by another process, too: no traceback, and nothing waits for that process."""
    code = (
        "import runpy, tracker.training.pairs as pairs\n"
        "from tracker.errors import UserError\n"
        "def broken(self, index):\n"
        "    raise UserError('a picture is damaged')\n"
        "pairs.PairSampler.pair = broken\n"
        "runpy.run_path('tools/train.py', run_name='__main__')\n"
    )
    arguments = ["--data", data, "--out", tmp_path / "run", *SMALL, "--pairs", 4]
    ended = subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments), "--workers", str(workers)],
        capture_output=True, text=True, timeout=120, cwd=ROOT,
        env={**os.environ, "MALLOC_TOP_PAD_": "1"},
    )  # fmt: skip
    assert (ended.returncode, ended.stderr) == (2, "error: a picture is damaged\n")


def test_a_mistake_of_ours_in_another_process_ends_the_run() -> None:
    pytest.importorskip("torch")
    code = (
        "import torch\n"
        "from tests.training.data import tiny_sampler\n"
        "from tracker.training.loader import PairLoader\n"
        "sampler = tiny_sampler()\n"
        "sampler.pair = lambda index: 1 / 0\n"
        "next(PairLoader(sampler, 2, 1, torch.device('cpu')).batches(0, 2))\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, cwd=ROOT
    )
    assert ended.returncode == 1
    assert "ZeroDivisionError" in ended.stderr


@pytest.mark.parametrize(
    ("arguments", "every"),
    [((), (50, 1000)), (("--toy",), (25, 100)),
     (("--toy", "--log-every", "40", "--val-every", "900"), (40, 900))],
)  # fmt: skip
def test_what_is_typed_wins_over_the_toy_s_defaults(
    arguments: tuple[str, ...], every: tuple[int, int]
) -> None:
    from tracker.training.train_options import build_parser, fill_defaults

    args = build_parser().parse_args(arguments)
    fill_defaults(args)
    assert (args.log_every, args.val_every) == every


def test_sheet(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "pairs.png"
    status, _ = tool(monkeypatch, capsys, "train", "--data", data, "--show-pairs", "3", path)
    assert status == 0
    assert cv2.imread(str(path)) is not None
