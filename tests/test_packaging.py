"""What a person installs: its contents, its dependencies, its command."""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

import tracker
from tracker.weights import available_models, weights_folder

ROOT = Path(__file__).resolve().parent.parent
# Not among the core's dependencies: what only training, reports or tests may import.
EXTRAS = ("torch", "onnx", "matplotlib", "jinja2", "psutil", "scipy", "skimage", "pytest")


@pytest.fixture(scope="module")
def project() -> dict:
    tomllib = pytest.importorskip("tomllib", reason="tomllib came with Python 3.11")
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


@pytest.fixture(scope="module")
def installed(tmp_path_factory) -> Path:
    """The wheel that comes from the sdist, unpacked as pip does, far from the checkout."""
    for module in ("build", "hatchling"):
        pytest.importorskip(module)
    folder = tmp_path_factory.mktemp("dist with space")
    run("-m", "build", "--no-isolation", "--outdir", folder, ROOT)
    (wheel,) = folder.glob("*.whl")
    (sdist,) = folder.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:  # what its tests read of the project
        held = {name.partition("/")[2] for name in archive.getnames()}
    assert {"constraints.txt", "constraints-lowest.txt", "CHANGELOG.md", "docs/training.md"} <= held
    run("-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--target",
        folder / "site", wheel)  # fmt: skip
    return folder / "site"


def run(*arguments, **options) -> str:
    done = subprocess.run([sys.executable, *map(str, arguments)], capture_output=True, text=True,
                          timeout=240, check=False, **options)  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def run_installed(site: Path, code: str) -> str:
    """Run code against the installed package; the checkout is not on the path."""
    return run("-P" if sys.version_info >= (3, 11) else "-s", "-c", code, cwd=site.parent,
               env={**os.environ, "PYTHONPATH": str(site)})  # fmt: skip


@pytest.mark.slow
def test_an_installed_wheel_has_its_models_sample_and_types(installed):
    out = run_installed(installed, """
import tracker, tracker.data.datasets, tracker.weights as w, tracker.assets as a
print(tracker.__file__, w.__file__, w.weights_folder(), *a.sample_clip(), sep="\\n")
print(*w.available_models())
for name in w.available_models():
    w.read_model(name)
""")  # fmt: skip
    *paths, models = out.splitlines()
    for path in map(Path, paths):
        assert path.is_relative_to(installed) and path.exists(), path
    assert models.split() == available_models()
    for file in weights_folder().glob("*.onnx"):
        copy = installed / "tracker" / "weights" / file.name
        assert sha256(copy) == sha256(file)
    assert (installed / "tracker" / "py.typed").is_file()
    assert (installed / "tracker" / "evaluation" / "report.html.j2").is_file()


@pytest.mark.slow
def test_an_installed_wheel_holds_nothing_else(installed):
    assert {p.name for p in installed.iterdir()} <= {
        "tracker", "bin", "Scripts", "__pycache__", f"siamtrack-{tracker.__version__}.dist-info",
    }  # fmt: skip
    stray = [p for p in (installed / "tracker").rglob("*") if p.name.startswith(".")]
    assert not stray
    info = installed / f"siamtrack-{tracker.__version__}.dist-info"
    licences = {p.name for p in (info / "licenses").rglob("*") if p.is_file()}
    assert licences == {"LICENSE", "LICENSES.md"}


@pytest.mark.slow
def test_the_command_ends_with_one_sentence_and_status_2(installed):
    (command,) = [p for p in installed.glob("*/siamtrack*") if p.parent.name in ("bin", "Scripts")]
    done = subprocess.run(
        [sys.executable, str(command), "--video", "nowhere.mp4", "--init-box", "1,1,9,9",
         "--no-display", "--save", "out.mp4"],
        capture_output=True, text=True, timeout=120, check=False, cwd=installed.parent,
        env={**os.environ, "PYTHONPATH": str(installed)})  # fmt: skip
    assert done.returncode == 2
    assert re.fullmatch(r"error: [^\n]*nowhere\.mp4[^\n]*\n", done.stderr)
    assert not (installed.parent / "out.mp4").exists()


def test_everything_but_training_imports_without_the_extras():
    """Only ``tracker.network``, ``tracker.training`` and reports may want more than the core."""
    code = f"""
import importlib, pkgutil, sys
for name in {EXTRAS!r}:
    sys.modules[name] = None  # importing it raises ImportError
import tracker
for module in pkgutil.walk_packages(tracker.__path__, "tracker.", onerror=print):
    if not module.name.startswith(("tracker.network", "tracker.training")):
        importlib.import_module(module.name)
        print(module.name)
"""
    names = run("-c", code, cwd=ROOT).split()
    assert {"tracker.siamese_tracker", "tracker.app.cli", "tracker.evaluation.report"} <= set(names)


def test_every_pin_lies_in_the_range_that_users_get(project):
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    parsed = [Requirement(line) for line in lines if line and not line.startswith("#")]
    pins = {canonicalize_name(r.name): str(r.specifier).removeprefix("==") for r in parsed}
    extras = project["optional-dependencies"]
    wanted = project["dependencies"] + [line for e in extras for line in extras[e] if e != "cuda"]
    for requirement in map(Requirement, wanted):
        if requirement.name == "onnxruntime":  # where the GPU build does not exist
            continue
        assert requirement.specifier.contains(pins[canonicalize_name(requirement.name)])


def test_the_lowest_pins_are_the_lower_bounds(project):
    """``constraints-lowest.txt`` is how the lower end is tried; it must not lie above it."""
    lowest = {}
    for line in (ROOT / "constraints-lowest.txt").read_text().splitlines():
        if line.strip() and not line.startswith("#"):
            pin = Requirement(line)
            (specifier,) = pin.specifier
            lowest[canonicalize_name(pin.name)] = specifier.version
    extras = project["optional-dependencies"]
    wanted = [*project["dependencies"], *extras["train"], *extras["eval"], *extras["test"]]
    for requirement in map(Requirement, wanted):
        name = canonicalize_name(requirement.name)
        if name == "onnxruntime":  # the same releases, for other machines
            continue
        (bound,) = (s.version for s in requirement.specifier if s.operator in (">=", "=="))
        release = lowest[name].split(".")[: len(bound.split("."))]
        assert release == bound.split("."), (name, lowest[name], bound)


def test_one_of_the_two_runtimes_is_chosen_on_every_machine(project):
    runtimes = [r for r in map(Requirement, project["dependencies"]) if "onnx" in r.name]
    for system, machine, expected in [
        ("linux", "x86_64", "onnxruntime-gpu"), ("win32", "AMD64", "onnxruntime-gpu"),
        ("darwin", "x86_64", "onnxruntime"), ("darwin", "arm64", "onnxruntime"),
        ("linux", "aarch64", "onnxruntime"), ("win32", "ARM64", "onnxruntime"),
    ]:  # fmt: skip
        where = {"sys_platform": system, "platform_machine": machine}
        assert [r.name for r in runtimes if r.marker.evaluate(where)] == [expected]


def test_runtime_dependencies_are_bounded_at_both_ends(project):
    for requirement in map(Requirement, project["dependencies"]):
        operators = {s.operator for s in requirement.specifier}
        assert operators == {">=", "<"}, str(requirement)


def test_the_changelog_knows_this_version():
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    version = Version(tracker.__version__)
    heading = "Unreleased" if version.is_devrelease else version
    assert f"## [{heading}]" in changelog
    released = re.findall(r"^## \[(\d.*?)\]", changelog, flags=re.MULTILINE)
    assert version >= max(map(Version, released))  # a development version comes after all of them


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_no_sentence_has_pip_look_for_a_package_that_no_index_has() -> None:
    """What is missing is told by the packages themselves, for a checkout and for a wheel."""
    code = [*ROOT.glob("*.py"), *ROOT.glob("tools/*.py"), *ROOT.glob("tracker/**/*.py")]
    assert len(code) > 150
    told = re.compile(r"pip install [^\n]*siamtrack")
    assert [path for path in code if told.search(path.read_text(encoding="utf-8"))] == []
