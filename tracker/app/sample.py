"""The clip that ships with the package, for ``python demo.py`` without anything else."""

from __future__ import annotations

import argparse
from pathlib import Path

from tracker.assets import sample_clip
from tracker.cli import parse_box
from tracker.errors import UserError
from tracker.results import Box


def load_sample() -> tuple[Path, Box]:
    """The clip and the box (x, y, w, h) of its target in the first frame.

    Raises:
        UserError: the installation lacks it.
    """
    clip, boxes = sample_clip()
    try:
        first = boxes.read_text(encoding="utf-8").split("\n", 1)[0]
        if not clip.is_file():
            raise FileNotFoundError(clip)
        return clip, parse_box(first)
    except (OSError, argparse.ArgumentTypeError):
        raise UserError(
            f"the sample clip {clip} is missing or damaged; install again, or give --video clip.mp4"
        ) from None
