"""Numbers on the command line of ``tools/train.py``: what is not one is told in a sentence."""

from __future__ import annotations

import argparse

from tracker.cli import number, whole
from tracker.training.hiding import GONE

MOST = 1e12  # steps, pixels, weights of a loss: with more the arithmetic would end

amount = number(0, MOST)
"""A number of at least 0."""

whole_amount = whole(0, MOST)
"""A whole number of at least 0."""

share = number(0, 1, "share")
"""A number of 0 to 1."""

clear_share = number(GONE, 1, "share", above=True)
"""A share from which something of a target is to be seen."""


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
