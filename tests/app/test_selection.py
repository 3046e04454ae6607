"""Drawing a box with the mouse: any order of events leaves a valid state."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tracker.app.selection import Selection, Step


def test_press_drag_release_gives_the_box() -> None:
    selection = Selection(320, 240)
    selection.press(10, 20)
    assert selection.dragging and selection.box == (10, 20, 0, 0)
    selection.move(50, 30)
    assert selection.dragging and selection.box == (10, 20, 40, 10)
    assert selection.release(60, 80) is Step.DONE
    assert selection.box == (10, 20, 50, 60)


@pytest.mark.parametrize("end", [(10, 20), (90, 20), (10, 90), (90, 90)])
def test_any_direction_gives_the_same_kind_of_box(end) -> None:
    selection = Selection(320, 240)
    selection.press(50, 50)
    selection.release(*end)
    x, y, w, h = selection.box
    assert (x, y) == (min(50, end[0]), min(50, end[1]))
    assert (x + w, y + h) == (max(50, end[0]), max(50, end[1]))


def test_a_drag_beyond_the_frame_is_clipped() -> None:
    selection = Selection(320, 240)
    selection.press(300, 200)
    assert selection.release(900, -50) is Step.DONE
    assert selection.box == (300, 0, 20, 200)


@pytest.mark.parametrize("end", [(10, 10), (13, 200), (200, 13), (15.9, 15.9)])
def test_too_small_a_box_is_refused(end) -> None:
    selection = Selection(320, 240)
    selection.press(10, 10)
    assert selection.release(*end) is Step.TOO_SMALL
    assert selection.box is None and not selection.dragging


def test_a_frame_smaller_than_the_limit_can_be_selected_whole() -> None:
    selection = Selection(4, 3)
    selection.press(0, 0)
    assert selection.release(4, 3) is Step.DONE


def test_cancel_while_dragging_forgets_the_box() -> None:
    selection = Selection(320, 240)
    assert selection.cancel() is Step.NOTHING
    selection.press(10, 10)
    selection.move(100, 100)
    assert selection.cancel() is Step.CANCELLED
    assert selection.box is None
    assert selection.release(100, 100) is Step.NOTHING


events = st.lists(
    st.tuples(
        st.sampled_from(["press", "move", "release", "cancel"]),
        st.floats(-500, 500),
        st.floats(-500, 500),
    ),
    max_size=30,
)


@given(events)
@settings(max_examples=200, deadline=None)
def test_no_order_of_events_gives_a_box_outside_or_a_small_finished_one(sequence) -> None:
    selection = Selection(100, 80)
    for name, x, y in sequence:
        step = selection.cancel() if name == "cancel" else getattr(selection, name)(x, y)
        if selection.box is not None:
            bx, by, bw, bh = selection.box
            assert bx >= 0 and by >= 0 and bx + bw <= 100 + 1e-9 and by + bh <= 80 + 1e-9
        if step is Step.DONE:
            assert min(selection.box[2:]) >= 6
