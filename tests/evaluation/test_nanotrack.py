"""The opponent's crop and decoding, without its graphs."""

from __future__ import annotations

import numpy as np
import pytest

from tracker.evaluation import nanotrack, opponents


def test_crop_is_the_picture_where_it_fits_and_filled_outside():
    image = np.random.default_rng(0).integers(0, 255, (40, 60, 3), dtype=np.uint8)
    # its authors begin at floor(20 - 12 / 2 + .5) = 14: half a pixel left of the middle
    inside = nanotrack.square_crop(image, np.array([20.0, 15.0]), 11, 11, np.zeros(3))
    np.testing.assert_array_equal(inside[0].transpose(1, 2, 0), image[9:20, 14:25])
    fill = np.array([7.0, 8.0, 9.0])
    corner = nanotrack.square_crop(image, np.array([0.0, 0.0]), 11, 11, fill)[0].transpose(1, 2, 0)
    np.testing.assert_array_equal(corner[6:, 6:], image[:5, :5])
    assert (corner[:6] == fill).all() and (corner[:, :6] == fill).all()
    away = nanotrack.square_crop(image, np.array([500.0, 500.0]), 9, 9, fill)
    assert (away[0].transpose(1, 2, 0) == fill).all()


class Scripted(nanotrack.NanoTrack):
    """Version 2 with a head that points at one cell."""

    def __init__(self, cell: tuple[int, int], distances: tuple) -> None:
        self._parameters = nanotrack.PARAMETERS[2]
        self._cell, self._distances = cell, distances
        hann = np.hanning(16)
        self._hann = np.outer(hann, hann).ravel()
        axis = (np.arange(16) - 8) * 16.0
        grid_y, grid_x = np.meshgrid(axis, axis, indexing="ij")
        self._points = np.stack([grid_x.ravel(), grid_y.ravel()])
        self._trunk, self._head = "trunk", "head"

    def _run(self, session, *inputs):  # type: ignore[override]
        if session == "trunk":
            return [inputs[0]]
        logits = np.full((1, 2, 16, 16), -9.0)
        logits[0, 0] = 9
        logits[0, :, self._cell[0], self._cell[1]] = (-9, 9)
        boxes = np.zeros((1, 4, 16, 16)) + np.array(self._distances).reshape(1, 4, 1, 1)
        return [logits, boxes]


def test_decoding_by_hand():
    image = np.full((240, 320, 3), 90, dtype=np.uint8)
    # a 40 x 40 target: context side 80, so a crop pixel is 80 / 127 of a frame pixel
    half = 20 * 127 / 80
    tracker = Scripted((8, 9), (half,) * 4)
    tracker.init(image, (100.0, 100.0, 40.0, 40.0))
    x, y, w, h = tracker.update(image).box
    assert (w, h) == (pytest.approx(40), pytest.approx(40))
    # cell (8, 9) is 16 crop pixels right of the centre; the centre began at 119.5
    assert x + w / 2 == pytest.approx(119.5 + 16 * 80 / 127)
    assert y + h / 2 == pytest.approx(119.5)


def test_size_is_smoothed_by_the_score_and_the_penalty():
    image = np.full((240, 320, 3), 90, dtype=np.uint8)
    grown = 20 * 1.2 * 127 / 80
    tracker = Scripted((8, 8), (grown,) * 4)
    tracker.init(image, (100.0, 100.0, 40.0, 40.0))
    result = tracker.update(image)
    rate = np.exp(-(1.2 - 1) * 0.150) * result.score * 0.385
    assert result.box[2] == pytest.approx(40 * (1 - rate) + 48 * rate)
    assert result.score == pytest.approx(1, abs=1e-6)


def test_files_are_found_by_version(tmp_path):
    options = opponents.Options(nanotrack_dir=str(tmp_path))
    with pytest.raises(opponents.Unavailable, match="nanotrackv3"):
        opponents.nanotrack_files("nanotrack-v3", options)
    folder = tmp_path / "nanotrackv3"
    folder.mkdir()
    for name in ("nanotrack_backbone.onnx", "nanotrack_head.onnx"):
        (folder / name).write_bytes(b"")
    assert opponents.nanotrack_files("nanotrack-v3", options).version == 3
