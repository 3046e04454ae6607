"""From responses to boxes, states and places to look, against figures worked by hand."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.online.scripted import SIAMFC, SPEC, response
from tracker.box_policy import (
    MOST_PEAKS,
    cosine_window,
    decide,
    followed,
    peaks,
    pooled_identity,
    rivals,
    search_region,
    sharpness,
    size_penalty,
)
from tracker.crop import Region
from tracker.presence import MOST_EXCUSED, Evidence, Presence
from tracker.results import State
from tracker.runtime import SearchOutput
from tracker.scale_policy import decide as decide_scale
from tracker.scale_policy import scale_factors, search_regions
from tracker.spec import BoxPolicy, PresencePolicy, ScalePolicy


def test_a_search_region_is_twice_the_context() -> None:
    region = search_region(SPEC, (100, 50, 40, 40))
    assert (region.cx, region.cy, region.side) == (120, 70, 160)


def test_the_box_of_the_best_cell_is_mapped_to_the_frame() -> None:
    region = Region(200, 100, 128)  # half a pixel of the frame a crop pixel
    last = (180.0, 80.0, 40.0, 40.0)
    found = decide(SPEC, response(0.9, (88, 88, 168, 168)), 0, region, last)
    assert found.box == pytest.approx((180, 80, 40, 40))
    assert found.score == pytest.approx(0.9)


def test_the_size_moves_by_rate_times_score_and_the_middle_follows_at_once() -> None:
    online = BoxPolicy(window=0.0, penalty=0.0, size_rate=0.5)
    spec = dataclasses.replace(SPEC, online=online)
    region, last = Region(128, 128, 256), (96.0, 96.0, 64.0, 64.0)
    found = decide(spec, response(0.8, (100, 100, 200, 164)), 0, region, last)
    x, y, w, h = found.box
    assert (w, h) == pytest.approx((64 + 0.4 * (100 - 64), 64))
    assert (x + w / 2, y + h / 2) == pytest.approx((150, 132))


def test_a_peak_is_followed_as_a_decision_is() -> None:
    online = BoxPolicy(window=0.0, penalty=0.1, size_rate=0.5)
    spec = dataclasses.replace(SPEC, online=online)
    region, last = Region(128, 128, 256), (96.0, 96.0, 64.0, 64.0)
    output = response(0.8, (100, 90, 200, 170))
    (peak,) = peaks(spec, output, 0, region, 0.5)
    found = decide(spec, output, 0, region, last)
    assert peak.box == pytest.approx((100, 90, 100, 80))
    assert followed(spec, peak, last) == pytest.approx(found.box)


def test_a_size_never_overshoots_what_is_seen() -> None:
    spec = dataclasses.replace(SPEC, online=BoxPolicy(window=0.0, penalty=0.0, size_rate=4.0))
    found = decide(
        spec, response(0.8, (100, 100, 200, 164)), 0, Region(128, 128, 256), (96, 96, 64, 64)
    )
    assert found.box == pytest.approx((100, 100, 100, 64))


def test_the_window_prefers_the_middle_and_the_score_stays_raw() -> None:
    output = response(0.8, (112, 112, 144, 144))
    output.score[0, 0, 0] = 0.85  # a little better, far away
    spec = dataclasses.replace(SPEC, online=BoxPolicy(window=0.3, penalty=0.0))
    found = decide(spec, output, 0, Region(128, 128, 256), (112.0, 112.0, 32.0, 32.0))
    assert found.score == pytest.approx(0.8)
    without = dataclasses.replace(spec, online=BoxPolicy(window=0.0, penalty=0.0))
    found = decide(without, output, 0, Region(128, 128, 256), (112.0, 112.0, 32.0, 32.0))
    assert found.score == pytest.approx(0.85)


def test_the_penalty_of_a_doubled_square_and_of_a_turned_bar() -> None:
    assert size_penalty(20, 20, 10, 10, 0.1) == pytest.approx(math.exp(-0.1))
    # the same context side, aspect 2 against 1/2: a change of 4
    assert size_penalty(20, 10, 10, 20, 0.1) == pytest.approx(math.exp(-0.3))


def test_the_window_is_a_bump_without_zeros() -> None:
    window = cosine_window(16)
    assert window.max() == 1 and window.min() > 0
    assert np.allclose(window, window.T) and np.allclose(window, window[::-1])


def test_sharpness_of_one_peak_and_of_nothing() -> None:
    single = np.zeros((16, 16), np.float32)
    assert sharpness(single) == 0
    single[3, 4] = 1
    assert sharpness(single) == pytest.approx(1)
    noise = np.random.default_rng(0).random((16, 16)).astype(np.float32)
    assert sharpness(noise) < 0.4
    assert sharpness(noise / 4 + 5) == pytest.approx(sharpness(noise), abs=1e-3)


@given(
    st.floats(-40, 250), st.floats(-40, 250), st.floats(4, 120), st.floats(4, 120)
)  # fmt: skip
@example(-40.0, 90.0, 4.0, 30.0)
@example(90.0, 300.0, 30.0, 40.0)
@settings(max_examples=60)
def test_pooling_weighs_cells_by_what_the_box_covers(
    x: float, y: float, w: float, h: float
) -> None:
    features = np.random.default_rng(1).standard_normal((3, 16, 16)).astype(np.float32)
    fine = np.zeros((256 * 4, 256 * 4))  # quarter pixels
    x1, y1, x2, y2 = (round(v * 4) for v in (x, y, x + w, y + h))
    fine[max(y1, 0) : max(y2, 0), max(x1, 0) : max(x2, 0)] = 1
    cover = fine.reshape(16, 64, 16, 64).mean((1, 3))
    expected = (features * cover).sum((1, 2))
    expected /= max(np.linalg.norm(expected), 1e-9)  # nothing, of a box outside
    found = pooled_identity(features, (x1 / 4, y1 / 4, x2 / 4, y2 / 4), 16)
    assert np.allclose(found, expected, atol=2e-3)


def test_rivals_are_peaks_apart_from_the_target() -> None:
    output = response(0.9, (112, 112, 144, 144))
    for row, column in ((2, 2), (8, 9)):
        output.score[0, row, column] = 0.7
        middle = np.float32([column * 16, row * 16, column * 16 + 16, row * 16 + 16])
        output.boxes[0, :, row, column] = middle
    found = rivals(SPEC, output, 0, (112.0, 112.0, 32.0, 32.0), Region(128, 128, 256), 0.5)
    assert len(found) == 1, "the peak at (8, 9) touches the target, the one at (2, 2) does not"


@pytest.mark.parametrize(("row", "column"), [(7, 2), (7, 13), (2, 7), (13, 7)])
def test_rivals_stand_on_any_side(row: int, column: int) -> None:
    output = response(0.9, (112, 112, 144, 144))
    output.score[0, row, column] = 0.7
    output.boxes[0, :, row, column] = column * 16, row * 16, column * 16 + 16, row * 16 + 16
    found = rivals(SPEC, output, 0, (112.0, 112.0, 32.0, 32.0), Region(128, 128, 256), 0.5)
    assert len(found) == 1


def test_of_many_rivals_the_strongest_are_told() -> None:
    output = response(0.001, (0, 0, 16, 16))
    places = [(14, column, 0.6) for column in range(0, 16, 2)] + [(1, 8, 0.95)]
    for row, column, score in places:
        output.score[0, row, column] = score
        output.boxes[0, :, row, column] = column * 16, row * 16, column * 16 + 16, row * 16 + 16
        output.identity[0, :, row, column] = (0, 1) if score > 0.9 else (1, 0)
    found = rivals(SPEC, output, 0, (112.0, 112.0, 16.0, 16.0), Region(128, 128, 256), 0.5)
    assert len(found) == MOST_PEAKS
    assert found[0].tolist() == pytest.approx([0, 1])


POLICY = PresencePolicy(
    sure=0.5, sharp=0.4, doubt=0.2, gone=0.05, patience=3, visible=0.5,
    return_score=0.6, same=0.7, different=0.3, drop=0.25, rival_margin=0.05, return_drop=2.0,
)  # fmt: skip


T, U, L = State.TRACKING, State.UNCERTAIN, State.LOST


def seen(score: float, similarity: float | None = None, rival: float = -1.0) -> Evidence:
    return Evidence(score, similarity=similarity, rival=rival)


@pytest.mark.parametrize(
    ("evidence", "states"),
    [
        ([seen(0.9), seen(0.4), seen(0.9)], [T, U, T]),  # doubt passes
        ([seen(s) for s in (0.1, 0.1, 0.3, 0.1, 0.1)], [U] * 5),  # not in a row
        ([seen(s) for s in (0.1, 0.1, 0.1, 0.3, 0.55, 0.6)], [U, U, L, L, L, T]),  # hysteresis
        ([seen(0.9), seen(0.01), seen(0.15)], [T, U, L]),  # gone counts twice
        ([Evidence(0.9, sharpness=0.3), Evidence(0.9, sharpness=0.5)], [U, T]),  # a flat response
        ([Evidence(0.9, visible=0.3)] * 4 + [Evidence(0.9, visible=0.6)], [U, U, L, L, T]),
        ([seen(s) for s in (0.1, 0.1, 0.1, 0.9, 0.1, 0.1, 0.1)], [U, U, L, T, U, U, L]),  # anew
        ([seen(0.9, 0.9)] + [seen(0.9, 0.6)] * 3 + [seen(0.9, 0.7)], [T, U, U, L, T]),  # unusual
        ([seen(0.9, s) for s in (0.9, 0.7, 0.7, 0.7, 0.5)], [T, T, T, T, U]),  # not so soon usual
        ([seen(0.9, 0.1)] * 3 + [seen(0.9, 0.6), seen(0.9, 0.7)], [U, U, L, L, T]),  # another
        ([seen(0.9, 0.8, r) for r in (0.84, 0.9, 0.9, 0.9, 0.83, 0.82)], [T, U, U, L, L, T]),
    ],
)
def test_states(evidence: list[Evidence], states: list[State]) -> None:
    presence = Presence(POLICY)
    assert [presence.update(e) for e in evidence] == states


@pytest.mark.parametrize(("similarity", "state"), [(0.79, L), (0.81, T)])
def test_what_is_taken_up_again_looks_nearly_as_usual(similarity: float, state: State) -> None:
    presence = Presence(dataclasses.replace(POLICY, return_drop=0.15))
    presence.update(seen(0.9, 0.95))
    assert [presence.update(seen(0.1)) for _ in range(3)] == [U, U, L]
    assert presence.update(seen(0.99, similarity)) is state


@pytest.mark.parametrize(("similarity", "state"), [(0.69, L), (0.71, T)])
def test_where_it_was_lost_a_target_may_look_as_one_that_is_followed(
    similarity: float, state: State
) -> None:
    presence = Presence(dataclasses.replace(POLICY, return_drop=0.15, same=0.4))
    presence.update(seen(0.9, 0.95))
    assert [presence.update(seen(0.1)) for _ in range(3)] == [U, U, L]
    assert presence.update(seen(0.99, similarity)) is L
    assert presence.update(seen(0.99, similarity)._replace(in_place=True)) is state


def test_a_target_that_was_never_sure_is_taken_up_by_the_absolute_threshold() -> None:
    presence = Presence(dataclasses.replace(POLICY, return_drop=0.15))
    for _ in range(3):
        presence.update(seen(0.1))
    assert presence.update(seen(0.99, 0.69)) is L and presence.update(seen(0.99, 0.7)) is T


def test_how_unusual_a_look_may_be_is_the_models() -> None:
    presence = Presence(dataclasses.replace(POLICY, unusual=0.3))
    presence.update(seen(0.9, 0.9))
    assert presence.looks_as_usual(0.61) and not presence.looks_as_usual(0.59)


def test_what_a_usual_look_is_follows_the_target() -> None:
    presence = Presence(POLICY)
    assert presence.looks_as_usual(0.5), "nothing is known yet"
    presence.update(seen(0.9, 0.9))
    assert presence.looks_as_usual(0.81) and not presence.looks_as_usual(0.79)
    assert presence.looks_as_usual(None), "a network without an identity"
    for _ in range(30):
        presence.update(seen(0.9, 0.7))
    assert presence.looks_as_usual(0.62) and not presence.looks_as_usual(0.58)


def test_colours_excuse_a_low_score_for_some_frames_only() -> None:
    presence = Presence(dataclasses.replace(POLICY, doubt=0.4, patience=2))
    presence.update(seen(0.9, 0.9))
    faint = seen(0.3, 0.9)._replace(coloured=True)
    states = [presence.update(faint) for _ in range(MOST_EXCUSED + 2)]
    assert states == [State.UNCERTAIN] * (MOST_EXCUSED + 1) + [State.LOST]
    presence.update(seen(0.95, 0.9))
    again = {presence.update(faint) for _ in range(2)}
    assert again == {State.UNCERTAIN}, "what is found again is excused anew"


def test_what_scores_well_in_between_is_excused_anew() -> None:
    presence = Presence(dataclasses.replace(POLICY, doubt=0.4, patience=2))
    faint = seen(0.3, 0.9)._replace(coloured=True)
    for _ in range(3):
        assert {presence.update(faint) for _ in range(MOST_EXCUSED)} == {State.UNCERTAIN}
        assert presence.update(seen(0.9, 0.9)) is State.TRACKING


def test_siamfc_searches_three_scales() -> None:
    assert scale_factors(ScalePolicy()) == pytest.approx([1 / 1.0375, 1, 1.0375])
    sides = [r.side for r in search_regions(SIAMFC, (0, 0, 50, 50))]
    assert sides[1] == pytest.approx(100 * 255 / 127)


@pytest.mark.parametrize("scale", [0, 1, 2])
def test_siamfc_takes_place_and_damped_scale_from_the_peak(scale: int) -> None:
    maps = np.full((3, 17, 17), -8.0, np.float32)
    y, x = np.mgrid[:17, :17]
    bump = 12 * np.exp(-((x - 11) ** 2 + (y - 7) ** 2) / 6)
    maps += bump * np.float32([0.5, 0.5, 0.5])[:, None, None]
    maps[scale] += bump * 0.5
    last = (300.0, 200.0, 60.0, 40.0)
    regions = search_regions(SIAMFC, last)
    found = decide_scale(SIAMFC, SearchOutput(maps), 0, regions, last)
    cx, cy = found.box[0] + found.box[2] / 2, found.box[1] + found.box[3] / 2
    per_crop = regions[scale].side / 255
    assert cx == pytest.approx(330 + 3 * 8 * per_crop, abs=4 * per_crop)
    assert cy == pytest.approx(220 - 1 * 8 * per_crop, abs=4 * per_crop)
    growth = 0.41 + 0.59 * 1.0375 ** (scale - 1)
    assert found.box[2] == pytest.approx(60 * growth, rel=1e-6)
    assert found.score == pytest.approx(1 / (1 + math.exp(-4)), abs=0.01)


def test_siamfc_measures_in_the_pixels_of_the_chosen_scale_and_leans_to_no_side() -> None:
    spec = dataclasses.replace(SIAMFC, online=ScalePolicy(window=0.0))
    y, x = np.mgrid[:17, :17]
    bump = 12 * np.exp(-((x - 11.2) ** 2 + (y - 5.8) ** 2) / 6)
    last = (300.0, 200.0, 60.0, 40.0)
    regions, offsets = search_regions(spec, last), []
    for scale, turn in [(0, 1), (1, 1), (2, 1), (0, -1), (1, -1), (2, -1)]:
        maps = np.full((3, 17, 17), -8.0, np.float32)
        maps[scale] += bump[::turn, ::turn]
        left, top, w, h = decide_scale(spec, SearchOutput(maps), 0, regions, last).box
        pixels = np.array([left + w / 2 - 330, top + h / 2 - 220]) * 255 / regions[scale].side
        offsets.append(turn * pixels)
    assert np.ptp(offsets, axis=0) == pytest.approx([0, 0], abs=1e-9)
    assert offsets[0] == pytest.approx([3.2 * 8, -2.2 * 8], abs=1)


@pytest.mark.parametrize(("window", "column"), [(0.176, 8), (0.0, 13)])
def test_siamfc_prefers_the_middle_of_two_that_are_nearly_alike(window: float, column: int) -> None:
    spec = dataclasses.replace(SIAMFC, online=ScalePolicy(window=window))
    maps = np.full((3, 17, 17), -6, np.float32)
    maps[:, 8, 8], maps[:, 8, 13] = 3.9, 4
    last = (300.0, 200.0, 60.0, 40.0)
    regions = search_regions(spec, last)
    x, _, w, _ = decide_scale(spec, SearchOutput(maps), 0, regions, last).box
    cell = 8 * regions[1].side / 255
    assert x + w / 2 == pytest.approx(330 + (column - 8) * cell, abs=cell / 2)


@pytest.mark.parametrize("peak", [-1.0, 2.0])
def test_siamfc_keeps_its_scale_where_all_are_alike(peak: float) -> None:
    """Also where nothing is like the target, and all logits are negative."""
    maps = np.full((3, 17, 17), peak - 6, np.float32)
    maps[:, 8, 8] = peak
    last = (300.0, 200.0, 60.0, 40.0)
    found = decide_scale(
        SIAMFC,
        SearchOutput(maps),
        0,
        search_regions(SIAMFC, last),
        last,
    )
    assert found.box[2:] == pytest.approx((60, 40))


def test_peaks_come_strongest_first_without_window_or_penalty() -> None:
    output = response(0.4, (112, 112, 144, 144))
    output.score[0, 0, 0] = 0.41
    output.score[0, 0, 1] = 0.40  # beside a higher one: no peak
    output.score[0, 3, 3] = 0.29
    found = peaks(SPEC, output, 0, Region(128, 128, 256), 0.3)
    assert [peak.score for peak in found] == pytest.approx([0.41, 0.4])
    assert peaks(SPEC, output, 0, Region(128, 128, 256), 0.5) == []
