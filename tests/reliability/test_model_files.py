"""Model files that are damaged, swapped, foreign or hostile: one sentence, and nothing is run."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.online.scripted import SIAMFC, SPEC, ScriptedNetwork, response, scene
from tests.reliability.checks import check_result, effort
from tracker import SiameseTracker, UserError
from tracker.ort_session import open_session
from tracker.runtime import SearchOutput, open_network, sound
from tracker.spec import METADATA_KEY, ModelSpec
from tracker.weights import ModelFiles, read_model, read_sums, weights_folder, write_model

FRAME = np.zeros((120, 160, 3), np.uint8)


@pytest.fixture
def stem(tmp_path: Path) -> Path:
    """A copy of the flagship without ``SHA256SUMS``, which would refuse every change."""
    for role in ("exemplar", "search"):
        name = f"kestrel.{role}.onnx"
        shutil.copy(weights_folder() / name, tmp_path / name)
    return tmp_path / "kestrel"


def graph(stem: Path, role: str = "search") -> Path:
    return stem.with_name(f"{stem.name}.{role}.onnx")


def refusal(stem: Path) -> str:
    with pytest.raises(UserError) as caught:
        SiameseTracker(stem, device="cpu", threads=1)
    sentence = str(caught.value)
    assert "\n" not in sentence and len(sentence) < 600
    return sentence


@pytest.mark.parametrize("role", ["exemplar", "search"])
@pytest.mark.parametrize("share", [0.0, 0.001, 0.5, 0.999])
def test_a_truncated_graph_is_refused(stem: Path, role: str, share: float) -> None:
    path = graph(stem, role)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    assert f"the {role} graph of" in refusal(stem)


def test_a_graph_that_is_no_graph_is_refused(stem: Path) -> None:
    graph(stem).write_bytes(b"<html>404 not found</html>" * 100)
    assert "cannot be loaded by ONNX Runtime" in refusal(stem)


def test_a_folder_in_the_place_of_a_graph_is_refused(stem: Path) -> None:
    graph(stem).unlink()
    graph(stem).mkdir()
    assert "there is no model file" in refusal(stem)


@pytest.mark.parametrize("name", ["/", "a" * 5000, "b\0/c"])
def test_names_that_no_file_can_have(name: str) -> None:
    with pytest.raises(UserError):
        read_model(name)


def test_graphs_of_two_models_do_not_go_together(stem: Path) -> None:
    shutil.copy(weights_folder() / "siamfc.search.onnx", graph(stem))
    assert "not of one training" in refusal(stem)


def test_the_exemplar_in_the_place_of_the_search_is_refused(stem: Path) -> None:
    shutil.copy(graph(stem, "exemplar"), graph(stem))
    assert "it is the exemplar graph" in refusal(stem)


def test_a_file_that_differs_from_its_sum_is_refused(stem: Path) -> None:
    files = read_model(stem)
    write_model(files, stem)
    content = bytearray(graph(stem).read_bytes())
    content[len(content) // 2] ^= 1
    graph(stem).write_bytes(content)
    assert "is not the file that SHA256SUMS lists" in refusal(stem)


@pytest.mark.parametrize("sums", [b"\xff\xfe\0\0", b"", b"\n\n  \nword\n", b"0 1 2 3\n" * 100])
def test_sums_that_cannot_be_read_vouch_for_nothing(stem: Path, sums: bytes) -> None:
    (stem.parent / "SHA256SUMS").write_bytes(sums)
    assert "no entry" in refusal(stem)


def edited(stem: Path, change: Callable[[object], None], role: str = "search") -> None:
    onnx = pytest.importorskip("onnx")
    model = onnx.load(graph(stem, role))
    change(model)
    graph(stem, role).write_bytes(model.SerializeToString())


@pytest.mark.parametrize("version", [0, 9999])
def test_an_operator_set_that_is_not_known_is_refused(stem: Path, version: int) -> None:
    def change(model) -> None:  # type: ignore[no-untyped-def]
        model.opset_import[0].version = version

    edited(stem, change)
    assert "cannot be loaded by ONNX Runtime" in refusal(stem)


def test_a_graph_without_a_record_is_refused(stem: Path) -> None:
    edited(stem, lambda model: model.ClearField("metadata_props"))  # type: ignore[attr-defined]
    assert "does not describe a model of this project" in refusal(stem)


@pytest.mark.parametrize("role", ["exemplar", "search"])
@pytest.mark.parametrize(
    ("key", "value"),
    [("exemplar_size", 64), ("search_size", 100), ("stride", 5), ("stride", 8),
     ("kind", "response")],
)  # fmt: skip
def test_a_record_that_tells_another_story_than_the_graph_is_refused(
    stem: Path, role: str, key: str, value: object
) -> None:
    def change(model) -> None:  # type: ignore[no-untyped-def]
        for entry in model.metadata_props:
            if entry.key == METADATA_KEY:
                record = json.loads(entry.value) | {key: value}
                if key == "kind":
                    record["online"] = {}
                entry.value = json.dumps(record)

    for each in ("exemplar", "search"):
        if each == role or key == "kind":
            edited(stem, change, each)
    if value in (100, 5):
        assert "no multiple of the stride" in refusal(stem)
    elif (role, key) == ("exemplar", "stride"):
        tracker = SiameseTracker(stem, device="cpu", threads=1)
        with pytest.raises(UserError, match="14 cells a row for 224 pixels, not one for 8"):
            tracker.init(FRAME, (60, 40, 30, 30))
            tracker.update(FRAME)
    elif (role, key) in (("search", "exemplar_size"), ("search", "stride")):
        open_network(stem, "cpu", 1)  # says nothing about this graph
    else:
        assert "does not fit its own record" in refusal(stem)


@pytest.mark.parametrize("place", ["../secret.bin", "/etc/hostname", "beside.bin"])
def test_weights_in_another_file_are_never_opened(
    stem: Path, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """ONNX lets a tensor lie in any file; a stranger's model could name any file of ours."""
    onnx = pytest.importorskip("onnx")
    folder = stem.parent / "inner"
    folder.mkdir()
    monkeypatch.chdir(folder)
    inner = folder / "kestrel"
    for role in ("exemplar", "search"):
        shutil.move(graph(stem, role), graph(inner, role))
    model = onnx.load(graph(inner))
    tensor = max(model.graph.initializer, key=lambda t: len(t.raw_data))
    for target in (folder / "beside.bin", folder.parent / "secret.bin"):
        target.write_bytes(tensor.raw_data)  # it would fit
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", place
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.ClearField("raw_data")
    graph(inner).write_bytes(model.SerializeToString())
    assert "keeps weights in another file" in refusal(inner)


@pytest.mark.parametrize(
    "spelling",
    [
        b"\x0a\x08location",
        b"\x8a\x00\x08location",
        b"\x8a\x80\x80\x80\x10\x08location",  # a fifth byte that does not fit into 32 bits
        b"\x8a\x80\x80\x80\x70\x08location",
        b"\x0a\x88\x80\x00location",
    ],
)
def test_every_spelling_of_a_reference_is_seen(spelling: bytes) -> None:
    from tracker.devices import Device

    with pytest.raises(UserError, match="keeps weights in another file"):
        open_session(b"any" + spelling + b"any", "a test", Device("cpu"), 1)


def test_a_word_in_the_record_is_no_reference(stem: Path) -> None:
    def change(model) -> None:  # type: ignore[no-untyped-def]
        for entry in model.metadata_props:
            record = json.loads(entry.value)
            record["training"] = {"commands": ["python train.py --data my\nlocation/\blocation"]}
            entry.value = json.dumps(record)

    edited(stem, change)
    open_network(stem, "cpu", 1)


def test_a_graph_that_fails_while_it_runs_is_one_sentence(stem: Path) -> None:
    network = open_network(stem, "cpu", 1)
    size = network.spec.search_size
    with pytest.raises(UserError, match=r"the search graph of .* failed"):
        network.search(np.zeros((1, 2, 3), np.float32), np.zeros((1, size, size, 3), np.uint8))


numbers = st.floats(width=32) | st.sampled_from([np.nan, np.inf, -np.inf, 3e38, -3e38, 1e-45])


@settings(max_examples=effort(30), suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_whatever_a_network_answers_the_result_is_a_box_in_the_frame(data: st.DataObject) -> None:
    def see(crop: np.ndarray) -> SearchOutput:
        plain = response(0.9, (96, 96, 160, 160))
        assert plain.boxes is not None and plain.identity is not None
        for part in (plain.score, plain.boxes, plain.identity):
            for _ in range(data.draw(st.integers(0, 4))):
                place = tuple(data.draw(st.integers(0, n - 1)) for n in part.shape)
                part[place] = data.draw(numbers)
            if data.draw(st.booleans()):
                part[:] = data.draw(numbers)
        return sound(plain, SPEC)

    tracker = SiameseTracker(ScriptedNetwork(see))
    image = scene((300, 200, 40, 40))
    tracker.init(image, (300, 200, 40, 40))
    for _ in range(4):
        check_result(tracker.update(image), 640, 480)


def test_sound_answers_are_left_as_they_are() -> None:
    output = response(0.9, (96, 96, 160, 160))
    assert sound(output, SPEC) is output


def test_what_is_no_number_is_least_like_the_target() -> None:
    score = np.float32([[[np.nan, -3]]])
    assert sound(SearchOutput(score), SIAMFC).score.tolist() == [[[-1e4, -3]]]
    boxes = np.zeros((1, 4, 1, 2), np.float32)
    assert sound(SearchOutput(score, boxes), SPEC).score.tolist() == [[[0, 0]]]


@pytest.fixture(scope="module")
def flagship() -> ModelFiles:
    return read_model("kestrel")


@settings(max_examples=effort(10), suppress_health_check=[HealthCheck.too_slow])
@given(
    places=st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(1, 255)),
                    min_size=1, max_size=20),
    head=st.booleans(), cut=st.floats(0, 1) | st.just(1.0),
)  # fmt: skip
def test_damaged_graphs_are_refused_or_answer_with_boxes(
    flagship: ModelFiles, places: list[tuple[float, int]], head: bool, cut: float
) -> None:
    """Flipped bytes anywhere, most of them among names and structure (``head``)."""
    from tracker.devices import Device
    from tracker.runtime import OnnxNetwork

    content = bytearray(flagship.search)
    for place, value in places:
        content[int(place * (20_000 if head else len(content)))] ^= value
    content = content[: max(int(cut * len(content)), 1)] if cut < 0.9 else content
    damaged = ModelFiles("kestrel", flagship.exemplar, bytes(content), flagship.folder)
    try:
        tracker = SiameseTracker(OnnxNetwork(damaged, Device("cpu"), 1))
        tracker.init(FRAME, (50, 40, 30, 30))
        for _ in range(3):
            check_result(tracker.update(FRAME), 160, 120)
    except UserError as error:
        assert "\n" not in str(error)


@settings(max_examples=effort(80))
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
        lambda inner: (
            st.lists(inner, max_size=4)
            | st.dictionaries(
                st.sampled_from([*json.loads(SPEC.to_json("search")), "window"]), inner
            )
        ),
        max_leaves=12,
    )
)
def test_any_record_is_a_spec_or_one_sentence(value: object) -> None:
    whole = json.loads(SPEC.to_json("search"))
    for record in (value, {**whole, **value} if isinstance(value, dict) else value):
        try:
            ModelSpec.from_json(json.dumps(record), "search", "a test")
        except UserError as error:
            assert "\n" not in str(error)


@settings(max_examples=effort(100), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(raw=st.binary(max_size=200))
def test_any_bytes_are_sums(tmp_path: Path, raw: bytes) -> None:
    (tmp_path / "SHA256SUMS").write_bytes(raw)
    for name, digest in read_sums(tmp_path / "SHA256SUMS").items():
        assert isinstance(name, str) and isinstance(digest, str)
