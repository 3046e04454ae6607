"""Videos that a folder holds and that are not trained on: it is said which, and why."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.training.data import write_boxes, write_video
from tracker.errors import UserError
from tracker.training import layouts
from tracker.training.sources import open_source


def test_videos_that_are_left_out_are_told_of(tmp_path: Path) -> None:
    """A suffix in capitals is one; no annotation, and a folder too deep, are said."""
    for name in ("dog.avi", "camel.AVI", "worm.avi", "day/cat.avi", "day/bee.avi"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        boxes = write_video(tmp_path / name)
        if name in ("dog.avi", "day/cat.avi"):
            write_boxes((tmp_path / name).with_suffix(".txt"), boxes)
    write_boxes(tmp_path / "camel.TXT", boxes)
    (tmp_path / "._dog.avi").write_bytes(b"macOS")
    source = open_source(f"videos:{tmp_path}")
    names = [track.frames[0].name for track in source.tracks]
    assert [name.split("/")[-1] for name in names] == ["cat.avi", "camel.AVI", "dog.avi"]
    (note,) = source.notes
    assert note == (
        f"2 of 5 videos of {tmp_path} have no annotation of their name (worm.avi, day/bee.avi); "
        "left out"
    )
    deep = tmp_path / "day2" / "cam1"
    deep.mkdir(parents=True)
    write_boxes(deep / "soldier.txt", write_video(deep / "soldier.avi"))
    assert open_source(f"videos:{tmp_path}").notes == (note, (
        f"1 annotated video lies deeper in {tmp_path} than in a folder of it "
        "(day2/cam1/soldier.avi); left out, give its folder with a --data of its own"
    ))  # fmt: skip
    assert len(open_source(f"videos:{deep}").tracks) == 1
    (tmp_path / "day2" / ".cache").mkdir()
    write_boxes(tmp_path / "day2" / ".cache" / "a.txt", boxes)
    (deep / "soldier.avi").rename(tmp_path / "day2" / ".cache" / "a.avi")
    assert open_source(f"videos:{tmp_path}").notes == (note,)
    deeper = deep / "take"
    deeper.mkdir()
    write_boxes(deeper / "bee.txt", write_video(deeper / "bee.avi"))
    assert "day2/cam1/take/bee.avi" in open_source(f"videos:{tmp_path}").notes[1]
    (tmp_path / "day" / "bee.avi").unlink()
    assert "1 of 4 videos of" in open_source(str(tmp_path)).notes[0]
    assert "has no annotation of its name (worm.avi)" in open_source(str(tmp_path)).notes[0]


def test_a_look_at_deeper_folders_neither_fails_nor_tells_of_what_was_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    deep = tmp_path / "day" / "private"
    deep.mkdir(parents=True)
    write_boxes(tmp_path / "day" / "dog.txt", write_video(tmp_path / "day" / "dog.avi"))
    (tmp_path / "day" / "up").symlink_to(tmp_path / "day", target_is_directory=True)
    looks = layouts.video_pairs

    def refused(place: Path) -> list[tuple[Path, Path]]:
        if place == deep:
            raise UserError(f"{place}: Permission denied")
        return looks(place)

    monkeypatch.setattr(layouts, "video_pairs", refused)
    source = open_source(f"videos:{tmp_path}")
    assert len(source.tracks) == 1 and source.notes == ()


def test_no_video_has_an_annotation(tmp_path: Path) -> None:
    write_video(tmp_path / "worm.avi")
    with pytest.raises(UserError, match=r"1 of 1 videos .* no annotation of its name \(worm\.avi"):
        open_source(f"videos:{tmp_path}")
