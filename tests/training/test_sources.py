"""Readers of training data, on files as people and data sets make them."""

from __future__ import annotations

import json
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest

pytest.importorskip("torch")

from tests.training.data import picture, write_clip
from tracker.errors import UserError
from tracker.training.cutout import mask_corners, object_mask
from tracker.training.layouts import crop_around, video_track
from tracker.training.sources import open_source, split_name
from tracker.training.stills import (
    outlines,
    parse_xml,
    read_coco,
    unpack_runs,
)
from tracker.training.tracks import EncodedFrames, read_image


def write_video(path: Path, count: int = 6, size: tuple[int, int] = (96, 80)) -> np.ndarray:
    """A grey video with a bright square at the returned boxes."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 25, size)
    assert writer.isOpened()
    boxes = []
    for index in range(count):
        image = np.full((size[1], size[0], 3), 60, np.uint8)
        x, y = 10 + 5 * index, 20 + 3 * index
        image[y : y + 16, x : x + 20] = (40, 220, 240)
        writer.write(image)
        boxes.append((x, y, 20, 16))
    writer.release()
    return np.array(boxes, dtype=np.float64)


def write_boxes(path: Path, boxes: np.ndarray, header: bool = False) -> None:
    lines = ["x,y,w,h"] * header + [",".join(f"{v:g}" for v in b) for b in boxes]
    path.write_text("\n".join(lines) + "\n")


def write_coco(folder: Path, pictures: int = 2, present: int | None = None) -> dict[str, object]:
    (folder / "images").mkdir(parents=True)
    for index in range(pictures if present is None else present):
        cv2.imwrite(str(folder / "images" / f"{index}.png"), picture(index))
    square = [10, 12, 40, 12, 40, 42, 10, 42]
    content = {
        "images": [{"id": i, "file_name": f"{i}.png"} for i in range(pictures)],
        "categories": [{"id": 7, "name": "cat"}, {"id": 8, "name": "dog"}],
        "annotations": [
            {"image_id": i, "category_id": c, "bbox": b, "segmentation": s, "iscrowd": crowd}
            for i in range(pictures)
            for c, b, s, crowd in (
                (7, [10, 12, 30, 30], [square], 0),
                (7, [50, 40, 20, 22], [], 0),
                (8, [5, 5, 20, 20], [], 0),
                (7, [0, 0, 90, 70], [], 1),  # a crowd
                (7, [0, 0, 5, 60], [], 0),  # too thin
            )
        ],
    }
    (folder / "annotations.json").write_text(json.dumps(content))
    return content


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


def test_got10k_with_a_picture_too_many(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "a")
    cv2.imwrite(str(clip / "99.png"), picture(0))
    with pytest.raises(UserError, match=r"5 pictures but 4 lines"):
        open_source(str(tmp_path))


def test_coco(tmp_path: Path) -> None:
    write_coco(tmp_path)
    source = open_source(str(tmp_path))
    assert len(source.tracks) == 6  # crowds and slivers are left out
    first = source.tracks[0]
    assert first.category == "cat"
    assert first.polygons[0].tolist() == [[10, 12], [39, 12], [39, 41], [10, 41]]
    assert first.others[0].tolist() == [[50, 40, 20, 22]]
    assert read_image(first.frames[0]).shape == (80, 96, 3)
    assert source.notes == ()


@pytest.mark.parametrize("box", [[1, 2, 30], [1e30] * 4, [1, 2, float("nan"), 4], "box", []])
def test_coco_with_a_box_that_is_none(tmp_path: Path, box: object) -> None:
    """One among good ones: it would only be met in the middle of a training."""
    content = write_coco(tmp_path)
    content["annotations"][-1]["bbox"] = box  # type: ignore[index]
    (tmp_path / "annotations.json").write_text(json.dumps(content))
    with pytest.raises(UserError, match="is not a COCO annotation file"):
        read_coco(tmp_path)


def test_boxes_outside_of_their_pictures(tmp_path: Path) -> None:
    """Where the annotation states how large pictures are, nothing is learned from them."""
    content = write_coco(tmp_path)
    content["images"][0] |= {"width": 96, "height": 80}  # type: ignore[index]
    content["annotations"][0]["bbox"] = [500, 12, 30, 30]  # type: ignore[index]
    content["annotations"][1]["bbox"] = [80, 60, 30, 30]  # type: ignore[index]
    (tmp_path / "annotations.json").write_text(json.dumps(content))
    source = open_source(str(tmp_path))
    assert len(source.tracks) == 5
    assert source.notes == (
        f"1 boxes of {tmp_path / 'annotations.json'} lie outside of their pictures; left out",
    )
    write_voc(tmp_path / "voc")
    file = sorted((tmp_path / "voc").rglob("*.xml"))[0]
    size = "<size><width>96</width><height>15</height></size>"
    file.write_text(file.read_text().replace("<object>", size + "<object>", 1))
    source = open_source(str(tmp_path / "voc"))
    assert "1 boxes of" in source.notes[-1]


def test_coco_as_windows_writes_it(tmp_path: Path) -> None:
    content = write_coco(tmp_path)
    (tmp_path / "annotations.json").write_text(json.dumps(content), encoding="utf-8-sig")
    assert len(open_source(str(tmp_path)).tracks) == 6


@pytest.mark.parametrize("form", ["edges", "middles", "runs"])
def test_an_outline_ends_where_its_box_does(tmp_path: Path, form: str) -> None:
    """COCO's polygons are of edges; those traced around a mask of the middles of pixels."""
    content = write_coco(tmp_path, pictures=1)
    end = 30 if form == "edges" else 29
    square: object = [[10, 12, end, 12, end, end + 2, 10, end + 2]]
    if form == "runs":
        height, width = picture(0).shape[:2]
        mask = np.zeros((height, width), np.uint8)
        mask[12:32, 10:30] = 1
        flat = np.concatenate([[0], mask.T.ravel(), [1 - mask.T.ravel()[-1]]])
        starts = np.flatnonzero(np.diff(flat))
        square = {"size": [height, width],
                  "counts": np.diff([0, *starts]).tolist()}  # fmt: skip
    item = {"id": 1, "image_id": 0, "category_id": 1, "bbox": [10, 12, 20, 20]}
    content["annotations"] = [item | {"segmentation": square}]
    (tmp_path / "annotations.json").write_text(json.dumps(content))
    ((track,), _) = read_coco(tmp_path)
    mask = object_mask(track, 0, picture(0).shape[:2])
    np.testing.assert_allclose(mask_corners(mask), [10, 12, 30, 32], atol=1)
    assert mask[:, 10:30].sum() / mask.sum() > 0.94
    assert abs(mask.sum() - 400) < 12


def test_coco_with_missing_pictures(tmp_path: Path) -> None:
    write_coco(tmp_path, pictures=3, present=1)
    source = open_source(str(tmp_path))
    assert len(source.tracks) == 3
    assert "2 of 3 annotated pictures are not in" in source.notes[0]


@pytest.mark.parametrize("name", ["/etc/passwd", "../secret.png", "a/../../secret.png", "ABOVE"])
def test_coco_that_names_files_elsewhere(tmp_path: Path, name: str) -> None:
    content = write_coco(tmp_path / "set")
    cv2.imwrite(str(tmp_path / "set" / "secret.png"), picture(0))
    name = str(tmp_path / "set" / "secret.png") if name == "ABOVE" else name
    content["images"][0]["file_name"] = name  # type: ignore[index]
    (tmp_path / "set" / "annotations.json").write_text(json.dumps(content))
    with pytest.raises(
        UserError, match=r"annotations\.json names the picture .* not below"
    ) as said:
        open_source(str(tmp_path / "set"))
    assert "\n" not in str(said.value)


def test_coco_with_no_picture_left(tmp_path: Path) -> None:
    write_coco(tmp_path, present=0)
    with pytest.raises(UserError, match="2 of 2 annotated pictures"):
        open_source(str(tmp_path))


@pytest.mark.parametrize("text", ["", "[]", '{"images": 3}', '{"annotations": [{}], "images": []}'])
def test_coco_that_is_none(tmp_path: Path, text: str) -> None:
    (tmp_path / "annotations.json").write_text(text)
    with pytest.raises(UserError, match="is not a COCO annotation file"):
        open_source(str(tmp_path))


def test_masks_of_runs() -> None:
    mask = np.zeros((6, 9), np.uint8)
    mask[1:5, 2:7] = 1
    flat = mask.T.ravel()
    edges = np.flatnonzero(np.diff(np.concatenate([[0], flat, [1 - flat[-1]]])))
    counts = np.diff(np.concatenate([[0], edges])).tolist()
    (found,) = outlines({"size": [6, 9], "counts": counts})
    assert found.min(0).tolist() == [2, 1]
    assert found.max(0).tolist() == [6, 4]
    # the compressed form of the same, character by character as the format says
    (packed,) = outlines({"size": [6, 9], "counts": pack_runs(counts)})
    assert packed.tolist() == found.tolist()


def pack_runs(counts: list[int]) -> str:
    text = ""
    for index, count in enumerate(counts):
        value = count - counts[index - 2] if index > 2 else count
        more = True
        while more:
            bits = value & 31
            value >>= 5
            more = value != (-1 if bits & 16 else 0)
            text += chr((bits | (32 if more else 0)) + 48)
    return text


def test_packed_runs_come_back() -> None:
    counts = [13, 4, 2, 900, 33, 1, 0, 70000, 5]
    assert unpack_runs(pack_runs(counts)) == counts


VOC = """<annotation><filename>{name}</filename><size><width>96</width></size>
<object><name>dog</name><bndbox><xmin>11</xmin><ymin>21</ymin><xmax>50</xmax><ymax>60</ymax></bndbox>
<part><name>head</name><bndbox><xmin>1</xmin><ymin>2</ymin><xmax>3</xmax><ymax>4</ymax></bndbox></part>
</object><object><name>dog</name><bndbox><xmin>1.0</xmin><ymin>1</ymin><xmax>9</xmax><ymax>30</ymax>
</bndbox></object><object><name>cat</name><bndbox><xmin>5</xmin><ymin>5</ymin><xmax>8</xmax>
<ymax>60</ymax></bndbox></object></annotation>"""


def write_voc(folder: Path) -> None:
    (folder / "Annotations").mkdir(parents=True)
    (folder / "JPEGImages").mkdir()
    for name in ("one", "two"):
        (folder / "Annotations" / f"{name}.xml").write_text(VOC.format(name=f"{name}.jpg"))
    cv2.imwrite(str(folder / "JPEGImages" / "one.jpg"), picture(0))


def test_voc(tmp_path: Path) -> None:
    write_voc(tmp_path)
    source = open_source(str(tmp_path))
    boxes = [t.boxes[0].tolist() for t in source.tracks]
    assert boxes == [[10, 20, 40, 40], [0, 0, 9, 30]]  # from 1, the last pixel included
    assert {t.category for t in source.tracks} == {"dog"}
    assert "1 of 2 annotated pictures" in source.notes[0]


def test_voc_devkit_and_files_side_by_side(tmp_path: Path) -> None:
    write_voc(tmp_path / "kit" / "VOC2007")
    assert len(open_source(str(tmp_path / "kit")).tracks) == 2
    flat = tmp_path / "flat"
    flat.mkdir()
    (flat / "a.xml").write_text(VOC.format(name="C:/elsewhere/a.jpg"))
    cv2.imwrite(str(flat / "a.jpg"), picture(0))
    assert len(open_source(str(flat)).tracks) == 2


BOMB = """<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b "bbbbbbbb"><!ENTITY c "&b;&b;&b;&b;">
<!ENTITY d SYSTEM "file:///etc/passwd">]><annotation><filename>&c;&d;</filename></annotation>"""


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_xml_with_a_document_type_is_refused(tmp_path: Path, encoding: str) -> None:
    write_voc(tmp_path)
    (tmp_path / "Annotations" / "one.xml").write_bytes(BOMB.encode(encoding))
    with pytest.raises(UserError, match="declares a document type"):
        open_source(f"voc:{tmp_path}")


@pytest.mark.parametrize(
    "text", ["", "<annotation>", VOC.replace("11", "eleven", 1), VOC.replace("11", "1e300", 1)]
)
def test_voc_that_is_damaged(tmp_path: Path, text: str) -> None:
    write_voc(tmp_path)
    (tmp_path / "Annotations" / "one.xml").write_text(text)
    with pytest.raises(UserError, match=r"one\.xml is not a Pascal VOC annotation"):
        open_source(str(tmp_path))


def test_xml_is_read_whole() -> None:
    root = parse_xml(b"<a x='1'><b>t&amp;u</b></a>")
    assert root.get("x") == "1"
    assert root.findtext("b") == "t&u"


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


def test_names_of_sources(tmp_path: Path) -> None:
    odd = tmp_path / "me@home:2"
    odd.mkdir()
    assert split_name(f"coco:{odd}") == ("coco", odd, 1.0)
    assert split_name(f"{odd}@0.25") == ("", odd, 0.25)
    assert split_name("voc:a/b@3") == ("voc", Path("a/b"), 3.0)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{}/nowhere", "there is no training data at"),
        ("{}", "layout of .* was not recognised"),
        ("{}@much", "weight of a source is a number, found 'much'"),
        ("got10k:{}", "there is no object with a box in"),
        ("voc:{}", "there is no object with a box in"),
        ("coco:{}", "cannot be read"),
    ],
)
def test_mistakes_are_told_in_a_sentence(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        open_source(text.format(tmp_path))


@pytest.mark.parametrize("weight", ["0", "-1", "nan", "inf"])
def test_weight_must_be_positive(tmp_path: Path, weight: str) -> None:
    write_clip(tmp_path / "a")
    with pytest.raises(UserError, match="positive weight"):
        open_source(f"{tmp_path}@{weight}")


def test_frames_in_memory() -> None:
    parts = [cv2.imencode(".png", picture(i))[1].ravel() for i in range(3)]
    frames = EncodedFrames(parts, "x")
    assert len(frames) == 3
    assert np.array_equal(read_image(frames[2]), picture(2))
    with pytest.raises(IndexError):
        frames[3]
    with pytest.raises(UserError, match="frame 0 of x cannot be decoded"):
        read_image(EncodedFrames([np.zeros(9, np.uint8)], "x")[0])
