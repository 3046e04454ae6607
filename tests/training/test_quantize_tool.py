"""tools/quantize.py as a user calls it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

pytest.importorskip("onnx")

from tests.training.data import write_clip
from tracker.box_policy import search_region
from tracker.data import datasets
from tracker.evaluation import calibration
from tracker.frames import Pictures
from tracker.runtime import open_network

TOOL = Path(__file__).resolve().parents[2] / "tools" / "quantize.py"
pytestmark = pytest.mark.skipif(not TOOL.is_file(), reason="an installed package without its tools")


def quantize(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(TOOL), "--data", str(folder / "clips"), "--kind", "got10k",
         "--crops", "8", "--threads", "1", "--quiet", "--out", str(folder / "small"), *arguments],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for number in range(4):
        write_clip(tmp_path / "clips" / f"clip{number}", seed=number)
    return tmp_path


def test_real_pairs_show_targets_as_they_are_found_while_tracking(tmp_path: Path) -> None:
    """Beside the middle by up to .15 of the crop, a little larger or smaller."""
    network, sequences = open_network("kestrel", "cpu", 1), []
    for number, box in enumerate([(90, 70, 40, 40), (60, 50, 30, 50)]):
        x, y, w, h = box
        frames, truth = [], np.tile(np.float64(box), (30, 1))
        for index in range(30):
            image = np.full((200, 240, 3), 20, np.uint8)
            # the first frame has no truth, the second is for the exemplar: neither is searched
            image[y : y + h, x : x + w] = 255 if index > 1 else 0
            frames.append(tmp_path / f"{number} {index}.png")
            cv2.imwrite(str(frames[-1]), image)
        truth[0] = np.nan
        sequences.append(datasets.Sequence("made", f"{number}", Pictures(tuple(frames)), truth))
    found = calibration.pairs(network, sequences, 40, seed=1)
    assert len(found) == 40
    assert len({embedding.tobytes() for embedding, _ in found}) == 2  # of both clips
    assert len({embedding.tobytes() for embedding, _ in found[:9]}) == 2  # shuffled
    size, places, scales = network.spec.search_size, [], []
    for embedding, crop in found:
        assert crop.shape == (1, size, size, 3) and embedding.shape[0] == 1
        rows, columns = np.nonzero(crop[0, :, :, 0] > 130)
        places.append([np.mean(columns) + 0.5 - size / 2, np.mean(rows) + 0.5 - size / 2])
        scales.append(np.sqrt(len(rows)))
    reach = np.abs(places) / size
    # a moved crop moves the target by as much, in its own larger or smaller pixels
    assert reach.max() < 0.15 / 0.8 + 0.01 and (reach.max(0) > 0.12).all()
    assert (np.abs(np.mean(places, axis=0)) / size < 0.04).all()  # to all sides
    usual = np.sqrt(40 * 40) * size / search_region(network.spec, (90, 70, 40, 40)).side
    change = np.divide(scales, usual)
    assert 0.8 < change.min() < 0.9 and 1.12 < change.max() < 1.27
    assert len(calibration.pairs(network, sequences, 5)) == 5


@pytest.mark.slow
def test_a_variant_is_written_and_opens(folder: Path) -> None:
    done = quantize(folder)
    assert done.returncode == 0, done.stderr
    assert "with the first 3 in float32" in done.stdout
    assert open_network(str(folder / "small"), "cpu", 1).spec.precision == "int8"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--float-first", "99"), "leaves none of the 42 layers"),
        (("--float-first", "-1"), "a whole number of 0 to 1000 is needed, found -1"),
        (("--percentile", "200"), "a percentage of 50 to 100 is needed, found 200"),
        (("--percentile", "most"), "a percentage of 50 to 100 is needed, found most"),
        (("--precision", "fp16", "--full-range"), "go with --precision int8"),
        (("--precision", "fp16", "--float-first", "2"), "go with --precision int8"),
        (("--model", ""), "the name is empty"),
        (("--seed", "-1"), "a whole number of 0 to"),
    ],
)
def test_what_cannot_be_meant_is_refused(folder: Path, arguments: tuple, words: str) -> None:
    done = quantize(folder, *arguments)
    assert done.returncode == 2 and words in done.stderr and "Traceback" not in done.stderr
    assert not list(folder.glob("small*"))
