"""Readers of clips: pictures or a video with a box a frame, in the layouts of public data."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from tracker.data import datasets
from tracker.data.annotations import annotation_of, read_boxes, read_flags, read_text
from tracker.data.dataset_layouts import subfolders, video_pairs, videos_in
from tracker.errors import UserError
from tracker.frames import VIDEO_SUFFIXES, Pictures, Video, picture_paths
from tracker.geometry import FloatArray, context_side
from tracker.image import Image
from tracker.training.cutout import mask_corners, opacity
from tracker.training.tracks import EncodedFrames, Film, Track, meets_picture, read_cutout

Read = tuple[list[Track], list[str]]
"""What a reader gives: tracks, and sentences on what was left out."""

# A frame of a video is kept as a crop of this many context sides around the target, no more
# than CONTEXT_PIXELS a side: what a search region with its largest shift can show.
REACH = 3.2
CONTEXT_PIXELS = 128
QUALITY = [cv2.IMWRITE_JPEG_QUALITY, 92]
DEPTHS = ("", "*/", "*/*/")
"""Of clips in the layout of GOT-10k; not "**", which passes linked folders over."""


def read_got10k(folder: Path) -> Read:
    """GOT-10k layout: a folder a clip, with pictures and ``groundtruth.txt``.

    An optional ``others.txt`` names boxes of like objects in each frame, as
    ``x,y,w,h;x,y,w,h``: such clips, of one crowd, are hard negatives of each other. An optional
    ``cover.label`` of 0 in a frame means that nothing of the target is to be seen there.
    """
    clips = sorted(p.parent for d in DEPTHS for p in folder.glob(d + "groundtruth.txt"))
    return [_read_got10k_clip(clip) for clip in clips], []


def _read_got10k_clip(clip: Path) -> Track:
    frames = picture_paths(clip)
    boxes = read_boxes(clip / "groundtruth.txt").astype(np.float32)
    if len(frames) != len(boxes):
        raise UserError(
            f"{clip} has {len(frames)} pictures but {len(boxes)} lines in groundtruth.txt; "
            "they must be equal"
        )
    if (clip / "cover.label").is_file():  # GOT-10k has boxes of what nothing is to be seen of
        boxes[read_flags(clip / "cover.label", len(boxes), whole=True) <= 0] = np.nan
    others = _read_others(clip / "others.txt", len(frames))
    category = clip.parent.name if others else None
    return Track(frames, boxes, category, (), others)


def _read_others(path: Path, count: int) -> tuple[NDArray[np.float32], ...]:
    if not path.is_file():
        return ()
    lines = read_text(path).split("\n")[:count]
    lines += [""] * (count - len(lines))
    try:
        rows = [[b.split(",") for b in line.split(";") if b.strip()] for line in lines]
        return tuple(np.asarray(r, dtype=np.float32).reshape(-1, 4) for r in rows)
    except ValueError:
        raise UserError(f"{path} must have boxes x,y,w,h;x,y,w,h in each line") from None


def read_views(folder: Path) -> Read:
    """Views of objects alone: a folder an object, with transparent pictures in order.

    A turntable, a rendered model, a cut-out from each frame of a video. Objects whose folders
    lie in one folder are hard negatives of each other.
    """
    places = sorted({p.parent for d in ("", "*/", "*/*/", "*/*/*/") for p in folder.glob(d + "*")
                     if p.suffix.lower() in (".png", ".webp")})  # fmt: skip
    return [_read_views(place) for place in places], []


def _read_views(place: Path) -> Track:
    frames = picture_paths(place)
    boxes = np.full((len(frames), 4), np.nan, np.float32)
    for number, frame in enumerate(frames):
        corners = mask_corners(opacity(read_cutout(frame)))
        if corners is not None:
            boxes[number] = *corners[:2], *(corners[2:] - corners[:2])
    return Track(frames, boxes, place.parent.name, cutout=True)


def read_videos(folder: Path) -> Read:
    """Videos with annotations beside them, in a folder and in the folders in it.

    The evaluation reads them, too, and needs a box in the first frame; here any frame will do.
    """
    root = folder.resolve()
    places = (root, *subfolders(root))
    pairs = [pair for place in places for pair in video_pairs(place)]
    pairs.sort(key=lambda pair: f"{pair[0].parent.name}/{pair[0].stem}")
    tracks = [video_track(video, read_boxes(annotation)) for video, annotation in pairs]
    read = {video.resolve() for video, _ in pairs}
    videos = [video for place in places for video in videos_in(place)]
    left = [video.relative_to(root) for video in videos if video.resolve() not in read]
    return tracks, [
        *_unannotated_note(left, len(videos), folder),
        *_deeper_note(root, folder, read),
    ]


def _unannotated_note(left: list[Path], total: int, folder: Path) -> list[str]:
    words = "have no annotation of their name" if len(left) > 1 else "has no annotation of its name"
    note = f"{len(left)} of {total} videos of {folder} {words} ({_first_names(left)}); left out"
    return [note] if left else []


def _deeper_note(root: Path, folder: Path, read: set[Path]) -> list[str]:
    """On videos with an annotation in folders that are not looked into."""
    found: dict[Path, Path] = {}  # by what a link leads to
    for place in _folders_below(root):
        with contextlib.suppress(OSError, UserError):  # it only serves a note
            for video, _ in video_pairs(place):
                found.setdefault(video.resolve(), video.relative_to(root))
    left = [name for video, name in found.items() if video not in read]
    what, whose = ("videos lie", "their folders") if len(left) > 1 else ("video lies", "its folder")
    note = (
        f"{len(left)} annotated {what} deeper in {folder} than in a folder of it "
        f"({_first_names(left)}); left out, give {whose} with a --data of its own"
    )
    return [note] if left else []


def _folders_below(root: Path) -> list[Path]:
    """Folders two and three levels down, without hidden ones."""
    levels = [[root]]
    for _ in range(3):
        below: list[Path] = []
        for place in levels[-1]:
            with contextlib.suppress(OSError), os.scandir(place) as entries:
                names = (e.name for e in entries if e.is_dir() and not e.name.startswith("."))
                below += [place / name for name in sorted(names)]
        levels.append(below)
    return levels[2] + levels[3]


def _first_names(paths: list[Path]) -> str:
    return ", ".join([p.as_posix() for p in paths[:3]] + ["..."] * (len(paths) > 3))


def read_public(folder: Path, kind: str) -> Read:
    """A layout of pictures that the evaluation also reads, one of ``datasets.KINDS``.

    The category is the folder above the clip in LaSOT, which is sorted by class.
    """
    tracks = []
    for sequence in datasets.load(folder, kind):
        assert isinstance(sequence.source, Pictures)
        frames = sequence.source.paths[: len(sequence.truth)]
        category = frames[0].parents[2].name if kind == "lasot" else None
        tracks.append(Track(frames, sequence.truth.astype(np.float32), category))
    return tracks, []


def read_video(path: Path) -> Read:
    """A video file with ``<name>.txt`` or ``<name>.csv`` beside it: a box x,y,w,h a frame.

    Raises:
        UserError: no annotation beside it, or one that does not fit the video.
    """
    return [video_track(path, read_boxes(annotation_beside(path)))], []


def annotation_beside(video: Path) -> Path:
    """The annotation of a video; UserError if there is none."""
    annotation = annotation_of(video)
    if annotation is None:
        raise UserError(
            f"{video} has no annotation; put {video.stem}.txt or {video.stem}.csv beside it, "
            "with one box x,y,w,h a frame (nan where the object is absent)"
        )
    return annotation


def video_track(path: Path, boxes: FloatArray) -> Track:
    """Decode a video once and keep what surrounds the target in each frame.

    Reaching for single frames of a video file takes up to a second each; the crops of
    this function take a few kilobytes of memory.

    Args:
        boxes: (N, 4) x, y, w, h; the video has at least N frames.
    """
    parts, kept = [], []
    frames = Video(path).read(range(len(boxes)))
    for number, (image, box) in enumerate(zip(frames, boxes, strict=True)):
        if np.isfinite(box).all():
            try:
                crop, moved = crop_around(image, box)
            except UserError as error:
                raise UserError(f"{path}, frame {number}: {error}") from None
            parts.append(cv2.imencode(".jpg", crop, QUALITY)[1].ravel())
            kept.append(moved)
        else:  # time goes on, for the gap between two frames
            parts.append(np.zeros(0, np.uint8))
            kept.append(np.full(4, np.nan))
    film = Film(os.path.realpath(path), boxes.astype(np.float32))
    return Track(EncodedFrames(parts, str(path)), np.asarray(kept, dtype=np.float32), film=film)


def crop_around(image: Image, box: FloatArray) -> tuple[Image, FloatArray]:
    """The part of a frame that pairs with this target can show, and the box in it."""
    x, y, w, h = (float(v) for v in box)
    side = context_side(w, h)
    reach = REACH * side / 2
    height, width = image.shape[:2]
    left, right = max(int(x + w / 2 - reach), 0), min(int(x + w / 2 + reach) + 1, width)
    top, bottom = max(int(y + h / 2 - reach), 0), min(int(y + h / 2 + reach) + 1, height)
    outside = not meets_picture((x, y, w, h), (width, height))
    if outside or right - left < 2 or bottom - top < 2:
        raise UserError(
            f"the box {x:g},{y:g},{w:g},{h:g} lies outside the frame of {width} x {height} pixels"
        )
    crop = image[top:bottom, left:right]
    moved = np.array([x - left, y - top, w, h])
    factor = CONTEXT_PIXELS / side
    if factor >= 1:
        return crop, moved
    size = max(round(crop.shape[1] * factor), 1), max(round(crop.shape[0] * factor), 1)
    scale = np.array([size[0] / crop.shape[1], size[1] / crop.shape[0]])
    small = cv2.resize(crop, size, interpolation=cv2.INTER_AREA)
    return np.asarray(small), moved * np.tile(scale, 2)


def is_video(path: Path) -> bool:
    """Whether a file's name says that it is a video."""
    return path.suffix.lower() in VIDEO_SUFFIXES
