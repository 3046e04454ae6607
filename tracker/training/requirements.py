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
        UserError: names the first that is missing, and the command that installs it.
    """
    for module in modules:
        if find_spec(module) is None:
            raise UserError(
                f"training and export need the package {module}, which is not installed; "
                "run: pip install 'siamtrack[train]'"
            )
    if "torch" in modules:
        importlib.import_module("numpy")
