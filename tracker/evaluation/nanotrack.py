"""NanoTrack as its authors decode it, on ONNX Runtime: the opponent to beat.

Written from the description of the method (SiamBAN's head on a MobileNetV3 trunk; Chen et
al., "Siamese Box Adaptive Network for Visual Tracking", CVPR 2020) with the sizes and the
online parameters that NanoTrack publishes for versions 2 and 3. Its graphs are not part of
this project and are read from a folder.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from tracker.geometry import FloatArray, context_side
from tracker.image import Image
from tracker.results import Box, State, TrackResult

if TYPE_CHECKING:
    from tracker.evaluation.opponents import NanoFiles

EXEMPLAR, SEARCH, STRIDE = 127, 255, 16
MIN_SIDE = 10.0


@dataclass(frozen=True)
class Parameters:
    """Published online parameters: cells of the output, window, penalty, smoothing rate."""

    cells: int
    window: float
    penalty: float
    rate: float


# as in the configuration files of both versions
PARAMETERS = {
    2: Parameters(16, 0.490, 0.150, 0.385),
    3: Parameters(15, 0.455, 0.138, 0.348),
}


class NanoTrack:
    """The online part; one trunk pass an init, trunk and head an update."""

    def __init__(self, files: NanoFiles, threads: int | None = None) -> None:
        self._parameters = PARAMETERS[files.version]
        self._trunk = _session(_free_input(files.backbone), threads)
        self._head = _session(files.head.read_bytes(), threads)
        cells = self._parameters.cells
        hann = np.hanning(cells)
        self._hann = np.outer(hann, hann).ravel()
        axis = (np.arange(cells) - cells // 2) * float(STRIDE)
        grid_y, grid_x = np.meshgrid(axis, axis, indexing="ij")
        self._points = np.stack([grid_x.ravel(), grid_y.ravel()])

    def init(self, image: Image, box: Box) -> None:
        x, y, w, h = box
        # a pixel's centre is a whole number there, so the box's centre is half a pixel less
        self._centre = np.array([x + (w - 1) / 2, y + (h - 1) / 2])
        self._size = np.array([w, h], dtype=np.float64)
        self._fill = image.mean(axis=(0, 1))
        side = round(context_side(w, h))
        crop = square_crop(image, self._centre, side, EXEMPLAR, self._fill)
        self._exemplar = self._run(self._trunk, crop)[0]

    def update(self, image: Image) -> TrackResult:
        p = self._parameters
        exemplar_side = context_side(*self._size)
        scale = EXEMPLAR / exemplar_side
        side = round(exemplar_side * SEARCH / EXEMPLAR)
        crop = square_crop(image, self._centre, side, SEARCH, self._fill)
        search = self._run(self._trunk, crop)[0]
        logits, distances = self._run(self._head, self._exemplar, search)
        score = _softmax_target(logits[0].reshape(2, -1))
        boxes = self._boxes(distances[0].reshape(4, -1).astype(np.float64))
        penalty = self._penalty(boxes, scale)
        ranked = penalty * score * (1 - p.window) + self._hann * p.window
        best = int(np.argmax(ranked))
        rate = float(penalty[best] * score[best]) * p.rate
        centre = boxes[:2, best] / scale + self._centre
        size = self._size * (1 - rate) + boxes[2:, best] / scale * rate
        limit = np.array([image.shape[1], image.shape[0]], dtype=np.float64)
        self._centre = np.clip(centre, 0, limit)
        self._size = np.clip(size, MIN_SIDE, np.maximum(limit, MIN_SIDE))
        x, y = self._centre - self._size / 2
        box = (float(x), float(y), float(self._size[0]), float(self._size[1]))
        return TrackResult(box, float(np.clip(score[best], 0, 1)), State.TRACKING)

    def _boxes(self, distances: FloatArray) -> FloatArray:
        """(4, N) centre and size in crop pixels, from the distances to left, top, right, bottom."""
        corners = np.concatenate([self._points - distances[:2], self._points + distances[2:]])
        return np.concatenate([(corners[:2] + corners[2:]) / 2, corners[2:] - corners[:2]])

    def _penalty(self, boxes: FloatArray, scale: float) -> FloatArray:
        """SiamRPN's penalty for a change of size and of aspect."""
        w, h = np.maximum(boxes[2:], 1e-6)
        pad = (w + h) / 2
        before = context_side(*(self._size * scale))
        growth = np.sqrt((w + pad) * (h + pad)) / before
        aspect = (self._size[0] / self._size[1]) / (w / h)
        change = np.maximum(growth, 1 / growth) * np.maximum(aspect, 1 / aspect)
        penalty: FloatArray = np.exp(-(change - 1) * self._parameters.penalty)
        return penalty

    @staticmethod
    def _run(session: Any, *inputs: FloatArray) -> list[FloatArray]:
        names = [i.name for i in session.get_inputs()]
        out: list[FloatArray] = session.run(None, dict(zip(names, inputs, strict=True)))
        return out


def square_crop(
    image: Image, centre: FloatArray, side: int, size: int, fill: FloatArray
) -> FloatArray:
    """(1, 3, size, size) float32 BGR: ``side`` x ``side`` pixels around a centre, resized.

    What lies outside the picture takes the colour ``fill``.
    """
    import cv2

    side = max(side, 1)
    left, top = (int(np.floor(c - (side + 1) / 2 + 0.5)) for c in centre)
    patch = np.empty((side, side, 3), dtype=np.uint8)
    patch[:] = fill.astype(np.uint8)
    x1, x2 = max(left, 0), min(left + side, image.shape[1])
    y1, y2 = max(top, 0), min(top + side, image.shape[0])
    if x2 > x1 and y2 > y1:
        patch[y1 - top : y2 - top, x1 - left : x2 - left] = image[y1:y2, x1:x2]
    if side != size:
        patch = np.asarray(cv2.resize(patch, (size, size)), dtype=np.uint8)
    crop: FloatArray = patch.transpose(2, 0, 1)[None].astype(np.float32)
    return crop


def _softmax_target(logits: FloatArray) -> FloatArray:
    background, target = logits.astype(np.float64)
    share: FloatArray = 1 / (1 + np.exp(np.clip(background - target, -50, 50)))
    return share


def _free_input(path: Any) -> bytes:
    """The trunk with a free picture size: its file fixes 255, but the exemplar has 127."""
    try:
        import onnx
    except ImportError:
        from tracker.evaluation.opponents import Unavailable

        raise Unavailable("nanotrack-v2 and -v3 need the package onnx: pip install onnx") from None
    model = onnx.load(str(path), load_external_data=False)
    for value in (*model.graph.input, *model.graph.output):
        for axis, name in ((2, "rows"), (3, "columns")):
            value.type.tensor_type.shape.dim[axis].dim_param = f"{value.name}_{name}"
    del model.graph.value_info[:]
    data: bytes = model.SerializeToString()
    return data


def _session(model: bytes, threads: int | None) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    # or the threads of trunk and head spin against each other
    options.add_session_config_entry("session.force_spinning_stop", "1")
    if threads:
        options.intra_op_num_threads = threads
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
