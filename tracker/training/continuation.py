"""What a resumed run has otherwise than the run that it goes on with."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def changed_options(before: dict[str, Any], now: dict[str, Any], inside: str = "") -> list[str]:
    """Sentences on options that a resumed run has otherwise."""
    harmless = {"workers", "max_minutes", "save_every", "log_every", "quiet", "validate_every"}
    notes = []
    for name in before.keys() & now.keys() - harmless:
        a, b = before[name], now[name]
        if isinstance(a, dict) and isinstance(b, dict):
            notes += changed_options(a, b, f"{name} ")
        elif a != b:
            notes.append(f"{inside}{name} was {a} and is {b}: not an exact continuation")
    return sorted(notes)


def changed_data(before: Sequence[dict[str, Any]], now: Sequence[dict[str, Any]]) -> list[str]:
    """A sentence on data that a resumed run has otherwise.

    Folders may have moved, and are named relative to where the command is run: what they hold
    counts. Checkpoints of earlier versions do not know what their annotations said.

    Args:
        before, now: ``data`` of a record; empty where it is not known.
    """
    if not before or not now:
        return []
    if [_counts(d) for d in before] != [_counts(d) for d in now]:
        return [f"the data were {_named(before)} and are {_named(now)}: not an exact continuation"]
    both = [(a, b) for a, b in zip(before, now, strict=True) if "annotations" in a.keys() & b]
    mended = [b["name"] for a, b in both if a["annotations"] != b["annotations"]]
    told = f"the annotations of {' and '.join(mended)} have changed: not an exact continuation"
    return [told] if mended else []


def _counts(entry: dict[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in entry.items() if k not in ("name", "annotations")}


def _named(data: Sequence[dict[str, Any]]) -> str:
    return " + ".join(
        f"{d['name']} ({'rough, ' if d.get('rough') else ''}weight {d['weight']:g}, "
        f"{d['tracks']} objects, {d['pictures']} pictures)"
        for d in data
    )
