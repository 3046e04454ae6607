#!/usr/bin/env python3
"""Render the sample clip that ships: ``tracker/assets/sample.mp4`` and ``sample.txt``.

    pip install scikit-image scipy       # the photographs, and smooth paths
    apt-get install ffmpeg               # or any ffmpeg with libx264
    python tools/make_sample.py --out tracker/assets --overwrite

A space shuttle, cut out of one photograph, flies over another: it changes speed, size, tilt and
light, passes behind a rocket and the beams of a tower, leaves the picture for two seconds, comes
back elsewhere and shares the sky with a look-alike. Same pictures, same clip:
nothing is random but a flicker with a fixed seed. ``--sheet frames.png`` shows what was made.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tracker.cli import positive, run_main, some_path
from tracker.errors import UserError
from tracker.files import check_picture, write_picture

Array = NDArray[Any]

WIDTH, HEIGHT, FPS, SECONDS = 640, 360, 30, 12
COLUMNS, ROWS = 5, 6  # of the sheet
SCENE, CAST = "rocket.jpg", "astronaut.png"  # in scikit-image; tracker/assets/LICENSES.md
ABSENT_BELOW = 0.15  # share of the target's outline inside the picture
SHUTTER, EXPOSURES = 0.5, 7  # open for half of a frame's time, sampled so often

# The shuttle's outline in CAST, and the standing rocket's in SCENE, drawn by hand (x, y).
SHUTTLE = [
    (412, 1), (421, 1), (427, 4), (431, 10), (434, 18), (436.5, 30), (437, 47), (440, 45),
    (444.5, 39), (447, 43), (450, 51), (453, 59), (454, 67), (454, 211), (455, 216), (455, 232),
    (454, 237), (454.5, 250), (458, 261), (454, 264), (454, 271), (447, 272), (444, 264),
    (435, 262), (433, 258), (436.5, 250), (436.5, 239), (430, 234), (427, 237), (416, 236),
    (412.5, 240), (411, 250), (407, 255), (410, 259), (405, 261), (405.5, 266), (397, 266),
    (392, 261), (387, 257), (387.5, 252), (390, 243), (386, 245), (371, 268), (368, 270.5),
    (368, 265), (372, 252), (380, 230), (376, 230), (370, 227.5), (357, 223), (355.5, 219),
    (356, 212), (361, 204), (367, 199), (378, 185), (379, 179), (379, 121), (381, 112), (382, 104),
    (381, 95), (381, 60), (384, 50), (387.5, 42), (391, 50), (394.5, 58), (397, 50), (397, 32),
    (400, 16), (405, 6),
]  # fmt: skip
ENGINES = [(449.0, 270.0, 1.0), (401.0, 264.0, 0.8), (386.0, 258.0, 0.45)]  # x, y, strength
ROCKET = [
    (322.5, 127), (327, 132), (331, 140), (333, 149), (333.5, 176), (335, 182), (334, 245),
    (332.5, 300), (331.5, 406), (311, 406), (311, 300), (309.5, 240), (309.5, 182), (311.5, 176),
    (311, 149), (314, 140), (318, 132),
]  # fmt: skip
TOWER = [(556, -5), (650, -5), (650, 430), (572, 430)]

# Seconds; centre in pixels of SCENE; size in pixels of SCENE per pixel of CAST; tilt to the right
# in degrees; light. The camera's rows are the left and top edge and the width of what it sees.
TARGET = [
    (0.0, 128, 268, 0.30, 8, 0.92),
    (1.2, 150, 232, 0.30, 12, 0.95),
    (2.4, 212, 196, 0.29, 24, 1.00),
    (3.6, 302, 196, 0.27, 26, 0.92),
    (4.3, 352, 214, 0.27, 10, 0.88),
    (5.0, 398, 210, 0.29, 6, 0.92),
    (5.8, 474, 156, 0.31, 30, 1.00),
    (6.3, 548, 96, 0.32, 38, 0.95),
    (6.8, 640, 10, 0.33, 40, 0.90),
    (7.2, 720, -80, 0.33, 40, 0.90),
]
RETURN = [
    (8.5, 176, 430, 0.40, -2, 1.10),
    (9.2, 180, 352, 0.40, -2, 1.10),
    (9.85, 192, 262, 0.39, 6, 1.00),
    (10.45, 236, 196, 0.37, 22, 0.95),
    (11.1, 318, 168, 0.35, 24, 0.85),
    (11.6, 392, 170, 0.34, 12, 0.80),
    (12.1, 430, 176, 0.33, 4, 0.80),
]
LOOKALIKE = [
    (9.3, 650, 118, 0.26, 16, 0.8),
    (10.2, 604, 160, 0.26, 14, 0.8),
    (11.2, 570, 214, 0.25, 14, 0.8),
    (12.1, 548, 262, 0.24, 16, 0.8),
]
CAMERA = [(0.0, 4, 108, 556), (2.5, 16, 92, 560), (5.0, 52, 62, 560), (7.0, 72, 44, 552),
          (9.5, 66, 60, 558), (12.1, 62, 56, 566)]  # fmt: skip


@dataclass(frozen=True)
class Sprite:
    """A cut-out.

    Attributes:
        levels: (h, w, 4) float32 BGRA in 0..1, colour multiplied by alpha; halved from one to
            the next, so that no pixel is skipped when it is drawn small.
        outline: (N, 2) its polygon; pixels of the first level.
        origin: (2,) its middle, which the path moves.
    """

    levels: list[Array]
    outline: Array
    origin: Array


def photograph(name: str) -> Array:
    """Read one of scikit-image's pictures: (H, W, 3) float32 BGR in 0..1."""
    try:
        path = resources.files("skimage") / "data" / name
    except ModuleNotFoundError:
        raise UserError("the photographs come with scikit-image: "
                        "pip install scikit-image scipy") from None  # fmt: skip
    image = cv2.imread(str(path))
    if image is None:
        raise UserError(f"this scikit-image has no {name}; install scikit-image 0.26")
    return image.astype(np.float32) / 255


def filled(outline: Array, shape: tuple[int, int], soft: float) -> Array:
    """Anti-aliased (H, W) float32 mask of a polygon."""
    mask = np.zeros((shape[0] * 8, shape[1] * 8), np.uint8)
    cv2.fillPoly(mask, [np.round(outline * 8).astype(np.int32)], 255)
    small = cv2.resize(mask, shape[::-1], interpolation=cv2.INTER_AREA)
    return cv2.GaussianBlur(small, (0, 0), soft).astype(np.float32) / 255


def halved(image: Array, times: int) -> list[Array]:
    """An image, its half, its quarter."""
    levels = [image]
    for _ in range(times):
        levels.append(cv2.resize(levels[-1], None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA))
    return levels


def cut_out(image: Array, outline: list[tuple[float, float]], grade: Array) -> Sprite:
    """Cut a polygon out of a photograph and grade its colours (3 x 3, of BGR)."""
    points = np.array(outline, np.float64)
    corner = np.floor(points.min(axis=0)) - 8
    size = (np.ceil(points.max(axis=0)) - corner + 8).astype(int) // 4 * 4 + 4
    shift = np.array([[1, 0, -corner[0]], [0, 1, -corner[1]]])
    patch = cv2.warpAffine(image, shift, tuple(map(int, size)), borderMode=cv2.BORDER_REPLICATE)
    alpha = filled(points - corner, (int(size[1]), int(size[0])), 0.7)
    colour = np.clip(patch @ grade.T, 0, 1) * alpha[..., None]
    sprite = np.dstack([colour, alpha]).astype(np.float32)
    points -= corner
    return Sprite(halved(sprite, 2), points, (points.min(axis=0) + points.max(axis=0)) / 2)


def mirrored(sprite: Sprite, grade: Array) -> Sprite:
    """The look-alike: turned left to right, in other colours."""
    image = sprite.levels[0][:, ::-1].copy()
    image[..., :3] = np.clip(image[..., :3] @ grade.T, 0, 1)
    width = image.shape[1]
    flip = np.array([-1.0, 1.0])
    outline, origin = sprite.outline * flip, sprite.origin * flip
    outline[:, 0] += width
    origin[0] += width
    return Sprite(halved(image, 2), outline, origin)


def plume(engines: list[tuple[float, float, float]]) -> tuple[Array, Array]:
    """The fire under the engines: additive (360, 240, 3) BGR, and the point it hangs from."""
    anchor = np.array([120.0, 40.0])
    y, x = np.mgrid[0:360, 0:240].astype(np.float32)
    light = np.zeros((360, 240, 3), np.float32)
    middle = np.mean([e[0] for e in engines])
    top = max(e[1] for e in engines)
    for ex, ey, strength in engines:
        down = y - anchor[1] - (ey - top)
        across = x - anchor[0] - (ex - middle)
        width = 4.5 + 0.07 * np.maximum(down, 0)
        body = np.exp(-((across / width) ** 2)) * strength
        body *= 1 / (1 + np.exp(-(down - 2) / 2.5))
        for channel, reach in enumerate((22.0, 48.0, 80.0)):  # blue dies first, red last
            light[..., channel] += body * np.exp(-np.maximum(down, 0) / reach)
    halo = np.exp(-((x - anchor[0]) ** 2 + (y - anchor[1] - 25) ** 2) / (2 * 34**2))
    light += halo[..., None] * np.array([0.03, 0.09, 0.20], np.float32)
    return np.minimum(light * 1.3, 1.6), anchor


def foreground(scene: Array) -> Array:
    """(H, W) float32: what stands before the flyers, the rocket and the beams of the tower."""
    shape = scene.shape[:2]
    grey = (scene * 255).astype(np.uint8)
    sky = cv2.medianBlur(grey, 31)
    beams = np.abs(grey.astype(np.float32) - sky).max(axis=2)
    beams = np.clip((beams - 10) / 14, 0, 1) * filled(np.array(TOWER), shape, 2.0)
    return np.maximum(beams, filled(np.array(ROCKET), shape, 0.6))


class Curve:
    """Smooth curves through key frames: (time, value, ...) rows."""

    def __init__(self, rows: Sequence[tuple[float, ...]]) -> None:
        from scipy.interpolate import Akima1DInterpolator

        table = np.array(rows, np.float64)
        self.start, self.end = table[0, 0], table[-1, 0]
        self._curves = Akima1DInterpolator(table[:, 0], table[:, 1:], axis=0)

    def __contains__(self, t: float) -> bool:
        return bool(self.start <= t <= self.end)

    def __call__(self, t: float) -> Array:
        """The values at ``t`` seconds, held at both ends."""
        return np.asarray(self._curves(np.clip(t, self.start, self.end)))


@dataclass(frozen=True)
class Pose:
    """Where a flyer is at one moment: rotation and scale, then shift, to pixels of the frame."""

    turn: Array
    shift: Array
    light: Array

    def to_frame(self, points: Array) -> Array:
        """(N, 2) pixels of the first sprite level to pixels of the frame."""
        return np.asarray(points @ self.turn.T + self.shift)

    def matrix(self, shrink: int, stretch: float = 1.0, anchor: Array | None = None) -> Array:
        """2 x 3 affine for a picture that is ``shrink`` times smaller, hung up at ``anchor``."""
        turn = self.turn @ np.diag([1.0, stretch])
        shift = self.shift if anchor is None else self.shift - turn @ anchor
        half = (shrink - 1) / 2  # centres of pixels, not corners
        return np.column_stack([turn * shrink, shift + turn @ np.array([half, half])])


def pose(flyer: Sprite, row: Array, camera: Array) -> Pose:
    """The pose of a flyer from its key values and the camera's."""
    x, y, size, tilt, light = row
    zoom = WIDTH / camera[2]
    angle = np.deg2rad(tilt)
    rotation = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    turn = rotation * size * zoom
    shift = (np.array([x, y]) - camera[:2]) * zoom - turn @ flyer.origin
    warmth = np.clip((y - 170) / 200, 0, 1)  # near the lamps on the ground
    return Pose(turn, shift, light * (1 + warmth * np.array([-0.16, 0.0, 0.12])))


def drawn(image: Array, matrix: Array) -> Array:
    """A picture where its matrix puts it, on an empty frame."""
    return cv2.warpAffine(image, matrix, (WIDTH, HEIGHT), flags=cv2.INTER_LINEAR)


class Film:
    """Everything that is in the clip."""

    def __init__(self) -> None:
        dusk = np.diag([0.97, 0.90, 0.88])
        faded = np.array([[0.55, 0.35, 0.15], [0.25, 0.60, 0.15], [0.20, 0.35, 0.42]])
        self.scene = photograph(SCENE)
        self.before = foreground(self.scene)
        self.target = cut_out(photograph(CAST), SHUTTLE, dusk)
        self.lookalike = mirrored(self.target, faded)
        self.fire, self.hook = plume(ENGINES)
        self.camera = Curve(CAMERA)
        self.parts = [(self.lookalike, Curve(LOOKALIKE), 0.55), (self.target, Curve(TARGET), 1.0),
                      (self.target, Curve(RETURN), 1.0)]  # fmt: skip
        noise = np.random.default_rng(7).normal(size=FPS * SECONDS + 4)
        self.flicker = np.convolve(noise, [0.2, 0.5, 0.2], "same")

    def frame(self, index: int) -> tuple[Array, Array]:
        """Picture (360, 640, 3) uint8 BGR and the target's box (4,), NaN where it is gone."""
        t = index / FPS
        camera = self.camera(t)
        zoom = WIDTH / camera[2]
        half = (zoom - 1) / 2
        view = np.array([[zoom, 0, half - camera[0] * zoom], [0, zoom, half - camera[1] * zoom]])
        picture = cv2.warpAffine(self.scene, view, (WIDTH, HEIGHT), flags=cv2.INTER_CUBIC,
                                 borderMode=cv2.BORDER_REFLECT)  # fmt: skip
        free = 1 - drawn(self.before, view)[..., None]
        box = np.full(4, np.nan)
        for flyer, path, fire in self.parts:
            if t in path:
                layer, light = self._exposed(flyer, path, t, index)
                picture = picture * (1 - layer[..., 3:] * free) + layer[..., :3] * free
                picture = picture + light * free * fire
                if flyer is self.target:
                    box = visible_box(pose(flyer, path(t), camera).to_frame(flyer.outline))
        exposure = 1 - 0.10 * np.sin(np.pi * t / SECONDS) ** 2
        return np.round(np.clip(picture * exposure, 0, 1) * 255).astype(np.uint8), box

    def _exposed(self, flyer: Sprite, path: Curve, t: float, index: int) -> tuple[Array, Array]:
        """A flyer and its fire, averaged over the time that the shutter is open."""
        layer = np.zeros((HEIGHT, WIDTH, 4), np.float32)
        light = np.zeros((HEIGHT, WIDTH, 3), np.float32)
        unrest = self.flicker[index + 2]
        engine = np.array([np.mean([e[0] for e in ENGINES]), max(e[1] for e in ENGINES)])
        engine -= np.floor(np.min(SHUTTLE, axis=0)) - 8
        if flyer is self.lookalike:
            engine[0] = flyer.levels[0].shape[1] - engine[0]
        for offset in (np.arange(EXPOSURES) / (EXPOSURES - 1) - 0.5) * SHUTTER / FPS:
            at = pose(flyer, path(t + offset), self.camera(t + offset))
            level = int(np.clip(-np.log2(np.hypot(*at.turn[0])), 0, len(flyer.levels) - 1))
            body = drawn(flyer.levels[level], at.matrix(2**level))
            body[..., :3] *= at.light.astype(np.float32)
            layer += body
            hung = Pose(at.turn, at.to_frame(engine[None])[0], at.light)
            light += drawn(self.fire, hung.matrix(1, 1 + 0.15 * unrest, self.hook))
        return layer / EXPOSURES, light * ((1 + 0.12 * unrest) / EXPOSURES)


def visible_box(outline: Array) -> Array:
    """Box (x, y, w, h) of the outline inside the picture; NaN when next to nothing is inside."""
    low, high = outline.min(axis=0) + 0.5, outline.max(axis=0) + 0.5  # pixel i covers i to i + 1
    inside_low, inside_high = np.maximum(low, 0), np.minimum(high, (WIDTH, HEIGHT))
    size = np.maximum(inside_high - inside_low, 0)
    if size.prod() < ABSENT_BELOW * (high - low).prod():
        return np.full(4, np.nan)
    return np.concatenate([inside_low, size])


def encode(frames: Sequence[Array], path: Path) -> None:
    """Write H.264 with ffmpeg; the same frames give the same file."""
    ffmpeg = shutil.which("ffmpeg")
    if ffmpeg is None:
        raise UserError("ffmpeg is needed to encode the clip: apt-get install ffmpeg")
    partial = path.with_name(path.name + ".partial")
    command = [ffmpeg, "-v", "error", "-y", "-f", "rawvideo", "-pix_fmt", "bgr24",
               "-s", f"{WIDTH}x{HEIGHT}", "-r", str(FPS), "-i", "-", "-c:v", "libx264",
               "-preset", "slower", "-crf", "19", "-pix_fmt", "yuv420p", "-threads", "1",
               "-g", "60", "-fflags", "+bitexact", "-flags:v", "+bitexact",
               "-movflags", "+faststart", "-f", "mp4", str(partial)]  # fmt: skip
    done = subprocess.run(command, input=b"".join(f.tobytes() for f in frames), check=False)
    if done.returncode:
        partial.unlink(missing_ok=True)
        raise UserError(f"ffmpeg could not write {path}; it needs the encoder libx264")
    partial.replace(path)


def sheet(frames: Sequence[Array], boxes: Sequence[Array]) -> Array:
    """Frames in even steps, the true box drawn, on one picture."""
    tiles = []
    for i in np.linspace(0, len(frames) - 1, COLUMNS * ROWS).round().astype(int):
        tile = frames[i].copy()
        if np.isfinite(boxes[i]).all():
            x, y, w, h = boxes[i].round().astype(int).tolist()
            cv2.rectangle(tile, (x, y), (x + w, y + h), (0, 255, 0), 1)
        cv2.putText(tile, str(i), (8, 24), cv2.FONT_HERSHEY_SIMPLEX, 0.7, (255, 255, 255), 1,
                    cv2.LINE_AA)  # fmt: skip
        tiles.append(cv2.resize(tile, None, fx=0.6, fy=0.6, interpolation=cv2.INTER_AREA))
    lines = [np.hstack(tiles[r * COLUMNS : (r + 1) * COLUMNS]) for r in range(ROWS)]
    return np.vstack(lines)


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--out", type=some_path, required=True, metavar="DIR",
                        help="folder for both")  # fmt: skip
    parser.add_argument("--overwrite", action="store_true", help="replace files that exist")
    parser.add_argument("--sheet", type=some_path, metavar="PNG", help="frames with their boxes")
    parser.add_argument("--every", type=positive, default=1, metavar="N",
                        help="a look: only each Nth frame, and only the sheet")  # fmt: skip
    args = parser.parse_args()
    if args.every > 1 and not args.sheet:
        parser.error("--every gives nothing but --sheet PNG; name it")
    clip, truth = args.out / "sample.mp4", args.out / "sample.txt"
    if args.every == 1 and not args.overwrite and (clip.exists() or truth.exists()):
        raise UserError(f"{clip} or {truth} exists; add --overwrite to replace them")
    if args.sheet:
        check_picture(args.sheet, args.overwrite)
    film = Film()
    frames, boxes = zip(*map(film.frame, range(0, FPS * SECONDS, args.every)), strict=True)
    if args.sheet:
        write_picture(args.sheet, sheet(frames, boxes))
    if args.every == 1:
        args.out.mkdir(parents=True, exist_ok=True)
        encode(frames, clip)
        lines = [",".join("nan" if v != v else f"{v:.2f}" for v in box) for box in boxes]
        truth.write_text("\n".join(lines) + "\n", encoding="utf-8")
        print(f"{clip}: {len(frames)} frames, {clip.stat().st_size / 1e6:.2f} MB; {truth}")
    return 0


if __name__ == "__main__":
    run_main(main)
