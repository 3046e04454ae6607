"""Pictures with boxes and masks as COCO and Pascal VOC write them."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

pytest.importorskip("torch")

from tests.training.data import as_phones_write, picture
from tracker.errors import UserError
from tracker.training.cutout import mask_corners, object_mask
from tracker.training.sources import open_source
from tracker.training.stills import (
    outlines,
    parse_xml,
    read_coco,
    unpack_runs,
)
from tracker.training.tracks import read_image, track_image


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


def write_stated(folder: Path, picture: bytes, layout: str, size: tuple[int, int]) -> None:
    """A picture with a box 60,20,20,30 whose annotation states a size."""
    folder.mkdir()
    (folder / "a.jpg").write_bytes(picture)
    if layout == "voc":
        (folder / "a.xml").write_text(
            "<annotation><filename>a.jpg</filename>"
            f"<size><width>{size[0]}</width><height>{size[1]}</height></size>"
            "<object><name>cat</name><bndbox><xmin>61</xmin><ymin>21</ymin><xmax>80</xmax>"
            "<ymax>50</ymax></bndbox></object></annotation>"
        )
        return
    content = {
        "images": [{"id": 0, "file_name": "a.jpg", "width": size[0], "height": size[1]}],
        "annotations": [{"id": 0, "image_id": 0, "category_id": 0, "bbox": [60, 20, 20, 30]}],
    }
    (folder / "annotations.json").write_text(json.dumps(content))


@pytest.mark.parametrize("layout", ["coco", "voc"])
def test_boxes_drawn_before_or_after_a_picture_was_turned(tmp_path: Path, layout: str) -> None:
    """A phone lays its pictures down: the stated size says which way the person saw them."""
    size = (96, 80)
    seen = np.full((80, 96, 3), 60, np.uint8)
    seen[20:50, 60:80] = (0, 0, 255)
    for name in ("lying", "turned"):
        stored = seen if name == "lying" else np.rot90(seen)  # EXIF turns it to the right again
        write_stated(tmp_path / name, as_phones_write(stored), layout, size)
        (track,) = open_source(f"{layout}:{tmp_path / name}").tracks
        assert track.boxes[0].tolist() == [60, 20, 20, 30]
        image = track_image(track, 0)
        assert image.shape == seen.shape, name
        assert image[25:45, 65:75, 2].min() > 200 > 100 > image[25:45, 65:75, 1].max(), name


@pytest.mark.parametrize("layout", ["coco", "voc"])
@pytest.mark.parametrize("size", [(192, 160), (80, 96), (96, 90)])
def test_a_picture_of_another_size_than_its_annotation_says(
    tmp_path: Path, layout: str, size: tuple[int, int]
) -> None:
    """Somebody scaled the pictures afterwards: the boxes stand on something else."""
    code = cv2.imencode(".jpg", picture(0))[1].tobytes()
    write_stated(tmp_path / "a", code, layout, size)
    (track,) = open_source(f"{layout}:{tmp_path / 'a'}").tracks
    message = rf"a\.jpg is 96 x 80 pixels, its annotation says {size[0]} x {size[1]}; scale the"
    with pytest.raises(UserError, match=message):
        track_image(track, 0)


@pytest.mark.parametrize("size", [(97, 79), (0, 0), (96, 0)])
def test_sizes_that_are_rounded_or_unknown(tmp_path: Path, size: tuple[int, int]) -> None:
    write_stated(tmp_path / "a", cv2.imencode(".jpg", picture(0))[1].tobytes(), "voc", size)
    (track,) = open_source(str(tmp_path / "a")).tracks
    assert track_image(track, 0).shape == (80, 96, 3)


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


@pytest.mark.parametrize("suffix", [".JPG", ".jpeg", ".bmp"])
def test_voc_that_names_its_pictures_without_their_ending(tmp_path: Path, suffix: str) -> None:
    (tmp_path / "a.xml").write_text(VOC.format(name="a"))
    cv2.imwrite(str(tmp_path / f"a{suffix}"), picture(0))
    assert len(open_source(str(tmp_path)).tracks) == 2


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
