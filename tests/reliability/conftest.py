"""The scene of the application's tests, for those of this folder."""

import sys
from pathlib import Path
from types import ModuleType

import pytest


@pytest.fixture(scope="session")
def app_scene() -> ModuleType:
    sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "app"))
    import app_scene

    return app_scene
