"""What is drawn on a frame: boxes, trails, the list of targets, numbers, help, debug views.

Sizes follow the picture: a 320-px frame and a 4K frame look alike. Everything draws in
place on (H, W, 3) uint8 BGR.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from tracker.app.canvas import (
    ACCENT,
    DARK,
    GREY,
    RED,
    WHITE,
    Canvas,
    Colour,
    short_text,
    wrapped,
)
from tracker.app.follow import Followed, Follower
from tracker.results import Box, State
from tracker.session import DebugView

COLOURS: dict[State, Colour] = {
    State.TRACKING: (128, 222, 74),
    State.UNCERTAIN: (36, 191, 251),
    State.LOST: (113, 113, 248),
}


@dataclass(frozen=True)
class Numbers:
    """The line of figures at the bottom.

    Attributes:
        position: such as ``412/1200``.
        fps: frames handled a second.
        latency: seconds that the tracker took for the last frame.
        age: seconds since a live frame was captured; None for files.
        notes: such as ``paused`` or ``x2``.
    """

    position: str
    fps: float
    latency: float
    age: float | None = None
    notes: Sequence[str] = ()


def position_text(index: int, count: int | None) -> str:
    """Which frame of how many, as a person counts; without the latter where that is not known."""
    return f"{index + 1}/{count}" if count else f"{index + 1}"


def annotate(
    canvas: Canvas, follower: Follower, numbers: Numbers, debug: bool, told: bool = False
) -> None:
    """All that goes into files as well: targets, figures and, for ``debug``, the chosen's view.

    Args:
        told: draw what results tell of the frame, targets that were dropped on it included.
    """
    view = follower.debug() if debug else None
    if view is not None:
        draw_debug(canvas, view)
    targets = follower.told if told else follower.targets
    draw_targets(canvas, targets.values(), follower.chosen)
    draw_numbers(canvas, numbers)


def draw_targets(canvas: Canvas, targets: Iterable[Followed], chosen: int | None) -> None:
    """Boxes, labels and trails on the frame, and the list of targets in the corner."""
    targets = list(targets)
    _list(canvas, targets, chosen)  # under the boxes: in a small frame it may cover a target
    for target in targets:
        _trail(canvas, target)
    for target in targets:
        _box(canvas, target, len(targets) > 1 and target.id == chosen)


def _box(canvas: Canvas, target: Followed, chosen: bool) -> None:
    box = target.result.claimed_box
    if box is None:  # a lost target claims no place
        return
    colour = COLOURS[target.result.state]
    (x1, y1), (x2, y2) = canvas.corners(box)
    width = max(1, round(min(canvas.height, canvas.width) / 320))
    width += max(1, width // 2) if chosen else 0
    cv2.rectangle(canvas.image, (x1, y1), (x2, y2), DARK, width + 2 * canvas.line, cv2.LINE_AA)
    if target.result.state is State.UNCERTAIN:
        _dashed(canvas, (x1, y1), (x2, y2), colour, width)
    else:
        cv2.rectangle(canvas.image, (x1, y1), (x2, y2), colour, width, cv2.LINE_AA)
    _label(canvas, target, x1, y1, y2, colour)


def _dashed(
    canvas: Canvas, a: tuple[int, int], b: tuple[int, int], colour: Colour, width: int
) -> None:
    dash = max(4, round(0.7 * canvas.font))
    for (x1, y1), (x2, y2) in (
        (a, (b[0], a[1])),
        ((b[0], a[1]), b),
        (b, (a[0], b[1])),
        ((a[0], b[1]), a),
    ):
        length = max(abs(x2 - x1), abs(y2 - y1))
        for start in range(0, length, 2 * dash):
            p, q = start / length, min(start + dash, length) / length
            cv2.line(
                canvas.image,
                (round(x1 + p * (x2 - x1)), round(y1 + p * (y2 - y1))),
                (round(x1 + q * (x2 - x1)), round(y1 + q * (y2 - y1))),
                colour,
                width,
                cv2.LINE_AA,
            )


def _label(
    canvas: Canvas, target: Followed, left: int, top: int, bottom: int, colour: Colour
) -> None:
    """A chip over the box with name and score, its lower edge the score bar."""
    pad, bar = round(0.5 * canvas.pad) + 1, max(2, 2 * canvas.line)
    score = f"  {target.result.score:.2f}"
    room = canvas.width - 2 * pad - canvas.text_size(score, 0.9)[0]
    text = short_text(canvas, target.label, room, 0.9) + score
    width, height = canvas.text_size(text, 0.9)
    w, h = width + 2 * pad, height + 2 * pad + bar
    gap = 2 * canvas.line
    y = top - h - gap
    if y < 0:  # no room above: below, or inside at the top
        y = bottom + gap if bottom + gap + h <= canvas.height else max(top, 0) + gap
    x = min(max(left - canvas.line, 0), max(canvas.width - w, 0))
    canvas.panel(x, y, w, h, 0.72)
    canvas.text(text, x + pad, y + pad, WHITE, 0.9)
    _bar(canvas, x, y + h - bar, w, bar, target.result.score, colour)


def _bar(
    canvas: Canvas, x: float, y: float, w: float, h: float, part: float, colour: Colour
) -> None:
    x1, y1, x2, y2 = round(x), round(y), round(x + w), round(y + h)
    cv2.rectangle(canvas.image, (x1, y1), (x2 - 1, y2 - 1), (70, 66, 64), cv2.FILLED)
    end = x1 + round((x2 - x1) * min(max(part, 0.0), 1.0))
    if end > x1:
        cv2.rectangle(canvas.image, (x1, y1), (end - 1, y2 - 1), colour, cv2.FILLED)


def _trail(canvas: Canvas, target: Followed) -> None:
    if target.result.state is State.LOST:
        return
    points = [
        None if p is None else (round(p[0] * canvas.scale), round(p[1] * canvas.scale))
        for p in target.trail
    ]
    colour = COLOURS[target.result.state]
    for number, (a, b) in enumerate(itertools.pairwise(points)):
        if a is not None and b is not None:
            fade = 0.35 + 0.65 * number / len(points)
            shade = tuple(round(c * fade) for c in colour)
            cv2.line(
                canvas.image, a, b, shade, canvas.line + (fade > 0.7) * canvas.line, cv2.LINE_AA
            )


def _list(canvas: Canvas, targets: Sequence[Followed], chosen: int | None) -> None:
    """Rows of picture, name, state and score bar; what does not fit is counted."""
    if not targets:
        return
    pad, side = canvas.pad, round(2.9 * canvas.font)
    row, left = side + pad, canvas.pad
    fitting = max(1, int((0.72 * canvas.height) // row))
    at = next((number for number, t in enumerate(targets) if t.id == chosen), 0)
    first = max(at - fitting + 1, 0)
    shown = targets[first : first + fitting]
    room = canvas.width - side - 4 * pad
    names = (short_text(canvas, t.label, room, 0.95) for t in shown)
    words = max(canvas.text_size(name, 0.95)[0] for name in names)
    words = max(words, canvas.text_size(str(State.UNCERTAIN), 0.8)[0])
    width = side + words + 3 * pad
    more = len(targets) - len(shown)
    height = row * len(shown) + pad + (round(1.4 * canvas.font) if more else 0)
    canvas.panel(left, left, width, height)
    for number, target in enumerate(shown):
        y = left + pad + number * row
        if len(targets) > 1 and target.id == chosen:
            cv2.rectangle(
                canvas.image, (left, y), (left + 2 * canvas.line, y + side), ACCENT, cv2.FILLED
            )
        _thumbnail(canvas, target, left + pad, y, side)
        _row_text(canvas, target, left + side + 2 * pad, y, side, words)
    if more:
        canvas.text(f"and {more} more", left + pad, left + height - 1.4 * canvas.font, GREY, 0.8)


def _row_text(canvas: Canvas, target: Followed, x: int, y: int, side: int, width: int) -> None:
    colour = COLOURS[target.result.state]
    bar = max(2, round(side * 0.08))
    canvas.text(short_text(canvas, target.label, width, 0.95), x, y, WHITE, 0.95)
    canvas.text(str(target.result.state), x, y + 0.46 * side, colour, 0.8)
    _bar(canvas, x, y + side - bar, width, bar, target.result.score, colour)


def _thumbnail(canvas: Canvas, target: Followed, x: int, y: int, side: int) -> None:
    place = canvas.image[y : y + side, x : x + side]
    picture = target.thumbnail
    if picture is None or not picture.size or place.shape[:2] != (side, side):
        return
    fit = side / max(picture.shape[:2])
    w, h = max(1, round(picture.shape[1] * fit)), max(1, round(picture.shape[0] * fit))
    small = cv2.resize(
        picture, (w, h), interpolation=cv2.INTER_AREA if fit < 1 else cv2.INTER_LINEAR
    )
    top, left = (side - h) // 2, (side - w) // 2
    place[top : top + h, left : left + w] = small


def draw_numbers(canvas: Canvas, numbers: Numbers) -> None:
    """Frame, rate, latency and age at the bottom left."""
    parts = [numbers.position, *numbers.notes]
    if numbers.fps:
        parts.append(f"{numbers.fps:.0f} fps")
    if numbers.latency:
        parts.append(f"{1000 * numbers.latency:.1f} ms")
    if numbers.age is not None:
        parts.append(f"age {1000 * numbers.age:.0f} ms")
    while True:  # what matters least stands last, and goes where there is no room
        text = "   ".join(p for p in parts if p)
        width, height = canvas.text_size(text, 0.9)
        if width + 3 * canvas.pad <= canvas.width or len(parts) == 1:
            break
        parts.pop()
    pad = canvas.pad
    top = canvas.height - height - 3 * pad
    canvas.panel(pad, top, width + 2 * pad, height + 2 * pad)
    canvas.text(text, 2 * pad, top + pad, WHITE, 0.9)


def draw_recording(canvas: Canvas, seconds: float) -> None:
    """The recording light at the top right, with the seconds recorded so far."""
    text = f"REC {int(seconds) // 60}:{int(seconds) % 60:02d}"
    width, height = canvas.text_size(text, 0.9)
    pad, radius = canvas.pad, max(2, round(0.36 * canvas.font))
    full = width + 2 * radius + 3 * pad
    left = canvas.width - full - pad
    canvas.panel(left, pad, full, height + 2 * pad)
    cv2.circle(
        canvas.image,
        (left + pad + radius, round(2 * pad + height / 2)),
        radius,
        RED,
        cv2.FILLED,
        cv2.LINE_AA,
    )
    canvas.text(text, left + 2 * pad + 2 * radius, 2 * pad, WHITE, 0.9)


def draw_selection(canvas: Canvas, box: Box, large_enough: bool) -> None:
    """The outline under the mouse, its size beside it, the rest of the frame dimmed."""
    (x1, y1), (x2, y2) = canvas.corners(box)
    inside = canvas.image[y1:y2, x1:x2].copy()
    canvas.image[:] = (canvas.image.astype(np.uint16) * 5 // 8).astype(np.uint8)
    canvas.image[y1:y2, x1:x2] = inside
    colour = WHITE if large_enough else RED
    cv2.rectangle(canvas.image, (x1, y1), (x2, y2), DARK, 3 * canvas.line, cv2.LINE_AA)
    cv2.rectangle(canvas.image, (x1, y1), (x2, y2), colour, canvas.line, cv2.LINE_AA)
    text = f"{box[2]:.0f} x {box[3]:.0f}"
    width, height = canvas.text_size(text, 0.9)
    pad = canvas.pad
    x = min(max(x1, 0), max(canvas.width - width - 2 * pad, 0))
    y = y2 + pad if y2 + height + 3 * pad < canvas.height else max(y1 - height - 3 * pad, 0)
    canvas.panel(x, y, width + 2 * pad, height + 2 * pad)
    canvas.text(text, x + pad, y + pad, colour, 0.9)


def draw_message(canvas: Canvas, text: str) -> None:
    """One or more centred lines above the bottom; lines that are too long are broken."""
    lines = wrapped(canvas, text, 0.86 * canvas.width)
    sizes = [canvas.text_size(line) for line in lines]
    pad = canvas.pad
    step = round(1.5 * canvas.font)
    w, h = max(s[0] for s in sizes) + 4 * pad, step * (len(lines) - 1) + sizes[0][1] + 3 * pad
    x, y = (canvas.width - w) / 2, canvas.height - h - 3.4 * canvas.font
    canvas.panel(x, y, w, h, 0.78)
    for number, (line, size) in enumerate(zip(lines, sizes, strict=True)):
        canvas.text(line, (canvas.width - size[0]) / 2, y + 1.5 * pad + number * step)


def draw_help(canvas: Canvas, rows: Sequence[tuple[str, str]]) -> None:
    """The keys and what they do, in the middle; smaller where the frame is small."""
    size = 1.0
    while True:
        step = 1.75 * canvas.font * size
        keys = max(canvas.text_size(key, size)[0] for key, _ in rows)
        words = max(canvas.text_size(word, size)[0] for _, word in rows)
        gap = 2 * canvas.pad * size
        w, h = keys + words + 3.5 * gap, step * len(rows) + 2 * gap
        if (w <= canvas.width and h <= canvas.height) or size < 0.3:
            break
        size -= 0.05
    x, y = (canvas.width - w) / 2, (canvas.height - h) / 2
    canvas.panel(x, y, w, h, 0.82)
    for number, (key, word) in enumerate(rows):
        top = y + gap + number * step + 0.3 * step
        canvas.text(key, x + gap, top, ACCENT, size)
        canvas.text(word, x + 2.2 * gap + keys, top, WHITE, size)


def draw_debug(canvas: Canvas, view: DebugView) -> None:
    """The search region, with the response map blended over the frame where it is high."""
    (x1, y1), (x2, y2) = canvas.corners(view.search_region)
    left, top = max(x1, 0), max(y1, 0)
    right, bottom = min(x2, canvas.width), min(y2, canvas.height)
    response = np.nan_to_num(np.asarray(view.response, dtype=np.float32))
    if right > left and bottom > top and response.ndim == 2:
        # Sample the map only where the region lies inside the picture.
        step = np.array([response.shape[1] / (x2 - x1), response.shape[0] / (y2 - y1)])
        matrix = np.array(
            [
                [step[0], 0, (left - x1 + 0.5) * step[0] - 0.5],
                [0, step[1], (top - y1 + 0.5) * step[1] - 0.5],
            ]
        )
        heat = cv2.warpAffine(
            np.clip(response, 0, 1),
            matrix,
            (right - left, bottom - top),
            flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_REPLICATE,
        )
        colours = cv2.applyColorMap((255 * heat).astype(np.uint8), cv2.COLORMAP_INFERNO)
        weight = (0.1 + 0.5 * np.sqrt(heat))[:, :, None]
        place = canvas.image[top:bottom, left:right]
        place[:] = (place * (1 - weight) + colours * weight).astype(np.uint8)
    cv2.rectangle(canvas.image, (x1, y1), (x2, y2), ACCENT, canvas.line, cv2.LINE_AA)
