"""What a frame costs on a GPU, played by stand-ins: copies, runs, forms of batches."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.online import fake_onnxruntime
from tests.online.conftest import Machine
from tests.online.fake_onnxruntime import CPU, CUDA, TRT, Driver, OrtValue, Session, files
from tests.online.scripted import SPEC, scene
from tracker import Session as Targets
from tracker import SiameseTracker, box_policy
from tracker.devices import choose_device
from tracker.errors import UserError
from tracker.gpu_search import filled
from tracker.runtime import OnnxNetwork


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


@pytest.mark.parametrize("device", ["cuda", "tensorrt"])
@pytest.mark.parametrize("count", [8, 9, 20])
def test_any_number_of_crops_is_answered(machine: Machine, device: str, count: int) -> None:
    machine(CUDA, TRT, driver=Driver())
    network = OnnxNetwork(files(), choose_device(device))
    rows = np.arange(count, dtype=np.float32)[:, None, None] * np.ones((1, 66, 4), np.float32)
    for embedding in (rows[:1], rows):
        output = network.search(embedding, crops(*range(count)))
        assert output.score[:, 0, 0] == pytest.approx(np.arange(count) / 255)
        assert output.identity is not None and len(output.identity) == count


def test_selecting_a_target_needs_no_further_session(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The user has just drawn a box, and a live picture goes on: nothing may wait for seconds."""
    learns = replace(SPEC, online=replace(SPEC.online, blend=0.4))
    monkeypatch.setattr(fake_onnxruntime, "SPEC", learns)
    fake = machine(CUDA, driver=Driver())
    tracker = SiameseTracker(OnnxNetwork(files(), choose_device("cuda")))
    before = len(fake.sessions)
    tracker.init(scene((300, 200, 40, 40)), (300.0, 200.0, 40.0, 40.0))
    tracker.update(scene((300, 200, 40, 40)))
    assert len(fake.sessions) == before


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
    assert Path(options["trt_timing_cache_path"]) == tmp_path / "cache" / "tensorrt"
    assert Path(options["trt_engine_cache_path"]).parent == tmp_path / "cache" / "tensorrt"
    assert [p if isinstance(p, str) else p[0] for p in session.providers] == [TRT, CUDA, CPU]


def test_no_model_runs_with_the_engine_of_another(machine: Machine) -> None:
    """TensorRT names an engine by a graph's nodes, which say nothing of its weights."""
    machine(CUDA, TRT, driver=Driver())
    device, shapes = choose_device("tensorrt"), {"image": ["batch", "height", "width", 3]}

    def places(content: bytes) -> tuple[str, str]:
        options = device.providers_for(1, shapes, content)[0][1]
        return options["trt_engine_cache_path"], options["trt_timing_cache_path"]

    (one, timing), (other, same) = places(b"a graph"), places(b"the same, trained on")
    assert one != other and timing == same and one == places(b"a graph")[0]
    assert Path(one).parent == Path(timing)


def test_without_a_place_to_write_tensorrt_works_without_its_cache(
    machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake = machine(CUDA, TRT, driver=Driver())
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("SIAMTRACK_CACHE", str(tmp_path / "file"))
    OnnxNetwork(files(), choose_device("tensorrt"))
    assert not any("cache" in option for option in fake.sessions[-1].providers[0][1])
