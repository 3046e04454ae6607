"""Machines that are not here, and a model for them."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from weakref import WeakValueDictionary

import pytest

from tests.online.fake_onnxruntime import CPU, Driver, FakeOrt, OrtValue
from tracker import gpu_libraries, runtime

Machine = Callable[..., FakeOrt]


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Machine:
    """Become a machine with these providers, driver and libraries."""

    def become(
        *available: str,
        driver: Driver | None = None,
        lacks: tuple[str, ...] = (),
        broken: tuple[str, ...] = (),
    ) -> FakeOrt:
        fake = FakeOrt([*available, CPU], broken)

        def load(*names: str) -> object | None:
            if "libcuda.so.1" in names:
                return driver
            return None if any(lack in name for lack in lacks for name in names) else object()

        monkeypatch.setitem(sys.modules, "onnxruntime", fake)  # type: ignore[arg-type]
        monkeypatch.setattr(gpu_libraries, "load_library", load)
        monkeypatch.setattr(gpu_libraries, "cuda_major", lambda: 13)
        monkeypatch.setenv("SIAMTRACK_CACHE", str(tmp_path / "cache"))
        monkeypatch.setattr(OrtValue, "copies", [])
        monkeypatch.setattr(runtime, "_open_networks", WeakValueDictionary())
        return fake

    return become


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A model whose files say only which graph they are."""
    for role in ("exemplar", "search"):
        (tmp_path / f"m.{role}.onnx").write_bytes(role.encode())
    return tmp_path / "m"
