"""Model files: where they are, and whether they are what they were."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass, field
from pathlib import Path

from tracker.errors import UserError
from tracker.files import at_home, hold_folder, write_atomic

DEFAULT_MODEL = "kestrel"
SUMS = "SHA256SUMS"
ROLES = ("exemplar", "search")


def weights_folder() -> Path:
    """The folder of the models that come with the project (installed, or a checkout)."""
    here = Path(__file__).resolve().parent
    installed = here / "weights"
    return installed if installed.is_dir() else here.parent / "weights"


def available_models() -> list[str]:
    """Names of the models that come with the project."""
    return sorted(
        p.name.removesuffix(".search.onnx") for p in weights_folder().glob("*.search.onnx")
    )


def graph_files(stem: Path) -> list[Path]:
    """The files of a model's graphs, in the order of ``ROLES``: ``stem.exemplar.onnx``, ..."""
    return [stem.parent / f"{stem.name}.{role}.onnx" for role in ROLES]


@dataclass(frozen=True)
class ModelFiles:
    """Both graphs of a model, read and checked.

    Attributes:
        name: the model's file name without endings.
        exemplar, search: contents of the two files.
        folder: where they came from.
        digest: SHA-256 over both, for caches and records.
    """

    name: str
    exemplar: bytes
    search: bytes
    folder: Path
    digest: str = field(init=False)

    def __post_init__(self) -> None:
        # At once: until Python 3.12 a cached property's lock outlives a fork, held for ever.
        digest = hashlib.sha256(self.exemplar + self.search).hexdigest()
        object.__setattr__(self, "digest", digest)


def read_model(model: str | Path | None = None) -> ModelFiles:
    """Read a model by name, or from ``folder/name`` of one's own export.

    Args:
        model: ``None`` for the default model; the name of one that comes with the
            project; or a path: ``runs/mine/kestrel`` stands for
            ``runs/mine/kestrel.exemplar.onnx`` and ``runs/mine/kestrel.search.onnx``
            (either of the two may be named as well, and those of the current folder
            need no folder in their name).

    Raises:
        UserError: an empty name, missing files, or a file that differs from its ``SHA256SUMS``.
    """
    if model == "":
        known = ", ".join(available_models()) or "none"
        raise UserError(f"the model's name is empty; give a path to an export or one of: {known}")
    stem = _stem(model)
    contents = {path.name: _read_graph(path) for path in graph_files(stem)}
    _check_sums(stem.parent, contents)
    exemplar, search = contents.values()
    return ModelFiles(stem.name, exemplar, search, stem.parent)


def model_stamp(model: str | Path | None = None) -> tuple[tuple[int, int], ...]:
    """Changes when the files of a model do: their sizes and times; empty where they are not."""
    try:
        facts = [os.stat(path) for path in graph_files(_stem(model))]
    except (OSError, ValueError):
        return ()
    return tuple((fact.st_size, fact.st_mtime_ns) for fact in facts)


def _read_graph(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError, ValueError):
        known = ", ".join(available_models()) or "none"
        raise UserError(
            f"there is no model file {path}; give a path to an export or one of: {known}"
        ) from None
    except OSError as error:
        raise UserError(f"the model file {path} cannot be read ({error.strerror})") from None


def _stem(model: str | Path | None) -> Path:
    text = given = DEFAULT_MODEL if model is None else str(model)
    for role in ROLES:
        text = text.removesuffix(f".{role}.onnx")
    stem = at_home(text)
    # a bare name is that of a shipped model first, then of files in the current folder
    a_file = isinstance(model, Path) or text != given or text not in available_models()
    if "/" in text or "\\" in text or (a_file and any(map(os.path.exists, graph_files(stem)))):
        return stem
    return weights_folder() / text


def _check_sums(folder: Path, contents: dict[str, bytes]) -> None:
    """Compare with ``SHA256SUMS`` where the folder has one; files not listed are refused."""
    sums = folder / SUMS
    if not sums.is_file():
        return
    listed = read_sums(sums)
    for name, content in contents.items():
        expected = listed.get(name)
        found = hashlib.sha256(content).hexdigest()
        if expected != found:
            raise UserError(
                f"{folder / name} is not the file that {SUMS} lists "
                f"(expected {(expected or 'no entry')[:12]}, found {found[:12]}); "
                "fetch it again or export it anew"
            )


def read_sums(path: Path) -> dict[str, str]:
    """``{file name: hex digest}`` of a file in the form of ``sha256sum``."""
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror})") from None
    pairs = [line.split(maxsplit=1) for line in lines if line.strip()]
    return {name.lstrip("*"): digest for digest, name in (p for p in pairs if len(p) == 2)}


def write_sums(folder: Path, names: list[str]) -> None:
    """Set the entries of ``names`` in the folder's ``SHA256SUMS``, keeping the others.

    Raises:
        UserError: it cannot be written.
    """
    path = folder / SUMS
    with hold_folder(folder):  # or two exports at once would drop each other's entries
        sums = read_sums(path) if path.is_file() else {}
        for name in names:
            sums[name] = hashlib.sha256((folder / name).read_bytes()).hexdigest()
        lines = [f"{digest}  {name}\n" for name, digest in sorted(sums.items())]
        write_atomic(path, "".join(lines))


def write_model(files: ModelFiles, stem: Path) -> None:
    """Write both graphs as ``stem.<role>.onnx`` and list them in ``SHA256SUMS``.

    Raises:
        UserError: they cannot be written.
    """
    paths = graph_files(stem)
    for path, content in zip(paths, (files.exemplar, files.search), strict=True):
        write_atomic(path, content)
    write_sums(stem.parent, [path.name for path in paths])
