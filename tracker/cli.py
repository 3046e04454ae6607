"""What every command line of the project shares: one sentence for an error, and box strings."""

from __future__ import annotations

import argparse
import contextlib
import math
import multiprocessing
import re
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from tracker.errors import UserError, told
from tracker.files import at_home
from tracker.results import Box
from tracker.standard_streams import check_printed, make_lasting
from tracker.threads import MOST_ALLOWED

REMOTE = 1e12
"""A number's most from here on is as good as none: it is named only to who goes beyond it."""


def run_main(main: Callable[[], int | None]) -> None:
    """Run a command's ``main`` and exit.

    2 and one sentence on UserError and on what the system refuses about a file; 130 and a line
    on ctrl-c and SIGTERM, which reach ``main`` as KeyboardInterrupt.
    """
    with plain_errors():
        status = main() or 0
        check_printed()
        sys.exit(status)


@contextlib.contextmanager
def plain_errors() -> Iterator[None]:
    """End the program as ``run_main`` does; for the first second of a command, its imports."""
    make_lasting()
    try:
        with _ended_politely():
            yield
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    except OSError as error:
        sentence = told(error)
        if sentence is None:
            raise
        print(f"error: {sentence}", file=sys.stderr)
        sys.exit(2)
    except ImportError as error:
        if isinstance(error.__cause__ or error.__context__, KeyboardInterrupt):
            print("interrupted; what was written so far is kept", file=sys.stderr)
            sys.exit(130)
        if (error.name or "").startswith("tracker"):
            raise  # a mistake of ours
        print(f"error: {missing_library(error)}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print("interrupted; what was written so far is kept", file=sys.stderr)
        sys.exit(130)


@contextlib.contextmanager
def _ended_politely() -> Iterator[None]:
    """Let SIGTERM end a command as ctrl-c does: by an exception that finishes all files."""

    def stop(number: int, frame: object) -> None:
        # one request may come twice (`timeout` asks the process and then its group)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        raise KeyboardInterrupt

    if multiprocessing.parent_process() is not None:  # a worker: ended by its parent, at once
        yield
        return
    try:
        before = signal.signal(signal.SIGTERM, stop)
    except ValueError:  # not the main thread: signals are somebody else's
        yield
        return
    try:
        yield
    finally:
        if signal.getsignal(signal.SIGTERM) is stop:
            signal.signal(signal.SIGTERM, before)


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


def path_and_weight(text: str) -> tuple[str, float]:
    """Parse ``PATH[@WEIGHT]``; without one the weight is 1.

    Raises:
        UserError: a weight that is none.
    """
    whole_path = str(at_home(text)) if text else text  # no shell sees the ~ of coco:~/stills
    path, at, weight = whole_path.rpartition("@")
    if not at or "/" in weight or Path(whole_path).exists():  # a name may have an @, too
        return whole_path, 1.0
    try:
        value = float(weight)
    except ValueError:
        value = -1.0
    if not 0 < value < math.inf:
        raise UserError(f"a weight is a number above 0, found {weight!r} in {text!r}")
    return path, value


def number(
    least: float, most: float = math.inf, name: str = "number", above: bool = False
) -> Callable[[str], float]:
    """Argparse type: a finite number of a range; ``name`` it as the user thinks of it.

    Args:
        above: ``least`` itself is none.
    """

    def parse(text: str) -> float:
        return _number(text, least, most, above, name, math.isfinite)

    return parse


def whole(least: float, most: float = math.inf, above: bool = False) -> Callable[[str], int]:
    """Argparse type: a whole number of a range (as of ``number``), also as ``1e5``."""

    def parse(text: str) -> int:
        return int(_number(text, least, most, above, "whole number", float.is_integer))

    return parse


def _number(
    text: str, least: float, most: float, above: bool, name: str, is_one: Callable[[float], bool]
) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not least <= value <= most or (above and value == least) or not is_one(value):
        told = math.inf if most >= REMOTE and not value > most else most
        raise argparse.ArgumentTypeError(
            f"a {name} {_range(least, told, above)} is needed, found {text}"
        )
    return value


def _range(least: float, most: float, above: bool) -> str:
    low, high = (str(v) if isinstance(v, int) else f"{v:g}" for v in (least, most))
    if most == math.inf:
        return f"above {low}" if above else f"of at least {low}"
    return f"above {low}, up to {high}," if above else f"of {low} to {high}"


positive = whole(0, above=True)
"""Argparse type: a whole number above 0."""

thread_count = whole(1, MOST_ALLOWED)
"""Argparse type of ``--threads``, ``--jobs`` and the like."""


def some_path(text: str) -> Path:
    """Argparse type: a path that is not empty; an empty one would mean the current folder.

    A shell leaves the ``~`` of ``--out=~/runs`` as it is, and a folder of that name is a trap.
    """
    return at_home(some_text(text))


def some_text(text: str) -> str:
    """Argparse type: a name that is not empty."""
    if not text:
        raise argparse.ArgumentTypeError("the name is empty; give a path (. is the current folder)")
    return text


def file_stem(text: str) -> Path:
    """Argparse type: a path to which endings are added, such as ``weights/kestrel``."""
    path = some_path(text)
    if path.name in ("", ".."):
        raise argparse.ArgumentTypeError(
            f"{text} is a folder; the name of a file without its ending is needed, "
            "such as weights/kestrel"
        )
    return path


def join_boxes(arguments: Sequence[str]) -> list[str]:
    """The arguments with ``--init-box -5,10,20,30`` in one word, as argparse needs it.

    It takes a word that begins with a minus for an option, and boxes may begin left of the frame.
    """
    joined: list[str] = []
    for word in arguments:
        option = joined[-1] if joined else ""
        if "--init-box".startswith(option) and len(option) > 2 and re.match(r"-[\d.]", word):
            joined[-1] = f"{option}={word}"
        else:
            joined.append(word)
    return joined
