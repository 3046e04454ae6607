"""Data sets that trackers are judged by, as they are distributed: ``load(folder)``.

It finds out which layout a folder has, or is told with ``kind``; ``dataset_layouts.py`` lists the
layouts.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from tracker.data.dataset_layouts import KINDS as KINDS
from tracker.data.dataset_layouts import SOME_TARGET, Unread, subfolders, video_pairs
from tracker.data.dataset_layouts import Sequence as Sequence
from tracker.errors import UserError, files_told
from tracker.frames import Frames, Pictures, Video


@files_told()
def load(folder: str | Path, kind: str = "auto", only: Iterable[str] = ()) -> list[Sequence]:
    """Load the sequences below a folder.

    Args:
        folder: root of a data set.
        kind: one of ``KINDS``, or ``auto``.
        only: keep these (``dataset/name`` or ``name``).

    Raises:
        UserError: no such folder, no layout recognised, an unknown name, two sequences of one
            name, or one of those to be kept cannot be read (damaged truth, missing pictures).
    """
    root = Path(folder)
    if not root.is_dir():
        raise UserError(f"{root}: there is no such folder; --data names the root of a data set")
    if kind == "auto":
        kind = detect(root)
    if kind not in KINDS:
        raise UserError(f"unknown data set {kind!r}; known: auto, {', '.join(sorted(KINDS))}")
    unread, only = Unread(), list(only)
    sequences = sorted(KINDS[kind](root.resolve(), unread), key=lambda s: s.key)
    for key, error in unread.items():
        if not only or not sequences or _is_asked_for(key, only):
            raise error
    if not sequences:
        raise UserError(f"{root}: no sequence of the form {kind!r} was found here")
    for one, other in itertools.pairwise(sequences):
        if one.key == other.key:
            raise UserError(
                f"{root}: {_place(one)} and {_place(other)} would both be called {one.key}; "
                "rename one of them (a video with its annotation), or take one away"
            )
    return [_as_far_as_public(s) for s in _select(sequences, only)]


def _is_asked_for(key: str, only: list[str]) -> bool:
    """Whether a sequence, or one of the targets that a clip could not tell, is among the chosen."""
    dataset, name = key.split("/", 1)
    chosen = [word.removeprefix(f"{dataset}/") for word in only]
    clip = name.removesuffix(SOME_TARGET)
    any_target = clip != name
    return any(
        word in (dataset, clip) or (any_target and word.startswith(f"{clip}.")) for word in chosen
    )


def _as_far_as_public(sequence: Sequence) -> Sequence:
    """Of test parts only the first box is public: they are run over all frames, and not scored."""
    if len(sequence) > 1:
        return sequence
    source = sequence.source
    assert isinstance(source, Pictures | Video)  # no layout has another
    frames = len(source) if isinstance(source, Pictures) else source.count()
    if frames <= 1:
        return sequence
    rest = np.full((frames - 1, 4), np.nan)
    truth = np.concatenate([sequence.truth, rest])
    return dataclasses.replace(
        sequence, truth=truth, tags={}, cover=None, anchors=None, judged=False, corners=None
    )


def left_out(sequences: Iterable[Sequence]) -> list[str]:
    """Sentences on what cannot be scored: clips with their first box alone, ends without truth.

    Where no clip of a data set has more than its first box, as in test parts, one is for all.
    """
    by_dataset: dict[str, list[Sequence]] = {}
    for sequence in sequences:
        by_dataset.setdefault(sequence.dataset, []).append(sequence)
    said = []
    for dataset, found in by_dataset.items():
        if len(found) > 1 and not any(s.judged for s in found):
            said.append(f"{dataset} ({len(found)} sequences): only their first boxes are public")
        else:
            said += [sentence for s in found for sentence in _left_out(s)]
    return said


def _left_out(sequence: Sequence) -> Iterable[str]:
    frames = len(sequence)
    if not sequence.judged:
        yield (
            f"{sequence.key}: of its {frames} frames only the first has a box; if its truth was "
            "cut short, get it anew"
        )
    elif (there := _frames_beyond(sequence.source, frames)) > frames:
        yield (
            f"{sequence.key}: the last {there - frames} of its {there} frames, for which there is "
            "no truth"
        )


def _frames_beyond(source: Frames, frames: int) -> int:
    """How many frames there are; of videos that need not be counted, no more than is needed."""
    if isinstance(source, Pictures):
        return len(source)
    return source.count() if isinstance(source, Video) and source.stated() > frames else frames


def boxes_around(sequences: Iterable[Sequence], corners: bool) -> str:
    """A few words on data sets whose boxes stand for other truth; empty where there are none.

    Args:
        corners: whether boxes around corners count; where these are compared with, they do not.
    """
    found = {(s.dataset, "masks") for s in sequences if s.masks}
    found |= {(s.dataset, "corners") for s in sequences if corners and s.corners is not None}
    if not found:
        return ""
    places = ", ".join(f"the {what} of {dataset}" for dataset, what in sorted(found))
    return f"boxes around {places}, which are not what VOT's toolkit compares with"


def _place(sequence: Sequence) -> Path:
    source = sequence.source
    if isinstance(source, Video):
        return source.path
    assert isinstance(source, Pictures)  # no layout has another
    return source.paths[0].parent


def detect(root: Path) -> str:
    """Which layout a folder has; UserError if none is recognised."""
    if video_pairs(root) or any(video_pairs(d) for d in subfolders(root)):
        return "pairs"
    if (root / "JPEGImages").is_dir() and (root / "Annotations").is_dir():
        return "davis"
    if (root / "anno").is_dir() and (root / "data_seq").is_dir():
        return "uav123"
    if (root / "UAV-benchmark-S").is_dir():
        return "uavdt"
    for folder in subfolders(root):
        kind = _detect_sequence(folder)
        if kind == "otb" and any((root / name).is_dir() for name in _DTB70_ONLY):
            return "dtb70"  # the same layout; its attributes stand in another order
        if kind:
            return kind
        if any(_detect_sequence(below) == "lasot" for below in subfolders(folder)[:3]):
            return "lasot"
    raise UserError(
        f"{root}: no data set was recognised here; name its form with --kind "
        f"({', '.join(sorted(KINDS))}), and see the layouts in tracker/data/dataset_layouts.py"
    )


_DTB70_ONLY = ("ChasingDrones", "RcCar3", "Paragliding3", "ManRunning1", "MountainBike5")


def _detect_sequence(folder: Path) -> str | None:
    if any(folder.glob("groundtruth_rect*.txt")) and (folder / "img").is_dir():
        return "otb"
    if not (folder / "groundtruth.txt").is_file():
        return None
    if (folder / "img").is_dir():
        return "lasot"
    if any((folder / n).exists() for n in ("color", "sequence", "frames")) or any(
        folder.glob("*.tag")
    ):
        return "vot"
    return "got10k"


def _select(sequences: list[Sequence], only: list[str]) -> list[Sequence]:
    if not only:
        return sequences
    chosen = [s for s in sequences if s.key in only or s.name in only or s.dataset in only]
    known = {n for s in sequences for n in (s.key, s.name, s.dataset)}
    unknown = [n for n in only if n not in known]
    if unknown:
        raise UserError(
            f"no sequence is called {unknown[0]!r}; there are {len(sequences)}, "
            f"such as {', '.join(s.key for s in sequences[:4])}"
        )
    return chosen
