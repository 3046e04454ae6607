"""A sheet of training pairs as one picture: look at it before training for hours."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from tracker.errors import UserError
from tracker.files import check_picture, write_picture
from tracker.image import Image
from tracker.training.pairs import Pair, PairSampler

Colour = tuple[int, int, int]

GREEN, RED, WHITE = (90, 200, 60), (60, 60, 230), (255, 255, 255)
MARGIN, CAPTION = 6, 18


def show_pairs(sampler: PairSampler, count: int, path: Path, overwrite: bool = False) -> None:
    """Draw the first pairs of a run: exemplars, search region, boxes, and what they are.

    Green is the same object, red another one (a negative, or one that is known beside it).

    Raises:
        UserError: the file exists, cannot be written, or has the ending of no picture.
    """
    check_picture(path, overwrite)
    for frame in (f for track in sampler.tracks for f in track.frames):
        if (
            isinstance(frame, Path)
            and frame.name == path.name
            and frame.resolve() == path.resolve()
        ):
            raise UserError(f"{path} is one of the pictures that are trained on; give another name")
    tiles = [pair_tile(sampler, sampler.pair(i), i) for i in range(count)]
    columns = max(1, min(round(count**0.5 / 1.2), 6))
    blank = np.full_like(tiles[0], 40)
    tiles += [blank] * (-len(tiles) % columns)
    rows = [np.hstack(tiles[i : i + columns]) for i in range(0, len(tiles), columns)]
    write_picture(path, np.vstack(rows))


def pair_tile(sampler: PairSampler, pair: Pair, number: int) -> Image:
    """One pair side by side, with a caption."""
    colour = GREEN if pair.positive else RED
    crops = [(pair.exemplar, [(pair.exemplar_box, GREEN)])]
    if sampler.options.later:
        none = np.zeros_like(pair.exemplar)
        crops.append((none if pair.later is None else pair.later, [(pair.later_box, GREEN)]))
    crops.append((pair.search, [(pair.search_box, colour), (pair.beside_box, RED)]))
    height = pair.search.shape[0] + 2 * MARGIN + CAPTION
    width = sum(crop.shape[1] + MARGIN for crop, _ in crops) + MARGIN
    tile, left = np.full((height, width, 3), 40, np.uint8), MARGIN
    for crop, boxes in crops:
        _put(tile, _drawn(crop, boxes), left)
        left += crop.shape[1] + MARGIN
    category = sampler.tracks[pair.shown].category or f"object {pair.shown}"
    text = f"{number}: {'same' if pair.positive else 'another'} ({category})"
    text += f", {pair.visible:.0%} visible" if pair.visible < 1 else ""
    cv2.putText(
        tile, text.encode("ascii", "replace").decode(), (MARGIN, 15),
        cv2.FONT_HERSHEY_SIMPLEX, 0.42, WHITE if pair.positive else RED, 1, cv2.LINE_AA,
    )  # fmt: skip
    return tile


def _drawn(image: Image, boxes: Sequence[tuple[NDArray[np.float32], Colour]]) -> Image:
    """A copy with corner boxes in it; one that is not known is NaN."""
    image = image.copy()
    for corners, colour in boxes:
        if np.isfinite(corners).all():
            x1, y1, x2, y2 = (round(float(v)) for v in corners)
            cv2.rectangle(image, (x1, y1), (x2, y2), colour, 1)
    return image


def _put(tile: Image, image: Image, left: int) -> None:
    top = CAPTION + MARGIN
    tile[top : top + image.shape[0], left : left + image.shape[1]] = image
