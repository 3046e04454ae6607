"""What ships beside the code: a short clip with the true box of every frame.

It is rendered by ``tools/make_sample.py`` from freely licensed photographs; ``LICENSES.md``
names them.
"""

from __future__ import annotations

from pathlib import Path


def sample_clip() -> tuple[Path, Path]:
    """Paths of the sample video and of its truth.

    The truth has one line ``x,y,w,h`` a frame, in pixels, 0-based, top-left; ``nan,nan,nan,nan``
    while the target is out of view. Neither file is checked for existence.
    """
    folder = Path(__file__).resolve().parent
    return folder / "sample.mp4", folder / "sample.txt"
