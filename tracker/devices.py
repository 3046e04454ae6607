"""Where the network runs: which ONNX Runtime providers a device name stands for."""

from __future__ import annotations

import ctypes
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from tracker.errors import UserError

Provider = str | tuple[str, dict[str, Any]]


@dataclass(frozen=True)
class Device:
    """A choice of providers.

    Attributes:
        name: ``cpu``, ``cuda:0``, ``tensorrt:0``, ``coreml`` or ``openvino``.
        providers: for ``InferenceSession``, best first.
        reason: why this one, in one line, when ``auto`` chose it; else empty.
    """

    name: str
    providers: Sequence[Provider] = field(default=("CPUExecutionProvider",))
    reason: str = ""

    @property
    def on_gpu(self) -> bool:
        """Whether crops have to be copied to another memory."""
        return self.name.startswith(("cuda", "tensorrt"))


def choose_device(name: str = "auto") -> Device:
    """Turn ``auto``, ``cpu``, ``cuda``, ``cuda:1`` or ``tensorrt`` into providers.

    Raises:
        UserError: unknown name, or a device whose provider or libraries are missing.
    """
    match = re.fullmatch(r"(auto|cpu|coreml|openvino|(cuda|tensorrt)(?::(\d+))?)", name)
    if match is None:
        raise UserError(
            f"there is no device {name!r}; choose auto, cpu, cuda, cuda:1, tensorrt, "
            "coreml or openvino"
        )
    if name == "cpu":
        return Device("cpu")
    if name == "auto":
        missing = missing_for_cuda()
        if missing is None:
            return _cuda(0, tensorrt=False)
        return Device("cpu", reason=f"running on the CPU: {missing}")
    if name in ("coreml", "openvino"):
        return _named_provider(name)
    missing = missing_for_cuda()
    if missing is not None:
        raise UserError(
            f"device {name} was asked for, but {missing}; install the GPU libraries with "
            "pip install 'siamtrack[cuda]' and an NVIDIA driver, or use --device cpu"
        )
    return _cuda(int(match.group(3) or 0), tensorrt=match.group(2) == "tensorrt")


def _cuda(index: int, tensorrt: bool) -> Device:
    cuda: Provider = ("CUDAExecutionProvider", {"device_id": index})
    if not tensorrt:
        return Device(f"cuda:{index}", (cuda, "CPUExecutionProvider"))
    if "TensorrtExecutionProvider" not in available_providers():
        raise UserError(
            "device tensorrt was asked for, but this ONNX Runtime has no TensorRT provider; "
            "install onnxruntime-gpu and tensorrt, or use --device cuda"
        )
    options = {"device_id": index, "trt_fp16_enable": True, "trt_engine_cache_enable": True,
               "trt_timing_cache_enable": True}  # fmt: skip
    trt: Provider = ("TensorrtExecutionProvider", options)
    return Device(f"tensorrt:{index}", (trt, cuda, "CPUExecutionProvider"))


def _named_provider(name: str) -> Device:
    provider = {"coreml": "CoreMLExecutionProvider", "openvino": "OpenVINOExecutionProvider"}[name]
    if provider not in available_providers():
        raise UserError(
            f"device {name} was asked for, but the installed ONNX Runtime has no {provider}; "
            "install the ONNX Runtime build that brings it, or use --device cpu"
        )
    return Device(name, (provider, "CPUExecutionProvider"))


def available_providers() -> list[str]:
    """Providers that the installed ONNX Runtime was built with."""
    import onnxruntime

    return list(onnxruntime.get_available_providers())


def missing_for_cuda() -> str | None:
    """What keeps CUDA from working, as a half sentence, or ``None`` when it should work.

    onnxruntime-gpu lists its CUDA provider on any machine, and prints red errors when a
    session then fails; so the driver is looked for first.
    """
    if "CUDAExecutionProvider" not in available_providers():
        return "the installed ONNX Runtime has no CUDA provider (onnxruntime-gpu has)"
    if not _loads("libcuda.so.1", "nvcuda.dll"):
        return "no NVIDIA driver was found"
    import onnxruntime

    if hasattr(onnxruntime, "preload_dlls"):
        onnxruntime.preload_dlls(directory="")
    for library in (("libcudart.so.13", "libcudart.so.12", "cudart64_12.dll", "cudart64_13.dll"),
                    ("libcudnn.so.9", "cudnn64_9.dll")):  # fmt: skip
        if not _loads(*library):
            return f"the CUDA library {library[0].split('.')[0]} was not found"
    return None


def _loads(*names: str) -> bool:
    for name in names:
        try:
            ctypes.CDLL(name)
        except OSError:
            continue
        return True
    return False
