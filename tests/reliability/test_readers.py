"""Files from elsewhere, drawn at random: what is read is well formed, or one sentence says why."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.reliability.checks import effort
from tracker.app.batch import read_batch
from tracker.data import datasets
from tracker.data.annotations import read_boxes
from tracker.errors import UserError
from tracker.evaluation.results_io import Track, read_track, track_to_csv

quick = [phase for phase in Phase if phase is not Phase.shrink]  # it would take minutes
shared_folder = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
numbers = st.integers() | st.floats() | st.sampled_from([10**400, -1, 0, 1e308, 8, 20])
junk = st.recursive(
    st.none() | st.booleans() | numbers | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=6,
)


def one_sentence(error: UserError) -> None:
    assert "\n" not in str(error) and len(str(error)) < 1000


# --- text ---------------------------------------------------------------------------------


texts = st.builds(
    str.encode,
    st.text("0123456789.,;- \t\r\nnam", max_size=120),
    st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "latin-1"]),
)
cells = st.text(max_size=8) | numbers.map(str) | st.sampled_from(["a.mp4", "~x", "", '"', "\0"])
tables = st.lists(st.lists(cells, max_size=7), max_size=5).map(
    lambda rows: "\n".join(["video,x,y,w,h", *map(",".join, rows)]).encode("utf-8", "ignore")
)


def check_boxes(path: Path) -> None:
    boxes = read_boxes(path)
    assert boxes.ndim == 2 and boxes.shape[1] == 4
    seen = np.isfinite(boxes).all(axis=1)
    assert (boxes[seen, 2:] > 0).all() and np.isnan(boxes[~seen]).all()


def check_batch(path: Path) -> None:
    clips = read_batch(path)
    assert clips and len({c.name.casefold() for c in clips}) == len(clips)
    for clip in clips:
        assert "/" not in clip.name and "\\" not in clip.name  # stays in the folder of results
        for box, _ in clip.boxes:
            assert all(map(math.isfinite, box)) and min(box[2:]) > 0


@pytest.mark.parametrize(
    ("name", "likely", "check"),
    [("a b é.txt", texts, check_boxes), ("boxes.csv", tables, check_batch)],
    ids=["annotations", "batch"],
)
@settings(max_examples=effort(150), suppress_health_check=shared_folder, phases=quick)
@given(data=st.data())
def test_any_bytes_are_read_or_refused(
    tmp_path: Path,
    name: str,
    likely: st.SearchStrategy[bytes],
    check: Callable[[Path], None],
    data: st.DataObject,
) -> None:
    path = tmp_path / name
    anything = st.binary(max_size=120) | st.text(max_size=80).map(str.encode)
    path.write_bytes(data.draw(anything | likely))
    try:
        check(path)
    except UserError as error:
        one_sentence(error)


def test_a_huge_cell_of_a_batch_is_refused(tmp_path: Path) -> None:
    (tmp_path / "boxes.csv").write_text('video,x,y,w,h\n"' + "a" * 200_000 + '",1,2,3,4\n')
    with pytest.raises(UserError, match=r"boxes\.csv"):
        read_batch(tmp_path / "boxes.csv")


tracks = st.lists(
    st.tuples(
        st.integers(0, 10**6),
        st.tuples(*[st.floats(-1e6, 1e6)] * 4),
        st.floats(0, 1),
        st.sampled_from(["tracking", "uncertain", "lost"]),
        st.floats(0, 100),
    ),
    min_size=1,
    max_size=5,
)


@settings(max_examples=effort(100), suppress_health_check=shared_folder)
@given(rows=tracks, cut=st.floats(0, 1), extra=st.binary(max_size=20))
def test_result_files_come_back_or_are_refused(
    tmp_path: Path, rows: list[Any], cut: float, extra: bytes
) -> None:
    frames, boxes, scores, states, seconds = zip(*rows, strict=True)
    track = Track(np.array(frames), np.array(boxes), np.array(scores), states, np.array(seconds))
    path = tmp_path / "t.csv"
    whole = track_to_csv(track).encode()
    path.write_bytes(whole)
    back = read_track(path)
    assert np.allclose(back.boxes, track.boxes, atol=1e-4) and back.states == track.states
    path.write_bytes(whole[: int(cut * len(whole))] + extra)
    try:
        damaged = read_track(path)
    except UserError as error:
        one_sentence(error)
        return
    assert len(damaged.boxes) == len(damaged.states) >= 1


# --- folders of data sets -----------------------------------------------------------------


@pytest.fixture(scope="module")
def picture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("pictures") / "a.png"
    cv2.imwrite(str(path), np.zeros((40, 60, 3), np.uint8))
    return path


@settings(max_examples=effort(20), suppress_health_check=shared_folder)
@given(
    kind=st.sampled_from(sorted(datasets.KINDS)),
    texts=st.lists(st.text("0123456789.,\n nam", max_size=40) | st.text(max_size=20), min_size=3,
                   max_size=3),
)  # fmt: skip
def test_folders_with_random_text_files_are_loaded_or_refused(
    tmp_path_factory: pytest.TempPathFactory, picture: Path, kind: str, texts: list[str]
) -> None:
    root = tmp_path_factory.mktemp("set")
    for place in ("c", "c/img", "c/color"):
        (root / place).mkdir()
        for n in (1, 2):
            (root / place / f"{n}.png").symlink_to(picture)
    for name in ("groundtruth.txt", "groundtruth_rect.txt"):
        (root / "c" / name).write_text("1,2,30,20\n" + texts[0], encoding="utf-8")
    for name in ("cover.label", "full_occlusion.txt", "out_of_view.txt", "anchor.value"):
        (root / "c" / name).write_text(texts[1], encoding="utf-8")
    (root / "c" / "occlusion.tag").write_text(texts[2], encoding="utf-8")
    try:
        sequences = datasets.load(root, kind)
    except UserError as error:
        one_sentence(error)
        return
    for sequence in sequences:
        assert sequence.truth.shape == (len(sequence), 4)
        assert all(len(tag) == len(sequence) for tag in sequence.tags.values())


def check_tracks(found: list[Any]) -> None:
    for track in found:
        assert len(track.frames) == len(track.boxes)
        assert track.boxes.shape[1:] == (4,)
        assert np.isfinite(track.boxes[track.present]).all()
        for polygon in track.polygons:
            assert polygon.ndim == 2 and polygon.shape[1] == 2


names = junk | st.sampled_from(["a.png", "b.png", "../a.png", "/etc/hostname", "", "\0", "x" * 300])
sizes = st.integers(0, 50) | numbers
segments = st.one_of(
    st.lists(st.lists(numbers, max_size=8), max_size=2),
    st.fixed_dictionaries(
        {"size": st.lists(sizes, max_size=3),
         "counts": st.lists(sizes, max_size=4) | st.text(max_size=10)}
    ),
    junk,
)  # fmt: skip
items = st.fixed_dictionaries(
    {"image_id": st.sampled_from([1, 2, "1", None]),
     "bbox": st.lists(st.floats(0, 60) | numbers, max_size=5) | junk},
    optional={"category_id": st.sampled_from([1, 2]) | junk, "segmentation": segments,
              "iscrowd": junk},
)  # fmt: skip


@settings(max_examples=effort(60), suppress_health_check=shared_folder)
@given(
    content=st.fixed_dictionaries(
        {"images": st.lists(
            st.fixed_dictionaries({"id": st.sampled_from([1, 2]), "file_name": names}), max_size=3)
            | junk,
         "annotations": st.lists(items, max_size=4) | junk},
        optional={"categories": st.lists(st.fixed_dictionaries(
            {"id": st.sampled_from([1, 2]), "name": st.text(max_size=4)}), max_size=2) | junk},
    ) | junk,
)  # fmt: skip
def test_any_json_is_coco_or_refused(tmp_path: Path, picture: Path, content: Any) -> None:
    pytest.importorskip("torch")
    from tracker.training.stills import read_coco

    link = tmp_path / "a.png"
    if not link.exists():
        link.symlink_to(picture)
    (tmp_path / "annotations.json").write_text(json.dumps(content), encoding="utf-8")
    try:
        found, notes = read_coco(tmp_path)
    except UserError as error:
        one_sentence(error)
        return
    check_tracks(found)
    assert all("\n" not in note for note in notes)


@pytest.mark.parametrize(
    "mask",
    [
        {"size": [100_000, 100_000], "counts": [0, 10**10]},
        {"size": [10**9, 10**9], "counts": [10**18]},
        {"size": [10**400, 1], "counts": [1]},
        {"size": [1, 1], "counts": "o" * 2000},
    ],
)
def test_a_mask_that_would_fill_the_memory_is_refused(
    tmp_path: Path, picture: Path, mask: dict[str, Any]
) -> None:
    pytest.importorskip("torch")
    from tracker.training.stills import read_coco

    (tmp_path / "a.png").symlink_to(picture)
    item = {"image_id": 1, "bbox": [1, 1, 20, 20], "segmentation": mask}
    content = {"images": [{"id": 1, "file_name": "a.png"}], "annotations": [item]}
    (tmp_path / "annotations.json").write_text(json.dumps(content))
    with pytest.raises(UserError, match="not a COCO annotation file"):
        read_coco(tmp_path)


@settings(max_examples=effort(100), suppress_health_check=shared_folder)
@given(
    name=st.text(max_size=6) | st.sampled_from(["a.png", "../a.png", "/etc/hostname"]),
    corners=st.lists(st.text(max_size=5) | numbers.map(str), min_size=4, max_size=4),
    raw=st.none() | st.binary(max_size=60),
)
def test_any_xml_is_voc_or_refused(
    tmp_path: Path, picture: Path, name: str, corners: list[str], raw: bytes | None
) -> None:
    pytest.importorskip("torch")
    from tracker.training.stills import read_voc

    (tmp_path / "Annotations").mkdir(exist_ok=True)
    (tmp_path / "JPEGImages").mkdir(exist_ok=True)
    link = tmp_path / "JPEGImages" / "a.png"
    if not link.exists():
        link.symlink_to(picture)
    keys = ("xmin", "ymin", "xmax", "ymax")
    box = "".join(f"<{k}>{escape(v)}</{k}>" for k, v in zip(keys, corners, strict=True))
    text = (
        f"<annotation><filename>{escape(name)}</filename><object><name>b</name>"
        f"<bndbox>{box}</bndbox></object></annotation>"
    )
    (tmp_path / "Annotations" / "a.xml").write_bytes(raw or text.encode("utf-8", "ignore"))
    try:
        check_tracks(read_voc(tmp_path)[0])
    except UserError as error:
        one_sentence(error)


@settings(max_examples=effort(60), suppress_health_check=shared_folder)
@given(raw=st.binary(max_size=60) | st.text("0123456789.,;\n ", max_size=60).map(str.encode))
def test_any_bytes_are_boxes_of_others_or_refused(tmp_path: Path, raw: bytes) -> None:
    pytest.importorskip("torch")
    from tracker.training.layouts import _read_others

    (tmp_path / "others.txt").write_bytes(raw)
    try:
        rows = _read_others(tmp_path / "others.txt", 3)
    except UserError as error:
        one_sentence(error)
        return
    assert len(rows) == 3 and all(row.shape[1] == 4 for row in rows)


# --- checkpoints --------------------------------------------------------------------------


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    torch = pytest.importorskip("torch")
    from tracker.training.checkpoint import save_checkpoint

    path = tmp_path_factory.mktemp("checkpoint") / "c.pt"
    weights = {f"w{n}": torch.arange(60.0) + n for n in range(3)}
    save_checkpoint(path, {"network": "kestrel", "model": weights, "step": 3})
    return path.read_bytes()


@settings(max_examples=effort(150), suppress_health_check=shared_folder)
@given(place=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7), cut=st.booleans())
def test_a_damaged_checkpoint_is_refused_or_unharmed(
    tmp_path: Path, checkpoint: bytes, place: float, bit: int, cut: bool
) -> None:
    """torch itself loads weights with flipped bits without a word."""
    torch = pytest.importorskip("torch")
    from tracker.training.checkpoint import load_checkpoint

    damaged = bytearray(checkpoint)
    at = int(place * len(damaged))
    if cut:
        del damaged[at:]
    else:
        damaged[at] ^= 1 << bit
    (tmp_path / "c.pt").write_bytes(damaged)
    try:
        content = load_checkpoint(tmp_path / "c.pt")
    except UserError as error:
        one_sentence(error)
        return
    assert content["network"] == "kestrel" and content["step"] == 3
    for number in range(3):
        assert torch.equal(content["model"][f"w{number}"], torch.arange(60.0) + number)


@pytest.mark.parametrize("missing", ["model", "average", "optimiser", "step", "rng", "network"])
def test_a_checkpoint_without_a_part_is_one_sentence(tmp_path: Path, missing: str) -> None:
    pytest.importorskip("torch")
    from tracker.training.checkpoint import load_checkpoint, save_checkpoint
    from tracker.training.train_cli import reading

    parts = dict.fromkeys(["model", "average", "optimiser", "step", "rng", "network"], 1)
    del parts[missing]
    save_checkpoint(tmp_path / "c.pt", parts)
    content = load_checkpoint(tmp_path / "c.pt")
    with (
        pytest.raises(UserError, match="not a checkpoint of a training run"),
        reading(tmp_path / "c.pt"),
    ):
        content[missing]
