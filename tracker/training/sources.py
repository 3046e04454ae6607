"""Readers of annotated data: every layout becomes tracks."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tracker.errors import UserError
from tracker.training.tracks import Source, Track

PICTURES = {".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff"}


def read_got10k(folder: Path) -> list[Track]:
    """GOT-10k layout: a folder a clip, with pictures and ``groundtruth.txt``.

    An optional ``others.txt`` names boxes of like objects in each frame, as
    ``x,y,w,h;x,y,w,h``. The category of a clip is taken from ``meta_info.ini`` when there.
    """
    # not "**", which passes linked folders over
    depths = ("", "*/", "*/*/")
    clips = sorted(p.parent for d in depths for p in folder.glob(d + "groundtruth.txt"))
    return [_read_got10k_clip(clip) for clip in clips]


def _read_got10k_clip(clip: Path) -> Track:
    frames = sorted(p for p in clip.iterdir() if p.suffix.lower() in PICTURES)
    boxes = read_boxes(clip / "groundtruth.txt")
    if len(frames) != len(boxes):
        raise UserError(
            f"{clip} has {len(frames)} pictures but {len(boxes)} lines in groundtruth.txt; "
            "they must be equal"
        )
    return Track(frames, boxes, None, (), _read_others(clip / "others.txt", len(frames)))


def _read_others(path: Path, count: int) -> tuple[NDArray[np.float32], ...]:
    if not path.is_file():
        return ()
    lines = path.read_text().split("\n")[:count]
    lines += [""] * (count - len(lines))
    rows = [[b.split(",") for b in line.split(";") if b.strip()] for line in lines]
    return tuple(np.asarray(r, dtype=np.float32).reshape(-1, 4) for r in rows)


def read_boxes(path: Path) -> NDArray[np.float32]:
    """(N, 4) boxes of a text file with one ``x,y,w,h`` a line."""
    try:
        lines = path.read_text(encoding="utf-8-sig").split("\n")
        rows = [[float(v) for v in ln.replace(",", " ").split()] for ln in lines if ln.strip()]
        return np.asarray(rows, dtype=np.float32).reshape(-1, 4)
    except (OSError, ValueError) as error:
        raise UserError(f"{path} must have one x,y,w,h a line ({error})") from None


def read_coco(folder: Path, annotations: str = "annotations.json") -> list[Track]:
    """COCO layout: ``annotations.json`` and ``images/``; every object becomes a still.

    Crowd annotations and boxes under 8 pixels are left out; other objects of the same
    category in the picture become ``others``.
    """
    path = folder if folder.suffix == ".json" else folder / annotations
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        names = {c["id"]: str(c["name"]) for c in content.get("categories", [])}
        files = {i["id"]: i["file_name"] for i in content["images"]}
        by_image: dict[int, list[dict[str, Any]]] = {}
        for item in content["annotations"]:
            if not item.get("iscrowd") and min(item["bbox"][2:]) >= 8:
                by_image.setdefault(item["image_id"], []).append(item)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path} is not a COCO annotation file ({error!r})") from None
    root = path.parent / "images" if (path.parent / "images").is_dir() else path.parent
    return [
        _coco_track(item, root / files[image], items, names)
        for image, items in by_image.items()
        for item in items
        if image in files
    ]


def _coco_track(
    item: dict[str, Any], path: Path, items: list[dict[str, Any]], names: dict[int, str]
) -> Track:
    parts = item.get("segmentation")
    polygons = tuple(
        np.asarray(p, dtype=np.float32).reshape(-1, 2)
        for p in (parts if isinstance(parts, list) else [])
        if len(p) >= 6
    )
    like = [o["bbox"] for o in items if o is not item and o["category_id"] == item["category_id"]]
    others = (np.asarray(like, dtype=np.float32).reshape(-1, 4),)
    boxes = np.asarray([item["bbox"]], dtype=np.float32)
    return Track([path], boxes, names.get(item["category_id"]), polygons, others)


READERS = {"got10k": read_got10k, "coco": read_coco}


def open_source(text: str) -> Source:
    """Open a source as the command line names it: ``[layout:]path[@weight]``.

    Raises:
        UserError: unknown layout, missing folder, nothing usable in it.
    """
    head, _, weight = text.partition("@")
    layout, colon, path = head.partition(":")
    if not colon or layout not in READERS:
        layout, path = "", head
    folder = Path(path)
    if not folder.exists():
        raise UserError(f"there is no training data at {folder}; give an existing folder or file")
    layout = layout or _guess_layout(folder)
    try:
        share = float(weight) if weight else 1.0
    except ValueError:
        raise UserError(f"the weight of a source is a number, found {weight!r} in {text}") from None
    tracks = [t for t in READERS[layout](folder) if len(t.present)]
    return Source(str(folder), tuple(tracks), share)


def _guess_layout(folder: Path) -> str:
    if folder.suffix == ".json" or (folder / "annotations.json").is_file():
        return "coco"
    if any(folder.glob("*/groundtruth.txt")) or any(folder.glob("*/*/groundtruth.txt")):
        return "got10k"
    raise UserError(
        f"the layout of {folder} was not recognised; put one of {', '.join(READERS)} before it, "
        f"as in coco:{folder}"
    )
