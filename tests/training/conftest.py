"""Data of a few pictures to train on."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture
def data(tmp_path: Path) -> Path:
    pytest.importorskip("torch")
    from tests.training.data import write_clip

    write_clip(tmp_path / "data" / "a", seed=1)
    write_clip(tmp_path / "data" / "b", seed=2)
    return tmp_path / "data"
