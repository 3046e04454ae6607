"""Devices that are not here, played by stand-ins: what is asked of them, what is said without."""

from __future__ import annotations

import gc
import sys
import weakref
from pathlib import Path

import numpy as np
import pytest

from tests.online.conftest import Machine
from tests.online.fake_onnxruntime import CPU, CUDA, TRT, Driver, Session, files
from tests.online.scripted import ScriptedNetwork, see_green
from tracker import Session as Targets
from tracker import SiameseTracker, gpu_libraries
from tracker.devices import choose_device
from tracker.errors import UserError
from tracker.runtime import OnnxNetwork, open_network
from tracker.threads import default_threads, usable_cores


@pytest.mark.parametrize(
    "name", ["", "gpu", "cuda:", "cuda:-1", "cuda:1x", "cpu:0", "CUDA", "cuda 0"]
)
def test_an_unknown_device_is_refused(name: str, machine: Machine) -> None:
    machine(CUDA, driver=Driver())
    with pytest.raises(UserError, match="there is no device"):
        choose_device(name)


@pytest.mark.parametrize(
    ("device", "build", "said"),
    [
        ("cuda", {"available": ()}, "no CUDA provider"),
        ("cuda", {"available": (CUDA,)}, "no NVIDIA driver"),
        ("cuda", {"available": (CUDA,), "driver": Driver(gpus=0)}, "finds no GPU"),
        ("cuda:2", {"available": (CUDA,), "driver": Driver(gpus=2)}, "up to cuda:1"),
        ("cuda", {"available": (CUDA,), "driver": Driver(cuda=12.4)}, "needs CUDA 13"),
        ("cuda", {"available": (CUDA,), "driver": Driver(), "lacks": ("cudnn",)}, "libcudnn.so.9"),
        ("cuda:1", {"available": (CUDA,), "driver": Driver(), "lacks": ("cudart",)},
         r"libcudart.so.13 .*pip install 'onnxruntime-gpu\[cuda,cudnn\]>=1.21\'"),
        ("tensorrt", {"available": (CUDA,), "driver": Driver()}, "no TensorRT provider"),
        ("tensorrt", {"available": (CUDA, TRT), "driver": Driver(), "lacks": ("nvinfer",)},
         "libnvinfer.so.10 .*pip install tensorrt-cu13"),
        ("tensorrt:1", {"available": (CUDA, TRT)}, "no NVIDIA driver"),
        ("coreml", {"available": ()}, "CoreMLExecutionProvider .*onnxruntime on macOS"),
        ("openvino", {"available": ()},
         "pip uninstall onnxruntime-gpu onnxruntime, then pip install onnxruntime-openvino"),
    ],
)  # fmt: skip
@pytest.mark.skipif(sys.platform != "linux", reason="the names of libraries on Linux")
def test_what_is_asked_for_and_missing_is_named_with_what_to_do(
    device: str, build: dict, said: str, machine: Machine, capfd: pytest.CaptureFixture[str]
) -> None:
    machine(*build.pop("available"), **build)
    with pytest.raises(UserError, match=said) as error:
        choose_device(device)
    assert device in str(error.value) and "\n" not in str(error.value)
    assert "or use --device cpu" in str(error.value)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("installed", "advice"),
    [
        (["onnxruntime-gpu"], r"\(pip install 'onnxruntime-gpu"),
        (["onnxruntime-gpu", "onnxruntime"],
         "\\(pip uninstall onnxruntime onnxruntime-gpu, then pip install 'onnxruntime-gpu"),
        (["onnxruntime-openvino"], "\\(pip uninstall onnxruntime-openvino, then pip install"),
    ],
)  # fmt: skip
def test_a_package_that_lies_over_the_gpus_is_to_go_first(
    installed: list[str], advice: str, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine()
    monkeypatch.setattr(gpu_libraries, "_is_installed", installed.__contains__)
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    monkeypatch.setattr(sys, "platform", "linux")
    with pytest.raises(UserError, match=f"no CUDA provider {advice}"):
        choose_device("cuda")


@pytest.mark.parametrize(
    ("system", "kind"), [("darwin", "arm64"), ("linux", "aarch64"), ("win32", "ARM64")]
)
def test_no_package_is_advised_that_the_machine_cannot_have(
    system: str, kind: str, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine()
    monkeypatch.setattr(sys, "platform", system)
    monkeypatch.setattr("platform.machine", lambda: kind)
    reason = choose_device("auto").reason
    assert "no CUDA provider for this kind of machine" in reason and "pip" not in reason


def test_auto_says_in_one_line_why_it_stays_on_the_cpu(machine: Machine) -> None:
    machine(CUDA)
    device = choose_device("auto")
    assert (device.name, list(device.providers)) == ("cpu", [CPU])
    assert "no NVIDIA driver" in device.reason and "\n" not in device.reason


@pytest.mark.parametrize("kind", [SiameseTracker, Targets])
def test_a_tracker_says_where_it_runs_and_why(kind: type, machine: Machine, model: Path) -> None:
    machine(CUDA)
    device = kind(model).device
    assert device.name == "cpu" and "no NVIDIA driver" in device.reason
    assert kind(ScriptedNetwork(see_green)).device is None


def test_auto_says_why_of_a_network_that_somebody_had_asked_for(
    machine: Machine, model: Path
) -> None:
    machine(CUDA)
    network = open_network(model, "cpu")
    assert open_network(model, "auto") is network
    assert "no NVIDIA driver" in network.device.reason


def test_auto_takes_cuda_where_it_works_and_an_installed_openvino_else(machine: Machine) -> None:
    machine(CUDA, TRT, driver=Driver())
    assert choose_device("auto").name == "cuda:0"
    machine("OpenVINOExecutionProvider")
    assert choose_device("auto").name == "openvino"
    machine("CoreMLExecutionProvider")  # it is in every build for macOS, and was not measured
    assert choose_device("auto").name == "cpu"


def test_openvino_is_told_the_number_of_threads(machine: Machine) -> None:
    fake = machine("OpenVINOExecutionProvider")
    OnnxNetwork(files(), choose_device("openvino"), threads=3)
    told = {s.role: dict([s.providers[0]]) for s in fake.sessions}
    assert told == {
        "exemplar": {"OpenVINOExecutionProvider": {"num_of_threads": "1"}},
        "search": {"OpenVINOExecutionProvider": {"num_of_threads": "3"}},
    }


def test_auto_goes_on_when_the_gpu_fails_at_the_last_moment(
    machine: Machine, model: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    fake = machine(CUDA, driver=Driver(), broken=(CUDA,))
    network = open_network(model, "auto")
    assert network.device.name == "cpu" and "driver is insufficient" in network.device.reason
    assert "\n" not in network.device.reason
    assert capfd.readouterr() == ("", "")
    assert fake.severity[-1] == 2, "warnings of other sessions are heard again"
    assert open_network(model, "auto") is network, "two would spin against each other"
    assert open_network(model, "cpu") is network
    with pytest.raises(UserError, match="cuda:0 does not work"):
        open_network(model, "cuda")


@pytest.mark.parametrize(("live", "spinning"), [(False, "1"), (True, "0")])
def test_threads_sleep_for_a_live_source_where_auto_falls_back_too(
    live: bool, spinning: str, machine: Machine, model: Path
) -> None:
    fake = machine(CUDA, driver=Driver(), broken=(CUDA,))
    assert SiameseTracker(model, threads=3, live=live).device.name == "cpu"
    search = fake.sessions[-1]
    assert search.options.config["session.intra_op.allow_spinning"] == spinning


def test_auto_that_falls_back_to_a_network_already_open_says_so(
    machine: Machine, model: Path
) -> None:
    fake = machine(CUDA, driver=Driver())
    fake.cannot_run = (CUDA,)
    network = open_network(model, "cpu")
    assert open_network(model, "auto") is network
    assert network.device.name == "cpu"
    assert "running on the CPU: device cuda:0 does not work" in network.device.reason


def test_a_device_that_onnx_runtime_leaves_out_does_not_work(
    machine: Machine, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine(CUDA, driver=Driver())
    monkeypatch.setattr(Session, "get_providers", lambda _self: [CPU])
    assert f"ONNX Runtime left {CUDA} out" in open_network(model, "auto").device.reason


def test_the_libraries_of_pips_packages_are_loaded_before_they_are_looked_for(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake = machine(CUDA, driver=Driver(), lacks=("libcudnn",))

    def preload(directory: str) -> None:
        monkeypatch.setattr(gpu_libraries, "load_library", lambda *names: object())

    monkeypatch.setattr(fake, "preload_dlls", preload)
    assert choose_device("cuda").name == "cuda:0"


def test_a_network_that_nobody_uses_gives_its_gpu_back_at_once(
    machine: Machine, model: Path
) -> None:
    machine(CUDA, driver=Driver())
    gc.disable()  # which would give it back some time later
    try:
        network = open_network(model, "cuda")
        gone = weakref.ref(network)
        del network
        assert gone() is None
    finally:
        gc.enable()


def test_a_device_may_be_any_object_of_that_name(machine: Machine) -> None:
    class Cpu:  # as torch.device("cpu")
        def __str__(self) -> str:
            return "cpu"

    machine(CUDA, driver=Driver())
    assert choose_device(Cpu()).name == "cpu"  # type: ignore[arg-type]


def test_a_damaged_file_is_not_taken_for_a_broken_gpu(machine: Machine) -> None:
    machine(CUDA, driver=Driver())
    with pytest.raises(UserError, match=r"exemplar graph .*PROTOBUF") as error:
        OnnxNetwork(files(b"damaged"), choose_device("cuda"))
    assert "does not work" not in str(error.value)


@pytest.mark.parametrize(("live", "spinning"), [(False, "1"), (True, "0")])
def test_threads_sleep_while_a_live_source_is_waited_for(
    live: bool, spinning: str, machine: Machine, model: Path
) -> None:
    fake = machine()
    SiameseTracker(model, device="cpu", threads=3, live=live)
    exemplar, search = fake.sessions
    assert search.options.intra_op_num_threads == 3
    assert exemplar.options.intra_op_num_threads == 1
    assert search.options.config["session.intra_op.allow_spinning"] == spinning
    assert exemplar.options.config["session.intra_op.allow_spinning"] == "0"


def test_trackers_of_one_process_share_a_network_while_one_of_them_lives(
    machine: Machine, model: Path
) -> None:
    fake = machine()
    first, second = (SiameseTracker(model, device="cpu", threads=2) for _ in range(2))
    several = Targets(model, device="cpu", threads=2)
    assert first.network is second.network is several.network
    assert len(fake.sessions) == 2
    other = SiameseTracker(model, device="cpu", threads=1)
    sleeping = SiameseTracker(model, device="cpu", threads=2, live=True)
    assert len({id(t.network) for t in (first, other, sleeping)}) == 3
    (model.parent / "m.search.onnx").write_bytes(b"search ")
    with pytest.raises(UserError):  # another file is another model: it is opened, not found
        SiameseTracker(model, device="cpu", threads=2)
    del first, second, several, other, sleeping
    (model.parent / "m.search.onnx").write_bytes(b"search")
    made = len(fake.sessions)
    SiameseTracker(model, device="cpu", threads=2)
    assert len(fake.sessions) == made + 2


@pytest.mark.parametrize(
    ("text", "cores"), [("100000 100000", 1), ("150000 100000", 2), ("max 100000", 64), ("?", 64)]
)
def test_threads_respect_the_quota_of_a_container(
    text: str, cores: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda pid: set(range(64)), raising=False)
    (tmp_path / "cpu.max").write_text(text)
    assert usable_cores(tmp_path / "cpu.max") == cores
    assert usable_cores(tmp_path / "missing") == 64
    assert 1 <= default_threads() <= 4


@pytest.mark.parametrize("rows", [1, 20])
def test_many_crops_go_through_a_cpu_in_parts(rows: int, machine: Machine) -> None:
    fake = machine()
    network = OnnxNetwork(files(), choose_device("cpu"))
    levels = np.arange(20, dtype=np.uint8)
    crops = np.broadcast_to(levels[:, None, None, None], (20, 256, 256, 3))
    embedding = np.arange(rows, dtype=np.float32).reshape(rows, 1, 1) + np.zeros((1, 66, 4))
    output = network.search(embedding.astype(np.float32), np.ascontiguousarray(crops))
    assert fake.sessions[1].runs == 3
    assert output.score.max((1, 2)) == pytest.approx(levels / 255, abs=1e-6)
    assert output.boxes is not None and len(output.boxes) == 20
