"""Clips in bad conditions."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.evaluation.evaluate_tool import evaluate
from tests.evaluation.trackers_under_test import moving_square
from tracker.data.datasets import Sequence
from tracker.evaluation import conditions
from tracker.evaluation.conditions import CONDITIONS, InCondition
from tracker.frames import Pictures


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("clips") / "some"
    (root / "a" / "img").mkdir(parents=True)
    lines = []
    for i in range(8):
        image, (x, y, w, h) = moving_square(i)
        cv2.imwrite(str(root / "a" / "img" / f"{i + 1:04d}.png"), image)
        lines.append(f"{x + 1:g},{y + 1:g},{w:g},{h:g}")
    (root / "a" / "groundtruth_rect.txt").write_text("\n".join(lines))
    return root


@pytest.fixture
def pictures(data: Path) -> Pictures:
    return Pictures(tuple(sorted((data / "a" / "img").iterdir())))


@pytest.mark.parametrize("name", CONDITIONS)
def test_frames_repeat_in_any_order_and_leave_the_source_alone(name, pictures) -> None:
    clean = list(pictures.read(range(8)))
    source = InCondition(pictures, name)
    found = list(source.read(range(8)))
    assert all(
        f.dtype == np.uint8 and f.shape == c.shape for f, c in zip(found, clean, strict=True)
    )
    assert all((f != c).any() for f, c in zip(found, clean, strict=True))
    backward = list(source.read(range(7, -1, -1)))
    assert all((a == b).all() for a, b in zip(found, reversed(backward), strict=True))
    assert source.fingerprint() != pictures.fingerprint()
    assert len({InCondition(pictures, other).fingerprint() for other in CONDITIONS}) == len(
        CONDITIONS
    )


def test_light_and_fog_by_hand() -> None:
    image = np.array([[[0, 100, 255]]], np.uint8)
    assert CONDITIONS["dim"](image, 0).tolist() == [[[0, 30, 76]]]
    assert CONDITIONS["fog"](image, 0).tolist() == [[[120, 150, 196]]]
    assert conditions.scaled(image, 2.0, -50).tolist() == [[[0, 150, 255]]]


@pytest.mark.parametrize(("name", "level", "sigma"), [("noise", 120, 15), ("dark", 30, 6)])
def test_noise_has_its_strength_and_is_other_noise_in_each_frame(name, level, sigma) -> None:
    grey = np.full((80, 80, 3), 120, np.uint8)
    first, second = (CONDITIONS[name](grey, index).astype(float) - level for index in (0, 1))
    assert abs(first.mean()) < 0.5 and first.std() == pytest.approx(sigma, rel=0.05)
    assert abs(np.corrcoef(first.ravel(), second.ravel())[0, 1]) < 0.05


def test_blur_and_compression_take_detail() -> None:
    board = np.indices((64, 64)).sum(0) % 2 * 200
    image = np.repeat(board[..., None], 3, axis=2).astype(np.uint8)
    assert CONDITIONS["blur"](image, 0).std() < 0.1 * image.std()
    photo = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    left = CONDITIONS["jpeg"](photo, 0).astype(float)
    assert np.abs(left - photo).mean() > 20 and np.corrcoef(left.ravel(), photo.ravel())[0, 1] > 0.2


def test_a_sequence_keeps_all_but_its_pictures(pictures) -> None:
    truth = np.ones((8, 4))
    tags = {"occlusion": np.zeros(8, bool)}
    sequence = Sequence("set", "a", pictures, truth, tags=tags, judged=False)
    found = conditions.under(sequence, "dim")
    assert (found.key, found.judged, found.tags) == ("set-dim/a", False, tags)
    assert found.truth is truth and found.source == InCondition(pictures, "dim")


def test_conditions_are_data_sets_of_their_own(data: Path, tmp_path: Path) -> None:
    perfect = "trackers_under_test:Perfect"  # sees what is bright
    arguments = ("--data", data, "--out", tmp_path, "--trackers", perfect, "--no-report")
    done = evaluate(*arguments, "--conditions", "dim,noise")
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "summary.json").read_text())["datasets"]
    rows = {name: row["trackers_under_test.Perfect"] for name, row in found.items()}
    assert set(rows) == {"some", "some-dim", "some-noise"}
    assert rows["some"]["auc"]["mean"] > 0.85 and rows["some"]["auc"] != rows["some-dim"]["auc"]
    assert rows["some-dim"]["auc"]["mean"] < 0.5
    assert (tmp_path / "trackers_under_test.Perfect" / "some-noise" / "a.csv").is_file()


def test_an_unknown_condition_is_refused(data: Path, tmp_path: Path) -> None:
    done = evaluate("--data", data, "--out", tmp_path, "--trackers", "identity",
                    "--conditions", "dim,night")  # fmt: skip
    assert done.returncode == 2 and "unknown condition 'night'; known: dim, dark" in done.stderr
