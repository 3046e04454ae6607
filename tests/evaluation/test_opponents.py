"""Opponents: what they are called, known by, and made of."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from tracker.errors import UserError
from tracker.evaluation import opponents
from tracker.results import State, TrackResult

OPTIONS = opponents.Options(threads=1)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("csrt", "csrt"),
        ("runs/a/kestrel", "kestrel"),
        ("runs/a/kestrel.search.onnx", "kestrel"),
        ("new=runs/a/kestrel", "new"),
        ("my.module:Class", "my.module.Class"),
        ("_x=csrt", "x"),
        ("runs/lr=0.1/kestrel", "kestrel"),
        ("new=runs/lr=0.1/kestrel", "new"),
    ],
)
def test_labels(name, text):
    assert opponents.label(name) == text
    assert opponents.target(name) == name.removeprefix(f"{text}=").removeprefix("_x=")


def test_a_users_code_counts_with_its_package_and_the_module_that_was_named(tmp_path, monkeypatch):
    package = tmp_path / "package_of_a_user"
    package.mkdir()
    (package / "__init__.py").write_text("from .parts import Tracker")
    (package / "parts.py").write_text("class Tracker: pass")
    (package / "numbers.py").write_text("RATE = 1")
    made = tmp_path / "made_by_a_user.py"
    made.write_text("import functools\nmake = functools.partial(dict, rate=1)")
    monkeypatch.syspath_prepend(str(tmp_path))
    names = ("package_of_a_user:Tracker", "made_by_a_user:make")
    before = [opponents.identity_of(name, opponents.Options()) for name in names]
    (package / "numbers.py").write_text("RATE = 2")
    made.write_text("import functools\nmake = functools.partial(dict, rate=2)")
    after = [opponents.identity_of(name, opponents.Options()) for name in names]
    assert before[0] != after[0] and before[1] != after[1]
    assert after == [opponents.identity_of(name, opponents.Options()) for name in names]


def test_a_users_code_counts_with_all_that_it_imports(tmp_path, monkeypatch):
    for name, code in {
        "tracker_by_a_user": "import numpy, net_by_a_user\n"
        "class Tracker:\n    def init(self, image, box):\n        import later_by_a_user",
        "net_by_a_user": "from parts_by_a_user.layers import RATE",
        "parts_by_a_user/layers": "RATE = 1",
        "parts_by_a_user/made_by_a_program": f"X = {'1 + ' * 20_000}1",
        "later_by_a_user": "RATE = 1",
        "stranger": "RATE = 1",
        "other_tracker": "import stranger, net_by_a_user\nclass Tracker: pass",
    }.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / f"{name}.py").write_text(code)
    monkeypatch.syspath_prepend(str(tmp_path))

    def identity():
        return opponents.identity_of("tracker_by_a_user:Tracker", opponents.Options())

    seen = [identity()]
    opponents.identity_of("other_tracker:Tracker", opponents.Options())
    (tmp_path / "stranger.py").write_text("RATE = 2")
    assert identity() == seen[0], "what another tracker imports is not its code"
    for name in ("net_by_a_user", "parts_by_a_user/layers", "later_by_a_user"):
        place = tmp_path / f"{name}.py"
        place.write_text(place.read_text() + "\nMORE = 1")
        seen.append(identity())
    assert len(set(seen)) == 4


def test_our_code_is_known_by_what_it_does_not_by_what_is_said_of_it(tmp_path, monkeypatch):
    import tracker

    def identity_with(code):
        (tmp_path / "room.py").write_text(code)
        return opponents.identity_of("kestrel", opponents.Options("cpu"))

    monkeypatch.setattr(tracker, "__path__", [str(tmp_path), *tracker.__path__])
    before = identity_with('def half(x):\n    """Of x."""\n    return x / 2')
    assert before == identity_with('"""A."""\n\ndef half(x):\n    """B."""\n    return x / 2  # C')
    assert before != identity_with('def half(x):\n    """Of x."""\n    return x / 3')


@pytest.mark.parametrize("library", ["cv2", "onnxruntime"])
def test_another_version_of_a_library_is_another_tracker(monkeypatch, library):
    """They decode, resize and round otherwise: a comparison must not mix two."""
    names = ("kestrel", "identity")
    before = [opponents.identity_of(name, opponents.Options("cpu")) for name in names]
    monkeypatch.setattr(f"{library}.__version__", "99.0")
    after = [opponents.identity_of(name, opponents.Options("cpu")) for name in names]
    assert before[0] != after[0] and before[1] != after[1]


@pytest.mark.parametrize(
    ("name", "files"),
    [
        ("nano", ["v2/nanotrack_backbone.onnx", "v2/nanotrack_head.onnx"]),
        ("nanotrack-v2", ["nanotrackv2/nanotrack_backbone.onnx",
                          "nanotrackv2/nanotrack_head.onnx"]),
        ("nanotrack-v3", ["v3/nanotrack_backbone.onnx", "v3/nanotrack_head.onnx"]),
        ("vit", ["object_tracking_vittrack.onnx"]),
        ("dasiamrpn", ["dasiamrpn_model.onnx", "dasiamrpn_kernel_cls1.onnx",
                       "dasiamrpn_kernel_r1.onnx"]),
    ],
)  # fmt: skip
def test_an_opponent_with_other_bytes_in_any_of_its_files_is_another(tmp_path, name, files):
    options = opponents.Options(nanotrack_dir=str(tmp_path), opencv_models=str(tmp_path))
    for file in files:
        (tmp_path / file).parent.mkdir(exist_ok=True)
        (tmp_path / file).write_bytes(b"a graph")
    seen = {opponents.identity_of(name, options)}
    for number, file in enumerate(files, start=2):
        (tmp_path / file).write_bytes(b"another")
        seen.add(opponents.identity_of(name, options))
        assert len(seen) == number, file
    assert opponents.identity_of(name, options) in seen


def test_our_tracker_on_another_device_is_another_tracker(monkeypatch):
    def identity_on(device):
        monkeypatch.setattr("tracker.devices.choose_device", lambda _: SimpleNamespace(name=device))
        return opponents.identity_of("kestrel", opponents.Options("auto"))

    assert identity_on("cpu") == identity_on("cpu") != identity_on("cuda:0")


def test_names_that_cannot_be_had():
    with pytest.raises(
        UserError, match="no tracker is called 'nothing'; known: kestrel, kestrel-fp16"
    ):
        opponents.build("nothing", OPTIONS)
    with pytest.raises(opponents.Unavailable, match="module:Class"):
        opponents.build("no_such_module:Class", OPTIONS)
    with pytest.raises(opponents.Unavailable, match="--nanotrack-dir"):
        opponents.build("nano", OPTIONS)
    with pytest.raises(opponents.Unavailable, match="--opencv-models"):
        opponents.build("vit", OPTIONS)
    with pytest.raises(opponents.Unavailable, match="no model file"):
        opponents.identity_of("missing/model", OPTIONS)


def test_opencv_tracker_follows_and_starts_again():
    tracker = opponents.build("mil", OPTIONS)
    rng = np.random.default_rng(0)
    ground = rng.integers(0, 90, (120, 160, 3), dtype=np.uint8)
    thing = rng.integers(120, 255, (30, 30, 3), dtype=np.uint8)
    for start in (20, 60):
        first = ground.copy()
        first[40:70, start : start + 30] = thing
        tracker.init(first, (float(start), 40.0, 30.0, 30.0))
        result = tracker.update(first)
        assert isinstance(result, TrackResult)
        assert abs(result.box[0] - start) < 12


def test_opencv_tracker_is_made_anew_for_each_target_and_gets_whole_pixels():
    made = []

    class Stand:
        def __init__(self):
            self.boxes = []
            made.append(self)

        def init(self, image, box):
            self.boxes.append(box)

    tracker = opponents.OpenCVTracker(Stand)
    for box in ((9.6, 20.4, 30.7, 0.2), (1.0, 2.0, 3.0, 4.0)):
        tracker.init(np.zeros((8, 8, 3), np.uint8), box)
    assert [stand.boxes for stand in made] == [[(10, 20, 31, 1)], [(1, 2, 3, 4)]]
    assert {type(value) for value in made[0].boxes[0]} == {int}  # OpenCV takes nothing else


def test_opencv_is_given_the_number_of_threads_that_was_asked_for(monkeypatch):
    asked = []
    monkeypatch.setattr(cv2, "setNumThreads", asked.append)
    for threads in (3, None):
        opponents.build("mil", opponents.Options(threads=threads))
    assert asked == [3]


def test_what_cannot_be_made_is_left_out_with_a_sentence(tmp_path):
    with pytest.raises(opponents.Unavailable, match="RuntimeError: no licence for this machine"):
        opponents.build("tests.evaluation.trackers_under_test:CannotBeMade", OPTIONS)
    (tmp_path / "damaged_vit.onnx").write_bytes(b"no graph")
    with pytest.raises(opponents.Unavailable, match="vit: it cannot be made"):
        opponents.build("vit", opponents.Options(threads=1, opencv_models=str(tmp_path)))
    odd = tmp_path / os.fsdecode(b"v\xe9")  # OpenCV crashes on names that are not UTF-8
    with contextlib.suppress(OSError):  # a file system without such names
        odd.mkdir()
        (odd / "damaged_vit.onnx").write_bytes(b"no graph")
        with pytest.raises(opponents.Unavailable, match="vit: it cannot be made"):
            opponents.build("vit", opponents.Options(threads=1, opencv_models=str(odd)))
        with pytest.raises(opponents.Unavailable, match="no model file"):
            opponents.identity_of(str(odd / "kestrel"), OPTIONS)
    (tmp_path / "dasiamrpn_model.onnx").write_bytes(b"no graph")
    with pytest.raises(opponents.Unavailable, match=r"has no file \*kernel_cls1\*.onnx"):
        opponents.build("dasiamrpn", opponents.Options(threads=1, opencv_models=str(tmp_path)))


@pytest.mark.skipif(not hasattr(cv2, "TrackerVit"), reason="this OpenCV has no TrackerVit")
def test_opencv_vit_with_a_network_that_points_at_the_centre(tmp_path):
    pytest.importorskip("onnx")
    write_vit_stand_in(tmp_path / "object_tracking_vittrack_2023sep.onnx")
    tracker = opponents.build("vit", opponents.Options(threads=1, opencv_models=str(tmp_path)))
    image = np.random.default_rng(0).integers(0, 255, (240, 320, 3), dtype=np.uint8)
    tracker.init(image, (100.0, 80.0, 40.0, 40.0))
    result = tracker.update(image)
    assert result.box == pytest.approx((100, 80, 40, 40), abs=2)
    assert 0.5 < result.score < 0.95 and result.state is State.TRACKING


def write_vit_stand_in(path: Path) -> None:
    """Three outputs as OpenCV reads them: score .9 at the centre, size 1/4 of the search side."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    score, size, offset = (np.zeros((1, c, 16, 16), dtype=np.float32) for c in (1, 2, 2))
    score[0, 0, 8, 8], size[:] = 0.9, 0.25
    values = {"score": score, "size": size, "offset": offset, "none": np.zeros(1, np.float32)}
    inputs = {"template": 128, "search": 256}
    graph = helper.make_graph(
        [
            *(
                helper.make_node("ReduceMean", [n], [f"mean_{n}"], axes=[1, 2, 3], keepdims=1)
                for n in inputs
            ),
            helper.make_node("Add", ["mean_template", "mean_search"], ["sum"]),
            helper.make_node("Mul", ["sum", "none"], ["zero"]),
            *(
                helper.make_node("Add", [n, "zero"], [f"output{i}"])
                for i, n in enumerate(("score", "size", "offset"), start=1)
            ),
        ],
        "stand-in",
        [
            helper.make_tensor_value_info(n, TensorProto.FLOAT, [1, 3, side, side])
            for n, side in inputs.items()
        ],
        [
            helper.make_tensor_value_info(f"output{i}", TensorProto.FLOAT, [1, c, 16, 16])
            for i, c in ((1, 1), (2, 2), (3, 2))
        ],
        [numpy_helper.from_array(value, name) for name, value in values.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.save(model, path)


def test_dasiamrpn_gets_its_three_files(tmp_path, monkeypatch):
    names = ("dasiamrpn_model_2021nov", "dasiamrpn_kernel_cls1_2021nov", "dasiamrpn_kernel_r1")
    for name in names:
        (tmp_path / f"{name}.onnx").write_bytes(b"")
    made = []

    class Stand:
        Params = type("Params", (), {})
        create = staticmethod(lambda parameters: made.append(vars(parameters)))

    monkeypatch.setattr(cv2, "TrackerDaSiamRPN", Stand, raising=False)
    opponents.build("dasiamrpn", opponents.Options(opencv_models=str(tmp_path)))
    stems = {field: Path(path).stem for field, path in made[0].items()}
    assert stems == dict(zip(("model", "kernel_cls1", "kernel_r1"), names, strict=True))
