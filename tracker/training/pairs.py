"""Pairs of an exemplar and a search crop: what the network learns from.

A pair is a function of the data, the seed and its number alone: any process can make any
pair, which is what lets a run be resumed and be spread over machines exactly.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from numpy.random import Generator
from numpy.typing import NDArray

from tracker.errors import UserError
from tracker.image import Image
from tracker.training.augment import change_appearance, far, grey
from tracker.training.crops import (
    Jitter,
    crop_matrix,
    exemplar_side,
    map_box,
    square_fill,
    warp,
)
from tracker.training.cutout import beside, mask_corners, masked_picture, paste
from tracker.training.hiding import elsewhere, hide_behind_object, hide_behind_pillar, part_of
from tracker.training.neighbours import NOTHING, nearest_beside
from tracker.training.pair_options import PairOptions
from tracker.training.sharing import box_in, meets_surroundings, without_box
from tracker.training.tracks import EncodedFrame, Source, Track, track_image

Edges = NDArray[np.float64]
WHOLE: Edges = np.zeros(4)  # the object as it is annotated
ZOOM = math.log(2)
STRETCH = (math.log(2), 30.0)  # largest change of aspect, as a logarithm, and of direction
LATER_GAP = 30  # frames between a later exemplar and what is searched next
TRIES = 8  # to draw a picture that does not show the target, where few are without it
TURNED = 1.2  # how much farther a turned and stretched crop reaches


@dataclass(frozen=True)
class Shared:
    """What the crops of a pair have in common.

    Attributes:
        drawn: what is drawn instead of the object, see ``drawn_box``.
        flip: they are mirrored.
        scene: picture before which a cut-out stands in all of them, or ``None``: each has its own.
    """

    drawn: Edges
    flip: bool
    scene: Image | None


@dataclass(frozen=True)
class Pair:
    """One pair.

    Attributes:
        exemplar: uint8 BGR (E, E, 3); search: uint8 BGR (S, S, 3).
        exemplar_box, search_box: corners in crop pixels. The search box is the target's in
            a positive pair, and of the object that is shown instead in a negative one, in which
            the target itself is not to be seen.
        positive: the two show the same object.
        track: number of the exemplar's track; shown: of the object in the search crop.
        beside_box: corners of another object that stood beside the target in the searched frame,
            (4,) float32; NaN in a negative pair and where none is known.
        exact: the search box is where the object ends, and not a few percent off.
        later: a later exemplar, as ``exemplar``, or ``None``; later_box: its box, (4,) float32.
        visible: share of the target in the search crop that nothing put before it hides, 0..1.
    """

    exemplar: Image
    search: Image
    exemplar_box: NDArray[np.float32]
    search_box: NDArray[np.float32]
    positive: bool
    track: int
    shown: int
    beside_box: NDArray[np.float32]
    exact: bool
    later: Image | None
    later_box: NDArray[np.float32]
    visible: float


class PairSampler:
    """Draws and renders pairs from sources."""

    def __init__(self, sources: Sequence[Source], options: PairOptions, seed: int) -> None:
        self.options, self.seed = options, seed
        self.tracks: list[Track] = [t for s in sources for t in s.tracks]
        ends = np.cumsum([len(s.tracks) for s in sources]).tolist()
        self._spans = list(zip([0, *ends[:-1]], ends, strict=True))
        self._exact = np.repeat([not s.rough for s in sources], [len(s.tracks) for s in sources])
        weights = np.array([s.weight for s in sources], dtype=np.float64)
        self._odds = weights / weights.sum()
        self._by_category: dict[str, list[int]] = defaultdict(list)
        for number, track in enumerate(self.tracks):
            if track.category:
                self._by_category[track.category].append(number)
        self._cut = [n for n, t in enumerate(self.tracks) if t.polygons or t.cutout]
        self._whole = [n for n, t in enumerate(self.tracks) if not t.cutout]
        if not self._whole:
            raise UserError(
                "views show objects alone: add pictures that they can stand before, with another "
                "--data"
            )
        # how far from its middle a search crop can show something, in sides of the exemplar crop
        wide = math.exp(max(options.scale, ZOOM if options.zoom else 0.0)) * TURNED
        self._reach = wide * (options.search_size / 2 + options.shift) / options.exemplar_size
        # number of the track that the network confused with each one last, or -1 (see mining.py)
        self.confused = torch.full((len(self.tracks),), -1, dtype=torch.int64)

    def pair(self, index: int) -> Pair:
        """Render pair number ``index``: the same one at every call."""
        rng = np.random.default_rng((self.seed, index))
        number = self._draw_track(rng)
        track = self.tracks[number]
        # one track alone has no negatives
        negative = rng.random() < self.options.negative and len(self.tracks) > 1
        first, second = self._draw_frames(track, rng)
        flip = bool(rng.random() < self.options.flip)
        shared = Shared(self._draw_part(track, rng), flip, self._draw_scene(number, rng))
        exemplar, exemplar_box = self._exemplar(number, first, shared, rng)
        shown = number
        if negative:
            shown, second = self._draw_shown(number, second, rng)
            negative = shown != number
        search, search_box, beside_box, visible = self._search(number, shown, second, shared, rng)
        later, later_box = None, NOTHING
        if math.floor((index + 1) * self.options.later) > math.floor(index * self.options.later):
            later, later_box = self._later(number, first if negative else second, shared, rng)
        for odds, change in ((self.options.grey, grey), (self.options.far, far(rng))):
            if rng.random() < odds:
                exemplar, search = change(exemplar), change(search)
                later = None if later is None else change(later)
        exemplar = change_appearance(exemplar, rng, 0.6 * self.options.appearance)
        search = change_appearance(search, rng, self.options.appearance)
        if later is not None:
            later = change_appearance(later, rng, self.options.appearance)
        return Pair(
            exemplar, search, exemplar_box, search_box, not negative, number, shown, beside_box,
            bool(self._exact[shown]), later, later_box, visible,
        )  # fmt: skip

    def _draw_track(self, rng: Generator) -> int:
        start, end = self._spans[int(rng.choice(len(self._spans), p=self._odds))]
        return int(rng.integers(start, end))

    def _draw_frames(self, track: Track, rng: Generator) -> tuple[int, int]:
        present = track.present
        first = int(rng.choice(present))
        near = present[np.abs(present - first) <= self.options.max_gap]
        return first, int(rng.choice(near))

    def _draw_part(self, track: Track, rng: Generator) -> Edges:
        """What is drawn instead of the object, see ``drawn_box``."""
        moves = len(track.frames) > 1
        odds = self.options.moving_part if moves else self.options.part
        # nothing is drawn where it is off: earlier runs are repeated from their seeds
        if (moves and not odds) or rng.random() >= odds:
            return WHOLE
        edges = rng.uniform(-0.15, 0.3 if moves else 0.45, 4)
        if moves:  # what turns round shows its other side
            edges[2] = edges[0]
        for i in (0, 1):  # at least two fifths of it remain
            edges[i::2] *= min(1.0, 0.6 / max(edges[i::2].sum(), 0.6))
        return edges

    def _draw_scene(self, number: int, rng: Generator) -> Image | None:
        """A picture before which a cut-out stands in all crops of half of its pairs."""
        if not self.tracks[number].cutout or rng.random() < 0.5:
            return None
        return self._other_picture(number, rng)

    def _draw_shown(self, number: int, own: int, rng: Generator) -> tuple[int, int]:
        """Another track and its frame, whose surroundings do not show the target of ``number``.

        Where all do, as in a crowd of which there is one picture, it is the track with its frame
        ``own`` after all.
        """
        for _ in range(TRIES):
            shown = self._draw_negative(number, rng)
            track = self.tracks[shown]
            frame = int(rng.choice(track.present))
            box = box_in(self.tracks[number], track, frame)
            if box is None or not meets_surroundings(
                box, track.boxes[frame], self._reach * exemplar_side(track.boxes[frame])
            ):
                return shown, frame
        return number, own

    def _draw_negative(self, number: int, rng: Generator) -> int:
        """Another track: confused before, else of the same category, or any."""
        confused = int(self.confused[number])
        like = self._by_category.get(self.tracks[number].category or "", [])
        if (confused >= 0 or len(like) > 1) and rng.random() < self.options.hard:
            return confused if confused >= 0 else _another(like, number, rng)
        return self._draw_other(number, rng)

    def _draw_other(self, number: int, rng: Generator) -> int:
        """Any other track: of the source of ``number`` where that is drawn, if it holds others."""
        other = self._draw_track(rng)
        if other != number or len(self.tracks) == 1:
            return other
        own = next(n for n, (_, end) in enumerate(self._spans) if number < end)
        start, end = self._spans[own]
        if end - start == 1:  # alone there
            odds = np.where(np.arange(len(self._odds)) == own, 0, self._odds)
            start, end = self._spans[int(rng.choice(len(odds), p=odds / odds.sum()))]
            return int(rng.integers(start, end))
        return _another(range(start, end), number, rng)

    def _exemplar(
        self, number: int, frame: int, shared: Shared, rng: Generator, off: Edges = WHOLE
    ) -> tuple[Image, NDArray[np.float32]]:
        track = self.tracks[number]
        size = self.options.exemplar_size
        box = drawn_box(drawn_box(track.boxes[frame], shared.drawn), off)
        distort = self.options.distort
        jitter = Jitter(4 * distort, 0.05 * distort)
        matrix = crop_matrix(box, size, exemplar_side(box), jitter, rng, shared.flip)
        corners = map_box(matrix, box)
        if track.cutout:
            image, mask = masked_picture(track, frame)
            pasted, _ = paste(self._background(number, size, shared, rng), image, mask, matrix)
            return pasted, corners
        image = track_image(track, frame)
        return warp(image, matrix, size, self._fill(image, size, number, rng)), corners

    def _later(
        self, number: int, frame: int, shared: Shared, rng: Generator
    ) -> tuple[Image, NDArray[np.float32]]:
        """A later exemplar from a frame near ``frame``, and a box as a tracker would find it."""
        present = self.tracks[number].present
        near = present[np.abs(present - frame) <= LATER_GAP]
        spread = 0.04 if rng.random() < 0.6 else 0.15  # now and then its box is far off
        off = np.clip(rng.normal(0, spread, 4) * self.options.distort, -0.3, 0.3)
        return self._exemplar(number, int(rng.choice(near)), shared, rng, off)

    def _search(
        self, exemplar: int, shown: int, frame: int, shared: Shared, rng: Generator
    ) -> tuple[Image, NDArray[np.float32], NDArray[np.float32], float]:
        track, size = self.tracks[shown], self.options.search_size
        whole = shown != exemplar or shared.drawn is WHOLE
        box = track.boxes[frame] if whole else drawn_box(track.boxes[frame], shared.drawn)
        aspect, turn = (0.2, 10.0) if len(track.frames) == 1 else (0.06, 3.0)
        # nothing is drawn where it is off: earlier runs are repeated from their seeds
        if self.options.stretch and rng.random() < self.options.stretch:
            aspect, turn = STRETCH
        distort = self.options.distort
        scale = ZOOM if rng.random() < self.options.zoom else self.options.scale
        jitter = Jitter(self.options.shift, scale, aspect * distort, turn * distort)
        side = exemplar_side(box) * size / self.options.exemplar_size
        matrix = crop_matrix(box, size, side, jitter, rng, shared.flip)
        corners, other = map_box(matrix, box), NOTHING
        if shown == exemplar:  # else the one beside it can be the exemplar's
            other = nearest_beside(track, frame, matrix, size)
        mask = None
        if track.cutout or track.polygons:
            image, mask = masked_picture(track, frame)
        else:
            image = track_image(track, frame)
        if mask is not None and (track.cutout or rng.random() < self.options.paste):
            background = self._background(exemplar, size, shared, rng)
            canvas, alpha = paste(background, image, mask, matrix)
            tight = mask_corners(alpha)
            if tight is not None and (tight[2:] - tight[:2] > 6).all():
                # what stood beside it stayed behind
                corners, other = tight if whole else corners, NOTHING
            elif not track.cutout:
                canvas = warp(image, matrix, size, background)
        else:
            canvas = warp(image, matrix, size, self._fill(image, size, exemplar, rng))
        if rng.random() < self.options.distractor:
            canvas, covered = self._add_distractors(canvas, corners, exemplar, rng)
            if covered and mask is not None and rng.random() < 0.5:  # the target is before them
                canvas, _ = paste(canvas, image, mask, matrix)
        if shown == exemplar and rng.random() < self.options.occluder:
            canvas = self._occlude(canvas, corners, shown, rng)
        visible = 1.0
        # nothing is drawn where it is off: earlier runs are repeated from their seeds
        if shown == exemplar and self.options.hidden and rng.random() < self.options.hidden:
            canvas, visible = self._hide(canvas, corners, shown, rng)
        return canvas, corners, other, visible

    def _hide(
        self, canvas: Image, target: NDArray[np.float32], number: int, rng: Generator
    ) -> tuple[Image, float]:
        """Let the target disappear, or begin to: behind an object, or a piece of a scene."""
        other = self._cut[int(rng.integers(len(self._cut)))] if self._cut else number
        if other != number and rng.random() < 0.4:
            return hide_behind_object(canvas, target, self.tracks[other], rng)
        if rng.random() < 0.5:
            return hide_behind_pillar(canvas, target, elsewhere(canvas), rng)
        front = square_fill(self._other_picture(number, rng), canvas.shape[0], rng)
        return hide_behind_pillar(canvas, target, front, rng)

    def _background(self, number: int, size: int, shared: Shared, rng: Generator) -> Image:
        """What a cut-out stands before."""
        picture = self._other_picture(number, rng) if shared.scene is None else shared.scene
        return square_fill(picture, size, rng)

    def _fill(self, image: Image, size: int, number: int, rng: Generator) -> Image:
        """What stands outside the picture: mostly another one, now and then a flat colour.

        At run time a frame's border is flat, so that must have been seen; a network that
        sees only flat surroundings learns where pictures end instead of where targets are.
        """
        if rng.random() < 0.15:
            return np.full((size, size, 3), image.mean((0, 1)), np.uint8)
        return square_fill(self._other_picture(number, rng), size, rng)

    def _other_picture(self, number: int, rng: Generator) -> Image:
        """A picture without the target, which must not stand in its own surroundings."""
        for _ in range(TRIES):
            other = self._draw_other(number, rng)
            if self.tracks[other].cutout:  # it shows no surroundings
                other = self._whole[int(rng.integers(len(self._whole)))]
            track = self.tracks[other]
            frame = int(rng.integers(len(track.frames)))
            picture = track.frames[frame]
            if isinstance(picture, EncodedFrame) and not picture.data.size:  # absent: nothing kept
                frame = int(rng.choice(track.present))
            box = box_in(self.tracks[number], track, frame)
            if box is None:
                return track_image(track, frame)
        assert box is not None
        return without_box(track_image(track, frame), box)

    def _add_distractors(
        self, canvas: Image, target: NDArray[np.float32], number: int, rng: Generator
    ) -> tuple[Image, bool]:
        """Put one to three others beside the target; whether one may cover a part of it."""
        covered = False
        for _ in range(int(rng.integers(1, 4))):
            other = self._draw_negative(number, rng)
            outlined = self.tracks[other].polygons or self.tracks[other].cutout
            if not outlined and self._cut and rng.random() < 0.5:
                other = self._cut[int(rng.integers(len(self._cut)))]
            if other == number:
                continue
            track = self.tracks[other]
            frame = int(rng.choice(track.present))
            crosses = not covered and bool(rng.random() < self.options.crossing)
            matrix = beside(
                track.boxes[frame], target, canvas.shape[0], rng, 0.5 if crosses else 0.1
            )
            if matrix is not None:
                image, mask = masked_picture(track, frame)
                canvas, _ = paste(canvas, image, mask, matrix)
                covered = covered or crosses
        return canvas, covered

    def _occlude(
        self, canvas: Image, target: NDArray[np.float32], number: int, rng: Generator
    ) -> Image:
        """Hide up to a half of the target behind a piece of another picture."""
        a, b, c, d = part_of(target, canvas.shape[0], rng)
        if c - a < 2 or d - b < 2:
            return canvas
        piece = square_fill(self._other_picture(number, rng), 64, rng)
        canvas = canvas.copy()
        canvas[b:d, a:c] = cv2.resize(piece, (c - a, d - b))
        return canvas


def _another(among: Sequence[int], number: int, rng: Generator) -> int:
    """One of two or more numbers, each as likely, but not ``number``, which is among them."""
    other = among[int(rng.integers(len(among)))]
    if other != number:  # so that what does not draw itself is drawn as it always was
        return other
    other = among[int(rng.integers(len(among) - 1))]
    return among[-1] if other == number else other


def drawn_box(box: NDArray[np.float32], edges: Edges) -> NDArray[np.float32]:
    """A box around something else than the object.

    Args:
        box: (x, y, w, h) of the object.
        edges: how far the left, top, right and bottom side move inwards, as shares of its
            width and height.
    """
    x, y, w, h = box
    left, top, right, bottom = edges
    return np.array(
        [x + left * w, y + top * h, w * (1 - left - right), h * (1 - top - bottom)], np.float32
    )
