"""Where the network runs: which ONNX Runtime providers a device name stands for."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tracker.cache import cache_folder
from tracker.errors import UserError
from tracker.gpu_libraries import available_providers, missing_for_cuda, missing_for_tensorrt

Provider = str | tuple[str, dict[str, Any]]
Shape = Sequence[int | str | None]

# what a TensorRT engine is prepared for, from, best and to: crops in one pass, pixels a side
PROFILES = {"min": (1, 64), "opt": (1, 224), "max": (8, 512)}
# crops in one pass of a CPU: more leave its caches, and ONNX Runtime keeps room for the most it had
CPU_BATCH = 8
_ENGINES = "trt_engine_cache_path"
_OTHERS = {"coreml": "CoreMLExecutionProvider", "openvino": "OpenVINOExecutionProvider"}


@dataclass(frozen=True)
class Device:
    """A choice of providers.

    Attributes:
        name: ``cpu``, ``cuda:0``, ``tensorrt:0``, ``coreml`` or ``openvino``.
        providers: for ``InferenceSession``, best first.
        reason: why this one, in one line, when ``auto`` chose it; else empty.
        index: number of the GPU.
    """

    name: str
    providers: Sequence[Provider] = field(default=("CPUExecutionProvider",))
    reason: str = ""
    index: int = 0

    @property
    def on_gpu(self) -> bool:
        """Whether crops have to be copied to another memory."""
        return self.name.startswith(("cuda", "tensorrt"))

    @property
    def wants_shapes(self) -> bool:
        """Whether ``providers_for`` needs to know the inputs of a graph."""
        return self.name.startswith("tensorrt")

    @property
    def dislikes_new_shapes(self) -> bool:
        """Whether a session that is given another shape stops for seconds."""
        return self.name.startswith("cuda")

    @property
    def most_crops(self) -> int | None:
        """How many go into one pass; ``None`` where any number does."""
        if self.name == "cpu":
            return CPU_BATCH
        return PROFILES["max"][0] if self.name.startswith("tensorrt") else None

    def providers_for(
        self, threads: int, inputs: dict[str, Shape], content: bytes = b""
    ) -> list[Provider]:
        """The providers, told what they do not see in the options of a session.

        TensorRT builds an engine for a range of shapes; without it a second target, a search
        for a lost one, or a smaller crop, would stop the video for the time of another build.
        It keeps engines, which hold the weights, by the names of a graph's nodes alone: of two
        models of one kind the second would run as the first, so each graph has a folder.

        Args:
            threads: of the graph on the CPU, for OpenVINO, which would take all cores.
            inputs: shapes of the graph's inputs by name, where ``wants_shapes``; free
                dimensions are names.
            content: of the graph's file.
        """
        if self.name == "openvino":
            return [(_OTHERS[self.name], {"num_of_threads": str(threads)}), *self.providers[1:]]
        if not self.wants_shapes:
            return list(self.providers)
        free = {n: s for n, s in inputs.items() if any(not isinstance(d, int) for d in s)}
        profile = {
            f"trt_profile_{kind}_shapes": ",".join(f"{n}:{_at(s, *to)}" for n, s in free.items())
            for kind, to in PROFILES.items()
        }
        first = self.providers[0]
        assert not isinstance(first, str)
        name, options = first[0], first[1] | (profile if free else {})
        if _ENGINES in options:
            graph = hashlib.sha256(content).hexdigest()[:16]
            options[_ENGINES] = str(Path(options[_ENGINES]) / graph)
        return [(name, options), *self.providers[1:]]


def choose_device(name: str = "auto") -> Device:
    """Turn ``auto``, ``cpu``, ``cuda``, ``cuda:1``, ``tensorrt`` ... into providers.

    ``auto`` takes CUDA where it works, OpenVINO where its build of ONNX Runtime is
    installed, else the CPU.

    Raises:
        UserError: unknown name, or a device whose provider or libraries are missing.
    """
    name = str(name)  # torch.device("cpu"), say
    match = re.fullmatch(r"auto|cpu|coreml|openvino|(cuda|tensorrt)(?::(\d{1,3}))?", name)
    if match is None:
        raise UserError(
            f"there is no device {name!r}; choose auto, cpu, cuda, cuda:1, tensorrt, "
            "coreml or openvino"
        )
    if name == "cpu":
        return Device("cpu")
    if name == "auto":
        return _best()
    if name in _OTHERS:
        return _other(name)
    index, tensorrt = int(match.group(2) or 0), match.group(1) == "tensorrt"
    missing = missing_for_tensorrt(index) if tensorrt else missing_for_cuda(index)
    if missing is not None:
        raise UserError(f"device {name} was asked for, but {missing}; or use --device cpu")
    return _tensorrt(index) if tensorrt else _cuda(index)


def _best() -> Device:
    missing = missing_for_cuda()
    if missing is None:
        return _cuda(0, reason="running on the GPU cuda:0")
    if _OTHERS["openvino"] in available_providers():
        return _other("openvino", reason="running on OpenVINO, whose ONNX Runtime is installed")
    return Device("cpu", reason=f"running on the CPU: {missing}")


def _cuda(index: int, reason: str = "") -> Device:
    return Device(f"cuda:{index}", (_cuda_provider(index), "CPUExecutionProvider"), reason, index)


def _cuda_provider(index: int) -> Provider:
    # the default tries every algorithm for each new batch size, in the middle of a video
    return "CUDAExecutionProvider", {
        "device_id": index,
        "cudnn_conv_algo_search": "HEURISTIC",
        "arena_extend_strategy": "kSameAsRequested",
    }


def _tensorrt(index: int) -> Device:
    options: dict[str, Any] = {"device_id": index, "trt_fp16_enable": True}
    folder = cache_folder("tensorrt")
    if folder is not None:  # building takes from seconds to minutes: once for each model and GPU
        for cache in ("engine", "timing"):
            options[f"trt_{cache}_cache_enable"] = True
            options[f"trt_{cache}_cache_path"] = str(folder)
    trt: Provider = ("TensorrtExecutionProvider", options)
    return Device(
        f"tensorrt:{index}", (trt, _cuda_provider(index), "CPUExecutionProvider"), "", index
    )


def _other(name: str, reason: str = "") -> Device:
    provider = _OTHERS[name]
    if provider not in available_providers():
        build = {
            "coreml": "onnxruntime on macOS",
            # in this order: they share a folder, and what goes takes files of the other with it
            "openvino": "pip uninstall onnxruntime-gpu onnxruntime, "
            "then pip install onnxruntime-openvino",
        }
        raise UserError(
            f"device {name} was asked for, but the installed ONNX Runtime has no {provider} "
            f"({build[name]} brings it); or use --device cpu"
        )
    return Device(name, (provider, "CPUExecutionProvider"), reason)


def _at(shape: Shape, batch: int, side: int) -> str:
    free = {"height": side, "width": side}
    return "x".join(str(d if isinstance(d, int) else free.get(str(d), batch)) for d in shape)
