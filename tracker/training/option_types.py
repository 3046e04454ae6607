"""Numbers on the command line of ``tools/train.py``: what is not one is told in a sentence."""

from __future__ import annotations

import argparse

from tracker.cli import number
from tracker.training.hiding import GONE


def amount(text: str) -> float:
    """A number of at least 0."""
    try:
        value = float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"a number is needed, found {text!r}") from None
    if not 0 <= value < 1e12:
        raise argparse.ArgumentTypeError(f"a number of at least 0 is needed, found {text}")
    return value


share = number(0, 1, "share")
"""A number of 0 to 1."""


def clear_share(text: str) -> float:
    """A share from which something of a target is to be seen."""
    value = share(text)
    if value <= GONE:
        raise argparse.ArgumentTypeError(f"a share above {GONE:g} is needed, found {text}")
    return value


def whole_amount(text: str) -> int:
    """A whole number of at least 0."""
    value = amount(text)
    if value != int(value):
        raise argparse.ArgumentTypeError(f"a whole number is needed, found {text}")
    return int(value)


def factors(text: str) -> float | tuple[float, ...]:
    """One number, or several with commas between them."""
    values = tuple(amount(v) for v in text.split(","))
    return values[0] if len(values) == 1 else values


def unfreezing(text: str) -> tuple[float, int]:
    """``SHARE:COUNT``."""
    part, colon, count = text.partition(":")
    if not colon:
        raise argparse.ArgumentTypeError(f"SHARE:COUNT is needed, such as 0.5:2, found {text!r}")
    return share(part), whole_amount(count)
