"""Layouts of data sets: a loader for each, from its folder to sequences.

==========  =====================================================================  =====
kind        layout                                                                 pixel
==========  =====================================================================  =====
pairs       ``<name>.mp4`` + ``<name>.txt`` (or .csv), also one folder below       0
otb         ``<name>/img/*.jpg`` + ``<name>/groundtruth_rect[.k].txt``             1
dtb70       as otb; recognised by names that only it has                           1
uav123      ``anno/UAV123/*.txt``, ``data_seq/UAV123/``, ``configSeqs.m``          1
uavdt       ``UAV-benchmark-S/<name>/*.jpg``, toolkit with ``anno/<name>_gt.txt``  1
lasot       ``[<class>/]<name>/img/*.jpg`` + ``groundtruth.txt``, two flag files   1
got10k      ``<name>/*.jpg`` + ``groundtruth.txt``, ``cover.label``                0
vot         ``<name>/groundtruth.txt``, ``color/`` or pictures, ``*.tag``          0
davis       ``JPEGImages/480p/<name>/``, ``Annotations/480p/<name>/`` (masks)      0
==========  =====================================================================  =====

Attributes of sequences are read where a data set has its toolkit's ``att`` folder with it
(``att/``, ``anno/att/``, ``annos/att/``; UAV123 has it at ``anno/UAV123/att/``).

"pixel" is what the files call the first pixel; sequences are always 0-based.
"""

from __future__ import annotations

import contextlib
import itertools
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tracker.data import attribute_files
from tracker.data.annotations import (
    annotation_of,
    check_start,
    label_box,
    mask_labels,
    read_boxes,
    read_flags,
    read_outlines,
    read_text,
)
from tracker.data.attribute_files import AttributeFiles
from tracker.errors import UserError
from tracker.frames import (
    VIDEO_SUFFIXES,
    Frames,
    Pictures,
    Video,
    picture_paths,
    read_picture,
)
from tracker.geometry import FloatArray


@dataclass(frozen=True, eq=False)
class Sequence:
    """One target in one clip.

    Attributes:
        dataset: name of the folder that it is reported under.
        name: name of the sequence within it.
        source: where the frames come from.
        truth: (N, 4) boxes, 0-based, NaN where absent; its length bounds the clip.
        tags: per-frame facts that files state, such as ``occlusion``; (N,) bool each.
        stated: what files state of the whole sequence, by attribute (``attribute_files``).
        cover: (N,) visible share as GOT-10k states it, or ``None``.
        anchors: (N,) VOT's anchor values, or ``None``.
        corners: (N, 4, 2) of VOT's truth that the boxes are around, or ``None``.
        masks: whether VOT's truth are masks that the boxes are around.
        judged: False when only the first box is public (test sets): run, but not scored.

    Raises:
        UserError: more boxes than pictures.
    """

    dataset: str
    name: str
    source: Frames
    truth: FloatArray
    tags: Mapping[str, NDArray[np.bool_]] = field(default_factory=dict)
    cover: FloatArray | None = None
    anchors: FloatArray | None = None
    judged: bool = True
    stated: Mapping[str, bool] = field(default_factory=dict)
    corners: FloatArray | None = None
    masks: bool = False

    def __post_init__(self) -> None:
        # names of files need not be text, and these go into tables and plots
        for part in ("dataset", "name"):
            text = getattr(self, part).encode("utf-8", "backslashreplace").decode()
            object.__setattr__(self, part, text)
        if isinstance(self.source, Pictures) and len(self.source) < len(self.truth):
            raise UserError(
                f"{self.key}: {len(self.truth)} lines of truth for {len(self.source)} pictures; "
                "a line too many, or pictures are missing"
            )

    def __len__(self) -> int:
        return len(self.truth)

    @property
    def key(self) -> str:
        """``dataset/name``, as ``--only`` takes it and as result files are named."""
        return f"{self.dataset}/{self.name}"


SOME_TARGET = ".*"  # ends the key of a clip that could not be read to tell its targets


class Unread(dict[str, UserError]):
    """Why sequences cannot be read, by key: it matters only where one of them is asked for."""

    @contextlib.contextmanager
    def unless(self, key: str) -> Iterator[None]:
        """Note what is wrong with a sequence, and go on to the next."""
        try:
            yield
        except UserError as error:
            self.setdefault(key, error)


def load_pairs(root: Path, unread: Unread) -> list[Sequence]:
    """Video files with an annotation of the same name; each folder is one data set."""
    sequences = []
    for folder in (root, *subfolders(root)):
        for video, annotation in video_pairs(folder):
            with unread.unless(f"{folder.name}/{video.stem}"):
                truth = _truth(annotation)
                sequences.append(Sequence(folder.name, video.stem, Video(video), truth))
    return sequences


def load_otb(root: Path, unread: Unread) -> list[Sequence]:
    """OTB; several annotations in a folder are several targets (Jogging.1)."""
    return _otb_like(root, _attributes(root, attribute_files.OTB), unread)


def load_dtb70(root: Path, unread: Unread) -> list[Sequence]:
    """DTB70, in OTB's layout."""
    return _otb_like(root, _attributes(root, attribute_files.DTB70), unread)


def _otb_like(root: Path, attributes: AttributeFiles, unread: Unread) -> list[Sequence]:
    sequences = []
    for folder in subfolders(root):
        annotations = sorted(folder.glob("groundtruth_rect*.txt"))
        for annotation in annotations:
            target = annotation.stem.removeprefix("groundtruth_rect")
            with unread.unless(f"{root.name}/{folder.name}{target}"):
                frames = _pictures(folder / "img")
                truth = _truth(annotation, one_based=True)
                first, last = OTB_PARTS.get(folder.name, (1, None))
                if len(frames) >= first - 1 + len(truth):
                    frames = Pictures(frames.paths[first - 1 : last])
                name = folder.name + target
                stated = attributes.of(name)
                sequences.append(Sequence(root.name, name, frames, truth, stated=stated))
    return sequences


OTB_PARTS = {
    "David": (300, 770), "BlurCar1": (247, 988), "BlurCar3": (3, 359), "BlurCar4": (18, 397),
    "Diving": (1, 215), "Football1": (1, 74), "Freeman3": (1, 460), "Freeman4": (1, 283),
}  # fmt: skip
"""First and last annotated picture of the OTB clips that go on beyond (its ``configSeqs.m``)."""


def load_uav123(root: Path, unread: Unread) -> list[Sequence]:
    """UAV123: several sequences are parts of one folder, as ``configSeqs.m`` says."""
    parts = _uav_parts(root)
    attributes = AttributeFiles([root / "anno" / "UAV123" / "att"], attribute_files.UAV123)
    sequences = []
    for annotation in sorted((root / "anno" / "UAV123").glob("[!.]*.txt")):
        name = annotation.stem
        with unread.unless(f"{root.name}/{name}"):
            truth = _truth(annotation, one_based=True)
            folder, first, last = parts.get(name, (name, 1, None))
            place = root / "data_seq" / "UAV123" / folder
            if not place.is_dir():
                raise UserError(
                    f"{place}: the pictures of {name} are not there; parts of clips need UAV123's "
                    f"configSeqs.m in {root}"
                )
            frames = Pictures(_pictures(place).paths[first - 1 : last])
            stated = attributes.of(name)
            sequences.append(Sequence(root.name, name, frames, truth, stated=stated))
    return sequences


_UAV_PART = re.compile(
    r"'name'\s*,\s*'(?P<name>[^']+)'\s*,\s*'path'\s*,\s*'(?P<path>[^']+)'\s*,"
    r"\s*'startFrame'\s*,\s*(?P<first>\d+)\s*,\s*'endFrame'\s*,\s*(?P<last>\d+)"
)


def _uav_parts(root: Path) -> dict[str, tuple[str, int, int]]:
    config = next(iter(sorted(root.rglob("configSeqs.m"))), None)
    if config is None:
        return {}
    parts: dict[str, tuple[str, int, int]] = {}
    for match in _UAV_PART.finditer(read_text(config)):
        # the file also lists UAV20L and down-sampled versions; the first entry is UAV123's
        folder = re.split(r"[\\/]", match["path"].rstrip("\\/"))[-1]
        if folder in ("", ".", ".."):
            raise UserError(f"{config}: {match['path']!r} is no folder of pictures")
        parts.setdefault(match["name"], (folder, int(match["first"]), int(match["last"])))
    return parts


def load_uavdt(root: Path, unread: Unread) -> list[Sequence]:
    """UAVDT's single-object part; the truth lies in its toolkit's ``anno``, anywhere below."""
    annotations = {p.name: p for p in sorted(root.rglob("*_gt.txt")) if p.parent.name == "anno"}
    attributes = AttributeFiles(
        sorted({p.parent / "att" for p in annotations.values()}), attribute_files.UAVDT
    )
    sequences = []
    for folder in subfolders(root / "UAV-benchmark-S"):
        name = folder.name
        with unread.unless(f"{root.name}/{name}"):
            if f"{name}_gt.txt" not in annotations:
                raise UserError(
                    f"{root}: the truth of {name} is not here; UAVDT has it in its toolkit, as "
                    f"UAV-benchmark-SOT_v1.0/anno/{name}_gt.txt"
                )
            truth = _truth(annotations[f"{name}_gt.txt"], one_based=True)
            stated = attributes.of(name)
            sequences.append(Sequence(root.name, name, _pictures(folder), truth, stated=stated))
    return sequences


def load_lasot(root: Path, unread: Unread) -> list[Sequence]:
    """LaSOT, flat or by class; its flags of full occlusion and leaving mark absent frames."""
    attributes = _attributes(root, attribute_files.LASOT)
    sequences = []
    for truth_file in sorted((*root.glob("*/groundtruth.txt"), *root.glob("*/*/groundtruth.txt"))):
        folder = truth_file.parent
        with unread.unless(f"{root.name}/{folder.name}"):
            truth = _truth(truth_file, one_based=True)
            tags = {}
            for tag, file in (("occlusion", "full_occlusion"), ("out of view", "out_of_view")):
                if (folder / f"{file}.txt").is_file():
                    tags[tag] = read_flags(folder / f"{file}.txt", len(truth), whole=True) > 0
                    truth[tags[tag]] = np.nan
            check_start(truth, f"{truth_file} with the flags beside it")
            frames, stated = _pictures(folder / "img"), attributes.of(folder.name)
            sequences.append(Sequence(root.name, folder.name, frames, truth, tags, stated=stated))
    return sequences


def load_got10k(root: Path, unread: Unread) -> list[Sequence]:
    """GOT-10k; where nothing of the target can be seen, it still states a box."""
    sequences = []
    for folder in subfolders(root):
        if not (folder / "groundtruth.txt").is_file():
            continue
        with unread.unless(f"{root.name}/{folder.name}"):
            frames, truth = _pictures(folder), _truth(folder / "groundtruth.txt")
            cover, tags = None, {}
            if (folder / "cover.label").is_file():
                cover = read_flags(folder / "cover.label", len(truth), whole=True)
                # 0..8 in the files: eighths of the target that can be seen
                tags["occlusion"] = cover < 5
                truth[cover == 0] = np.nan
            if (folder / "absence.label").is_file():
                truth[read_flags(folder / "absence.label", len(truth), whole=True) > 0] = np.nan
            check_start(truth, f"{folder / 'groundtruth.txt'} with the labels beside it")
            if (folder / "cut_by_image.label").is_file():
                cut = read_flags(folder / "cut_by_image.label", len(truth), whole=True)
                tags["out of view"] = cut > 0
            sequences.append(Sequence(root.name, folder.name, frames, truth, tags, cover))
    return sequences


VOT_TAGS = {
    "occlusion": "occlusion", "motion_change": "fast motion", "size_change": "scale change",
}  # fmt: skip


def load_vot(root: Path, unread: Unread) -> list[Sequence]:
    """VOT, short-term and long-term, with its tags and anchors."""
    sequences = []
    for folder in subfolders(root):
        if not (folder / "groundtruth.txt").is_file():
            continue
        with unread.unless(f"{root.name}/{folder.name}"):
            place = next((folder / n for n in ("color", "frames") if (folder / n).is_dir()), folder)
            frames, truth = _pictures(place), _truth(folder / "groundtruth.txt")
            tags = {
                tag: read_flags(folder / f"{file}.tag", len(truth)) > 0
                for file, tag in VOT_TAGS.items()
                if (folder / f"{file}.tag").is_file()
            }
            anchors = None
            if (folder / "anchor.value").is_file():
                anchors = read_flags(folder / "anchor.value", len(truth))
            corners, masks = read_outlines(folder / "groundtruth.txt", truth)
            sequences.append(
                Sequence(
                    root.name,
                    folder.name,
                    frames,
                    truth,
                    tags,
                    anchors=anchors,
                    corners=corners,
                    masks=masks,
                )
            )
    return sequences


def load_davis(root: Path, unread: Unread) -> list[Sequence]:
    """DAVIS 2016 and 2017: the box around each object's mask; objects of the first frame."""
    sequences = []
    for masks in _davis_folders(root / "Annotations"):
        with unread.unless(f"{root.name}/{masks.name}{SOME_TARGET}"):
            frames = _pictures(root / "JPEGImages" / masks.relative_to(root / "Annotations"))
            labels = [mask_labels(read_picture(p)) for p in _pictures(masks).paths]
            objects = [int(i) for i in np.unique(labels[0]) if i > 0]
            for number in objects:
                truth = np.array([label_box(label, number) for label in labels])
                name = masks.name if len(objects) == 1 else f"{masks.name}.{number}"
                sequences.append(Sequence(root.name, name, frames, truth))
    return sequences


def _davis_folders(annotations: Path) -> list[Path]:
    for resolution in ("480p", "Full-Resolution", "1080p"):
        if (annotations / resolution).is_dir():
            return subfolders(annotations / resolution)
    return subfolders(annotations)


KINDS: dict[str, Callable[[Path, Unread], list[Sequence]]] = {
    "pairs": load_pairs,
    "otb": load_otb,
    "dtb70": load_dtb70,
    "uav123": load_uav123,
    "uavdt": load_uavdt,
    "lasot": load_lasot,
    "got10k": load_got10k,
    "vot": load_vot,
    "davis": load_davis,
}


def _attributes(root: Path, names: tuple[str, ...]) -> AttributeFiles:
    """Of the toolkit, which people put beside the sequences."""
    return AttributeFiles([root / place for place in attribute_files.PLACES], names)


def _truth(path: Path, one_based: bool = False) -> FloatArray:
    truth = read_boxes(path, one_based)
    check_start(truth, str(path))
    return truth


def _pictures(folder: Path) -> Pictures:
    if not folder.is_dir():
        raise UserError(f"{folder}: the folder with the pictures is missing")
    paths = picture_paths(folder)
    if not paths:
        raise UserError(f"{folder}: there is no picture in this folder")
    for one, other in itertools.pairwise(paths):
        if one.stem == other.stem:  # every frame twice, or masks beside the frames
            raise UserError(
                f"{folder}: {one.name} and {other.name} would be two frames; take one of them away"
            )
    return Pictures(paths)


def video_pairs(folder: Path) -> list[tuple[Path, Path]]:
    """Each video of a folder that has an annotation of its name, with that annotation."""
    found = ((video, annotation_of(video)) for video in videos_in(folder))
    return [(video, annotation) for video, annotation in found if annotation is not None]


def videos_in(folder: Path) -> list[Path]:
    """Video files in a folder, by name."""
    # macOS leaves ._clip.mp4 beside clip.mp4
    shown = (path for path in sorted(folder.iterdir()) if not path.name.startswith("."))
    return [path for path in shown if path.suffix.lower() in VIDEO_SUFFIXES and path.is_file()]


def subfolders(root: Path) -> list[Path]:
    """Folders in a folder, by name; hidden ones are left out.

    Raises:
        UserError: there is no such folder.
    """
    if not root.is_dir():
        raise UserError(f"{root}: this folder of the data set is missing")
    return sorted(p for p in root.iterdir() if p.is_dir() and not p.name.startswith("."))
