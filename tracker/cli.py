"""What every command line of the project shares: one sentence for an error, and box strings."""

from __future__ import annotations

import argparse
import contextlib
import math
import sys
from collections.abc import Callable, Iterator

from tracker.errors import UserError
from tracker.results import Box


def run_main(main: Callable[[], int | None]) -> None:
    """Run a command's ``main`` and exit: 2 and one sentence on UserError, 130 on ctrl-c."""
    with plain_errors():
        sys.exit(main() or 0)


@contextlib.contextmanager
def plain_errors() -> Iterator[None]:
    """End the program as ``run_main`` does; for the first second of a command, its imports."""
    try:
        yield
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    except ImportError as error:
        if (error.name or "").startswith("tracker"):
            raise  # a mistake of ours
        print(f"error: {missing_library(error)}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print("interrupted; what was written so far is kept", file=sys.stderr)
        sys.exit(130)


def missing_library(error: ImportError) -> str:
    """What to do about a library that cannot be loaded."""
    if "libGL" in str(error) or "libgthread" in str(error):
        return (
            f"OpenCV cannot be loaded ({error}); on a machine without a screen put "
            "opencv-python-headless in the place of opencv-python: pip uninstall opencv-python, "
            "then pip install opencv-python-headless"
        )
    return (
        f"a library that is needed cannot be loaded ({error}); install the project again with pip"
    )


def parse_box(text: str) -> Box:
    """Parse ``x,y,w,h`` (argparse type): four numbers in pixels.

    Raises:
        argparse.ArgumentTypeError: not four finite numbers.
    """
    try:
        x, y, w, h = (float(v) for v in text.replace(" ", "").split(","))
        if not all(map(math.isfinite, (x, y, w, h))):
            raise ValueError
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"a box is four numbers x,y,w,h in pixels, such as 120,80,60,40; found {text!r}"
        ) from None
    return x, y, w, h


def positive(text: str) -> int:
    """Argparse type: a whole number above 0."""
    try:
        value = int(text)
    except ValueError:
        value = 0
    if value < 1:
        raise argparse.ArgumentTypeError(f"a whole number above 0 is needed, found {text}")
    return value
