"""What makes a sequence hard, from its files where they say so, else from the truth.

OTB, UAV123 and LaSOT state attributes of whole sequences (``tracker.data.attribute_files``), VOT
and GOT-10k of frames; what they state is taken, whatever the truth looks like.

Definitions follow OTB (Wu, Lim, Yang 2015, table 2) and LaSOT (Fan et al. 2019, table 3):

- scale change: the area leaves [1/4, 4] times that of the first box (sides [1/2, 2]);
- aspect change: the ratio of the sides leaves [1/2, 2] times that of the first box;
- fast motion: the centre moves in one frame by more than 20 pixels and also by more than
  half of the box's own side (a near, large target moves many pixels without being fast);
- low resolution: fewer than 400 pixels in a box;
- out of view: absent after a box at the border (within 2 pixels or a quarter of its smaller
  side, whichever is more), or a box that reaches more than 2 pixels beyond it;
- occlusion: absent after a box that is not at the border. Partial occlusion cannot be seen in
  boxes; only files state it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from tracker.evaluation.metrics import present_frames
from tracker.geometry import FloatArray

BoolArray = NDArray[np.bool_]

ATTRIBUTES = (
    "occlusion",
    "out of view",
    "scale change",
    "aspect change",
    "fast motion",
    "low resolution",
)
FAST_PIXELS = 20.0
FAST_SIDES = 0.5
LOW_PIXELS = 400.0
MIN_FRAMES = 3
"""Frames that must show a derived attribute: one odd box of an annotator does not make it."""
_BORDER = 2.0


def frame_attributes(
    truth: FloatArray, size: tuple[int, int] | None, tags: Mapping[str, BoolArray] | None = None
) -> dict[str, BoolArray]:
    """Per attribute, (N,) True in the frames that show it.

    Args:
        truth: (N, 4) with NaN where absent.
        size: (width, height) of the picture; without it occlusion and leaving cannot be
            told apart, and both stay empty unless ``tags`` state them.
        tags: what the data set's files state, by attribute name; these win.
    """
    present = present_frames(truth)
    boxes = _hold_last(truth, present)
    width, height = boxes[:, 2], boxes[:, 3]
    side = np.sqrt(width * height)
    gone_at_border, cut = _border(boxes, present, size)
    found = {
        "occlusion": ~present & ~gone_at_border if size else np.zeros(len(truth), dtype=bool),
        "out of view": (~present & gone_at_border) | cut,
        "scale change": present & _beyond(side / side[0], 2.0),
        "aspect change": present & _beyond((width / height) / (width[0] / height[0]), 2.0),
        "fast motion": _fast(boxes, present, side),
        "low resolution": present & (width * height < LOW_PIXELS),
    }
    for name, stated in (tags or {}).items():
        found[name] = np.asarray(stated, dtype=bool)
    return found


def sequence_attributes(
    frames: Mapping[str, BoolArray], stated: Mapping[str, bool] | None = None
) -> list[str]:
    """Names of the attributes that a sequence has, in the order of ``ATTRIBUTES``.

    Args:
        frames: of ``frame_attributes``.
        stated: what the data set's files say of the whole sequence; this wins.
    """
    have = {name for name, mask in frames.items() if int(mask.sum()) >= MIN_FRAMES}
    for name, shown in (stated or {}).items():
        have = have | {name} if shown else have - {name}
    return [n for n in ATTRIBUTES if n in have] + sorted(have - set(ATTRIBUTES))


def scores_by_attribute(
    scores: Mapping[str, float], attributes: Mapping[str, list[str]]
) -> dict[str, tuple[float, int]]:
    """Per attribute, the mean score over the sequences that have it, and their number."""
    groups: dict[str, list[float]] = {}
    for sequence, score in scores.items():
        for name in attributes.get(sequence, []):
            groups.setdefault(name, []).append(score)
    order = [n for n in ATTRIBUTES if n in groups] + sorted(set(groups) - set(ATTRIBUTES))
    return {
        name: (math.fsum(groups[name]) / len(groups[name]), len(groups[name])) for name in order
    }


def _hold_last(truth: FloatArray, present: BoolArray) -> FloatArray:
    """Absent frames repeat the last box; frames before the first box take that one."""
    index = np.where(present, np.arange(len(truth)), -1)
    index = np.maximum.accumulate(index)
    index[index < 0] = int(np.argmax(present))
    held: FloatArray = truth[index]
    return held


def _border(
    boxes: FloatArray, present: BoolArray, size: tuple[int, int] | None
) -> tuple[BoolArray, BoolArray]:
    """Whether the (held) box is at the border of the picture, and whether it is cut by it."""
    none = np.zeros(len(boxes), dtype=bool)
    if size is None:
        return none, none
    x, y, w, h = boxes.T
    room = np.minimum.reduce([x, y, size[0] - (x + w), size[1] - (y + h)])
    # by the side as well: annotators stop marking a target that is half gone
    near = room <= np.maximum(_BORDER, 0.25 * np.minimum(w, h))
    return near, present & (room < -_BORDER)


def _beyond(ratio: FloatArray, factor: float) -> BoolArray:
    beyond: BoolArray = (ratio > factor) | (ratio < 1 / factor)
    return beyond


def _fast(boxes: FloatArray, present: BoolArray, side: FloatArray) -> BoolArray:
    centres = boxes[:, :2] + boxes[:, 2:] / 2
    step = np.hypot(*np.diff(centres, axis=0).T)
    fast = np.zeros(len(boxes), dtype=bool)
    both = present[1:] & present[:-1]
    fast[1:] = both & (step > FAST_PIXELS) & (step > FAST_SIDES * side[:-1])
    return fast
