"""Readers of training data, on files as people and data sets make them."""

from __future__ import annotations

import dataclasses
import math
import zlib
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

pytest.importorskip("torch")

from tests.training.data import picture, write_boxes, write_clip, write_video
from tracker.data import datasets
from tracker.errors import UserError
from tracker.training.layouts import crop_around, video_track
from tracker.training.sources import READERS, guess_layout, open_source, split_name
from tracker.training.tracks import EncodedFrames, read_image, track_image


def test_got10k(tmp_path: Path) -> None:
    write_clip(tmp_path / "a", 5)
    write_clip(tmp_path / "deep" / "b", 3, seed=1)
    text = (tmp_path / "a" / "groundtruth.txt").read_text().split("\n")
    text[2] = "nan,nan,nan,nan"
    (tmp_path / "a" / "groundtruth.txt").write_text("\r\n".join(text))
    source = open_source(f"{tmp_path}@0.5")
    assert source.weight == 0.5
    assert [len(t.frames) for t in source.tracks] == [5, 3]
    assert source.tracks[0].present.tolist() == [0, 1, 3, 4]
    assert source.tracks[0].boxes[1].tolist() == [23, 18, 20, 24]
    assert source.pictures == 8


def test_got10k_where_nothing_of_the_target_is_to_be_seen(tmp_path: Path) -> None:
    (write_clip(tmp_path / "a") / "cover.label").write_text("8\n0\n3\n0\n")
    (track,) = open_source(str(tmp_path)).tracks
    assert track.present.tolist() == [0, 2]


def test_got10k_with_a_picture_too_many(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "a")
    cv2.imwrite(str(clip / "99.png"), picture(0))
    with pytest.raises(UserError, match=r"5 pictures but 4 lines"):
        open_source(str(tmp_path))


@pytest.mark.parametrize("suffix", [".txt", ".csv"])
def test_video_file(tmp_path: Path, suffix: str) -> None:
    boxes = write_video(tmp_path / "clip.avi")
    boxes[3] = np.nan
    write_boxes(tmp_path / f"clip{suffix}", boxes, header=suffix == ".csv")
    source = open_source(f"{tmp_path / 'clip.avi'}@2")
    (track,) = source.tracks
    assert track.present.tolist() == [0, 1, 2, 4, 5]
    for index in track.present:
        x, y, w, h = track.boxes[index]
        image = read_image(track.frames[int(index)])
        inside = image[round(y + 4) : round(y + h - 4), round(x + 4) : round(x + w - 4)]
        assert (abs(inside.astype(int) - (40, 220, 240)) < 30).all()
        assert (w, h) == (20, 16)
    assert len(open_source(str(tmp_path)).tracks) == 1  # and the folder as a whole


def test_videos_whose_object_comes_later(tmp_path: Path) -> None:
    """A tracker could not start in the first frame; a training needs it in any."""
    for name, absent in (("a", 1), ("b", 0), ("c", 6)):
        boxes = write_video(tmp_path / f"{name}.avi")
        boxes[:absent] = np.nan
        write_boxes(tmp_path / f"{name}.txt", boxes)
    source = open_source(str(tmp_path))
    assert [track.present[0] for track in source.tracks] == [1, 0]
    assert "1 objects of" in source.notes[0] and "never have a box" in source.notes[0]


def test_a_picture_of_too_many_pixels(tmp_path: Path) -> None:
    """OpenCV refuses its header with an exception."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        code = zlib.crc32(kind + data).to_bytes(4, "big")
        return len(data).to_bytes(4, "big") + kind + data + code

    header = (60000).to_bytes(4, "big") * 2 + bytes([8, 0, 0, 0, 0])
    pixels = chunk(b"IDAT", zlib.compress(bytes(100)))
    content = chunk(b"IHDR", header) + pixels + chunk(b"IEND", b"")
    (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n" + content)
    with pytest.raises(UserError, match=r"a\.png cannot be read as a picture"):
        read_image(tmp_path / "a.png")


def test_a_picture_without_memory_for_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is wrong is not the picture."""

    def decode(data: np.ndarray, flags: int) -> np.ndarray:
        return cv2.resize(np.zeros((2, 2), np.uint8), (1 << 30, 1 << 30))

    cv2.imwrite(str(tmp_path / "a.png"), picture(0))
    monkeypatch.setattr(cv2, "imdecode", decode)
    with pytest.raises(UserError, match="not enough memory to read a training picture"):
        read_image(tmp_path / "a.png")


def test_video_without_annotation_or_too_short(tmp_path: Path) -> None:
    boxes = write_video(tmp_path / "clip.avi")
    with pytest.raises(UserError, match="has no annotation"):
        open_source(str(tmp_path / "clip.avi"))
    write_boxes(tmp_path / "clip.txt", np.tile(boxes, (2, 1)))
    with pytest.raises(UserError, match="ends after 6 frames"):
        open_source(str(tmp_path / "clip.avi"))


def test_crop_of_a_large_target_is_made_smaller() -> None:
    image = np.zeros((700, 900, 3), np.uint8)
    image[200:500, 300:700] = 255
    crop, box = crop_around(image, np.array([300.0, 200, 400, 300]))
    x, y, w, h = box
    assert max(crop.shape[:2]) <= 3.3 * 128
    assert np.sqrt((w + (w + h) / 2) * (h + (w + h) / 2)) == pytest.approx(128, rel=0.01)
    rows, columns = np.nonzero(crop[:, :, 0] > 127)
    found = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
    np.testing.assert_allclose(found, [x, y, x + w, y + h], atol=1.0)


def test_box_outside_of_its_frame(tmp_path: Path) -> None:
    boxes = write_video(tmp_path / "clip.avi")
    boxes[2] = (500, 500, 20, 20)
    with pytest.raises(UserError, match="lies outside the frame of 96 x 80"):
        video_track(tmp_path / "clip.avi", boxes)


@pytest.mark.parametrize(
    "box",
    [(97, 20, 20, 20), (-30, 20, 20, 20), (20, 81, 20, 20), (20, -30, 20, 20), (900, 500, 20, 20)],
)
def test_a_video_s_box_beside_its_frame(tmp_path: Path, box: tuple[int, ...]) -> None:
    boxes = write_video(tmp_path / "clip.avi")
    boxes[2] = box
    with pytest.raises(UserError, match=r"frame 2: the box .* lies outside the frame of 96 x 80"):
        video_track(tmp_path / "clip.avi", boxes)


def test_boxes_of_other_pictures(tmp_path: Path) -> None:
    """Those of the clip before it was scaled, for instance; nothing in the files says so."""
    clip = write_clip(tmp_path / "a")
    (clip / "groundtruth.txt").write_text("900,500,20,24\n" * 2 + "0,0,0,0\n90,70,20,24\n")
    (track,) = open_source(str(tmp_path)).tracks
    message = r"the box 900,500,20,24 lies outside of .*00000001\.png, which is 96 x 80 pixels"
    with pytest.raises(UserError, match=message):
        track_image(track, 0)
    for number in (2, 3):  # the object is not there, and it is there in part
        assert track_image(track, number).shape == (80, 96, 3)


def test_lasot_and_otb(tmp_path: Path) -> None:
    lasot = tmp_path / "lasot" / "cat" / "cat-1"
    write_clip(lasot / "img")
    (lasot / "img" / "groundtruth.txt").rename(lasot / "groundtruth.txt")
    (lasot / "out_of_view.txt").write_text("0,0,1,0")
    (track,) = open_source(str(tmp_path / "lasot")).tracks
    assert track.category == "cat"
    assert track.present.tolist() == [0, 1, 3]
    assert track.boxes[0].tolist() == [19, 15, 20, 24]  # counted from 1
    otb = tmp_path / "otb" / "Dog"
    write_clip(otb / "img")
    (otb / "img" / "groundtruth.txt").rename(otb / "groundtruth_rect.txt")
    (track,) = open_source(str(tmp_path / "otb")).tracks
    assert len(track.frames) == 4
    assert track.boxes[0].tolist() == [19, 15, 20, 24]


def test_vot_uav123_and_davis_are_recognised(tmp_path: Path) -> None:
    vot = tmp_path / "vot" / "ball"
    write_clip(vot / "color")
    (vot / "color" / "groundtruth.txt").rename(vot / "groundtruth.txt")
    uav = tmp_path / "uav"
    write_clip(uav / "data_seq" / "UAV123" / "bike")
    (uav / "anno" / "UAV123").mkdir(parents=True)
    (uav / "data_seq" / "UAV123" / "bike" / "groundtruth.txt").rename(
        uav / "anno" / "UAV123" / "bike.txt"
    )
    davis = tmp_path / "davis"
    write_clip(davis / "JPEGImages" / "480p" / "bear")
    masks = davis / "Annotations" / "480p" / "bear"
    masks.mkdir(parents=True)
    mask = np.zeros((80, 96), np.uint8)
    mask[20:44, 30:50] = 255
    for index in range(4):
        cv2.imwrite(str(masks / f"{index + 1:08d}.png"), mask)
    for folder, x in ((tmp_path / "vot", 20), (uav, 19), (davis, 30)):
        (track,) = open_source(str(folder)).tracks
        assert len(track.frames) == 4
        assert track.boxes[0, 0] == x


def vot_of_tags(root: Path) -> None:
    clip = write_clip(root / "ball")
    (clip / "occlusion.tag").write_text("0\n0\n0\n1\n")


def vot_of_a_file(root: Path) -> None:
    clip = write_clip(root / "ball")
    (clip / "sequence").write_text("[sequence]\nname=ball\n")


def uavdt(root: Path) -> None:
    clip = write_clip(root / "UAV-benchmark-S" / "S0101")
    truth = root / "UAV-benchmark-SOT_v1.0" / "anno" / "S0101_gt.txt"
    truth.parent.mkdir(parents=True)
    (clip / "groundtruth.txt").rename(truth)


def dtb70(root: Path) -> None:
    clip = write_clip(root / "RcCar3" / "img")
    (clip / "groundtruth.txt").rename(root / "RcCar3" / "groundtruth_rect.txt")


def videos_beside_pictures(root: Path) -> None:
    clip = write_clip(root / "cat" / "img")
    (clip / "groundtruth.txt").rename(root / "cat" / "groundtruth.txt")
    write_boxes(root / "clip.txt", write_video(root / "clip.avi"))


@pytest.mark.parametrize(
    ("make", "kind", "x"),
    [
        (vot_of_tags, "vot", 20),
        (vot_of_a_file, "vot", 20),
        (uavdt, "uavdt", 19),  # counted from 1
        (dtb70, "dtb70", 19),
        (videos_beside_pictures, "pairs", None),
        (lambda root: write_clip(root / "a"), "got10k", 20),
    ],
    ids=["vot, tags", "vot, file", "uavdt", "dtb70", "videos", "got10k"],
)
def test_a_layout_is_what_the_evaluation_takes_it_for(
    make: Callable[[Path], object], kind: str, x: int | None, tmp_path: Path
) -> None:
    make(tmp_path)
    assert datasets.detect(tmp_path) == kind
    layout = guess_layout(tmp_path)
    assert layout == ("videos" if kind == "pairs" else kind)
    (track,) = open_source(str(tmp_path)).tracks
    (named,) = open_source(f"{layout}:{tmp_path}").tracks
    np.testing.assert_array_equal(named.boxes, track.boxes)
    if x is not None:
        assert track.boxes[0].tolist() == [x, x - 4, 20, 24]


def test_pictures_beside_videos_are_left_out_and_it_is_said(tmp_path: Path) -> None:
    write_boxes(tmp_path / "groundtruth.txt", write_video(tmp_path / "groundtruth.avi"))
    assert open_source(str(tmp_path)).notes == ()
    videos_beside_pictures(tmp_path)
    write_clip(tmp_path / "a")
    (note,) = open_source(str(tmp_path)).notes
    assert f"2 folders of pictures beside the videos of {tmp_path} are left out" in note
    assert f"got10k:{tmp_path}" in note
    assert open_source(f"videos:{tmp_path}").notes == ()  # as asked for


def test_all_that_the_evaluation_reads_can_be_trained_on() -> None:
    assert set(datasets.KINDS) - {"pairs"} < set(READERS)


def test_a_picture_without_permission_is_told_by_any_worker(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(path: Path, dtype: type) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    write_clip(tmp_path / "a", 1)
    (track,) = open_source(str(tmp_path)).tracks
    monkeypatch.setattr(np, "fromfile", refused)
    with pytest.raises(UserError, match="Permission denied; ask its owner"):
        read_image(track.frames[0])


def test_names_of_sources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    odd = tmp_path / "me@home:2"
    odd.mkdir()
    assert split_name(f"coco:{odd}") == ("coco", odd, 1.0)
    assert split_name(f"{odd}@0.25") == ("", odd, 0.25)
    assert split_name("voc:a/b@3") == ("voc", Path("a/b"), 3.0)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    assert split_name("coco:~/x@2") == ("coco", tmp_path / "x", 2.0)
    assert split_name("a@b/c") == ("", Path("a@b/c"), 1.0)


@pytest.mark.parametrize("weight", ["0", "-1", "nan", "inf", "much"])
def test_a_weight_is_a_number_above_0(weight: str) -> None:
    with pytest.raises(UserError, match=f"a weight is a number above 0, found '{weight}'"):
        split_name(f"coco:somewhere@{weight}")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{}/nowhere", "there is no training data at"),
        ("{}", "layout of .* was not recognised"),
        ("{}@much", "a weight is a number above 0, found 'much'"),
        ("got10k:{}", "there is no object with a box in"),
        ("voc:{}", "there is no object with a box in"),
        ("coco:{}", "cannot be read"),
    ],
)
def test_mistakes_are_told_in_a_sentence(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        open_source(text.format(tmp_path))


@pytest.mark.parametrize("weight", [0.0, -1.0, math.nan, math.inf])
def test_weight_must_be_positive(tmp_path: Path, weight: float) -> None:
    write_clip(tmp_path / "a")
    source = open_source(str(tmp_path))
    with pytest.raises(UserError, match="positive weight"):
        dataclasses.replace(source, weight=weight)


def test_frames_in_memory() -> None:
    parts = [cv2.imencode(".png", picture(i))[1].ravel() for i in range(3)]
    frames = EncodedFrames(parts, "x")
    assert len(frames) == 3
    assert np.array_equal(read_image(frames[2]), picture(2))
    with pytest.raises(IndexError):
        frames[3]
    with pytest.raises(UserError, match="frame 0 of x cannot be decoded"):
        read_image(EncodedFrames([np.zeros(9, np.uint8)], "x")[0])
