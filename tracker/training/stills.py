"""Readers of annotated stills: COCO and Pascal VOC. Every object becomes a track of one frame."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree
from xml.parsers import expat

import cv2
import numpy as np
from numpy.typing import NDArray

from tracker.errors import UserError
from tracker.frames import PICTURE_SUFFIXES
from tracker.training.layouts import Read
from tracker.training.tracks import Track, meets_picture

MIN_SIDE = 8
"""Objects with a side of fewer pixels are left out."""

FARTHEST = 1e6
"""Pixels from a picture's corner; no box reaches so far."""

MOST_PIXELS = 2**27
"""Of a mask; a larger one would fill the memory instead of describing a picture."""

_SUFFIXES = (".jpg", *sorted(PICTURE_SUFFIXES))

Polygons = tuple[NDArray[np.float32], ...]
Size = tuple[int, int] | None


def read_coco(folder: Path) -> Read:
    """COCO layout: ``annotations.json`` and ``images/``.

    Crowds and objects under ``MIN_SIDE`` pixels are left out; other objects of the same
    category in the picture become ``others``. Polygons and masks become outlines.
    """
    path = folder if folder.suffix == ".json" else folder / "annotations.json"
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"))
        names = {c["id"]: str(c["name"]) for c in content.get("categories", [])}
        files = {i["id"]: str(i["file_name"]) for i in content["images"]}
        sizes = {i["id"]: stated_size(i.get("width"), i.get("height")) for i in content["images"]}
        outside = 0
        by_image: dict[int, list[dict[str, Any]]] = {}
        for item in content["annotations"]:
            box = _coco_box(item)
            if not is_inside(box, sizes.get(item["image_id"])):
                outside += 1
            elif not item.get("iscrowd") and min(box[2:]) >= MIN_SIDE:
                by_image.setdefault(item["image_id"], []).append(item)
        root = path.parent / "images" if (path.parent / "images").is_dir() else path.parent
        there = _Folder(root)
        for name in files.values():
            if not is_below(name):
                raise UserError(
                    f"{path} names the picture {name[:80]!r}, which is not below {root}; "
                    "file_name is a path from the folder of the pictures, without .."
                )
        tracks = [
            _coco_track(item, root / files[image], items, names, sizes[image])
            for image, items in by_image.items()
            for item in items
            if image in files and files[image] in there
        ]
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror})") from None
    except (
        ValueError, KeyError, TypeError, AttributeError, IndexError, RecursionError, OverflowError,
    ) as error:  # fmt: skip
        raise UserError(f"{path} is not a COCO annotation file ({error!r:.200})") from None
    missing = sum(name not in there for name in files.values())
    return tracks, _missing_note(missing, len(files), root) + _outside_note(outside, path)


def stated_size(width: Any, height: Any) -> Size:
    """Width and height as an annotation states them; ``None`` where it does not."""
    stated = all(isinstance(v, (int, float)) and 0 < v < FARTHEST for v in (width, height))
    return (int(width), int(height)) if stated else None


def is_inside(box: list[float], size: Size) -> bool:
    """Whether a box (x, y, w, h) lies in its picture, if only in part; its size may be unknown."""
    return size is None or meets_picture(box, size)


def _coco_box(item: dict[str, Any]) -> list[float]:
    """The box of an annotation.

    Raises:
        ValueError: not four numbers of a picture.
    """
    box = [float(v) for v in item["bbox"]]
    if len(box) != 4 or not all(abs(v) < FARTHEST for v in box):
        raise ValueError(f"annotation {item.get('id')} has the bbox {item['bbox']}")
    return box


def _coco_track(
    item: dict[str, Any],
    path: Path,
    items: list[dict[str, Any]],
    names: dict[int, str],
    size: Size,
) -> Track:
    category = item.get("category_id")
    like = [o["bbox"] for o in items if o is not item and o.get("category_id") == category]
    others = (np.asarray(like, dtype=np.float32).reshape(-1, 4),)
    boxes = np.asarray([item["bbox"]], dtype=np.float32)
    polygons = _of_middles(outlines(item.get("segmentation")), boxes[0])
    return Track([path], boxes, names.get(category), polygons, others, size=size)  # type: ignore[arg-type]


def _of_middles(polygons: Polygons, box: NDArray[np.float32]) -> Polygons:
    """Outlines that name the middles of pixels, as those traced around a mask do.

    COCO's own are edges: they end where the box ends, and the others one pixel before.
    """
    if not polygons:
        return polygons
    points = np.concatenate(polygons)
    low, extent = points.min(0), np.ptp(points, axis=0)
    if (box[2:] - extent).mean() > 0.5 or extent.min() < 2:
        return polygons
    return tuple(low + (p - low) * ((extent - 1) / extent) for p in polygons)


def outlines(segmentation: Any) -> Polygons:
    """Polygons of a COCO segmentation: as given, or traced around a run-length mask."""
    if isinstance(segmentation, list):
        parts = [p for p in segmentation if len(p) >= 6]
        return tuple(np.asarray(p, dtype=np.float32).reshape(-1, 2) for p in parts)
    if not isinstance(segmentation, dict):
        return ()
    height, width = (int(v) for v in segmentation["size"])
    if not 0 < height * width <= MOST_PIXELS:
        raise ValueError(f"a mask of {height} x {width} pixels")
    counts = segmentation["counts"]
    runs = counts if isinstance(counts, list) else unpack_runs(counts)
    if sum(runs) != height * width:
        raise ValueError(f"a mask of {height} x {width} pixels has runs of {sum(runs)}")
    values = np.arange(len(runs)) % 2
    mask = np.repeat(values, runs).astype(np.uint8).reshape(width, height).T  # by columns
    found, _ = cv2.findContours(
        np.ascontiguousarray(mask), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE
    )
    return tuple(np.asarray(c, dtype=np.float32).reshape(-1, 2) for c in found if len(c) >= 3)


def unpack_runs(text: str) -> list[int]:
    """Run lengths of COCO's compressed masks (``rleFrString`` of its ``maskApi.c``).

    Five bits a character from 48 on, the lowest first; bit 6 says that more follow; from
    the third number on each is a difference to the one two places before.
    """
    runs: list[int] = []
    value = shift = 0
    for character in text:
        bits = ord(character) - 48
        value |= (bits & 31) << shift
        shift += 5
        if bits & 32:
            continue
        if bits & 16:
            value -= 1 << shift
        runs.append(value + (runs[-2] if len(runs) > 2 else 0))
        value = shift = 0
    return runs


def read_voc(folder: Path) -> Read:
    """Pascal VOC layout: ``Annotations/*.xml`` and ``JPEGImages/``, or both side by side.

    ``folder`` may also hold several such folders (``VOC2007``, ``VOC2012``).
    """
    places = [folder / "Annotations", *sorted(folder.glob("*/Annotations"))]
    files = sorted(f for place in places for f in place.glob("*.xml")) or sorted(
        folder.glob("*.xml")
    )
    tracks: list[Track] = []
    missing = outside = 0
    folders: dict[Path, _Folder] = {}
    for file in files:
        root = file.parent.parent / "JPEGImages" if file.parent.name == "Annotations" else None
        root = root if root is not None and root.is_dir() else file.parent
        there = folders.setdefault(root, _Folder(root))
        name, size, objects, beyond = _read_voc_file(file)
        outside += beyond
        if name not in there:
            names = (file.stem + form(s) for s in _SUFFIXES for form in (str.lower, str.upper))
            name = next((name for name in names if name in there), "")
        if name:
            tracks += _voc_tracks(root / name, size, objects)
        else:
            missing += 1
    return tracks, _missing_note(missing, len(files), folder) + _outside_note(outside, folder)


def _voc_tracks(path: Path, size: Size, objects: list[tuple[str, list[float]]]) -> list[Track]:
    tracks = []
    for index, (category, box) in enumerate(objects):
        if min(box[2:]) >= MIN_SIDE:
            like = [b for i, (c, b) in enumerate(objects) if c == category and i != index]
            others = (np.asarray(like, dtype=np.float32).reshape(-1, 4),)
            boxes = np.asarray([box], np.float32)
            tracks.append(Track([path], boxes, category, (), others, size=size))
    return tracks


def _read_voc_file(path: Path) -> tuple[str, Size, list[tuple[str, list[float]]], int]:
    """Name and size of the picture, category and box (x, y, w, h) of each object, and how many
    lie outside.
    """
    try:
        root = parse_xml(path.read_bytes())
        size = stated_size(*(float(root.findtext(f"size/{k}") or 0) for k in ("width", "height")))
        objects, outside = [], 0
        for item in root.iter("object"):
            corners = [
                float(item.findtext(f"bndbox/{k}", "")) for k in ("xmin", "ymin", "xmax", "ymax")
            ]
            if not all(abs(c) < FARTHEST for c in corners):
                raise ValueError(f"a box with corners {corners}")
            x1, y1, x2, y2 = corners
            # VOC counts pixels from 1, and its last pixel belongs to the box
            box = [x1 - 1, y1 - 1, x2 - x1 + 1, y2 - y1 + 1]
            if is_inside(box, size):
                objects.append((item.findtext("name", "").strip(), box))
            else:
                outside += 1
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror})") from None
    except (ValueError, expat.ExpatError) as error:
        raise UserError(f"{path} is not a Pascal VOC annotation ({error})") from None
    return Path(root.findtext("filename", "").strip()).name, size, objects, outside


def parse_xml(content: bytes) -> ElementTree.Element:
    """Parse XML without document types, and so without entities that could grow or fetch.

    Raises:
        ValueError, ExpatError: a document type, or no well-formed XML.
    """

    def refuse(*_: object) -> None:
        raise ValueError("it declares a document type, which annotations do not need")

    builder, parser = ElementTree.TreeBuilder(), expat.ParserCreate()
    parser.StartDoctypeDeclHandler = refuse
    parser.StartElementHandler = builder.start
    parser.EndElementHandler = builder.end
    parser.CharacterDataHandler = builder.data
    parser.Parse(content, True)
    return builder.close()


class _Folder:
    """Which files a folder has, asked once for each folder below it."""

    def __init__(self, root: Path) -> None:
        self._root, self._names = root, dict[str, set[str]]()

    def __contains__(self, name: object) -> bool:
        below, _, last = str(name).rpartition("/")
        if below not in self._names:
            place = self._root / below
            self._names[below] = {p.name for p in place.iterdir()} if place.is_dir() else set()
        return last != "" and last in self._names[below]


def is_below(name: str) -> bool:
    """Whether a path that a file states stays in the folder it is meant for."""
    path = Path(name)
    return not path.anchor and ".." not in path.parts


def _outside_note(outside: int, path: Path) -> list[str]:
    return [f"{outside} boxes of {path} lie outside of their pictures; left out"] if outside else []


def _missing_note(missing: int, total: int, root: Path) -> list[str]:
    return (
        [f"{missing} of {total} annotated pictures are not in {root}; left out"] if missing else []
    )
