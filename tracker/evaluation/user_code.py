"""Which files a user's tracker consists of, so that it is run again when one of them changes.

They are read, not run: what a function imports when it is called counts as well, and what other
trackers of the same command import does not.
"""

from __future__ import annotations

import ast
import importlib.util
import sysconfig
import warnings
from pathlib import Path

import tracker

_INSTALLED = ("site-packages", "dist-packages")


def code_files(*modules: str | None) -> list[Path]:
    """The code of some modules and of all that they import, from neighbour to neighbour.

    Of a package all modules count. What is installed in ``site-packages``, the standard library
    and this package do not, unless named in ``modules``; nor do imports by a name that is put
    together, and files that are no code, such as weights.
    """
    named = {module.partition(".")[0] for module in modules if module}
    waiting, known, files = list(named), set(named), set[Path]()
    while waiting:
        top = waiting.pop()
        found = [path for path in _files_of(top) if top in named or _is_users(path)]
        files.update(found)
        new = {name for path in found for name in _imports(path)} - known
        waiting += new
        known |= new
    return sorted(files)


def _files_of(top: str) -> list[Path]:
    """The files of a module or package without a dot in its name; none where it is built in."""
    try:
        spec = importlib.util.find_spec(top)
    except (ImportError, ValueError):  # __main__ has none
        return []
    if spec is None:
        return []
    folders = [Path(folder) for folder in spec.submodule_search_locations or ()]
    files = {path for folder in folders for path in folder.rglob("*.py")}
    return list(files | ({Path(spec.origin)} if spec.has_location and spec.origin else set()))


def _is_users(path: Path) -> bool:
    if any(part in _INSTALLED for part in path.parts):
        return False
    rooms = [sysconfig.get_path("stdlib"), sysconfig.get_path("platstdlib"), *tracker.__path__]
    return not any(path.resolve().is_relative_to(Path(room).resolve()) for room in rooms)


def _imports(path: Path) -> set[str]:
    """First parts of the names that a file imports, anywhere in it; relative ones are its own."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # escapes in other people's strings
            tree = ast.parse(path.read_bytes())
    except (OSError, ValueError, SyntaxError):  # not Python of this version, or compiled
        return set()
    except (RecursionError, MemoryError):  # made by a program, too deep for Python's own parser
        return set()
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module.partition(".")[0])
    return found
