"""Every tracker behind one adapter: ours, OpenCV's, NanoTrack, and a user's own.

A tracker is any object with ``init(image, box)`` and ``update(image)``, where update returns
a ``TrackResult``, ``(ok, box)``, or a box. Images are (H, W, 3) uint8 in BGR; boxes are floats
(x, y, w, h) in pixels from the top left corner of the picture, 0-based. A name stands for a
tracker on the command line:

``kestrel``, ``siamfc`` or the path of an export (``runs/mine/kestrel``); ``csrt``, ``kcf``,
``mil``, ``nano``, ``vit``, ``dasiamrpn`` (OpenCV); ``nanotrack-v2``, ``nanotrack-v3`` (their
authors' decoding on ONNX Runtime); ``identity`` (never moves the first box: what doing nothing
scores); or ``module:Class`` for a class of yours that is called without arguments.
``label=name`` gives a tracker another name in tables and results:
``before=runs/a/kestrel,after=runs/b/kestrel``.
"""

from __future__ import annotations

import ast
import contextlib
import hashlib
import importlib
import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from tracker.errors import UserError
from tracker.evaluation import machine
from tracker.evaluation.user_code import code_files
from tracker.image import Image
from tracker.native_path import native_path
from tracker.results import Box, State, TrackResult
from tracker.weights import available_models, model_stamp, read_model

OPENCV = ("csrt", "kcf", "mil", "nano", "vit", "dasiamrpn")
NANOTRACK = ("nanotrack-v2", "nanotrack-v3")
NOT_TRACKING = ("cli", "errors", "files", "native_path", "standard_streams")
"""Rooms of the online tracker that no box depends on: a change in them does not cost another run.

``tracker/data`` is not among its rooms; what is read of a clip is in a run's key."""


class Unavailable(UserError):
    """A tracker that cannot be had here; it is reported and skipped."""


class Tracker(Protocol):
    """What the runner needs; the result of ``update`` goes through ``as_result``."""

    def init(self, image: Image, box: Box) -> Any: ...

    def update(self, image: Image) -> Any: ...


@dataclass(frozen=True)
class Options:
    """What building a tracker needs; picklable, so that worker processes can build it.

    Attributes:
        device: for our models.
        threads: threads of OpenCV and ONNX Runtime; ``None`` leaves their defaults.
        nanotrack_dir: folder with NanoTrack's ONNX files (``nano`` and ``nanotrack-*``).
        opencv_models: folder with the ONNX files of OpenCV's Vit and DaSiamRPN trackers.
    """

    device: str = "auto"
    threads: int | None = None
    nanotrack_dir: str | None = None
    opencv_models: str | None = None


def build(name: str, options: Options) -> Tracker:
    """Make a tracker by name.

    Raises:
        Unavailable: it needs something that is not here, or it cannot be made; the message
            says what.
        UserError: no tracker has this name.
    """
    try:
        return _build(target(name), options)
    except UserError:
        raise
    except (Exception, SystemExit) as error:  # OpenCV, ONNX Runtime and users raise what they like
        said = " ".join(str(error).split())
        raise Unavailable(f"{name}: it cannot be made ({type(error).__name__}: {said})") from None


def _build(name: str, options: Options) -> Tracker:
    if options.threads:
        import cv2

        cv2.setNumThreads(options.threads)
    if name == "identity":
        return Identity()
    if name in OPENCV:
        return OpenCVTracker(lambda: _opencv_tracker(name, options))
    if name in NANOTRACK:
        from tracker.evaluation.nanotrack import NanoTrack

        return NanoTrack(nanotrack_files(name, options), options.threads)
    if _is_own(name):
        return _own_tracker(name, options)
    if ":" in name:
        made: Tracker = _user_class(name)()
        return made
    raise UserError(
        f"no tracker is called {name!r}; known: "
        f"{', '.join((*available_models(), *OPENCV, *NANOTRACK, 'identity'))}, "
        "the path of a model, or module:Class of your own"
    )


def identity_of(name: str, options: Options) -> str:
    """A digest that changes when the tracker does: its code, files, parameters and libraries.

    Raises:
        Unavailable, UserError: as ``build``.
    """
    name = target(name)
    parts: list[str] = [name, *machine.libraries()]
    if name in OPENCV:
        parts += [_digest(path) for path in _opencv_files(name, options)]
    elif name in NANOTRACK:
        files = nanotrack_files(name, options)
        parts += [_digest(files.backbone), _digest(files.head)]
        parts.append(code_digest(Path(__file__).with_name("nanotrack.py")))
    elif _is_own(name):
        parts += _own_parts(name, options)
    elif ":" in name:
        module = getattr(_user_class(name), "__module__", None)
        parts += [_digest(path) for path in code_files(name.partition(":")[0], module)]
    return hashlib.sha256("\n".join(parts).encode("utf-8", "surrogateescape")).hexdigest()[:16]


def label(name: str) -> str:
    """The name of a tracker's result folder and in tables: short, and safe as a file name."""
    given = _given(name)
    text = given or target(name)
    if not given and _is_own(text):
        text = re.split(r"[\\/]", text)[-1]
        text = re.sub(r"\.(exemplar|search)\.onnx$", "", text)
    safe = "".join(c if c.isalnum() or c in "._-" else "_" for c in text.replace(":", "."))
    # plots keep names with a line in front out of their legends
    return safe.strip(".").lstrip("_") or "tracker"


def check_labels(names: Sequence[str]) -> None:
    """Raise UserError if two trackers would stand under one name: one would hide the other."""
    labels: dict[str, str] = {}
    for name in names:
        other = labels.setdefault(label(name), name)
        if other != name:
            raise UserError(
                f"{other} and {name} would share the name {label(name)!r} and its results; name "
                f"one of them, such as other={target(name)}"
            )


def target(name: str) -> str:
    """What stands behind a name, without the label that the user gave it."""
    return (name.partition("=")[2] if _given(name) else name.removeprefix("=")) or name


def _given(name: str) -> str:
    """The label that the user gave; empty where the ``=`` belongs to a path (``runs/lr=.1/a``)."""
    given, separator, _ = name.partition("=")
    return given if separator and not re.search(r"[\\/]", given) else ""


def _is_own(name: str) -> bool:
    return "/" in name or "\\" in name or bool(model_stamp(name))


def as_result(answer: Any, previous: Box) -> TrackResult:
    """Read what a tracker's ``update`` returned.

    ``(False, box)``, ``None`` and boxes that are not finite mean that the tracker lost the
    target: the previous box is kept, as the toolkits do, with score 0.
    """
    if isinstance(answer, TrackResult):
        finite = all(math.isfinite(v) for v in answer.box)
        return answer if finite else TrackResult(previous, 0.0, State.LOST)
    ok, box = True, answer
    if isinstance(answer, tuple | list) and len(answer) == 2:
        ok, box = bool(answer[0]), answer[1]
    values = [] if box is None else [float(v) for v in np.asarray(box, dtype=float).ravel()]
    if ok and len(values) != 4 and values:
        raise UserError(
            f"a tracker's update returns (ok, box) or a box x,y,w,h, found {answer!r:.80}"
        )
    if not ok or len(values) != 4 or not all(math.isfinite(v) for v in values):
        return TrackResult(previous, 0.0, State.LOST)
    x, y, w, h = values
    return TrackResult((x, y, w, h), 1.0, State.TRACKING)


class Identity:
    """Repeats the first box: the score that costs nothing, and a check of the protocol."""

    def init(self, image: Image, box: Box) -> None:
        self._box = box

    def update(self, image: Image) -> Box:
        return self._box


class OpenCVTracker:
    """OpenCV's trackers take whole pixels, and are made anew for each target."""

    def __init__(self, make: Callable[[], Any]) -> None:
        self._make = make
        self._tracker = make()  # now: what is missing shows at once
        self._used = False

    def init(self, image: Image, box: Box) -> None:
        if self._used:
            self._tracker = self._make()
        self._used = True
        x, y, w, h = (round(v) for v in box)
        self._box: Box = box
        self._tracker.init(image, (x, y, max(w, 1), max(h, 1)))

    def update(self, image: Image) -> TrackResult:
        result = as_result(self._tracker.update(image), self._box)
        self._box = result.box
        # Nano, Vit and DaSiamRPN have a score of their own
        scored = getattr(self._tracker, "getTrackingScore", None)
        if scored is not None and result.state is not State.LOST:
            score = min(max(float(scored()), 0.0), 1.0)
            return TrackResult(result.box, score, result.state)
        return result


def _opencv_tracker(name: str, options: Options) -> Any:
    import cv2

    with contextlib.ExitStack() as stack:
        paths = _opencv_files(name, options)
        return _made(cv2, name, [stack.enter_context(native_path(path)) for path in paths])


def _made(cv2: Any, name: str, files: list[str]) -> Any:
    if name in ("csrt", "kcf", "mil"):
        cls = getattr(cv2, f"Tracker{name.upper()}", None)
        if cls is None:
            raise Unavailable(
                f"{name}: not in this OpenCV; it comes with opencv-contrib-python, which takes "
                "the place of opencv-python in an environment of its own"
            )
        return cls.create()
    if name == "nano":
        nano = cv2.TrackerNano.Params()
        nano.backbone, nano.neckhead = files
        return cv2.TrackerNano.create(nano)
    if name == "vit":
        vit = cv2.TrackerVit.Params()
        (vit.net,) = files
        return cv2.TrackerVit.create(vit)
    siamrpn = cv2.TrackerDaSiamRPN.Params()
    siamrpn.model, siamrpn.kernel_cls1, siamrpn.kernel_r1 = files
    return cv2.TrackerDaSiamRPN.create(siamrpn)


def _opencv_files(name: str, options: Options) -> list[Path]:
    """The ONNX files of one of OpenCV's trackers, in the order of its parameters."""
    if name == "nano":
        # OpenCV's port decodes version 2's outputs of 16 x 16
        files = nanotrack_files("nanotrack-v2", options)
        return [files.backbone, files.head]
    patterns = {
        "vit": ["*vit*.onnx"],
        "dasiamrpn": ["dasiamrpn_model*.onnx", "*kernel_cls1*.onnx", "*kernel_r1*.onnx"],
    }.get(name, [])
    if not patterns:
        return []
    if options.opencv_models is None:
        raise Unavailable(
            f"{name}: its ONNX files are not given; --opencv-models names their folder"
        )
    folder = Path(options.opencv_models)
    found = [next(iter(sorted(folder.glob(pattern))), None) for pattern in patterns]
    missing = [p for p, file in zip(patterns, found, strict=True) if file is None]
    if missing:
        raise Unavailable(f"{name}: {folder} has no file {missing[0]}")
    return [file for file in found if file is not None]


@dataclass(frozen=True)
class NanoFiles:
    """NanoTrack's two graphs."""

    version: int
    backbone: Path
    head: Path


def nanotrack_files(name: str, options: Options) -> NanoFiles:
    """Find NanoTrack's files of a version, in the folder given or in its nanotrackv2 and so on."""
    version = int(name[-1])
    if options.nanotrack_dir is None:
        raise Unavailable(
            f"{name}: its ONNX files are not given; --nanotrack-dir names their folder"
        )
    root = Path(options.nanotrack_dir)
    for folder in (root / f"nanotrackv{version}", root / f"v{version}"):
        backbone = next(iter(sorted(folder.glob("nanotrack_backbone*.onnx"))), None)
        head = next(iter(sorted(folder.glob("nanotrack_head*.onnx"))), None)
        if backbone and head:
            return NanoFiles(version, backbone, head)
    raise Unavailable(
        f"{name}: {root} has no folder nanotrackv{version} or v{version} with "
        "nanotrack_backbone*.onnx and nanotrack_head*.onnx"
    )


def _own_tracker(name: str, options: Options) -> Tracker:
    import tracker

    try:
        made: Tracker = tracker.SiameseTracker(name, device=options.device, threads=options.threads)
    except (UserError, ImportError) as error:
        raise Unavailable(f"{name}: {error}") from None
    return made


def _own_parts(name: str, options: Options) -> list[str]:
    """The device, and digests of the model and of the online tracker's code."""
    import tracker
    from tracker.devices import choose_device

    package = Path(tracker.__path__[0])
    code = sorted(p for p in package.glob("*.py") if p.stem not in NOT_TRACKING)
    try:
        return [
            choose_device(options.device).name,
            read_model(name).digest,
            *(code_digest(path) for path in code),
        ]
    except Unavailable:
        raise
    except UserError as error:
        raise Unavailable(f"{name}: {error}") from None


def code_digest(path: Path) -> str:
    """Of what a module does: not of its comments and docstrings, which move no box."""
    tree = ast.parse(path.read_bytes())
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
            node.body = [part for part in node.body if not _is_docstring(part)]
    return hashlib.sha256(ast.unparse(tree).encode()).hexdigest()


def _is_docstring(part: ast.stmt) -> bool:
    return isinstance(part, ast.Expr) and isinstance(part.value, ast.Constant)


def _user_class(name: str) -> Callable[[], Any]:
    module, _, attribute = name.partition(":")
    try:
        found: Callable[[], Any] = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise Unavailable(
            f"{name}: {error}; give module:Class with the module on PYTHONPATH"
        ) from None
    return found


def _digest(path: Path) -> str:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise Unavailable(f"{path}: the file cannot be read ({error.strerror})") from None
