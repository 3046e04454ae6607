"""Videos from the window show of every frame what the results say of it, and no state of keys."""

import cv2
import numpy as np
import pytest

from tests.app import scene
from tests.app.calls import boxes_in
from tests.app.stage import Stage, drag, key
from tracker.app import draw
from tracker.app.events import Key, KeyPress
from tracker.app.results_writer import ResultsWriter
from tracker.errors import UserError

LARGE = 14.0  # a box drawn with so much around the red square is none that the session finds


def large_box(index):
    x, y, w, h = scene.red_box(index)
    return x - LARGE, y - LARGE, w + 2 * LARGE, h + 2 * LARGE


@pytest.fixture(autouse=True)
def no_list(monkeypatch):
    """The list of targets covers the number of a rendered frame."""
    monkeypatch.setattr(draw, "_list", lambda *arguments: None)


def drawn(image, index, box) -> bool:
    """Whether a box was drawn there."""
    line = np.zeros(image.shape[:2], np.uint8)
    x, y, w, h = map(round, box)
    cv2.rectangle(line, (x, y), (x + w, y + h), 255, 1)
    off = np.abs(image.astype(int) - scene.picture(index)).mean(axis=2)
    return off[line > 0].mean() > 40


def film_of(path):
    """What a video shows: (number of the frame, names of the boxes drawn in it)."""
    places = {"red": scene.red_box, "blue": scene.blue_box, "large": large_box}
    shown = []
    for image in scene.read_clip(path)[0]:
        at = scene.number_of(image)
        shown.append((at, {name for name, box in places.items() if drawn(image, at, box(at))}))
    return shown


def test_a_film_shows_of_each_frame_what_the_results_say_of_it(tmp_path) -> None:
    """Also of those on which targets were drawn, drawn again and dropped."""
    with ResultsWriter(tmp_path / "o.csv") as results:
        stage = Stage(tmp_path, results=results, save=tmp_path / "o.mp4", max_frames=9)
        stage.player.playing, listed = False, []
        stage.run(
            *drag(scene.red_box(0)), key("n"), key("n"),
            key("a"), *drag(scene.blue_box(2)), key("n"), key("n"),
            lambda: stage.follower.choose_at(*scene.red_box(4)[:2]), key("r"), *drag(large_box(4)),
            key("n"), key("n"), KeyPress(Key.TAB), key("d"),
            lambda: listed.append(list(stage.follower.told)), key("n"), key("d"), key("n"),
            key("a"), *drag(scene.blue_box(8)), key("d"), key("n"),
        )  # fmt: skip
    assert listed == [[1, 2]]
    red, blue, large = {"red"}, {"blue"}, {"large"}
    told = [red, red, red | blue, red | blue, large | blue, red | blue, red | blue, red, set()]
    assert [len(boxes) for boxes in told] == [
        sum(frame == index for frame, _ in boxes_in(tmp_path / "o.csv")) for index in range(9)
    ]
    assert film_of(tmp_path / "o.mp4") == list(enumerate(told))


def test_a_recording_has_every_frame_that_was_on_screen_as_it_was_left(tmp_path) -> None:
    """What becomes of the last one later is in the film that goes on alone."""
    stage = Stage(tmp_path, save=tmp_path / "o.mp4")
    both, red = {"red", "blue"}, {"red"}
    stage.player.playing = False
    stage.run(
        *drag(scene.red_box(0)), key("n"), key("v"), key("a"), *drag(scene.blue_box(1)),
        key("n"), key("v"), key("d"), key("n"), key("v"), KeyPress(Key.DOWN), key("q"),
    )  # fmt: skip
    assert film_of(tmp_path / "demo_scene.mp4") == [(1, both), (2, both)]
    assert film_of(tmp_path / "demo_scene_2.mp4")[0] == (3, red)
    frames = [(0, red), (1, both), (2, both), (3, red)]
    assert film_of(tmp_path / "o.mp4")[:4] == frames


def test_films_and_snapshots_do_not_tell_of_the_player(tmp_path, monkeypatch) -> None:
    figures = {320: [], 640: []}  # by the width of the file's and of the window's picture
    whole = draw.draw_numbers

    def note(canvas, numbers):
        figures[canvas.width].append(list(numbers.notes))
        whole(canvas, numbers)

    monkeypatch.setattr(draw, "draw_numbers", note)
    stage = Stage(tmp_path, save=tmp_path / "o.mp4")
    stage.player.playing = False
    stage.run(*drag(scene.red_box(0)), key("+"), key("n"), key("s"), *stage.idle(2))
    assert ["paused", "x2"] in figures[640]
    assert figures[320] == [[]] * 3  # two frames and a snapshot


@pytest.mark.parametrize("error", [KeyboardInterrupt, UserError("the disk is full")])
def test_an_end_in_the_middle_of_a_frame_leaves_the_ones_before_in_the_film(
    tmp_path, monkeypatch, error
) -> None:
    stage = Stage(tmp_path, live=True, save=tmp_path / "o.mp4")
    stage.follower.add(stage.player.frame, scene.red_box(0))
    whole = stage.session.update

    def update(image):
        if scene.number_of(image) == 5:
            raise error
        return whole(image)

    monkeypatch.setattr(stage.session, "update", update)
    with pytest.raises((KeyboardInterrupt, UserError)):
        stage.run(*stage.idle(300))
    stage.recorder.close()
    assert film_of(tmp_path / "o.mp4") == [(index, {"red"}) for index in range(5)]
