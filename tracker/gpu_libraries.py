"""What a GPU needs beside ONNX Runtime, looked for before ONNX Runtime looks.

onnxruntime-gpu lists its CUDA provider on any machine, and prints red errors when a session
then fails. So driver, GPU and libraries are looked for first, and named if they are missing.
"""

from __future__ import annotations

import contextlib
import ctypes
import importlib.metadata
import importlib.util
import io
import platform
import sys
from pathlib import Path
from typing import Any

from tracker.onnx_runtime import onnx_runtime

INSTALL_CUDA = "pip install 'onnxruntime-gpu[cuda,cudnn]>=1.21'"
_PACKAGES = ("onnxruntime", "onnxruntime-openvino", "onnxruntime-gpu")  # they share one folder
INSTALL_TENSORRT = "pip install tensorrt-cu{major}"


def available_providers() -> list[str]:
    """Providers that the installed ONNX Runtime was built with.

    Raises:
        UserError: it is incomplete.
    """
    return list(onnx_runtime().get_available_providers())


def missing_for_cuda(index: int = 0) -> str | None:
    """What keeps CUDA from working, with what to do, or ``None`` when it should work.

    Args:
        index: number of the GPU.
    """
    if "CUDAExecutionProvider" not in available_providers():
        return _without_provider("CUDA")
    driver = load_library("libcuda.so.1", "nvcuda.dll")
    if driver is None:
        return "no NVIDIA driver was found (install it from your system's packages)"
    unfit = _unfit_gpu(driver, index, cuda_major())
    if unfit is not None:
        return unfit
    _preload()
    for names in _cuda_names(cuda_major()):
        if load_library(*names) is None:
            return f"the CUDA library {_here(names)} was not found ({INSTALL_CUDA} brings it)"
    return None


def missing_for_tensorrt(index: int = 0) -> str | None:
    """What keeps TensorRT from working, as ``missing_for_cuda``."""
    missing = missing_for_cuda(index)
    if missing is not None:
        return missing
    install = INSTALL_TENSORRT.format(major=cuda_major())
    if "TensorrtExecutionProvider" not in available_providers():
        return _without_provider("TensorRT")
    folder = _package_folder("tensorrt_libs")
    for names in (("libnvinfer.so.10", "nvinfer_10.dll"),
                  ("libnvonnxparser.so.10", "nvonnxparser_10.dll")):  # fmt: skip
        beside = [str(folder / name) for name in names] if folder else []
        if load_library(*beside, *names) is None:
            return f"the TensorRT library {_here(names)} was not found ({install} brings it)"
    return None


def _without_provider(name: str) -> str:
    """That ONNX Runtime lacks this provider of NVIDIA's, and what brings it."""
    if sys.platform == "darwin" or platform.machine().lower() not in ("x86_64", "amd64"):
        return f"ONNX Runtime has no {name} provider for this kind of machine"
    packages = [p for p in _PACKAGES if _is_installed(p)]
    install = INSTALL_CUDA
    if packages and packages != ["onnxruntime-gpu"]:  # whichever came last lies over the others
        install = f"pip uninstall {' '.join(packages)}, then {INSTALL_CUDA}"
    return f"the installed ONNX Runtime has no {name} provider ({install} brings it)"


def _is_installed(package: str) -> bool:
    try:
        return bool(importlib.metadata.version(package))
    except importlib.metadata.PackageNotFoundError:
        return False


def cuda_major() -> int:
    """The major version of CUDA that the installed ONNX Runtime was built for."""
    try:
        from onnxruntime.capi.build_and_package_info import cuda_version

        return int(str(cuda_version).split(".")[0])
    except (ImportError, ValueError):
        return 12


def load_library(*names: str) -> Any | None:
    """The first of these shared libraries that loads, or ``None``."""
    for name in names:
        try:
            return ctypes.CDLL(name, mode=ctypes.RTLD_GLOBAL)
        except OSError:
            continue
    return None


def _unfit_gpu(driver: Any, index: int, major: int) -> str | None:
    """What the driver says against GPU ``index``."""
    count, version = ctypes.c_int(0), ctypes.c_int(0)
    if driver.cuInit(0) != 0 or driver.cuDeviceGetCount(ctypes.byref(count)) != 0:
        return "the NVIDIA driver finds no GPU (nvidia-smi says more)"
    if count.value <= index:
        found = "no GPU" if count.value == 0 else f"GPUs up to cuda:{count.value - 1}"
        return f"the NVIDIA driver finds {found} (nvidia-smi lists them)"
    driver.cuDriverGetVersion(ctypes.byref(version))
    if version.value // 1000 < major:
        return (
            f"the NVIDIA driver is for CUDA {version.value // 1000}, and this ONNX Runtime "
            f"needs CUDA {major} (update the driver, or install an older onnxruntime-gpu)"
        )
    return None


def _cuda_names(major: int) -> list[tuple[str, str]]:
    return [
        (f"libcudart.so.{major}", f"cudart64_{major}.dll"),
        (f"libcublasLt.so.{major}", f"cublasLt64_{major}.dll"),
        (f"libcublas.so.{major}", f"cublas64_{major}.dll"),
        ("libcudnn.so.9", "cudnn64_9.dll"),
    ]


def _preload() -> None:
    """Load the CUDA libraries of pip's nvidia packages, if there are any, without a word."""
    import onnxruntime

    preload = getattr(onnxruntime, "preload_dlls", None)
    if preload is not None:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(Exception):
            preload(directory="")


def _package_folder(name: str) -> Path | None:
    spec = importlib.util.find_spec(name)
    places = list(spec.submodule_search_locations or []) if spec else []
    return Path(places[0]) if places else None


def _here(names: tuple[str, ...]) -> str:
    """The name that a library has on this system."""
    return names[1] if sys.platform == "win32" else names[0]
