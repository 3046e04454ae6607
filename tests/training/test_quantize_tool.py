"""tools/quantize.py as a user calls it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("onnx")

from tests.training.data import write_clip
from tracker.runtime import open_network

TOOL = Path(__file__).resolve().parents[2] / "tools" / "quantize.py"
pytestmark = pytest.mark.skipif(not TOOL.is_file(), reason="an installed package without its tools")


def quantize(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(TOOL), "--data", str(folder / "clips"), "--kind", "got10k",
         "--crops", "8", "--threads", "1", "--quiet", "--out", str(folder / "small"), *arguments],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for number in range(4):
        write_clip(tmp_path / "clips" / f"clip{number}", seed=number)
    return tmp_path


@pytest.mark.slow
def test_a_variant_is_written_and_opens(folder: Path) -> None:
    done = quantize(folder)
    assert done.returncode == 0, done.stderr
    assert "with the first 3 in float32" in done.stdout
    assert open_network(str(folder / "small"), "cpu", 1).spec.precision == "int8"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--float-first", "99"), "leaves none of the 42 layers"),
        (("--float-first", "-1"), "a whole number of 0 to 1000 is needed, found -1"),
        (("--percentile", "200"), "a percentage of 50 to 100 is needed, found 200"),
        (("--percentile", "most"), "a percentage of 50 to 100 is needed, found most"),
        (("--precision", "fp16", "--full-range"), "go with --precision int8"),
        (("--precision", "fp16", "--float-first", "2"), "go with --precision int8"),
        (("--model", ""), "the name is empty"),
        (("--seed", "-1"), "a whole number of 0 to"),
    ],
)
def test_what_cannot_be_meant_is_refused(folder: Path, arguments: tuple, words: str) -> None:
    done = quantize(folder, *arguments)
    assert done.returncode == 2 and words in done.stderr and "Traceback" not in done.stderr
    assert not list(folder.glob("small*"))
