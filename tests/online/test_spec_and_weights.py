"""Model files and the record inside them: found, checked, refused."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.online.scripted import SPEC
from tracker.errors import UserError
from tracker.evaluation.opponents import Options, Unavailable, build, label
from tracker.graph_checks import check_graph
from tracker.runtime import open_network
from tracker.spec import ModelSpec, ScalePolicy, usual_online, usual_presence
from tracker.weights import read_model, read_sums, write_sums


@pytest.mark.parametrize(
    "spec",
    [
        dataclasses.replace(SPEC, precision="int8", training={"hours": 2}),
        dataclasses.replace(SPEC, kind="response", online=ScalePolicy(scales=5)),
    ],
)
def test_the_record_survives_the_way_through_a_file(spec: ModelSpec) -> None:
    assert ModelSpec.from_json(spec.to_json("search"), "search", "a test") == spec


def changed(**values: Any) -> str:
    return json.dumps({**json.loads(SPEC.to_json("search")), **values})


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", "Expecting value"),
        ("[1, 2]", "format"),
        ("{" * 5000, "metadata"),
        (changed(format=1), "format 1"),
        (changed(role="exemplar"), "exemplar graph"),
        (changed(kind="text"), "unknown kind"),
        (changed(precision="fp12"), "unknown precision"),
        (changed(exemplar_size=0), "size 0"),
        (changed(search_size=10**9), "size 1000000000"),
        (changed(stride="16"), "size '16'"),
        (changed(search_size=250), "no multiple of the stride 16"),
        (changed(online={"narrow": 0}), "narrow is 0"),
        (changed(online={"window": float("nan")}), "window is nan"),
        (changed(online={"window": "0.3"}), "not a number"),
        (changed(online={"window": -1}), "outside"),
        (changed(online={"window": 10**400}), "outside of 0..1000"),
        (changed(kind="response", online={"scale_step": 0}), "scale_step is 0"),
        (changed(kind="response", online={"upsample": 0}), "upsample is 0"),
        (changed(kind="response", online={"scales": 60}), "scales is 60"),
        (changed(kind="response", online={"scales": 4}), "scales is 4, not an odd number"),
        (changed(kind="response", online={"scales": 3.5}), "scales is 3.5, not an odd number"),
        (changed(online={"__class__": 1}), "unknown parameters"),
        (changed(presence=[1]), "metadata"),
        (changed(presence={"patience": True}), "not a number"),
        (changed(training=7), "metadata"),
    ],
)
def test_a_hostile_record_is_refused_in_one_sentence(text: str, found: str) -> None:
    with pytest.raises(UserError, match=found) as error:
        ModelSpec.from_json(text, "search", "a test")
    assert "\n" not in str(error.value) and len(str(error.value)) < 400


@pytest.mark.parametrize("names", [("image", "embedding"), ("embedding",), ("embedding", "crop")])
def test_a_graph_with_other_inputs_than_its_record_says_is_refused(names: tuple[str, ...]) -> None:
    inputs = [SimpleNamespace(name=name, shape=[None]) for name in names]
    session = SimpleNamespace(get_inputs=lambda: inputs, get_outputs=lambda: [])
    with pytest.raises(
        UserError, match=f"has inputs {', '.join(names)}, expected embedding, image"
    ):
        check_graph(session, SPEC, "search", "a test")


def test_missing_parameters_take_their_defaults() -> None:
    spec = ModelSpec.from_json(changed(online={}, presence={"doubt": 0.1}), "search", "a test")
    assert spec.online == type(SPEC.online)() and spec.presence.doubt == 0.1


def write_pair(folder: Path, name: str = "mine") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for role in ("exemplar", "search"):
        (folder / f"{name}.{role}.onnx").write_bytes(role.encode())
    return folder / name


def test_a_model_is_found_by_path_with_or_without_ending(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stem = write_pair(tmp_path / "my models é")
    monkeypatch.chdir(stem.parent)
    for path in (stem, str(stem), f"{stem}.search.onnx", f"{stem}.exemplar.onnx", Path("mine")):
        files = read_model(path)
        assert files.exemplar == b"exemplar" and files.search == b"search"
    assert files.digest == hashlib.sha256(b"exemplarsearch").hexdigest()


def test_a_model_of_the_current_folder_needs_no_folder_in_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_pair(tmp_path)
    write_pair(tmp_path, "kestrel")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    for name in ("mine", "mine.search.onnx", "kestrel.search.onnx", "~/mine", Path("mine")):
        assert read_model(name).search == b"search"
    assert read_model("kestrel").search != b"search"  # the shipped one
    assert label("mine.search.onnx") == "mine"
    with pytest.raises(Unavailable, match="ONNX Runtime"):  # found, and these bytes are no graph
        build("mine", Options())


@pytest.mark.parametrize("name", ["kestrel", "kestrel-int8", "kestrel-fp16", "siamfc"])
def test_what_is_trained_anew_starts_with_the_parameters_that_ship(name: str) -> None:
    spec = open_network(name, "cpu").spec
    assert spec.online == usual_online(spec.kind)
    assert spec.presence == usual_presence(spec.kind)


def test_an_empty_name_is_called_one() -> None:
    with pytest.raises(UserError, match=r"the model's name is empty; give .* one of: kestrel"):
        read_model("")


@pytest.mark.parametrize("name", ["no-such-model", "../x/y", "", "weird\0name"])
def test_a_missing_model_is_named(name: str, tmp_path: Path) -> None:
    if name == "":
        name = str(tmp_path / "nothing")
    with pytest.raises(UserError, match="no model file"):
        read_model(name)


def test_a_changed_file_is_refused(tmp_path: Path) -> None:
    stem = write_pair(tmp_path)
    names = ["mine.exemplar.onnx", "mine.search.onnx"]
    write_sums(tmp_path, names)
    assert read_model(stem).search == b"search"
    (tmp_path / "mine.search.onnx").write_bytes(b"Search")
    with pytest.raises(UserError, match=r"mine\.search\.onnx is not the file"):
        read_model(stem)


def test_a_file_that_the_sums_do_not_list_is_refused(tmp_path: Path) -> None:
    stem = write_pair(tmp_path)
    write_sums(tmp_path, ["mine.exemplar.onnx"])
    with pytest.raises(UserError, match="no entry"):
        read_model(stem)


def test_sums_are_in_the_form_of_sha256sum_and_keep_other_entries(tmp_path: Path) -> None:
    write_pair(tmp_path)
    (tmp_path / "SHA256SUMS").write_text("00ff *other.onnx\n")
    write_sums(tmp_path, ["mine.search.onnx"])
    expected = {"other.onnx": "00ff", "mine.search.onnx": hashlib.sha256(b"search").hexdigest()}
    assert read_sums(tmp_path / "SHA256SUMS") == expected
