#!/usr/bin/env python3
"""Turn an annotated video into a small moving picture for a page.

    python demo.py --no-display --save annotated.mp4
    python tools/make_readme_gif.py --video annotated.mp4 --out docs/demo.webp
    python tools/make_readme_gif.py --video annotated.mp4 --out docs/demo.gif --start 2 --seconds 8

The ending of ``--out`` chooses: .webp (full colour, smallest) or .gif (shown everywhere). Width and
frame rate are lowered step by step until the file is below ``--max-megabytes``. Needs Pillow
(``pip install pillow``; it comes with matplotlib).
"""

from __future__ import annotations

import argparse
import io
import sys
from collections.abc import Iterator
from pathlib import Path

import cv2

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tracker.cli import number, run_main, some_path, whole
from tracker.errors import UserError
from tracker.files import check_writable, keep_apart, refuse_existing, write_atomic
from tracker.native_path import native_path

try:
    from PIL import Image
except ModuleNotFoundError:
    Image = None  # type: ignore[assignment]  # said in a sentence by main

# What is tried in turn: share of the wanted width, frames a second, quality (webp).
STEPS = [(1.0, 20, 75), (1.0, 15, 70), (1.0, 12, 60), (0.85, 12, 60), (0.75, 10, 55), (0.6, 10, 50)]
COLOURS = 128


def read_frames(
    video: Path, width: int, fps: float, start: float, seconds: float
) -> Iterator[Image.Image]:
    """Frames of the video at another size and rate."""
    with native_path(video) as name:
        capture = cv2.VideoCapture(name)
    if not capture.isOpened():
        raise UserError(f"{video} cannot be read as a video")
    rate = capture.get(cv2.CAP_PROP_FPS) or 30.0
    index, due = 0, start
    while (read := capture.read())[0]:
        t, index = index / rate, index + 1
        if t >= start + seconds:
            break
        # a slow video's frames are shown more than once
        while due <= t + 0.5 / rate and due < start + seconds:
            due += 1 / fps
            height = max(round(read[1].shape[0] * width / read[1].shape[1]), 1)
            small = cv2.resize(read[1], (width, height), interpolation=cv2.INTER_AREA)
            yield Image.fromarray(cv2.cvtColor(small, cv2.COLOR_BGR2RGB))
    capture.release()


def gif(frames: list[Image.Image], fps: float) -> bytes:
    """One palette for all frames and no dither: still parts stay still, and cost nothing."""
    strip = Image.new("RGB", (frames[0].width, frames[0].height * 8))
    for row in range(8):
        strip.paste(frames[row * (len(frames) - 1) // 7], (0, row * frames[0].height))
    palette = strip.quantize(COLOURS, Image.Quantize.MEDIANCUT)
    flat = [f.quantize(palette=palette, dither=Image.Dither.NONE) for f in frames]
    return _saved(flat, "GIF", fps, optimize=True)


def webp(frames: list[Image.Image], fps: float, quality: int) -> bytes:
    """An animated WebP."""
    return _saved(frames, "WEBP", fps, quality=quality, method=4)


def _saved(frames: list[Image.Image], form: str, fps: float, **options: int) -> bytes:
    out = io.BytesIO()
    frames[0].save(out, form, save_all=True, append_images=frames[1:], loop=0,
                   duration=round(1000 / fps), **options)  # fmt: skip
    return out.getvalue()


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    add = parser.add_argument
    add("--video", type=some_path, required=True, help="an annotated video")
    add("--out", type=some_path, required=True, metavar="FILE", help=".webp or .gif")
    add("--width", type=whole(8, 8192), default=480, help="pixels (default: 480)")
    add("--start", type=number(0, 1e6), default=0.0, help="seconds (default: 0)")
    add("--seconds", type=number(0, 1e6), default=60.0, help="at most (default: 60)")
    add("--max-megabytes", type=number(0, 1e6), default=2.0, help="default: 2")
    add("--overwrite", action="store_true", help="replace a file that exists")
    args = parser.parse_args()
    keep_apart([("--out", args.out)], [args.video])
    form = args.out.suffix.lower()
    if Image is None:
        raise UserError("moving pictures need Pillow: pip install pillow")
    if form not in (".gif", ".webp"):
        raise UserError(f"--out ends in .webp or .gif, found {args.out.name}")
    refuse_existing([args.out], args.overwrite)
    check_writable(args.out.parent)
    for share, fps, quality in STEPS:
        width = round(args.width * share / 2) * 2
        frames = list(read_frames(args.video, width, fps, args.start, args.seconds))
        if not frames:
            raise UserError(f"{args.video} has no frame after {args.start:g} s")
        data = gif(frames, fps) if form == ".gif" else webp(frames, fps, quality)
        if len(data) <= args.max_megabytes * 1e6:
            write_atomic(args.out, data)
            print(f"{args.out}: {frames[0].width} x {frames[0].height}, {len(frames)} frames, "
                  f"{fps} a second, {len(data) / 1e6:.2f} MB")  # fmt: skip
            return 0
    raise UserError(f"{args.video} does not fit into {args.max_megabytes:g} MB; shorten it with "
                    "--start and --seconds, or lower --width")  # fmt: skip


if __name__ == "__main__":
    run_main(main)
