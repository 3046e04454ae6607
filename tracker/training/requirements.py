"""Says in one sentence what training and export need and is not installed."""

from __future__ import annotations

import importlib
from importlib.util import find_spec

from tracker.errors import UserError


def require(*modules: str) -> None:
    """Check that packages can be imported, without importing them.

    NumPy alone is, before torch would do it: torch passes over what happens in there, and ctrl-c
    in that moment would be lost or leave half of NumPy.

    Raises:
        UserError: names the first that is missing, and the command that installs all that are.
    """
    missing = [module for module in modules if find_spec(module) is None]
    if missing:
        raise UserError(
            f"training and export need the package {missing[0]}, which is not installed; "
            f"run: pip install {' '.join(missing)}"
        )
    if "torch" in modules:
        importlib.import_module("numpy")
