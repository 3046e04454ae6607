"""The worst moments: the frames around which a tracker lost its target, as small pictures."""

from __future__ import annotations

import base64
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tracker.evaluation.metrics import present_frames
from tracker.evaluation.summary import SequenceScore
from tracker.evaluation.vot import FAILURE_OVERLAP
from tracker.geometry import as_box
from tracker.image import Image
from tracker.results import Box, State

LASTING = 10
"""Frames in a row without overlap that make a loss."""
MOST = 8  # moments that are shown
OFFSETS = (-15, 0, 15, 45)
THUMB_HEIGHT, THUMB_WIDTH = 216, 384
TRUTH_COLOUR, TRACKER_COLOUR, LOST_COLOUR = (90, 200, 60), (40, 60, 235), (150, 150, 150)


@dataclass(frozen=True)
class Thumbnail:
    """A frame with the truth and the tracker's box, as a data URI."""

    frame: int
    overlap: str
    state: str
    uri: str


@dataclass(frozen=True)
class Moment:
    """One loss.

    Attributes:
        frames_lost: frames with the target there but not covered, from here to the end.
    """

    sequence: str
    frame: int
    frames_lost: int
    frames: int
    thumbnails: tuple[Thumbnail, ...]


def first_loss(overlaps: NDArray[np.float64]) -> int | None:
    """Where the first lasting loss begins: at most .1 overlap over 10 frames with truth.

    Args:
        overlaps: (N,) with NaN where the target is absent.
    """
    judged = np.flatnonzero(~np.isnan(overlaps))
    bad = overlaps[judged] <= FAILURE_OVERLAP
    run = 0
    for index, missed in enumerate(bad):
        run = run + 1 if missed else 0
        if run == LASTING:
            return int(judged[index - LASTING + 1])
    return None


def worst_moments(scores: list[SequenceScore]) -> list[Moment]:
    """Of the sequences with a lasting loss, those that cost most of their frames."""
    found = []
    for score in scores:
        start = first_loss(score.overlaps)
        if start is None:
            continue
        rest = score.overlaps[start:]
        lost = int((rest <= FAILURE_OVERLAP).sum())
        found.append((lost / score.one_pass.frames, score, start, lost))
    found.sort(key=lambda item: -item[0])
    return [_moment(score, start, lost) for _, score, start, lost in found[:MOST]]


def _moment(score: SequenceScore, start: int, lost: int) -> Moment:
    last = len(score.overlaps) - 1
    wanted = sorted({min(max(start + offset, 0), last) for offset in OFFSETS})
    thumbnails = []
    frames = score.sequence.source.read(range(wanted[-1] + 1))
    for index, image in enumerate(frames):
        if index in wanted:
            thumbnails.append(_thumbnail(score, index, image))
    return Moment(score.sequence.key, start, lost, score.one_pass.frames, tuple(thumbnails))


def _thumbnail(score: SequenceScore, index: int, image: Image) -> Thumbnail:
    truth = score.sequence.truth[index]
    state = score.track.states[index]
    box = as_box(score.track.boxes[index])
    boxes = [(box, LOST_COLOUR if state == State.LOST.value else TRACKER_COLOUR)]
    if present_frames(truth[None])[0]:
        boxes.insert(0, (as_box(truth), TRUTH_COLOUR))
    overlap = score.overlaps[index]
    label = "target absent" if np.isnan(overlap) else f"overlap {overlap:.2f}"
    return Thumbnail(index, label, state, _data_uri(draw_boxes(image, boxes)))


def draw_boxes(image: Image, boxes: list[tuple[Box, tuple[int, int, int]]]) -> Image:
    """The part of a frame around some boxes, scaled to a thumbnail, with the boxes on it."""
    import cv2

    left, top, right, bottom = _view([b for b, _ in boxes], image.shape[1], image.shape[0])
    scale = THUMB_HEIGHT / (bottom - top)
    size = (max(1, round((right - left) * scale)), THUMB_HEIGHT)
    way = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    part = image[top:bottom, left:right]
    view: Image = np.asarray(cv2.resize(part, size, interpolation=way), dtype=np.uint8)
    for (x, y, w, h), tint in boxes:
        corners = np.array([x - left, y - top, x + w - left, y + h - top]) * scale
        x1, y1, x2, y2 = (round(v) for v in np.clip(corners, -9999, 9999))
        cv2.rectangle(view, (x1, y1), (x2, y2), (0, 0, 0), 4)
        cv2.rectangle(view, (x1, y1), (x2, y2), tint, 2)
    return view


def _view(boxes: list[Box], width: int, height: int) -> tuple[int, int, int, int]:
    """A window of the thumbnail's shape that shows the boxes with room around them."""
    corners = np.array([(x, y, x + w, y + h) for x, y, w, h in boxes])
    x1, y1 = np.clip(corners[:, :2].min(axis=0), 0, (width, height))
    x2, y2 = np.clip(corners[:, 2:].max(axis=0), 0, (width, height))
    sizes = np.clip([(w, h) for _, _, w, h in boxes], 0, None)  # a tracker may say anything
    sides = np.sqrt(np.prod(sizes, axis=1))
    room = 1.5 * float(sides.max())
    aspect = THUMB_WIDTH / THUMB_HEIGHT
    tall = max(y2 - y1 + room, (x2 - x1 + room) / aspect, THUMB_HEIGHT / 3)
    tall = min(tall, height, width / aspect) if width / aspect < height else min(tall, height)
    wide = min(tall * aspect, width)
    left = float(np.clip((x1 + x2 - wide) / 2, 0, width - wide))
    top = float(np.clip((y1 + y2 - tall) / 2, 0, height - tall))
    return int(left), int(top), int(left + wide), int(top + tall)


def _data_uri(image: Image) -> str:
    import cv2

    ok, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 80])
    assert ok  # an 8-bit picture of three channels always encodes
    return "data:image/jpeg;base64," + base64.b64encode(data.tobytes()).decode()
