"""ONNX Runtime as it is installed: whole, or what to do about it."""

from __future__ import annotations

from typing import Any

from tracker.errors import UserError


def onnx_runtime() -> Any:
    """The module ``onnxruntime``.

    Its packages (onnxruntime, onnxruntime-gpu, onnxruntime-openvino) share one folder. Where two
    were installed and one is uninstalled, files of the other go with it, and what is left can be
    imported and has nothing in it.

    Raises:
        UserError: it is such a rest.
    """
    import onnxruntime

    if not hasattr(onnxruntime, "InferenceSession"):
        raise UserError(
            "the installed ONNX Runtime is incomplete (it has no InferenceSession: another of its "
            "packages was uninstalled, and they share one folder); pip uninstall onnxruntime "
            "onnxruntime-gpu onnxruntime-openvino, then pip install the one that you want"
        )
    return onnxruntime
