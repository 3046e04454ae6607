"""Both graphs of a model in ONNX Runtime."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple, NoReturn, Protocol
from weakref import WeakValueDictionary

import numpy as np

from tracker.devices import Device, choose_device
from tracker.errors import UserError
from tracker.gpu_search import GpuSearch
from tracker.graph_checks import check_graph, misfit
from tracker.image import Array, Image
from tracker.ort_session import DeviceFailed, open_session, said
from tracker.spec import METADATA_KEY, BoxPolicy, ModelSpec
from tracker.threads import check_threads, default_threads
from tracker.weights import ModelFiles, read_model

_FAR = 1e4  # no cell is so far from its crop, no response so strong


class SearchOutput(NamedTuple):
    """What the search graph says of a batch of search crops.

    Attributes:
        score: (B, H, W) similarity 0..1 of kind ``box``; SiamFC's raw response of kind
            ``response``.
        boxes: (B, 4, H, W) corners x1 y1 x2 y2 in crop pixels; kind ``box`` only.
        identity: (B, D, H, W) features whose mean over a box, normalised, is compared with
            the exemplar's identity; kind ``box`` only.
    """

    score: Array
    boxes: Array | None = None
    identity: Array | None = None


class Network(Protocol):
    """What the online tracker needs of a network."""

    @property
    def spec(self) -> ModelSpec: ...

    def embed(self, crops: Image, boxes: Array) -> tuple[Array, Array | None]:
        """Exemplar crops (B, E, E, 3) and corner boxes (B, 4) -> embedding, identity (B, D)."""

    def search(self, embedding: Array, crops: Image) -> SearchOutput:
        """Embedding (1 or B, ...) and search crops (B, S, S, 3) -> responses.

        An embedding is never changed in place: a network may keep a copy of it elsewhere.
        """


class OnnxNetwork:
    """The exported graphs of a model. It has no state, so several trackers may share it.

    Args:
        files: contents of the two graphs.
        device: where to run.
        threads: of the search graph on the CPU; 0 takes the number of cores, at most 4. The
            exemplar graph runs once a target: it takes the caller's thread alone.
        spinning: let waiting threads spin: faster, and warmer.

    Raises:
        ValueError: a number of threads that cannot be had.
        UserError: files or a device that cannot be used.
    """

    def __init__(
        self, files: ModelFiles, device: Device, threads: int = 0, spinning: bool = True
    ) -> None:
        self.device, self.digest = device, files.digest
        self.threads = check_threads(threads) or default_threads()
        where = self._where = str(files.folder / files.name)
        self._process = os.getpid()
        self._exemplar, self.spec = _open_graph(files.exemplar, "exemplar", where, device, 1, False)
        search = files.search, "search", where, device, self.threads, spinning
        self._search, other = _open_graph(*search)
        if other.pair != self.spec.pair:
            raise UserError(
                f"the exemplar and the search graph of {where} are not of one training "
                f"({self.spec.name} {self.spec.pair[:8]}, {other.name} {other.pair[:8]}); "
                "export them together"
            )
        self._gpu = None
        if device.on_gpu:
            self.spec = with_whole_crops(self.spec)
            self._gpu = GpuSearch(
                self._search,
                # nothing of this network in it: a cycle would keep the GPU's memory
                (lambda: _open_graph(*search)[0]) if device.dislikes_new_shapes else None,
                device.index,
                self.spec.stride,
            )
            self._warm_up()

    def __reduce__(self) -> NoReturn:
        raise TypeError(
            "a tracker or its network cannot be copied or sent to another process (it is open in "
            "ONNX Runtime); make trackers in the process that uses them"
        )

    def _warm_up(self) -> None:
        """Do once what a GPU is slow to do for the first time, before a video waits for it.

        Raises:
            DeviceFailed: it cannot do it.
        """
        exemplar, search = self.spec.exemplar_size, self.spec.search_size
        scales = self.spec.online.scales
        middle = np.array([[1, 1, 3, 3]], np.float32) * np.float32(exemplar / 4)
        try:
            embedding, _ = self.embed(np.zeros((1, exemplar, exemplar, 3), np.uint8), middle)
            self.search(embedding, np.zeros((scales, search, search, 3), np.uint8))
        except UserError as error:
            raise DeviceFailed(f"device {self.device.name} does not work ({error})") from None

    def embed(self, crops: Image, boxes: Array) -> tuple[Array, Array | None]:
        """See ``Network.embed``."""
        feeds: dict[str, Any] = {"image": crops}
        if self.spec.kind == "box":
            feeds["box"] = boxes
        outputs = self._run("exemplar", self._exemplar.run, None, feeds)
        return outputs[0], outputs[1] if len(outputs) > 1 else None

    def search(self, embedding: Array, crops: Image) -> SearchOutput:
        """See ``Network.search``."""
        most = self.device.most_crops
        if most is None or len(crops) <= most:
            outputs = self._look(embedding, crops)
        else:  # a crop's answers are the same in any batch
            pieces = [slice(n, n + most) for n in range(0, len(crops), most)]
            parts = [
                self._look(embedding if len(embedding) == 1 else embedding[piece], crops[piece])
                for piece in pieces
            ]
            outputs = [np.concatenate(answers) for answers in zip(*parts, strict=True)]
        if self.spec.kind == "box" and outputs[0].shape[-1] * self.spec.stride != crops.shape[2]:
            raise misfit(
                f"the search graph of {self._where}",
                f"{outputs[0].shape[-1]} cells a row for {crops.shape[2]} pixels, "
                f"not one for {self.spec.stride}",
            )
        return sound(SearchOutput(*outputs), self.spec)

    def _look(self, embedding: Array, crops: Image) -> list[Array]:
        if self._gpu is not None:
            return self._run("search", self._gpu.run, embedding, crops)
        return self._run("search", self._search.run, None, {"embedding": embedding, "image": crops})

    def _run(self, role: str, run: Callable[..., list[Array]], *feeds: Any) -> list[Array]:
        if os.getpid() != self._process:  # its threads stayed behind: it would wait for ever
            raise RuntimeError(
                "this tracker was made before the process was forked and cannot work in the "
                "copy; make trackers in the process that uses them"
            )
        try:
            return run(*feeds)
        except Exception as error:  # ONNX Runtime raises a dozen unrelated classes
            raise UserError(
                f"the {role} graph of {self._where} failed ({said(error)}); "
                "fetch or export it again"
            ) from None


def _open_graph(
    content: bytes, role: str, where: str, device: Device, threads: int, spinning: bool
) -> tuple[Any, ModelSpec]:
    what = f"the {role} graph of {where}"
    session = open_session(content, what, device, threads, spinning)
    try:
        text = session.get_modelmeta().custom_metadata_map.get(METADATA_KEY, "")
    except UnicodeDecodeError:
        raise UserError(
            f"the metadata of {what} is damaged (it is no text); fetch or export it again"
        ) from None
    spec = ModelSpec.from_json(text, role, what)
    check_graph(session, spec, role, what)
    return session, spec


def with_whole_crops(spec: ModelSpec) -> ModelSpec:
    """The same, with search crops of one size: a smaller one saves a GPU no time."""
    if not isinstance(spec.online, BoxPolicy):
        return spec
    return replace(spec, online=replace(spec.online, narrow=spec.search_size))


def sound(output: SearchOutput, spec: ModelSpec) -> SearchOutput:
    """The output itself if it is one that the decision can use, else the nearest that is.

    A damaged model, or an overflow in half precision, must not turn into a box that is not
    finite. Looking costs some microseconds; anything else is only done when it is needed.
    """
    score, boxes, identity = output.score, output.boxes, output.identity
    if spec.kind == "response":
        if abs(score.max()) < _FAR and abs(score.min()) < _FAR:
            return output
        return SearchOutput(np.clip(np.nan_to_num(score, nan=-_FAR), -_FAR, _FAR))
    assert boxes is not None
    if _within(score, 1) and _within(boxes, _FAR) and (identity is None or _within(identity, _FAR)):
        return output
    boxes = np.clip(np.nan_to_num(boxes), -_FAR, _FAR)
    if identity is not None:
        identity = np.clip(np.nan_to_num(identity), -_FAR, _FAR)
    return SearchOutput(np.clip(np.nan_to_num(score, nan=0.0), 0, 1), boxes, identity)


def _within(values: Array, most: float) -> bool:
    """Whether the root mean square of some numbers is at most so much: NaN's never is."""
    return bool(np.vdot(values, values) <= most * most * values.size)


_open_networks: WeakValueDictionary[tuple[object, ...], OnnxNetwork] = WeakValueDictionary()
_opening = threading.RLock()

if hasattr(os, "register_at_fork"):  # no fork half-way: the child would wait for ever
    os.register_at_fork(
        before=_opening.acquire,
        after_in_parent=_opening.release,
        after_in_child=_opening.release,
    )


def open_network(
    model: str | Path | None = None,
    device: str = "auto",
    threads: int | None = None,
    live: bool = False,
) -> OnnxNetwork:
    """Load a model; see ``read_model`` for names and ``choose_device`` for devices.

    Trackers that ask for the same thing get the same network while one of them lives: its
    threads then take turns, where those of two networks would spin against each other.

    Args:
        live: frames come at the pace of a camera: threads sleep while they wait.

    Raises:
        ValueError: a number of threads that cannot be had.
        UserError: anything that is wrong with the files or the device, in one sentence.
    """
    count = check_threads(threads) or default_threads()
    files, chosen = read_model(model), choose_device(device)

    def key(device_name: str) -> tuple[object, ...]:
        # the process is part of it: threads do not survive a fork
        return os.getpid(), files.digest, files.name, device_name, count, live

    with _opening:
        automatic = str(device) == "auto"
        network = _open_networks.get(key(chosen.name))
        if network is None and automatic:  # it may have fallen back: that need not be tried again
            network = _open_networks.get(key("auto"))
        if network is None:
            opened = _open(files, chosen, count, live, may_fall_back=automatic)
            network = _open_networks.setdefault(key(opened.device.name), opened)
            chosen = opened.device  # it may have fallen back
        if automatic:
            if not network.device.reason:  # it was opened for somebody who named the device
                network.device = chosen
            _open_networks[key("auto")] = network
    return network


def as_network(
    model: str | Path | Network | None, device: str, threads: int | None, live: bool
) -> Network:
    """What a tracker was given for its model, as a network; arguments as of ``open_network``.

    Raises:
        ValueError: neither a name, a path nor a network.
        UserError: as of ``open_network``.
    """
    if model is None or isinstance(model, (str, Path)):
        return open_network(model, device, threads, live)
    if not hasattr(model, "search"):
        raise ValueError(f"a model is a name or a path (or None for kestrel), found {model!r}")
    return model


def device_of(network: Network) -> Device | None:
    """Where a network runs; ``None`` of one of another kind that does not say it."""
    device = getattr(network, "device", None)
    return device if isinstance(device, Device) else None


def _open(
    files: ModelFiles, device: Device, threads: int, live: bool, may_fall_back: bool
) -> OnnxNetwork:
    try:
        return OnnxNetwork(files, device, threads, spinning=not live)
    except DeviceFailed as failure:
        if not may_fall_back:
            raise DeviceFailed(f"{failure}; look after its driver, or use --device cpu") from None
        reason = f"running on the CPU: {failure}"
        return OnnxNetwork(files, Device("cpu", reason=reason), threads, spinning=not live)
