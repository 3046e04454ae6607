"""Selecting, adding, choosing and dropping targets in the player, by scripted events."""

import json

import pytest

from tests.app import scene
from tests.app.calls import boxes_in
from tests.app.stage import Stage, drag, key
from tracker.app.events import Key, KeyPress, Mouse, MouseKind
from tracker.app.follow import Follower
from tracker.app.frame_source import Frame
from tracker.app.results_writer import FORMATS, SUFFIX_OF, ResultsWriter, file_of
from tracker.geometry import iou


@pytest.mark.parametrize("size", [(640, 480), (900, 480), (333, 777), (1280, 720)])
def test_select_and_follow_in_a_window_of_any_shape(tmp_path, size) -> None:
    stage = Stage(tmp_path, size=size)
    stage.run(*drag(scene.red_box(0), size), *stage.idle(400))
    (target,) = stage.follower.targets.values()
    assert stage.player.frame.index > 20
    assert iou(target.result.box, scene.red_box(stage.player.frame.index)) > 0.8


def test_the_file_waits_while_nothing_is_selected_and_space_lets_it_go_on(tmp_path) -> None:
    stage = Stage(tmp_path)
    at = []
    stage.run(
        *stage.idle(100),
        lambda: at.append(stage.player.frame.index),
        key(" "),
        *stage.idle(100),
        lambda: at.append(stage.player.frame.index),
    )
    assert at[0] == 0 and at[1] > 10


def test_a_live_picture_moves_until_the_press_and_freezes_while_drawing(tmp_path) -> None:
    stage = Stage(tmp_path, live=True)
    press, move, release = drag((100, 100, 60, 60))
    at = []
    note = lambda: at.append(stage.player.frame.index)  # noqa: E731
    stage.run(
        *stage.idle(20),
        note,
        press,
        *stage.idle(20),
        note,
        move,
        note,
        release,
        *stage.idle(20),
        note,
    )
    assert at[0] > 10 and at[1] - at[0] <= 1 and at[2] == at[1] and at[3] > at[2] + 10
    assert stage.ids == [1]


@pytest.mark.parametrize("order", [(1, 2), (2, 1)])
def test_a_click_chooses_the_smallest_target_under_it(order) -> None:
    boxes = {1: (0.0, 0.0, 200.0, 150.0), 2: (40.0, 50.0, 20.0, 30.0)}
    follower = Follower(scene.ColourSession())
    frame = Frame(scene.picture(0), 0, 0.0, 0.0)
    added = {follower.add(frame, boxes[name]): name for name in order}
    chosen = []
    for point in ((50, 60), (100, 60), (59.9, 79.9), (60, 60), (300, 200)):
        hit = follower.choose_at(*point)
        chosen.append(added[follower.chosen] if hit else None)
    assert chosen == [2, 1, 2, 1, None]


def test_add_choose_drop_and_clear(tmp_path) -> None:
    stage = Stage(tmp_path)
    seen = []
    note = lambda: seen.append((stage.ids, stage.follower.chosen))  # noqa: E731
    click = drag((*scene.red_box(0)[:2], 10, 10))[1]
    stage.run(
        key("n"),
        lambda: stage.source.seek(0),
        key("n"),
        *drag(scene.red_box(0)),
        key(" "),
        note,
        key("a"),
        *drag(scene.blue_box(stage.player.frame.index)),
        note,
        KeyPress(Key.TAB),
        note,
        KeyPress(Key.TAB),
        note,
        Mouse(MouseKind.PRESS, click.x + 40, click.y + 40),
        note,
        key("d"),
        note,
        key("c"),
        note,
    )
    assert seen == [
        ([1], 1),
        ([1, 2], 2),
        ([1, 2], 1),
        ([1, 2], 2),
        ([1, 2], 1),
        ([2], 2),
        ([], None),
    ]
    assert stage.player.selecting


@pytest.mark.parametrize("form", FORMATS)
def test_a_target_that_was_dropped_where_it_was_added_leaves_no_row(tmp_path, form) -> None:
    """One that was followed up to that frame keeps its rows, also where it is dropped there."""
    path = tmp_path / f"out{SUFFIX_OF[form]}"
    with ResultsWriter(path, form) as results:
        stage = Stage(tmp_path, results=results)
        add = lambda box: lambda: stage.follower.add(stage.player.frame, box)  # noqa: E731
        drop = lambda n: lambda: stage.follower.remove(n)  # noqa: E731
        stage.run(
            add(scene.red_box(0)), key("n"), key("n"), drop(1),
            add(scene.blue_box(2)), add((1, 2, 30, 40)), key("d"), key("n"),
        )  # fmt: skip
    seen = boxes_written(path, form)
    assert sorted(seen) == [(0, 1), (1, 1), (2, 1), (2, 2), (3, 2)]
    for (frame, target), box in seen.items():
        assert iou(box, (scene.red_box if target == 1 else scene.blue_box)(frame)) > 0.9


def test_a_pipe_is_not_told_again_of_a_target_that_was_dropped(tmp_path, monkeypatch) -> None:
    """It keeps what it was given, and a third row of a frame helps nobody."""
    monkeypatch.setattr(ResultsWriter, "takes_back", False)
    with ResultsWriter(tmp_path / "out.csv") as results:
        stage = Stage(tmp_path, results=results)
        number = stage.follower.add(stage.player.frame, scene.red_box(0))
        monkeypatch.setattr(results, "write", pytest.fail)
        stage.follower.remove(number)


def boxes_written(path, form):
    """By frame and target, from any form of results."""
    if form == "csv":
        return boxes_in(path)
    text = path.read_text()
    if form in ("json", "jsonl"):
        rows = json.loads(text) if form == "json" else map(json.loads, text.splitlines())
        return {(row["frame"], t["id"]): t["box"] for row in rows for t in row["targets"]}
    if form == "mot":
        rows = [list(map(float, line.split(","))) for line in text.splitlines()]
        return {(int(r[0]) - 1, int(r[1])): [r[2] - 1, r[3] - 1, r[4], r[5]] for r in rows}
    found = {}
    for target in (1, 2, 3):
        lines = file_of(path, target).read_text().splitlines()
        for frame, line in enumerate(lines):
            box = list(map(float, line.split(",")))
            if box[2] > 0:  # neither nan nor got10k's zeros
                found[frame, target] = box
    return found


def test_selecting_again_keeps_id_and_gives_the_session_a_new_target(tmp_path) -> None:
    stage = Stage(tmp_path)
    stage.run(*drag(scene.red_box(0)), key("r"), *drag(scene.blue_box(0)), *stage.idle(200))
    (target,) = stage.follower.targets.values()
    assert (target.id, target.session_id) == (1, 13)
    assert list(stage.session.update(scene.picture(0))) == [13]
    assert iou(target.result.box, scene.blue_box(stage.player.frame.index)) > 0.8


def prompts(monkeypatch):
    shown = []
    monkeypatch.setattr("tracker.app.draw.draw_message", lambda canvas, text: shown.append(text))
    return shown


def test_tab_chooses_another_target_to_select_again(tmp_path, monkeypatch) -> None:
    stage, shown = Stage(tmp_path), prompts(monkeypatch)
    first = stage.follower.add(stage.player.frame, scene.red_box(0))
    second = stage.follower.add(stage.player.frame, scene.blue_box(0))
    stage.run(
        key("r"), KeyPress(Key.TAB), *stage.idle(1), *drag(scene.blue_box(0)),
    )  # fmt: skip
    assert "again" in shown[-1] and stage.ids == [first, second]
    assert stage.follower.chosen == first
    boxes = [stage.follower.targets[i].result.box for i in (first, second)]
    assert min(iou(box, scene.blue_box(0)) for box in boxes) > 0.9


def test_tab_while_a_target_is_added_replaces_none(tmp_path) -> None:
    stage = Stage(tmp_path)
    stage.follower.add(stage.player.frame, scene.red_box(0))
    stage.run(key("a"), KeyPress(Key.TAB), *drag(scene.blue_box(0)))
    assert stage.ids == [1, 2]


def test_who_drops_the_target_to_select_again_selects_a_new_one(tmp_path, monkeypatch) -> None:
    stage, shown = Stage(tmp_path), prompts(monkeypatch)
    for box in (scene.red_box(0), scene.blue_box(0)):
        stage.follower.add(stage.player.frame, box)
    stage.run(
        key("r"), *stage.idle(1), key("d"), *stage.idle(1), *drag(scene.blue_box(0)),
    )  # fmt: skip
    assert "again" in shown[0] and "again" not in shown[-1]
    assert stage.ids == [1, 3]


def test_escape_and_right_click_cancel_a_selection_but_not_the_program(tmp_path) -> None:
    stage = Stage(tmp_path)
    press, move, _ = drag((100, 100, 60, 60))
    seen = []
    note = lambda: seen.append((stage.ids, stage.player.selecting, stage.player.quit))  # noqa: E731
    stage.run(
        press,
        move,
        KeyPress(Key.ESCAPE),
        note,
        press,
        move,
        Mouse(MouseKind.RIGHT_PRESS, 5, 5),
        note,
        *drag(scene.red_box(0)),
        key("r"),
        KeyPress(Key.ESCAPE),
        note,
        KeyPress(Key.ESCAPE),
        lambda: pytest.fail("Esc outside a selection quits"),
    )
    assert seen == [([], True, False), ([], True, False), ([1], False, False)]


CANCEL = [KeyPress(Key.ESCAPE), Mouse(MouseKind.RIGHT_PRESS, 5, 5)]


@pytest.mark.parametrize("cancel", CANCEL, ids=["Esc", "right"])
@pytest.mark.parametrize("begin", ["a", "drag", "c", "d"])
def test_a_selection_that_stopped_a_film_is_cancelled_and_it_goes_on(
    tmp_path, cancel, begin
) -> None:
    """Also without a target, as it was let go with space at first."""
    stage = Stage(tmp_path)
    press, move, _ = drag((100, 100, 60, 60))
    start = {"a": [key("a")], "drag": [press, move], "c": [key("c")], "d": [key("r"), key("d")]}
    if begin in "cd":
        stage.follower.add(stage.player.frame, scene.red_box(0))
    at = []
    note = lambda: at.append((stage.player.selecting, stage.player.frame.index))  # noqa: E731
    let_go = [] if begin in "cd" else [key(" ")]
    stage.run(
        *let_go, *stage.idle(20), *start[begin], note, *stage.idle(20), note,
        cancel, *stage.idle(20), note,
    )  # fmt: skip
    assert stage.ids == [] and [selecting for selecting, _ in at] == [True, True, False]
    assert at[0][1] == at[1][1] < at[2][1]


def test_a_plain_click_stops_no_film(tmp_path) -> None:
    stage = Stage(tmp_path)
    at = []
    stage.run(
        key(" "), *stage.idle(20), *drag((100, 100, 2, 2)),
        lambda: at.append((stage.player._message, stage.player.frame.index)), *stage.idle(20),
    )  # fmt: skip
    assert "too small" in at[0][0] and not stage.player.selecting
    assert stage.player.frame.index > at[0][1]


def test_a_click_while_a_target_is_added_leaves_that_as_it_is(tmp_path) -> None:
    stage = Stage(tmp_path)
    stage.follower.add(stage.player.frame, scene.red_box(0))
    stage.run(key("a"), *drag((100, 100, 2, 2)), *drag(scene.blue_box(0)))
    assert stage.ids == [1, 2]


def test_who_steps_to_a_place_to_select_at_selects_there(tmp_path) -> None:
    stage = Stage(tmp_path)
    stage.follower.add(stage.player.frame, scene.red_box(0))
    press, move, _ = drag((100, 100, 60, 60))
    stage.run(key("a"), key("n"), press, move, key("n"), *drag(scene.blue_box(2)))
    assert stage.ids == [1, 2] and stage.player.frame.index == 2
    assert not stage.player.playing


@pytest.mark.parametrize("pauses", [1, 2])
def test_who_freezes_a_live_picture_to_select_in_it_selects_there(tmp_path, pauses) -> None:
    stage = Stage(tmp_path, live=True)
    stage.follower.add(stage.player.frame, scene.red_box(0))
    at = []
    stage.run(
        key("a"), *stage.idle(5), *[key(" ")] * pauses, *stage.idle(5),
        lambda: at.append(stage.player.playing), *drag((200, 195, 50, 40)),
    )  # fmt: skip
    assert stage.ids == [1, 2] and at == [pauses == 2]


def test_a_right_click_with_nothing_to_cancel_does_not_let_the_file_go(tmp_path) -> None:
    stage = Stage(tmp_path)
    stage.run(Mouse(MouseKind.RIGHT_PRESS, 5, 5), *stage.idle(100))
    assert stage.player.selecting and stage.player.frame.index == 0


@pytest.mark.parametrize("again", [False, True], ids=["first", "again"])
def test_who_seeks_for_a_place_to_select_at_selects_there(tmp_path, again) -> None:
    stage = Stage(tmp_path)
    at = []
    if again:
        stage.follower.add(stage.player.frame, scene.blue_box(0))
    stage.run(
        *([key("r")] if again else []), *stage.idle(5),
        KeyPress(Key.RIGHT), *stage.idle(60), lambda: at.append(stage.player.frame.index),
        KeyPress(Key.UP), *stage.idle(60), lambda: at.append(stage.player.frame.index),
        KeyPress(Key.UP), KeyPress(Key.LEFT), *stage.idle(60),
        lambda: at.append(stage.player.frame.index), lambda: at.append(stage.player.selecting),
        *drag(scene.red_box(169)), *stage.idle(20),
    )  # fmt: skip
    assert at == [30, 199, 169, True]
    assert stage.ids == [1] and stage.player.frame.index > 169
    box = stage.follower.targets[1].result.box
    assert iou(box, scene.red_box(stage.player.frame.index)) > 0.8


def test_a_drag_beside_the_targets_says_how_to_select(tmp_path) -> None:
    stage = Stage(tmp_path)
    stage.follower.add(stage.player.frame, scene.red_box(0))
    said = []
    stage.run(*stage.idle(3), *drag(scene.blue_box(0)), lambda: said.append(stage.player._message))
    assert stage.ids == [1] and "r: select" in said[0]


def test_too_small_a_box_is_refused_on_screen(tmp_path) -> None:
    stage = Stage(tmp_path)
    stage.run(*drag((100, 100, 3, 3)), *stage.idle(2))
    assert stage.ids == [] and stage.player.selecting
    assert "too small" in stage.player._message
    before, after = stage.screen.canvases[0], stage.screen.canvases[-1]
    assert (before != after).any()


def test_a_target_whose_results_have_no_place_is_refused_on_screen(tmp_path) -> None:
    (tmp_path / "r_2.txt").write_text("somebody's")
    with ResultsWriter(tmp_path / "r.txt") as results:
        stage = Stage(tmp_path, results=results)
        stage.run(
            *drag(scene.red_box(0)), *stage.idle(20),
            key("a"), *drag(scene.blue_box(0)), *stage.idle(20),
        )  # fmt: skip
        assert stage.ids == [1]
        assert stage.player.frame.index > 5
    assert (tmp_path / "r_2.txt").read_text() == "somebody's"
    assert len((tmp_path / "r.txt").read_text().splitlines()) == stage.player.frame.index + 1
