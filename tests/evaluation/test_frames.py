"""Where frames come from: in any order, each once, and what tells one clip from another."""

from __future__ import annotations

import shutil

import cv2
import numpy as np
import pytest

from tests.evaluation.written_clips import clip, picture, write
from tracker.errors import UserError
from tracker.evaluation import conditions, stillness
from tracker.frames import Pictures, Video, picture_paths


def test_a_video_shorter_than_its_truth(tmp_path):
    clip(tmp_path / "a.mp4", 3)
    with pytest.raises(UserError, match="ends after 3 frames, its annotation needs 5"):
        list(Video(tmp_path / "a.mp4").read(range(5)))
    write(tmp_path / "no.mp4", "text")
    with pytest.raises(UserError, match="cannot be opened"):
        list(Video(tmp_path / "no.mp4").read(range(1)))


def test_a_frame_that_cannot_be_decoded_is_named_and_counted(tmp_path):
    """Left out it would give its box to the frame behind it, or end the video."""
    writer = cv2.VideoWriter(str(tmp_path / "a.avi"), cv2.VideoWriter_fourcc(*"MJPG"), 10, (64, 48))
    rng = np.random.default_rng(0)
    for _ in range(12):
        writer.write(rng.integers(0, 255, (48, 64, 3), np.uint8))
    writer.release()
    data, at = bytearray((tmp_path / "a.avi").read_bytes()), -1
    for _ in range(8):
        at = data.index(b"\xff\xd8\xff", at + 1)
    data[at : at + 400] = bytes(400)
    (tmp_path / "a.avi").write_bytes(data)
    video = Video(tmp_path / "a.avi")
    assert video.count() == 12 and len(list(video.read(range(7)))) == 7
    with pytest.raises(UserError, match=r"a\.avi: frame 7 cannot be decoded"):
        list(video.read(range(12)))


def test_backward_in_chunks_gives_every_frame_once(tmp_path, monkeypatch):
    clip(tmp_path / "a.mp4", 5)
    video = Video(tmp_path / "a.mp4")
    forward = [f.mean() for f in video.read(range(5))]
    monkeypatch.setattr("tracker.frames._CHUNK_BYTES", 2 * 48 * 64 * 3)
    assert [f.mean() for f in video.read(range(4, -1, -1))] == forward[::-1]


def test_two_targets_of_a_video_are_two_names_of_what_is_in_it(tmp_path):
    clip(tmp_path / "walk_1.avi")
    shutil.copy(tmp_path / "walk_1.avi", tmp_path / "walk_2.avi")
    clip(tmp_path / "walk_3.avi", 6)
    one, two, other = (Video(tmp_path / f"walk_{i}.avi") for i in (1, 2, 3))
    assert one.clip() == two.clip() != other.clip()
    assert conditions.InCondition(stillness.Held(one), "dark").clip() == one.clip()


def test_a_picture_or_video_of_the_same_size_is_another(tmp_path):
    picture(tmp_path / "a.bmp", 10)
    clip(tmp_path / "a.avi")
    sources = Pictures((tmp_path / "a.bmp",)), Video(tmp_path / "a.avi")
    before = [source.fingerprint() for source in sources]
    assert before == [source.fingerprint() for source in sources]
    picture(tmp_path / "a.bmp", 11)
    raw = bytearray((tmp_path / "a.avi").read_bytes())
    raw[-1] ^= 1
    (tmp_path / "a.avi").write_bytes(raw)
    after = [source.fingerprint() for source in sources]
    assert before[0] != after[0] and before[1] != after[1]


def test_pictures_are_ordered_by_number(tmp_path):
    for name in ("10.png", "9.png", "1.png"):
        picture(tmp_path / "x" / name, 1)
    found = picture_paths(tmp_path / "x")
    assert [p.name for p in found] == ["1.png", "9.png", "10.png"]


def test_pictures_of_two_numbers_and_hidden_ones(tmp_path):
    """As the application orders them; macOS leaves a hidden file beside each on a stick."""
    for name in ("1_10.png", "2_9.png", "2_1.png", "10_1.png"):
        picture(tmp_path / "x" / name, 1)
        (tmp_path / "x" / f"._{name}").write_bytes(b"mac")
    names = [p.name for p in picture_paths(tmp_path / "x")]
    assert names == ["1_10.png", "2_1.png", "2_9.png", "10_1.png"]
    clip = Pictures(picture_paths(tmp_path / "x"))
    before = clip.fingerprint()
    picture(tmp_path / "x" / "2_9.png", 1, size=(50, 40))
    assert clip.fingerprint() != before
