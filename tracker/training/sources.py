"""Opening training data by what the command line says of it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from functools import partial
from pathlib import Path

from tracker.cli import path_and_weight
from tracker.data import datasets
from tracker.errors import UserError, files_told
from tracker.frames import is_picture
from tracker.training.layouts import (
    DEPTHS,
    Read,
    is_video,
    read_got10k,
    read_public,
    read_video,
    read_videos,
    read_views,
)
from tracker.training.stills import read_coco, read_voc
from tracker.training.tracks import Source

READERS: dict[str, Callable[[Path], Read]] = {
    "video": read_video,
    "videos": read_videos,
    "views": read_views,
    "coco": read_coco,
    "voc": read_voc,
    **{kind: partial(read_public, kind=kind) for kind in datasets.KINDS if kind != "pairs"},
    "got10k": read_got10k,  # of more than one depth, and with boxes of others
}
"""Layout -> what reads it; ``pairs`` of the evaluation are ``videos`` here."""


@files_told()
def open_source(text: str) -> Source:
    """Open a source as the command line names it: ``[layout:]path[@weight]``.

    Raises:
        UserError: unknown layout, missing folder, nothing usable in it.
    """
    layout, path, weight = split_name(text)
    if not path.exists():
        raise UserError(f"there is no training data at {path}; give an existing folder or file")
    kind = layout or guess_layout(path)
    tracks, notes = READERS[kind](path)
    if kind == "videos" and not layout:
        notes = [*notes, *_beside_videos(path)]
    usable = tuple(t for t in tracks if len(t.present))
    if len(usable) < len(tracks):
        notes = [
            *notes,
            f"{len(tracks) - len(usable)} objects of {path} never have a box; left out",
        ]
    if not usable:
        raise UserError(
            f"there is no object with a box in {path}" + "".join(f" ({n})" for n in notes)
            + "; check its annotations and pictures"
        )  # fmt: skip
    return Source(str(path), usable, weight, tuple(notes))


def _beside_videos(root: Path) -> list[str]:
    """What a guess of videos passes over: clips as pictures, with their truth."""
    truths = {p.parent for d in DEPTHS for p in root.glob(d + "groundtruth*.txt")}
    inside = ("*", "img/*", "color/*")
    count = sum(any(is_picture(p) for g in inside for p in clip.glob(g)) for clip in truths)
    if not count:
        return []
    return [
        f"{count} folders of pictures beside the videos of {root} are left out; name their layout "
        f"to take them, as in got10k:{root}"
    ]


def split_name(text: str) -> tuple[str, Path, float]:
    """Layout ("" to guess), path and weight of ``[layout:]path[@weight]``.

    Raises:
        UserError: the path is empty, or the weight is no number.
    """
    layout, colon, rest = text.partition(":")
    if not colon or layout not in READERS:
        layout, rest = "", text
    path, weight = path_and_weight(rest)
    if not path:  # it would be the current folder
        raise UserError(f"{text!r} names no training data; give a folder or file (. is this one)")
    return layout, Path(path), weight


def guess_layout(path: Path) -> str:
    """Which of ``READERS`` a file or folder is for; folders of clips as the evaluation says.

    Raises:
        UserError: none of them.
    """
    if path.is_file():
        if path.suffix == ".json":
            return "coco"
        if is_video(path):
            return "video"
    elif (path / "annotations.json").is_file():
        return "coco"
    elif any(any(path.glob(p)) for p in ("Annotations/*.xml", "*/Annotations/*.xml", "*.xml")):
        return "voc"
    else:
        with contextlib.suppress(UserError):
            kind = datasets.detect(path)
            return "videos" if kind == "pairs" else kind
        if any(any(path.glob(d + "groundtruth.txt")) for d in DEPTHS):
            return "got10k"
    raise UserError(
        f"the layout of {path} was not recognised; put one of {', '.join(READERS)} before it, "
        f"as in coco:{path}"
    )
