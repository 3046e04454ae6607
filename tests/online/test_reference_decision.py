"""The decision of a frame against the formulas written out cell by cell in plain Python."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.online.scripted import SPEC
from tracker.box_policy import decide, rivals
from tracker.crop import Region
from tracker.results import Box
from tracker.runtime import SearchOutput
from tracker.spec import BoxPolicy

CELLS, STRIDE, SIZE = 16, 16, 256


def some_output(seed: int, peak: float) -> SearchOutput:
    """Noise with one peak; boxes of odd sizes around the cells."""
    rng = np.random.default_rng(seed)
    score = rng.random((2, CELLS, CELLS), np.float32) ** 4 * np.float32(0.6)
    score[1, rng.integers(CELLS), rng.integers(CELLS)] = peak
    middles = (np.arange(CELLS, dtype=np.float32) + 0.5) * STRIDE
    sides = np.exp(rng.normal(3.3, 0.4, (2, 4, CELLS, CELLS))).astype(np.float32)
    signs = np.float32([-1, -1, 1, 1])[None, :, None, None]
    xs, ys = np.broadcast_arrays(middles[None, :], middles[:, None])
    boxes = np.stack([xs, ys, xs, ys])[None] + signs * sides
    identity = rng.normal(size=(2, 5, CELLS, CELLS)).astype(np.float32)
    return SearchOutput(score, boxes.astype(np.float32), identity)


def expected_ranks(
    output: SearchOutput, policy: BoxPolicy, region: Region, last: Box
) -> dict[tuple[int, int], tuple[float, float]]:
    """Rank and penalty of every cell (row, column): Li et al. 2018, section 4.3."""
    assert output.boxes is not None
    scale = SIZE / region.side
    w0, h0 = last[2] * scale, last[3] * scale
    ranks = {}
    for row in range(CELLS):
        for column in range(CELLS):
            x1, y1, x2, y2 = (float(v) for v in output.boxes[1, :, row, column])
            w, h = x2 - x1, y2 - y1
            size = math.sqrt((w + (w + h) / 2) * (h + (w + h) / 2))
            size0 = math.sqrt((w0 + (w0 + h0) / 2) * (h0 + (w0 + h0) / 2))
            r, s = (w / h) / (w0 / h0), size / size0
            penalty = math.exp(-policy.penalty * (max(r, 1 / r) * max(s, 1 / s) - 1))
            hann = [math.sin(math.pi * (i + 1) / (CELLS + 1)) ** 2 for i in (row, column)]
            top = math.sin(math.pi * (CELLS // 2) / (CELLS + 1)) ** 2
            window = hann[0] * hann[1] / top**2
            score = float(output.score[1, row, column])
            rank = (1 - policy.window) * score * penalty + policy.window * window
            ranks[row, column] = rank, penalty
    return ranks


def expected_box(
    output: SearchOutput,
    cell: tuple[int, int],
    penalty: float,
    policy: BoxPolicy,
    region: Region,
    last: Box,
) -> Box:
    """The box of a cell with its size smoothed, in the frame."""
    assert output.boxes is not None
    scale = SIZE / region.side
    w0, h0 = last[2] * scale, last[3] * scale
    row, column = cell
    score = float(output.score[1, row, column])
    x1, y1, x2, y2 = (float(v) for v in output.boxes[1, :, row, column])
    rate = min(policy.size_rate * score * penalty, 1.0)
    w, h = ((1 - rate) * a + rate * b for a, b in ((w0, x2 - x1), (h0, y2 - y1)))
    cx, cy = (x1 + x2) / 2 / scale, (y1 + y2) / 2 / scale
    left, top = region.cx - region.side / 2, region.cy - region.side / 2
    return left + cx - w / scale / 2, top + cy - h / scale / 2, w / scale, h / scale


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 2**32 - 1), st.floats(0.1, 1), st.floats(0, 1), st.floats(0, 0.4),
    st.floats(0, 1), st.floats(40, 900), st.floats(0.3, 3),
)  # fmt: skip
def test_the_box_is_that_of_the_formulas(
    seed: int, peak: float, window: float, penalty: float, rate: float, side: float, aspect: float
) -> None:
    policy = BoxPolicy(window=window, penalty=penalty, size_rate=rate)
    spec = dataclasses.replace(SPEC, online=policy)
    region = Region(412.5, 180.0, side)
    last = (380.0, 150.0, side / 4 * math.sqrt(aspect), side / 4 / math.sqrt(aspect))
    output = some_output(seed, peak)
    ranks = expected_ranks(output, policy, region, last)
    found = decide(spec, output, 1, region, last)
    # of cells that rank the same within rounding, any
    best = max(rank for rank, _ in ranks.values())
    first = [cell for cell, (rank, _) in ranks.items() if rank > best - 1e-5]
    chosen = [cell for cell in first if abs(output.score[1][cell] - found.score) < 1e-6]
    assert chosen, f"none of {first} was chosen"
    row, column = chosen[0]
    box = expected_box(output, (row, column), ranks[row, column][1], policy, region, last)
    assert found.box == pytest.approx(box, abs=1e-3 * side)
    assert output.identity is not None and found.identity is not None
    covered = np.zeros((CELLS, CELLS))
    x1, y1, x2, y2 = (float(v) for v in output.boxes[1, :, row, column])  # type: ignore[index]
    for i in range(CELLS):
        for j in range(CELLS):
            w = max(min(x2, 16 * j + 16) - max(x1, 16 * j), 0)
            h = max(min(y2, 16 * i + 16) - max(y1, 16 * i), 0)
            covered[i, j] = w * h
    pooled = (output.identity[1] * covered).sum((1, 2))
    assert np.allclose(found.identity, pooled / np.linalg.norm(pooled), atol=1e-4)


@given(st.integers(0, 2**32 - 1), st.floats(0.05, 0.6))
@settings(max_examples=60, deadline=None)
def test_rivals_are_the_peaks_beside_the_box(seed: int, least: float) -> None:
    output = some_output(seed, 0.9)
    region, chosen = Region(128, 128, 256), (96.0, 96.0, 64.0, 64.0)
    score = np.pad(output.score[1], 1, constant_values=-1)
    apart = []
    for row in range(CELLS):
        for column in range(CELLS):
            value = output.score[1, row, column]
            if value >= least and value == score[row : row + 3, column : column + 3].max():
                x1, y1, x2, y2 = (float(v) for v in output.boxes[1, :, row, column])  # type: ignore[index]
                apart.append(x2 <= 96 or x1 >= 160 or y2 <= 96 or y1 >= 160)
    found = rivals(SPEC, output, 1, chosen, region, least)
    saturated = (output.score[1] >= least).sum() * 2 >= CELLS**2
    assert len(found) == (0 if saturated else min(sum(apart), 8))
