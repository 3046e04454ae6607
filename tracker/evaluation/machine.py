"""What the figures were measured on: it stands above every table and in every json."""

from __future__ import annotations

import platform
from importlib import metadata
from pathlib import Path

from tracker.gpu_libraries import available_providers
from tracker.onnx_runtime import onnx_runtime
from tracker.threads import usable_cores


def describe() -> dict[str, str]:
    """Processor, cores, system and versions, as short strings."""
    described = {
        "processor": processor_name(),
        "cores": str(usable_cores()),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
    }
    for package in ("numpy", "opencv-contrib-python", "opencv-python", "opencv-python-headless"):
        described |= _version(package)
    for package in ("onnxruntime-gpu", "onnxruntime"):
        described |= _version(package)
    return described


def libraries() -> list[str]:
    """Those whose versions move boxes: one decodes and resizes, the other runs our networks."""
    import cv2

    return [f"OpenCV {cv2.__version__}", f"ONNX Runtime {onnx_runtime().__version__}"]


def processor_name() -> str:
    """The processor's own name where the system tells it."""
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine() or "unknown"


def _version(package: str) -> dict[str, str]:
    try:
        return {package: metadata.version(package)}
    except metadata.PackageNotFoundError:
        return {}


def onnxruntime_providers() -> list[str]:
    """What this build of ONNX Runtime offers; it does not say that a GPU is there."""
    try:
        providers = available_providers()
    except ImportError:
        return []
    return [str(name).removesuffix("ExecutionProvider") for name in providers]
