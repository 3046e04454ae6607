"""The three layers never mix: who may import what, read from the sources themselves."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "tracker"


def imports(path: Path) -> set[str]:
    """Every module that a file imports, anywhere in it."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def within(names: set[str], *rooms: str) -> set[str]:
    return {n for n in names if any(n == room or n.startswith(room + ".") for room in rooms)}


TRACKER_FILES = sorted(PACKAGE.glob("*.py"))
UPPER = (
    "tracker.app",
    "tracker.data",
    "tracker.evaluation",
    "tracker.network",
    "tracker.training",
)


@pytest.mark.parametrize("path", TRACKER_FILES, ids=lambda p: p.name)
def test_the_online_tracker_knows_neither_torch_nor_the_rooms_above(path: Path) -> None:
    assert not within(imports(path), "torch", *UPPER)


@pytest.mark.parametrize("path", sorted((PACKAGE / "data").glob("*.py")), ids=lambda p: p.name)
def test_data_sets_are_read_with_little_of_the_online_tracker(path: Path) -> None:
    known = within(imports(path), "torch", "tracker")
    below = [f"tracker.{name}" for name in ("data", "errors", "frames", "geometry", "results")]
    assert known == within(known, *below)


@pytest.mark.parametrize("room", ["app", "network"])
def test_data_sets_are_for_training_and_evaluation(room: str) -> None:
    for path in [ROOT / "demo.py", *sorted((PACKAGE / room).rglob("*.py"))]:
        assert not within(imports(path), "tracker.data"), path


@pytest.mark.parametrize("room", ["app", "evaluation"])
def test_the_application_does_not_know_torch(room: str) -> None:
    for path in sorted((PACKAGE / room).rglob("*.py")):
        assert not within(imports(path), "torch", "tracker.network", "tracker.training"), path


def test_of_the_evaluation_timing_alone_knows_the_application() -> None:
    files = sorted((PACKAGE / "evaluation").rglob("*.py"))
    assert [p.name for p in files if within(imports(p), "tracker.app")] == ["timing.py"]


WITH_TORCH = ("average", "export", "prune", "train")
TOOLS = [p for p in sorted((ROOT / "tools").glob("*.py")) if p.stem not in WITH_TORCH]
WITHOUT_TORCH = ("equalise", "graph_values", "precision", "requirements", "rounding", "stamp")
"""Rooms of the training that need onnx alone, and these tools share."""


@pytest.mark.parametrize(
    "path",
    [ROOT / "demo.py", *TOOLS, *(PACKAGE / "training" / f"{name}.py" for name in WITHOUT_TORCH)],
    ids=lambda p: p.name,
)
def test_tools_that_train_nothing_do_not_know_torch(path: Path) -> None:
    known = within(imports(path), "torch", "tracker.network", "tracker.training")
    rooms = [f"tracker.training.{name}" for name in WITHOUT_TORCH]
    assert known - {"tracker.training"} == within(known, *rooms)


def test_training_knows_only_figures_of_the_rooms_above() -> None:
    figures = ("tracker.evaluation.metrics", "tracker.evaluation.verification")
    for path in sorted((PACKAGE / "training").rglob("*.py")):
        above = within(imports(path), "tracker.app", "tracker.evaluation")
        assert above == within(above, *figures), path


def test_networks_do_not_know_how_they_are_trained() -> None:
    for path in sorted((PACKAGE / "network").rglob("*.py")):
        assert not within(imports(path), "tracker.training", "tracker.app", "tracker.evaluation"), (
            path
        )
        assert not within(imports(path), "cv2", "onnxruntime"), path


MODULES = [path for path in sorted(PACKAGE.rglob("*.py")) if path.name != "__init__.py"]
SECTIONS = re.split(
    r"\*\*[\w ]+\*\* \(`(tracker/[\w/]*)`\)|\n## ",
    (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8"),
)
"""Text before the first room's list, its folder, its list, and so on; no folder: the rest."""
LISTS = {
    folder: text for folder, text in zip(SECTIONS[1::2], SECTIONS[2::2], strict=True) if folder
}


def test_the_map_has_a_list_for_every_room() -> None:
    folders = {path.parent.relative_to(ROOT).as_posix() + "/" for path in MODULES}
    assert set(LISTS) == folders


@pytest.mark.parametrize("path", MODULES, ids=lambda p: p.relative_to(PACKAGE).as_posix())
def test_every_module_stands_in_the_map(path: Path) -> None:
    """A reader who looks for what a module is for finds it in docs/architecture.md."""
    assert f"`{path.name}`" in LISTS[path.parent.relative_to(ROOT).as_posix() + "/"]


def test_importing_the_package_loads_nothing_heavy() -> None:
    code = (
        "import sys, tracker; tracker.__version__; assert 'Session' in dir(tracker); "
        "print({'torch', 'cv2', 'onnxruntime', 'numpy', 'tqdm'} & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "set()"


def test_tracking_works_where_torch_is_not_installed() -> None:
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "import tracker, tracker.app.cli, tracker.evaluation.runner\n"
        "tracker.SiameseTracker, tracker.Session, tracker.similarity, tracker.same_object\n"
        "print('fine')"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout.strip() == "fine", done.stderr
