"""The player driven by scripted events: no display, a clock of its own."""

from pathlib import Path

import app_scene
import numpy as np
import pytest

from tracker.app.follow import Follower
from tracker.app.frame_source import Frame
from tracker.app.player import Player
from tracker.app.recorder import Recorder
from tracker.app.results_writer import ResultsWriter
from tracker.app.window import Char, Closed, Fit, Key, KeyPress, Mouse, MouseKind, _event_of
from tracker.errors import UserError
from tracker.geometry import iou


class Clock:
    def __init__(self):
        self.now = 100.0

    def __call__(self):
        self.now += 1e-4
        return self.now


class Scene:
    """A source of rendered frames."""

    def __init__(self, clock, count=200, live=False):
        self.name, self.fps, self.live, self.ended = "scene", 30.0, live, False
        self.frame_count = None if live else count
        self.can_seek = not live
        self._next, self._count, self._clock = 0, count, clock

    def read(self, timeout=1.0):
        if self._next >= self._count:
            self.ended = True
            return None
        self._next += 1
        index = self._next - 1
        return Frame(app_scene.picture(index), index, index / self.fps, self._clock.now - 0.02)

    def seek(self, index):
        self._next, self.ended = min(max(index, 0), self._count - 1), False

    def close(self):
        pass


class Script:
    """A window that plays a list of steps: events, numbers of idle frames, or callables."""

    def __init__(self, clock, size=(640, 480)):
        self._clock, self._size = clock, size
        self.canvases, self.steps = [], []

    def size(self):
        return self._size

    def show(self, canvas):
        assert canvas.shape == (self._size[1], self._size[0], 3) and canvas.dtype == np.uint8
        self.canvases.append(canvas)

    def poll(self, seconds):
        self._clock.now += max(seconds, 1e-3)
        while self.steps:
            step = self.steps.pop(0)
            if callable(step):
                step()
                continue
            return [step] if step is not None else []
        return [Closed()]

    def close(self):
        pass


class Stage:
    """A player with everything around it."""

    def __init__(self, tmp_path, live=False, count=200, size=(640, 480), results=None, **options):
        self.clock = Clock()
        self.screen = Script(self.clock, size)
        self.source = Scene(self.clock, count, live)
        self.session = app_scene.ColourSession()
        self.follower, first = Follower(self.session), self.source.read()
        self.follower.write_to(results, first)
        self.recorder = Recorder(tmp_path, "scene", 30.0, live=live)
        self.player = Player(
            self.source,
            self.follower,
            self.recorder,
            self.screen,
            first,
            clock=self.clock,
            **options,
        )

    def run(self, *steps):
        self.screen.steps += list(steps)
        self.player.run()
        self.recorder.close()

    @property
    def ids(self):
        return list(self.follower.targets)

    def idle(self, polls):
        return [None] * polls


def key(char):
    return Char(char)


def drag(box, size=(640, 480), to=None):
    """Mouse events that draw a box of the frame in a window of ``size``."""
    fit = Fit.of((app_scene.WIDTH, app_scene.HEIGHT), size)
    x, y, w, h = box

    def at(kind, fx, fy):
        return Mouse(kind, fx * fit.scale + fit.left, fy * fit.scale + fit.top)

    return [
        at(MouseKind.PRESS, x, y),
        at(MouseKind.MOVE, x + w / 2, y + h / 2),
        at(MouseKind.RELEASE, x + w, y + h),
    ]


@pytest.mark.parametrize("size", [(640, 480), (900, 480), (333, 777), (1280, 720)])
def test_select_and_follow_in_a_window_of_any_shape(tmp_path, size):
    stage = Stage(tmp_path, size=size)
    stage.run(*drag(app_scene.red_box(0), size), *stage.idle(400))
    (target,) = stage.follower.targets.values()
    assert stage.player.frame.index > 20
    assert iou(target.result.box, app_scene.red_box(stage.player.frame.index)) > 0.8


def test_the_file_waits_while_nothing_is_selected_and_space_lets_it_go_on(tmp_path):
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


def test_a_live_picture_moves_until_the_press_and_freezes_while_drawing(tmp_path):
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


def test_pause_step_and_go_on(tmp_path):
    stage = Stage(tmp_path)
    at = []
    note = lambda: at.append(stage.player.frame.index)  # noqa: E731
    stage.run(
        *drag(app_scene.red_box(0)),
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
def test_arrows_seek_while_paused(tmp_path, code, change):
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
    assert app_scene.number_of(stage.player.frame.image) == 500 + change


def test_live_sources_refuse_to_seek_and_keep_their_speed(tmp_path):
    stage = Stage(tmp_path, live=True)
    stage.run(KeyPress(Key.LEFT), key("+"), *stage.idle(5))
    assert stage.player.speed == 1.0


def test_speed_changes_how_fast_frames_come(tmp_path):
    seen = []
    for keys in ((), ("+", "+"), ("-",)):
        stage = Stage(tmp_path, count=10**4)
        stage.run(*map(key, keys), *drag(app_scene.red_box(0)), *stage.idle(120))
        seen.append(stage.player.frame.index / (stage.clock.now - 100.0))
    assert seen[0] == pytest.approx(30, rel=0.25)
    assert seen[1] > 2 * seen[0] and seen[2] < 0.75 * seen[0]


def test_add_choose_drop_and_clear(tmp_path):
    stage = Stage(tmp_path)
    seen = []
    note = lambda: seen.append((stage.ids, stage.follower.chosen))  # noqa: E731
    click = drag((*app_scene.red_box(0)[:2], 10, 10))[1]
    stage.run(
        key("n"),
        lambda: stage.source.seek(0),
        key("n"),
        *drag(app_scene.red_box(0)),
        key(" "),
        note,
        key("a"),
        *drag(app_scene.blue_box(stage.player.frame.index)),
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


def test_selecting_again_keeps_id_and_gives_the_session_a_new_target(tmp_path):
    stage = Stage(tmp_path)
    stage.run(*drag(app_scene.red_box(0)), key("r"), *drag(app_scene.blue_box(0)), *stage.idle(200))
    (target,) = stage.follower.targets.values()
    assert (target.id, target.session_id) == (1, 13)
    assert list(stage.session.update(app_scene.picture(0))) == [13]
    assert iou(target.result.box, app_scene.blue_box(stage.player.frame.index)) > 0.8


def test_escape_and_right_click_cancel_a_selection_but_not_the_program(tmp_path):
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
        *drag(app_scene.red_box(0)),
        key("r"),
        KeyPress(Key.ESCAPE),
        note,
        KeyPress(Key.ESCAPE),
        lambda: pytest.fail("Esc outside a selection quits"),
    )
    assert seen == [([], True, False), ([], True, False), ([1], False, False)]


def test_a_right_click_with_nothing_to_cancel_does_not_let_the_file_go(tmp_path):
    stage = Stage(tmp_path)
    stage.run(Mouse(MouseKind.RIGHT_PRESS, 5, 5), *stage.idle(100))
    assert stage.player.selecting and stage.player.frame.index == 0


def test_an_arrow_that_is_held_goes_on_though_the_decoder_is_slow(tmp_path):
    stage = Stage(tmp_path)
    stage.follower.add(stage.player.frame, app_scene.red_box(0))
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


def test_a_step_back_from_behind_the_end_begins_at_the_frame_on_screen(tmp_path):
    """Lengths are estimates where frames come unevenly."""
    stage = Stage(tmp_path, count=40)
    stage.follower.add(stage.player.frame, app_scene.red_box(0))
    stage.source.frame_count, at = 400, []
    stage.source.seek = lambda index: vars(stage.source).update(_next=index, ended=False)
    stage.run(
        key(" "), KeyPress(Key.RIGHT), KeyPress(Key.UP), KeyPress(Key.LEFT),
        lambda: at.append(stage.player.frame.index), KeyPress(Key.LEFT),
    )  # fmt: skip
    assert at == [0]


@pytest.mark.parametrize("again", [False, True], ids=["first", "again"])
def test_who_seeks_for_a_place_to_select_at_selects_there(tmp_path, again):
    stage = Stage(tmp_path)
    at = []
    if again:
        stage.follower.add(stage.player.frame, app_scene.blue_box(0))
    stage.run(
        *([key("r")] if again else []), *stage.idle(5),
        KeyPress(Key.RIGHT), *stage.idle(60), lambda: at.append(stage.player.frame.index),
        KeyPress(Key.UP), *stage.idle(60), lambda: at.append(stage.player.frame.index),
        KeyPress(Key.UP), KeyPress(Key.LEFT), *stage.idle(60),
        lambda: at.append(stage.player.frame.index), lambda: at.append(stage.player.selecting),
        *drag(app_scene.red_box(169)), *stage.idle(20),
    )  # fmt: skip
    assert at == [30, 199, 169, True]
    assert stage.ids == [1] and stage.player.frame.index > 169
    box = stage.follower.targets[1].result.box
    assert iou(box, app_scene.red_box(stage.player.frame.index)) > 0.8


def test_a_drag_beside_the_targets_says_how_to_select(tmp_path):
    stage = Stage(tmp_path)
    stage.follower.add(stage.player.frame, app_scene.red_box(0))
    said = []
    stage.run(
        *stage.idle(3), *drag(app_scene.blue_box(0)), lambda: said.append(stage.player._message)
    )
    assert stage.ids == [1] and said[0] is not None and "r: select" in said[0].text


def test_damage_closes_no_window_that_stands_still_and_is_told_at_the_end(tmp_path):
    stage = Stage(tmp_path, count=40)
    stage.follower.add(stage.player.frame, app_scene.red_box(0))
    read, seen = stage.source.read, []

    def cut_off(timeout=1.0):
        frame = read(timeout)
        if frame is None:
            raise UserError("the scene is cut off")
        return frame

    stage.source.read = cut_off
    with pytest.raises(UserError, match="cut off"):
        stage.run(
            key(" "), KeyPress(Key.UP), key("n"), key("n"), *stage.idle(2),
            lambda: seen.append((stage.player.frame.index, stage.player._message.text)),
            KeyPress(Key.LEFT), lambda: seen.append(stage.player.frame.index), key("q"),
        )  # fmt: skip
    assert seen == [(39, "the scene is cut off"), 9]


def test_damage_ends_a_player_that_plays(tmp_path):
    stage = Stage(tmp_path, count=1)
    stage.follower.add(stage.player.frame, app_scene.red_box(0))

    def cut_off(timeout=1.0):
        raise UserError("the scene is cut off")

    stage.source.read = cut_off
    with pytest.raises(UserError, match="cut off"):
        stage.run(*stage.idle(50), lambda: pytest.fail("still running"))


def test_too_small_a_box_is_refused_on_screen(tmp_path):
    stage = Stage(tmp_path)
    stage.run(*drag((100, 100, 3, 3)), *stage.idle(2))
    assert stage.ids == [] and stage.player.selecting
    assert "too small" in stage.player._message.text
    before, after = stage.screen.canvases[0], stage.screen.canvases[-1]
    assert (before != after).any()


@pytest.mark.parametrize("event", [Char("q"), KeyPress(Key.ESCAPE), Closed()])
def test_quit(tmp_path, event):
    stage = Stage(tmp_path)
    stage.run(event, lambda: pytest.fail("still running"))


@pytest.mark.parametrize("event", [key("q"), KeyPress(Key.ESCAPE), Closed()])
def test_quit_does_not_wait_for_a_frame(tmp_path, event):
    """A camera that dropped, or a pipe that nobody feeds, gives none."""
    stage = Stage(tmp_path, live=True)
    stage.follower.add(stage.player.frame, app_scene.red_box(0))
    stage.source.read = lambda timeout=1.0: None
    late = []
    stage.run(*stage.idle(5), event, lambda: late.append(True))
    assert stage.player.quit and not late


def test_a_paused_player_stays_at_the_end(tmp_path):
    stage = Stage(tmp_path, count=40)
    stage.follower.add(stage.player.frame, app_scene.red_box(0))
    ends = []
    stage.run(
        key(" "), KeyPress(Key.UP), key("n"), key("n"), lambda: ends.append(stage.player.quit),
        KeyPress(Key.LEFT), lambda: ends.append(stage.player.frame.index),
    )  # fmt: skip
    assert ends == [False, 9]


def test_arrows_move_where_frames_are_seconds_apart(tmp_path):
    stage = Stage(tmp_path)
    stage.source.fps = 0.2
    stage.follower.add(stage.player.frame, app_scene.red_box(0))
    seen = []
    stage.run(
        key(" "), KeyPress(Key.RIGHT), lambda: seen.append(stage.player.frame.index),
        KeyPress(Key.UP), lambda: seen.append(stage.player.frame.index),
    )  # fmt: skip
    assert seen == [1, 3]


def test_a_target_whose_results_have_no_place_is_refused_on_screen(tmp_path):
    (tmp_path / "r_2.txt").write_text("somebody's")
    with ResultsWriter(tmp_path / "r.txt") as results:
        stage = Stage(tmp_path, results=results)
        stage.run(
            *drag(app_scene.red_box(0)), *stage.idle(20),
            key("a"), *drag(app_scene.blue_box(0)), *stage.idle(20),
        )  # fmt: skip
        assert stage.ids == [1]
        assert stage.player.frame.index > 5
    assert (tmp_path / "r_2.txt").read_text() == "somebody's"
    assert len((tmp_path / "r.txt").read_text().splitlines()) == stage.player.frame.index + 1


def test_the_trail_begins_anew_after_a_jump(tmp_path):
    stage = Stage(tmp_path)
    stage.follower.add(stage.player.frame, app_scene.red_box(0))
    trail = []
    stage.run(
        *stage.idle(20), key(" "), KeyPress(Key.RIGHT),
        lambda: trail.extend(stage.follower.targets[1].trail),
    )  # fmt: skip
    assert trail.index(None) == len(trail) - 2


def test_the_end_of_the_file_ends_the_player_and_max_frames_too(tmp_path):
    stage = Stage(tmp_path, count=20)
    stage.run(*drag(app_scene.red_box(0)), *stage.idle(3000), lambda: pytest.fail("still running"))
    assert stage.player.frame.index == 19
    stage = Stage(tmp_path, max_frames=7)
    stage.run(*drag(app_scene.red_box(0)), *stage.idle(3000), lambda: pytest.fail("still running"))
    assert stage.player.frame.index == 6


def test_record_and_snapshot_have_the_size_of_the_frame(tmp_path):
    stage = Stage(tmp_path)
    stage.run(
        *drag(app_scene.red_box(0)), key("v"), *stage.idle(120), key("v"), key("s"), *stage.idle(5)
    )
    frames, fps = app_scene.read_clip(tmp_path / "demo_scene.mp4")
    assert fps == pytest.approx(30) and len(frames) > 20
    numbers = [app_scene.number_of(f[:, -320:]) for f in frames]
    assert frames[0].shape == (240, 320, 3) and len(numbers) == len(frames)
    (snapshot,) = tmp_path.glob("*.png")
    import cv2

    assert cv2.imread(str(snapshot)).shape == (240, 320, 3)


def test_results_of_a_rewind_replace_the_old_ones(tmp_path):
    path = Path(tmp_path / "a.txt")
    with ResultsWriter(path) as results:
        stage = Stage(tmp_path, results=results)
        stage.run(*drag(app_scene.red_box(0)), *stage.idle(900), KeyPress(Key.LEFT), key(" "))
    lines = path.read_text().splitlines()
    assert len(lines) == stage.player.frame.index + 1
    for index, line in enumerate(lines):
        assert iou([float(v) for v in line.split(",")], app_scene.red_box(index)) > 0.7


@pytest.mark.parametrize("lock", [0, 0x100000, 0x20000], ids=["none", "num", "caps"])
def test_keys_are_known_under_any_lock(lock):
    assert _event_of(0xFF51 | lock) == KeyPress(Key.LEFT)
    assert _event_of(27 | lock) == KeyPress(Key.ESCAPE)
    assert _event_of(ord("q") | lock) == Char("q")
    assert _event_of(-1) is None


@pytest.mark.parametrize("debug", [False, True])
def test_help_and_debug_change_the_picture_and_leave_the_frame_alone(tmp_path, debug):
    stage = Stage(tmp_path, debug=debug)
    stage.run(*drag(app_scene.red_box(0)), key(" "), *stage.idle(2), key("h"), *stage.idle(2))
    plain, helped = stage.screen.canvases[-3], stage.screen.canvases[-1]
    assert (plain != helped).mean() > 0.05
    index = stage.player.frame.index
    np.testing.assert_array_equal(stage.player.frame.image, app_scene.picture(index))


def test_a_picture_that_stands_still_is_not_drawn_again_and_again(tmp_path):
    stage = Stage(tmp_path)
    stage.run(key(" "), key(" "), *stage.idle(200))
    assert len(stage.screen.canvases) < 60


def test_the_age_of_a_live_frame_is_known(tmp_path):
    stage = Stage(tmp_path, live=True)
    stage.run(*stage.idle(10))
    assert 0.02 <= stage.player._age < 0.1
    assert Stage(tmp_path).player._age is None
