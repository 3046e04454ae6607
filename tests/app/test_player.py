"""The player driven by scripted events: no display, a clock of its own."""

import json
from pathlib import Path

import numpy as np
import pytest

from tests.app import scene
from tests.app.stage import Stage, drag, key
from tracker.app.events import Char, Closed, Key, KeyPress, event_of
from tracker.app.results_writer import ResultsWriter
from tracker.errors import UserError
from tracker.geometry import iou


def test_pause_step_and_go_on(tmp_path) -> None:
    stage = Stage(tmp_path)
    at = []
    note = lambda: at.append(stage.player.frame.index)  # noqa: E731
    stage.run(
        *drag(scene.red_box(0)),
        *stage.idle(50),
        key(" "),
        note,
        *stage.idle(50),
        note,
        key("n"),
        note,
        key("n"),
        *stage.idle(20),
        note,
        key(" "),
        *stage.idle(50),
        note,
    )
    assert at[0] == at[1] > 3
    assert at[2] == at[1] + 1 and at[3] == at[1] + 2 and at[4] > at[3] + 3


@pytest.mark.parametrize(
    "code, change", [(Key.RIGHT, 30), (Key.LEFT, -30), (Key.UP, 300), (Key.DOWN, -300)]
)
def test_arrows_seek_while_paused(tmp_path, code, change) -> None:
    stage = Stage(tmp_path, count=1000)
    at = []
    stage.run(
        key(" "),
        key(" "),
        lambda: stage.source.seek(500),
        key("n"),
        lambda: at.append(stage.player.frame.index),
        KeyPress(code),
        lambda: at.append(stage.player.frame.index),
    )
    assert at == [500, 500 + change]
    assert scene.number_of(stage.player.frame.image) == 500 + change


def test_live_sources_refuse_to_seek_and_keep_their_speed(tmp_path) -> None:
    stage = Stage(tmp_path, live=True)
    stage.run(KeyPress(Key.LEFT), key("+"), *stage.idle(5))
    assert stage.player.pace.speed == 1.0


def test_speed_changes_how_fast_frames_come(tmp_path) -> None:
    seen = []
    for keys in ((), ("+", "+"), ("-",)):
        stage = Stage(tmp_path, count=10**4)
        stage.run(*map(key, keys), *drag(scene.red_box(0)), *stage.idle(120))
        seen.append(stage.player.frame.index / (stage.clock.now - 100.0))
    assert seen[0] == pytest.approx(30, rel=0.25)
    assert seen[1] > 2 * seen[0] and seen[2] < 0.75 * seen[0]


def test_an_arrow_that_is_held_goes_on_though_the_decoder_is_slow(tmp_path) -> None:
    stage = Stage(tmp_path)
    stage.follower.add(stage.player.frame, scene.red_box(0))
    read, seek, late = stage.source.read, stage.source.seek, [0]

    def slow(timeout=1.0):
        late[0] -= 1
        return None if late[0] >= 0 else read(timeout)

    def jump(index):
        late[0] = 3
        seek(index)

    stage.source.read, stage.source.seek = slow, jump
    at = []
    stage.run(
        *[KeyPress(Key.RIGHT)] * 4, *stage.idle(3), lambda: at.append(stage.player.frame.index),
        *[KeyPress(Key.LEFT)] * 2, *stage.idle(3), lambda: at.append(stage.player.frame.index),
    )  # fmt: skip
    assert at[0] in range(120, 124) and at[1] in range(at[0] - 60, at[0] - 55)


def test_a_step_back_from_behind_the_end_begins_at_the_frame_on_screen(tmp_path) -> None:
    """Lengths are estimates where frames come unevenly."""
    stage = Stage(tmp_path, count=40)
    stage.follower.add(stage.player.frame, scene.red_box(0))
    stage.source.frame_count, at = 400, []
    stage.source.seek = lambda index: vars(stage.source).update(_next=index, ended=False)
    stage.run(
        key(" "), KeyPress(Key.RIGHT), KeyPress(Key.UP), KeyPress(Key.LEFT),
        lambda: at.append(stage.player.frame.index), KeyPress(Key.LEFT),
    )  # fmt: skip
    assert at == [0]


def cut_off(stage) -> None:
    """Let the source end in damage."""
    read = stage.source.read

    def damaged(timeout=1.0):
        frame = read(timeout)
        if frame is None:
            raise UserError("the scene is cut off")
        return frame

    stage.source.read = damaged


def test_damage_closes_no_window_that_stands_still_and_is_told_at_the_end(tmp_path) -> None:
    stage = Stage(tmp_path, count=40)
    stage.follower.add(stage.player.frame, scene.red_box(0))
    seen = []
    cut_off(stage)
    with pytest.raises(UserError, match="cut off"):
        stage.run(
            key(" "), KeyPress(Key.UP), key("n"), key("n"), *stage.idle(2),
            lambda: seen.append((stage.player.frame.index, stage.player._message)),
            KeyPress(Key.LEFT), lambda: seen.append(stage.player.frame.index), key("q"),
        )  # fmt: skip
    assert seen == [(39, "the scene is cut off"), 9]


def test_a_jump_into_damage_closes_no_window(tmp_path) -> None:
    stage = Stage(tmp_path, count=40)
    stage.follower.add(stage.player.frame, scene.red_box(0))
    at = []
    stage.source.frame_count = 400
    stage.source.seek = lambda index: vars(stage.source).update(_next=index, ended=False)

    cut_off(stage)
    with pytest.raises(UserError, match="cut off"):
        stage.run(
            *stage.idle(10), KeyPress(Key.UP), *stage.idle(10),
            lambda: at.append((stage.player.playing, stage.player._message)), key("q"),
        )  # fmt: skip
    assert at == [(False, "the scene is cut off")]


def test_damage_ends_a_player_that_plays(tmp_path) -> None:
    stage = Stage(tmp_path, count=1)
    stage.follower.add(stage.player.frame, scene.red_box(0))

    def cut_off(timeout=1.0):
        raise UserError("the scene is cut off")

    stage.source.read = cut_off
    with pytest.raises(UserError, match="cut off"):
        stage.run(*stage.idle(50), lambda: pytest.fail("still running"))


@pytest.mark.parametrize("event", [Char("q"), KeyPress(Key.ESCAPE), Closed()])
def test_quit(tmp_path, event) -> None:
    stage = Stage(tmp_path)
    stage.run(event, lambda: pytest.fail("still running"))


@pytest.mark.parametrize("event", [key("q"), KeyPress(Key.ESCAPE), Closed()])
def test_quit_does_not_wait_for_a_frame(tmp_path, event) -> None:
    """A camera that dropped, or a pipe that nobody feeds, gives none."""
    stage = Stage(tmp_path, live=True)
    stage.follower.add(stage.player.frame, scene.red_box(0))
    stage.source.read = lambda timeout=1.0: None
    late = []
    stage.run(*stage.idle(5), event, lambda: late.append(True))
    assert stage.player.quit and not late


def test_a_paused_player_stays_at_the_end(tmp_path) -> None:
    stage = Stage(tmp_path, count=40)
    stage.follower.add(stage.player.frame, scene.red_box(0))
    ends = []
    stage.run(
        key(" "), KeyPress(Key.UP), key("n"), key("n"), lambda: ends.append(stage.player.quit),
        KeyPress(Key.LEFT), lambda: ends.append(stage.player.frame.index),
    )  # fmt: skip
    assert ends == [False, 9]


@pytest.mark.parametrize("estimate", [40, 400])
def test_a_jump_to_the_end_stops_there(tmp_path, monkeypatch, estimate) -> None:
    """Who looks for the end wants to see it; lengths are estimates where frames come unevenly."""
    shown = []
    monkeypatch.setattr("tracker.app.draw.draw_message", lambda canvas, text: shown.append(text))
    stage = Stage(tmp_path, count=40)
    stage.follower.add(stage.player.frame, scene.red_box(0))
    stage.source.frame_count, at = estimate, []
    stage.source.seek = lambda index: vars(stage.source).update(_next=index, ended=False)
    stage.run(
        *stage.idle(10), KeyPress(Key.UP), KeyPress(Key.UP), *stage.idle(100),
        lambda: at.append((stage.player.frame.index, stage.player.playing)),
        KeyPress(Key.DOWN), key(" "), *stage.idle(20), lambda: at.append(stage.player.playing),
    )  # fmt: skip
    assert at[0][1] is False and at[1] is True
    assert at[0][0] == 39 if estimate == 40 else at[0][0] < 39
    assert "this is the end" in shown


@pytest.mark.parametrize("estimate", [40, 41])
def test_who_selects_at_the_end_stays_there(tmp_path, estimate) -> None:
    stage = Stage(tmp_path, count=40)
    stage.source.frame_count, at = estimate, []
    stage.run(
        KeyPress(Key.UP), *drag(scene.red_box(39)), *stage.idle(50),
        lambda: at.append((stage.player.frame.index, stage.player.playing, stage.ids)),
    )  # fmt: skip
    assert at == [(39, False, [1])]


def test_who_selects_where_the_end_was_expected_goes_on(tmp_path) -> None:
    stage = Stage(tmp_path, count=40)
    stage.source.frame_count, at = 30, []
    stage.run(
        KeyPress(Key.UP), *drag(scene.red_box(29)), *stage.idle(5),
        lambda: at.append((stage.player.frame.index, stage.player.playing, stage.ids)),
    )  # fmt: skip
    assert at[0][0] > 29 and at[0][1:] == (True, [1])


def test_arrows_move_where_frames_are_seconds_apart(tmp_path) -> None:
    stage = Stage(tmp_path)
    stage.source.fps = 0.2
    stage.follower.add(stage.player.frame, scene.red_box(0))
    seen = []
    stage.run(
        key(" "), KeyPress(Key.RIGHT), lambda: seen.append(stage.player.frame.index),
        KeyPress(Key.UP), lambda: seen.append(stage.player.frame.index),
    )  # fmt: skip
    assert seen == [1, 3]


def test_the_trail_begins_anew_after_a_jump(tmp_path) -> None:
    stage = Stage(tmp_path)
    stage.follower.add(stage.player.frame, scene.red_box(0))
    trail = []
    stage.run(
        *stage.idle(20), key(" "), KeyPress(Key.RIGHT),
        lambda: trail.extend(stage.follower.targets[1].trail),
    )  # fmt: skip
    assert trail.index(None) == len(trail) - 2


def test_the_end_of_the_file_ends_the_player_and_max_frames_too(tmp_path) -> None:
    stage = Stage(tmp_path, count=20)
    stage.run(*drag(scene.red_box(0)), *stage.idle(3000), lambda: pytest.fail("still running"))
    assert stage.player.frame.index == 19
    stage = Stage(tmp_path, max_frames=7)
    stage.run(*drag(scene.red_box(0)), *stage.idle(3000), lambda: pytest.fail("still running"))
    assert stage.player.frame.index == 6


def test_record_and_snapshot_have_the_size_of_the_frame(tmp_path) -> None:
    stage = Stage(tmp_path)
    stage.run(
        *drag(scene.red_box(0)), key("v"), *stage.idle(120), key("v"), key("s"), *stage.idle(5)
    )
    frames, fps = scene.read_clip(tmp_path / "demo_scene.mp4")
    assert fps == pytest.approx(30) and len(frames) > 20
    numbers = [scene.number_of(f[:, -320:]) for f in frames]
    assert frames[0].shape == (240, 320, 3) and len(numbers) == len(frames)
    (snapshot,) = tmp_path.glob("*.png")
    import cv2

    assert cv2.imread(str(snapshot)).shape == (240, 320, 3)


def test_the_recording_light_is_in_the_window_and_not_in_the_file(tmp_path) -> None:
    stage = Stage(tmp_path, size=(320, 240))
    stage.run(*drag(scene.red_box(0), (320, 240)), key("v"), *stage.idle(90))
    frame = scene.read_clip(tmp_path / "demo_scene.mp4")[0][-1]
    plain = scene.picture(stage.player.frame.index)
    corner = np.s_[5:20, 260:310]
    assert np.abs(frame[corner].astype(int) - plain[corner]).mean() < 8
    assert np.abs(stage.screen.canvases[-1][corner].astype(int) - plain[corner]).mean() > 30


@pytest.mark.parametrize("name", ["a.csv", "a.json", "a.txt"])
def test_who_looks_back_keeps_the_results_from_there_on(tmp_path, name) -> None:
    with ResultsWriter(tmp_path / name) as results:
        stage = Stage(tmp_path, results=results)
        stage.follower.add(stage.player.frame, scene.red_box(0))
        followed = []
        stage.run(
            *stage.idle(200), key(" "), lambda: followed.append(stage.player.frame.index),
            KeyPress(Key.DOWN), key("n"), key("n"), key("q"),
        )  # fmt: skip
        assert stage.player.frame.index == 2 < followed[0]
    text = (tmp_path / name).read_text()
    if name == "a.json":
        assert [row["frame"] for row in json.loads(text)] == list(range(followed[0] + 1))
    else:
        assert len(text.splitlines()) == followed[0] + 1 + (name == "a.csv")


def test_results_of_a_rewind_replace_the_old_ones(tmp_path) -> None:
    path = Path(tmp_path / "a.txt")
    with ResultsWriter(path) as results:
        stage = Stage(tmp_path, results=results)
        stage.run(*drag(scene.red_box(0)), *stage.idle(900), KeyPress(Key.LEFT), key(" "))
    lines = path.read_text().splitlines()
    assert len(lines) == stage.player.frame.index + 1
    for index, line in enumerate(lines):
        assert iou([float(v) for v in line.split(",")], scene.red_box(index)) > 0.7


@pytest.mark.parametrize("lock", [0, 0x100000, 0x20000], ids=["none", "num", "caps"])
def test_keys_are_known_under_any_lock(lock) -> None:
    assert event_of(0xFF51 | lock) == KeyPress(Key.LEFT)
    assert event_of(27 | lock) == KeyPress(Key.ESCAPE)
    assert event_of(ord("q") | lock) == Char("q")
    assert event_of(-1) is None


@pytest.mark.parametrize("lock", [0, 0x100000, 0x20000], ids=["none", "num", "caps"])
def test_the_arrows_of_the_keypad_are_arrows(lock) -> None:
    found = [event_of(code | lock) for code in (0xFF96, 0xFF97, 0xFF98, 0xFF99)]
    assert found == [KeyPress(key) for key in (Key.LEFT, Key.UP, Key.RIGHT, Key.DOWN)]


def test_keys_mean_the_same_where_the_keyboard_writes_cyrillic() -> None:
    """OpenCV hands over X key symbols: those of a Russian keyboard, and the Ukrainian s."""
    codes = 0x6CA, 0x6D4, 0x6CB, 0x6C6, 0x6D7, 0x6D3, 0x6D9, 0x6CD, 0x6D2, 0x6A6
    assert [event_of(code) for code in codes] == [Char(char) for char in "qnradcsvhs"]
    capitals = [event_of(code + 0x20) for code in codes[:-1]]
    assert capitals == [Char(char) for char in "qnradcsvh"]


@pytest.mark.parametrize(
    "code", [0x6CE, 0x7F1, 0xCE0, 0x10006CA, 0x1004E00], ids=["ru", "el", "he", "ku", "zh"]
)
def test_of_letters_that_are_no_keys_it_is_said_what_to_do(tmp_path, code) -> None:
    stage = Stage(tmp_path)
    stage.run(event_of(code), *stage.idle(1))
    assert stage.player._message == "switch the keyboard to Latin letters"


@pytest.mark.parametrize("code", [0, 0xE9, 0x1B6, 0xFE51, 0xFFE1, 63236, 0x700000])
def test_other_keys_are_none(code) -> None:
    """Latin letters with marks, dead keys, shift, function keys of macOS and Windows."""
    assert event_of(code) is None


@pytest.mark.parametrize("debug", [False, True])
def test_help_and_debug_change_the_picture_and_leave_the_frame_alone(tmp_path, debug) -> None:
    stage = Stage(tmp_path, debug=debug)
    stage.run(*drag(scene.red_box(0)), key(" "), *stage.idle(2), key("h"), *stage.idle(2))
    plain, helped = stage.screen.canvases[-3], stage.screen.canvases[-1]
    assert (plain != helped).mean() > 0.05
    index = stage.player.frame.index
    np.testing.assert_array_equal(stage.player.frame.image, scene.picture(index))


def test_a_picture_that_stands_still_is_not_drawn_again_and_again(tmp_path) -> None:
    stage = Stage(tmp_path)
    stage.run(key(" "), key(" "), *stage.idle(200))
    assert len(stage.screen.canvases) < 60


def test_the_age_of_a_live_frame_is_known(tmp_path) -> None:
    stage = Stage(tmp_path, live=True)
    stage.run(*stage.idle(10))
    assert 0.02 <= stage.player._numbers().age < 0.1
    assert Stage(tmp_path).player._numbers().age is None
