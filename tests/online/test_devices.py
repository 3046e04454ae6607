"""Devices that are not here, played by stand-ins: what is asked of them, what is said without."""

from __future__ import annotations

import gc
import sys
import weakref
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from weakref import WeakValueDictionary

import numpy as np
import pytest

from tests.online import fake_onnxruntime
from tests.online.fake_onnxruntime import Driver, FakeOrt, OrtValue, Session
from tests.online.scripted import SPEC, scene
from tracker import Session as Targets
from tracker import SiameseTracker, box_policy, gpu_libraries, runtime
from tracker.devices import choose_device
from tracker.errors import UserError
from tracker.gpu_search import filled
from tracker.runtime import OnnxNetwork, open_network
from tracker.threads import default_threads, usable_cores
from tracker.weights import ModelFiles

CUDA, TRT, CPU = "CUDAExecutionProvider", "TensorrtExecutionProvider", "CPUExecutionProvider"
Machine = Callable[..., FakeOrt]


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Machine:
    """Become a machine with these providers, driver and libraries."""

    def become(
        *available: str,
        driver: Driver | None = None,
        lacks: tuple[str, ...] = (),
        broken: tuple[str, ...] = (),
    ) -> FakeOrt:
        fake = FakeOrt([*available, CPU], broken)

        def load(*names: str) -> object | None:
            if "libcuda.so.1" in names:
                return driver
            return None if any(lack in name for lack in lacks for name in names) else object()

        monkeypatch.setitem(sys.modules, "onnxruntime", fake)  # type: ignore[arg-type]
        monkeypatch.setattr(gpu_libraries, "load_library", load)
        monkeypatch.setattr(gpu_libraries, "cuda_major", lambda: 13)
        monkeypatch.setenv("SIAMTRACK_CACHE", str(tmp_path / "cache"))
        monkeypatch.setattr(OrtValue, "copies", [])
        monkeypatch.setattr(runtime, "_open_networks", WeakValueDictionary())
        return fake

    return become


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A model whose files say only which graph they are."""
    for role in ("exemplar", "search"):
        (tmp_path / f"m.{role}.onnx").write_bytes(role.encode())
    return tmp_path / "m"


def files(content: bytes = b"") -> ModelFiles:
    return ModelFiles("m", content or b"exemplar", content or b"search", Path("."))


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
         r"libcudart.so.13 .*siamtrack\[cuda\]"),
        ("tensorrt", {"available": (CUDA,), "driver": Driver()}, "no TensorRT provider"),
        ("tensorrt", {"available": (CUDA, TRT), "driver": Driver(), "lacks": ("nvinfer",)},
         "libnvinfer.so.10 .*pip install tensorrt-cu13"),
        ("tensorrt:1", {"available": (CUDA, TRT)}, "no NVIDIA driver"),
        ("coreml", {"available": ()}, "CoreMLExecutionProvider .*onnxruntime on macOS"),
        ("openvino", {"available": ()}, "pip install onnxruntime-openvino"),
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


def test_auto_says_in_one_line_why_it_stays_on_the_cpu(machine: Machine) -> None:
    machine(CUDA)
    device = choose_device("auto")
    assert (device.name, list(device.providers)) == ("cpu", [CPU])
    assert "no NVIDIA driver" in device.reason and "\n" not in device.reason


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


def gpu_network(machine: Machine, name: str = "cuda:1") -> tuple[OnnxNetwork, Session]:
    """A network that is warm, the session of its search graph, and what it sent forgotten."""
    fake = machine(CUDA, TRT, driver=Driver())
    network = OnnxNetwork(files(), choose_device(name))
    OrtValue.copies.clear()
    return network, next(s for s in reversed(fake.sessions) if s.role == "search")


def crops(*values: int) -> np.ndarray:
    return np.stack([np.full((256, 256, 3), v, np.uint8) for v in values])


def test_on_a_gpu_a_frame_costs_one_copy_and_one_run(machine: Machine) -> None:
    network, session = gpu_network(machine)
    embedding = np.zeros((1, 66, 4), np.float32)
    buffer = crops(0)
    for value in (10, 20, 30):
        buffer[:] = value
        output = network.search(embedding, buffer)
        assert output.score.shape == (1, 16, 16) and (output.score == np.float32(value / 255)).all()
        assert output.identity is not None and (output.identity == np.float32(value / 255)).all()
    assert session.runs == 1 + 3 and len(session.bindings) == 1  # the first was to warm up
    assert {(device, index) for device, index, _ in OrtValue.copies} == {("cuda", 1)}
    sent = [shape for _, _, shape in OrtValue.copies]
    assert sent == [(2, 256, 256, 3), (1, 66, 4)] + 2 * [(2, 256, 256, 3)], (
        "the embedding stays on the device, and the batch is filled up to two"
    )


def test_answers_from_a_gpu_are_not_overwritten_by_the_next_frame(machine: Machine) -> None:
    network, _ = gpu_network(machine)
    embedding = np.zeros((1, 66, 4), np.float32)
    first = network.search(embedding, crops(10))
    network.search(embedding, crops(20))
    assert (first.score == np.float32(10 / 255)).all()


def test_another_embedding_is_sent_and_no_more_are_kept_than_targets(machine: Machine) -> None:
    network, session = gpu_network(machine)
    for number in range(100):
        embedding = np.full((1, 66, 4), number, np.float32)
        network.search(embedding, crops(1))
        (binding,) = session.bindings
        assert (binding.inputs["embedding"].array == number).all()
    assert network._gpu is not None and len(network._gpu._embeddings) <= 16


@pytest.mark.parametrize(("count", "batch"), [(1, 2), (2, 2), (3, 4), (4, 4), (5, 8), (9, 16)])
def test_batches_are_filled_up_so_that_their_forms_are_few(count: int, batch: int) -> None:
    assert filled(count) == batch


def test_on_cuda_no_session_ever_sees_a_second_form_of_batch(machine: Machine) -> None:
    fake = machine(CUDA, TRT, driver=Driver())
    network = OnnxNetwork(files(), choose_device("cuda"))
    for count in (1, 2, 3, 1, 5, 3, 4):
        rows = np.arange(count, dtype=np.float32)[:, None, None] * np.ones((1, 66, 4), np.float32)
        for embedding in (rows[:1], rows):
            output = network.search(embedding, crops(*range(1, count + 1)))
            assert output.score.shape == (count, 16, 16)
            assert output.score[:, 0, 0] == pytest.approx(np.arange(1, count + 1) / 255)
            assert output.boxes is not None and len(output.boxes) == count
    forms = [
        {binding.inputs["image"].array.shape for binding in session.bindings}
        for session in fake.sessions
        if session.role == "search"
    ]
    assert forms == [{(2, 256, 256, 3)}, {(4, 256, 256, 3)}, {(8, 256, 256, 3)}]


def test_tensorrt_takes_all_forms_in_one_session(machine: Machine) -> None:
    fake = machine(CUDA, TRT, driver=Driver())
    network = OnnxNetwork(files(), choose_device("tensorrt"))
    for count in (1, 3, 5):
        network.search(np.zeros((1, 66, 4), np.float32), crops(*range(count)))
    (session,) = [s for s in fake.sessions if s.bindings]
    assert len(session.bindings) == 3


def test_the_rows_of_an_embedding_are_filled_up_with_the_batch(machine: Machine) -> None:
    network, session = gpu_network(machine)
    rows = np.stack([np.full((66, 4), n, np.float32) for n in (1, 2)])
    network.search(rows, crops(1, 2))
    assert (session.bindings[0].inputs["embedding"].array == rows).all()
    three = np.stack([np.full((66, 4), n, np.float32) for n in (1, 2, 3)])
    network.search(three, crops(1, 2, 3))
    assert network._gpu is not None
    sent = network._gpu._slots[4, 256, 256, 3].binding.inputs["embedding"].array
    assert sent.shape == (4, 66, 4) and (sent[:3] == three).all() and not sent[3].any()


def test_on_a_gpu_crops_are_of_one_size(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    narrow = replace(SPEC, online=replace(SPEC.online, narrow=160))
    monkeypatch.setattr(fake_onnxruntime, "SPEC", narrow)
    machine(CUDA, driver=Driver())
    sizes = {}
    for device in ("cpu", "cuda"):
        spec = OnnxNetwork(files(), choose_device(device)).spec
        sizes[device] = {box_policy.search_size(spec, (0, 0, 40, 40), m) for m in range(0, 90, 9)}
    assert len(sizes["cpu"]) > 2
    assert sizes["cuda"] == {256}


def test_what_fails_only_when_it_runs_fails_before_there_is_a_video(
    machine: Machine, model: Path
) -> None:
    fake = machine(CUDA, driver=Driver())
    fake.cannot_run = (CUDA,)
    with pytest.raises(UserError, match=r"device cuda:0 does not work .*; look after its driver"):
        SiameseTracker(model, device="cuda")
    tracker = SiameseTracker(model, device="auto")
    assert tracker.network.device.name == "cpu"
    assert "does not work" in tracker.network.device.reason


def test_two_trackers_on_two_gpus_keep_apart(machine: Machine, model: Path) -> None:
    fake = machine(CUDA, driver=Driver(gpus=2))
    trackers = [SiameseTracker(model, device=f"cuda:{index}") for index in (0, 1)]
    for tracker in trackers:
        tracker.init(scene((300, 200, 40, 40)), (300.0, 200.0, 40.0, 40.0))
        tracker.update(scene((300, 200, 40, 40)))
    searches = [s for s in fake.sessions if s.role == "search"]
    indices = [dict([p for p in s.providers if not isinstance(p, str)])[CUDA]["device_id"]
               for s in searches]  # fmt: skip
    assert indices == [0, 1]
    for index, session in enumerate(searches):
        assert {v.index for b in session.bindings for v in b.inputs.values()} == {index}


def test_several_targets_send_their_embeddings_once(machine: Machine, model: Path) -> None:
    machine(CUDA, driver=Driver())
    targets = Targets(model, device="cuda")
    image = scene((300, 200, 40, 40))
    targets.add(image, (300.0, 200.0, 40.0, 40.0))
    targets.add(image, (100.0, 100.0, 40.0, 40.0))
    for _ in range(5):
        targets.update(image)
    assert [shape for _, _, shape in OrtValue.copies].count((2, 66, 4)) == 1


def test_tensorrt_is_told_the_batches_and_where_to_keep_its_engines(
    machine: Machine, tmp_path: Path
) -> None:
    _, session = gpu_network(machine, "tensorrt:1")
    name, options = session.providers[0]
    assert name == TRT and options["device_id"] == 1 and options["trt_fp16_enable"]
    assert options["trt_profile_min_shapes"] == "embedding:1x66x4,image:1x64x64x3"
    assert options["trt_profile_opt_shapes"] == "embedding:1x66x4,image:1x224x224x3"
    assert options["trt_profile_max_shapes"] == "embedding:8x66x4,image:8x512x512x3"
    for cache in ("engine", "timing"):
        assert options[f"trt_{cache}_cache_enable"]
        assert Path(options[f"trt_{cache}_cache_path"]) == tmp_path / "cache" / "tensorrt"
    assert [p if isinstance(p, str) else p[0] for p in session.providers] == [TRT, CUDA, CPU]


def test_without_a_place_to_write_tensorrt_works_without_its_cache(
    machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake = machine(CUDA, TRT, driver=Driver())
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("SIAMTRACK_CACHE", str(tmp_path / "file"))
    OnnxNetwork(files(), choose_device("tensorrt"))
    assert not any("cache" in option for option in fake.sessions[-1].providers[0][1])


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
