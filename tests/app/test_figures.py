"""The figures under a live picture: they do not stand still with a stream that does."""

from tests.app import scene
from tests.app.stage import Stage, key


def silent_stage(tmp_path, **options):
    """A player whose source gives three frames more, and then none."""
    stage = Stage(tmp_path, live=True, **options)
    stage.follower.add(stage.player.frame, scene.red_box(0))
    read = stage.source.read
    left = iter(range(3))
    stage.source.read = lambda timeout=1.0: None if next(left, None) is None else read()
    return stage


def figures(stage):
    numbers = stage.player._numbers()
    return round(numbers.age, 1), numbers.fps > 0, list(numbers.notes)


def wait(stage, seconds):
    """Steps that let the player go on without a frame."""
    return [*stage.idle(2), lambda: setattr(stage.clock, "now", stage.clock.now + seconds), None]


def test_a_stream_that_stopped_is_seen_to_have(tmp_path) -> None:
    stage, seen = silent_stage(tmp_path), []
    note = lambda: seen.append(figures(stage))  # noqa: E731
    stage.run(*stage.idle(10), note, *wait(stage, 0.5), note, *wait(stage, 6.2), note)
    assert [age for age, _, _ in seen[:2]] == [0.0, 0.0], "between frames the figures stand"
    assert seen[0][1:] == seen[1][1:] == (True, [])
    age, moving, notes = seen[2]
    assert 6.7 <= age < 7.4 and not moving and notes == ["no picture for 7 s"]


def test_the_next_picture_takes_the_note_away(tmp_path) -> None:
    stage, seen = silent_stage(tmp_path), []
    read = lambda timeout=1.0: app_frame(stage)  # noqa: E731
    stage.run(
        *stage.idle(10), *wait(stage, 5),
        lambda: seen.append(figures(stage)),
        lambda: setattr(stage.source, "read", read), *stage.idle(3),
        lambda: seen.append(figures(stage)),
    )  # fmt: skip
    assert seen[0][2] and not seen[1][2] and seen[1][0] < 1


def app_frame(stage):
    last = stage.player.frame
    return type(last)(last.image, last.index + 1, last.timestamp, stage.clock.now)


def test_who_pauses_waits_for_no_picture(tmp_path) -> None:
    stage, seen = silent_stage(tmp_path), []
    note = lambda: seen.append(figures(stage)[2])  # noqa: E731
    stage.run(*stage.idle(10), key(" "), *wait(stage, 60), note, key(" "), None, note)
    assert seen == [["paused"], []]


def test_the_note_is_among_the_figures_that_are_drawn(tmp_path, monkeypatch) -> None:
    drawn = []
    monkeypatch.setattr("tracker.app.draw.draw_numbers", lambda canvas, n: drawn.append(n))
    stage = silent_stage(tmp_path)
    stage.run(*stage.idle(10), *wait(stage, 3), *stage.idle(30))
    assert any("no picture for 3 s" in n.notes for n in drawn)


def test_a_file_is_never_late(tmp_path) -> None:
    stage = Stage(tmp_path)
    stage.follower.add(stage.player.frame, scene.red_box(0))
    stage.source.read = lambda timeout=1.0: None
    seen = []
    stage.run(*wait(stage, 9), lambda: seen.append(stage.player._numbers()))
    assert seen[0].age is None and not seen[0].notes
