"""A sheet of training pairs as one picture: look at it before training for hours."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from tracker.errors import UserError
from tracker.files import check_picture, write_picture
from tracker.training.pairs import Pair, PairSampler
from tracker.training.tracks import Image

GREEN, RED, WHITE = (90, 200, 60), (60, 60, 230), (255, 255, 255)
MARGIN, CAPTION = 6, 18


def show_pairs(sampler: PairSampler, count: int, path: Path, overwrite: bool = False) -> None:
    """Draw the first pairs of a run: exemplar, search region, boxes, and what they are.

    Green is the same object, red another one (a negative).

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
    search, exemplar = pair.search.copy(), pair.exemplar.copy()
    for image, corners, c in (
        (exemplar, pair.exemplar_box, GREEN),
        (search, pair.search_box, colour),
    ):
        x1, y1, x2, y2 = (round(float(v)) for v in corners)
        cv2.rectangle(image, (x1, y1), (x2, y2), c, 1)
    height = search.shape[0] + 2 * MARGIN + CAPTION
    width = search.shape[1] + exemplar.shape[1] + 3 * MARGIN
    tile = np.full((height, width, 3), 40, np.uint8)
    _put(tile, exemplar, MARGIN)
    _put(tile, search, exemplar.shape[1] + 2 * MARGIN)
    category = sampler.tracks[pair.shown].category or f"object {pair.shown}"
    text = f"{number}: {'same' if pair.positive else 'another'} ({category})"
    cv2.putText(
        tile, text.encode("ascii", "replace").decode(), (MARGIN, 15),
        cv2.FONT_HERSHEY_SIMPLEX, 0.42, WHITE if pair.positive else RED, 1, cv2.LINE_AA,
    )  # fmt: skip
    return tile


def _put(tile: Image, image: Image, left: int) -> None:
    top = CAPTION + MARGIN
    tile[top : top + image.shape[0], left : left + image.shape[1]] = image
