"""A stand-in for ONNX Runtime with the providers of machines that are not here."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import numpy as np

from tests.online.scripted import SPEC
from tracker.spec import METADATA_KEY
from tracker.weights import ModelFiles

CUDA, TRT, CPU = "CUDAExecutionProvider", "TensorrtExecutionProvider", "CPUExecutionProvider"
SHAPES = {
    "exemplar": {"image": ["batch", 128, 128, 3], "box": ["batch", 4]},
    "search": {"embedding": ["targets", 66, 4], "image": ["batch", "height", "width", 3]},
}
OUTPUTS = {
    "exemplar": {"embedding": ["batch", 66, 4], "identity": ["batch", 2]},
    "search": {
        "score": ["batch", "rows", "columns"],
        "boxes": ["batch", 4, "rows", "columns"],
        "identity": ["batch", 2, "rows", "columns"],
    },
}


class OrtValue:
    """An array on a device; every copy to one is counted."""

    copies: ClassVar[list[tuple[str, int, tuple[int, ...]]]] = []

    def __init__(self, array: np.ndarray, device: str, index: int) -> None:
        self.array, self.device, self.index = array.copy(), device, index
        OrtValue.copies.append((device, index, array.shape))

    @staticmethod
    def ortvalue_from_numpy(array: np.ndarray, device: str = "cpu", index: int = 0) -> OrtValue:
        return OrtValue(array, device, index)

    def update_inplace(self, array: np.ndarray) -> None:
        assert array.shape == self.array.shape and array.flags.c_contiguous
        self.array[...] = array
        OrtValue.copies.append((self.device, self.index, array.shape))


class Binding:
    def __init__(self) -> None:
        self.inputs: dict[str, OrtValue] = {}
        self.outputs: dict[str, tuple[int, list[int]]] = {}

    def bind_ortvalue_input(self, name: str, value: OrtValue) -> None:
        self.inputs[name] = value

    def bind_output(self, name, device, index, dtype, shape, pointer) -> None:  # type: ignore[no-untyped-def]
        assert device == "cpu" and dtype is np.float32
        self.outputs[name] = pointer, shape


@dataclass
class FakeOrt:
    """What ``import onnxruntime`` gives in a test.

    Attributes:
        available: providers that the build claims.
        broken: providers that fail when a session is made, and print as ONNX Runtime does.
        cannot_run: providers whose sessions are made and then fail to run.
        sessions: every session that was made.
    """

    available: list[str]
    broken: tuple[str, ...] = ()
    cannot_run: tuple[str, ...] = ()
    sessions: list[Session] = field(default_factory=list)
    severity: list[int] = field(default_factory=list)
    OrtValue: Any = OrtValue
    GraphOptimizationLevel: Any = field(
        default_factory=lambda: SimpleNamespace(ORT_DISABLE_ALL=0, ORT_ENABLE_ALL=99)
    )

    def get_available_providers(self) -> list[str]:
        return self.available

    def preload_dlls(self, directory: str) -> None:
        print("Failed to load a library: this must not reach the terminal")

    def set_default_logger_severity(self, level: int) -> None:
        self.severity.append(level)

    def SessionOptions(self) -> Any:
        options = SimpleNamespace(config={})
        options.add_session_config_entry = options.config.__setitem__
        return options

    def InferenceSession(self, content: bytes, options: Any, providers: list[Any],
                         **rest: Any) -> Session:  # fmt: skip
        if content.startswith(b"damaged"):
            raise RuntimeError("[ONNXRuntimeError] : 7 : INVALID_PROTOBUF : Protobuf")
        names = [p if isinstance(p, str) else p[0] for p in providers]
        if names[0] in self.broken:
            print("*************** EP Error ***************")
            raise RuntimeError("CUDA failure 35: driver is insufficient\nsecond line")
        session = Session(content.decode(), options, providers, names)
        session.fails = names[0] in self.cannot_run
        self.sessions.append(session)
        return session


class Session:
    def __init__(self, role: str, options: Any, providers: list[Any], names: list[str]) -> None:
        self.role, self.options, self.providers, self._names = role, options, providers, names
        self.bindings: list[Binding] = []
        self.runs = 0
        self.fails = False

    def get_providers(self) -> list[str]:
        return self._names

    def get_modelmeta(self) -> Any:
        return SimpleNamespace(custom_metadata_map={METADATA_KEY: SPEC.to_json(self.role)})

    def get_inputs(self) -> list[Any]:
        return [SimpleNamespace(name=n, shape=s) for n, s in SHAPES[self.role].items()]

    def get_outputs(self) -> list[Any]:
        return [SimpleNamespace(name=n, shape=s) for n, s in OUTPUTS[self.role].items()]

    def io_binding(self) -> Binding:
        self.bindings.append(Binding())
        return self.bindings[-1]

    def run(self, names: Any, feeds: dict[str, np.ndarray]) -> list[np.ndarray]:
        """Each output is its batch row's mean pixel, 0..1; boxes are squares."""
        self.runs += 1
        if self.fails:
            raise RuntimeError("CUDNN failure 8: no kernel image is available")
        count, cells = len(feeds["image"]), feeds["image"].shape[1] // SPEC.stride
        assert len(feeds.get("embedding", feeds["image"])) in (1, count)
        means = (feeds["image"].reshape(count, -1).mean(1) / 255).astype(np.float32)
        answers = {
            name: np.broadcast_to(
                means.reshape(-1, *[1] * (len(s) - 1)),
                (count, *(n if isinstance(n, int) else cells for n in s[1:])),
            ).copy()
            for name, s in OUTPUTS[self.role].items()
        }
        if "boxes" in answers:
            answers["boxes"][:] = np.float32([96, 96, 160, 160])[:, None, None]
        return list(answers.values())

    def run_with_iobinding(self, binding: Binding) -> None:
        for name, value in binding.inputs.items():
            self._check_profile(name, value.array.shape)
        answers = self.run(None, {n: v.array for n, v in binding.inputs.items()})
        for answer, (pointer, shape) in zip(answers, binding.outputs.values(), strict=True):
            assert list(answer.shape) == shape
            ctypes.memmove(pointer, answer.ctypes.data, answer.nbytes)

    def _check_profile(self, name: str, shape: tuple[int, ...]) -> None:
        """As TensorRT: an engine is not made anew for what lies outside of its profile."""
        options = self.providers[0][1] if self._names[0] == TRT else {}
        given = dict(
            p.split(":") for p in options.get("trt_profile_max_shapes", "").split(",") if p
        )
        most = [int(n) for n in given.get(name, "").split("x") if n]
        if most and any(n > m for n, m in zip(shape, most, strict=True)):
            raise RuntimeError("TensorRT EP failed to call IExecutionContext::setInputShape()")


class Driver:
    """libcuda as far as it is asked.

    Attributes:
        gpus: how many it finds.
        cuda: version that it supports, such as 13.0.
    """

    def __init__(self, gpus: int = 2, cuda: float = 13.0) -> None:
        self.gpus, self.cuda = gpus, cuda

    def cuInit(self, flags: int) -> int:
        return 0 if self.gpus else 100

    def cuDeviceGetCount(self, pointer: Any) -> int:
        pointer._obj.value = self.gpus
        return 0

    def cuDriverGetVersion(self, pointer: Any) -> int:
        pointer._obj.value = int(self.cuda * 1000)
        return 0


def files(content: bytes = b"") -> ModelFiles:
    """A model whose files say only which graph they are, or anything else."""
    return ModelFiles("m", content or b"exemplar", content or b"search", Path("."))
