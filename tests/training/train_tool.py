"""``tools/train.py`` and its like in this process, and options of a run of seconds."""

from __future__ import annotations

import runpy
import sys

import pytest

from tests.conftest import ROOT


def tool(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str, *args: object
) -> tuple[int, str]:
    """Run a tool in this process; its exit status and what it said on stderr."""
    monkeypatch.setenv("MALLOC_TOP_PAD_", "1")  # do not start again
    monkeypatch.setattr(sys, "argv", [f"tools/{name}.py", *map(str, args)])
    with pytest.raises(SystemExit) as end:
        runpy.run_path(str(ROOT / "tools" / f"{name}.py"), run_name="__main__")
    return int(end.value.code or 0), capsys.readouterr().err


SMALL = (
    "--init", "none", "--channels", "8", "--tower-depth", "1", "--frozen", "6", "--batch", "2",
    "--autocast", "none", "--workers", "0", "--quiet", "--threads", "1", "--log-every", "1",
)  # fmt: skip
