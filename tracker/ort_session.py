"""Opening a graph in ONNX Runtime, quietly: what goes wrong becomes one sentence."""

from __future__ import annotations

import contextlib
import io
import re
from collections.abc import Iterator
from typing import Any

from tracker.devices import Device, Provider
from tracker.errors import UserError
from tracker.onnx_runtime import onnx_runtime

CPU = "CPUExecutionProvider"
_WARNING, _FATAL = 2, 4
# A tensor that lies in another file names it under the key "location". Its tag and its length may
# be spelled in more ways than one should count; the length ends with a byte that is no character.
_OUTSIDE = re.compile(rb"[^\x20-\x7e]location")


class DeviceFailed(UserError):
    """The libraries of a device are there, and it does not work all the same."""


def open_session(
    content: bytes, what: str, device: Device, threads: int, spinning: bool = False
) -> Any:
    """An ``InferenceSession`` on the device.

    Args:
        content: of the ONNX file; ``what`` it is, for error messages.
        threads: of this graph on the CPU; 1 starts no further thread.
        spinning: let waiting threads spin: faster, and warmer.

    Raises:
        DeviceFailed: the device cannot run it.
        UserError: ONNX Runtime cannot read it or is incomplete, or it refers to other files.
    """
    ort = onnx_runtime()
    if _OUTSIDE.search(content):
        raise UserError(
            f"{what} keeps weights in another file, which is not opened; "
            "save the model as one file, or export it again"
        )
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = _FATAL
    options.add_session_config_entry("session.intra_op.allow_spinning", str(int(spinning)))
    inputs = _inputs(content, what) if device.wants_shapes else {}
    wanted = device.providers_for(threads, inputs, content)
    if wanted == [CPU]:
        return _open(content, what, options)
    with _silence():
        try:
            session = _create(content, options, wanted)
        except Exception as error:
            _open(content, what, options)  # is it the file's fault, or the device's?
            raise DeviceFailed(f"device {device.name} does not work ({said(error)})") from None
    first = wanted[0] if isinstance(wanted[0], str) else wanted[0][0]
    if first not in session.get_providers():
        raise DeviceFailed(f"device {device.name} does not work (ONNX Runtime left {first} out)")
    return session


def _open(content: bytes, what: str, options: Any) -> Any:
    try:
        return _create(content, options, [CPU])
    except Exception as error:
        raise UserError(
            f"{what} cannot be loaded by ONNX Runtime ({said(error)}); fetch or export it again"
        ) from None


def _create(content: bytes, options: Any, providers: list[Provider]) -> Any:
    import onnxruntime as ort

    # without the fallback of ONNX Runtime, which prints and then uses the CPU
    return ort.InferenceSession(content, options, providers=providers, enable_fallback=0)


def said(error: Exception) -> str:
    """The first line of an error; ONNX Runtime raises a dozen unrelated classes."""
    return (str(error).splitlines() or [type(error).__name__])[0][:160]


def _inputs(content: bytes, what: str) -> dict[str, Any]:
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = _FATAL
    return {i.name: i.shape for i in _open(content, what, options).get_inputs()}


@contextlib.contextmanager
def _silence() -> Iterator[None]:
    """Keep ONNX Runtime's red lines about a GPU off the terminal."""
    import onnxruntime as ort

    ort.set_default_logger_severity(_FATAL)
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            yield
    finally:
        ort.set_default_logger_severity(_WARNING)
