"""What a model file tells of its training: data, command, seed, hours, pairs, scores."""

from __future__ import annotations

import hashlib
import math
import os
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tracker.training.tracks import Source


def make_record(
    sources: Sequence[Source], command: Sequence[str], data: Sequence[str], settings: dict[str, Any]
) -> dict[str, Any]:
    """The part of the record that is known when a run starts.

    Args:
        command: ``sys.argv``.
        data: sources as the command line named them, for later crops.
        settings: of the network's constructor.
    """
    return {
        "commands": [shlex.join(["python", *(public_path(c) for c in command)])],
        "data": [
            {
                "name": public_path(text), "weight": source.weight,
                "tracks": len(source.tracks), "pictures": source.pictures,
                "annotations": annotation_digest(source),
                **({"rough": True} if source.rough else {}),
            }
            for text, source in zip(data, sources, strict=True)
        ],
        "sources": list(data),
        "settings": settings,
    }  # fmt: skip


def annotation_digest(source: Source) -> str:
    """16 hexadecimal digits that change with what a source's annotations say, and their order."""
    digest = hashlib.blake2b(digest_size=8)
    for track in source.tracks:
        told = (track.boxes, *track.polygons, *track.others)
        digest.update(repr((track.category, [part.shape for part in told])).encode())
        for part in told:
            digest.update(part.tobytes())
    return digest.hexdigest()


def training_record(checkpoint: dict[str, Any]) -> dict[str, Any]:
    """The record of a checkpoint as a model file holds it, without folders of this machine.

    Commands are those of all runs up to this one; data, seed, steps, pairs, hours and options are
    of the last run alone. Where the weights are an average, all of that is of the first of its
    runs, and ``averaged`` tells of each (``part_of_average``). What a run began with has made no
    steps.
    """
    record, options = checkpoint.get("record", {}), checkpoint.get("options", {})
    step, batch = int(checkpoint.get("step", 0)), int(options.get("batch", 0))
    averaged = {"averaged": record["averaged"]} if record.get("averaged") else {}
    result = {
        "commands": record.get("commands", []),
        "data": record.get("data", []),
        "settings": record.get("settings", {}),
        "seed": options.get("seed"),
        "steps": step,
        "pairs": step * batch,
        "hours": round(float(checkpoint.get("seconds", 0)) / 3600, 2),
        "options": options,
        **averaged,
    }
    return dict(_plain(result))


def part_of_average(checkpoint: dict[str, Any], weight: float) -> dict[str, Any]:
    """What the record of an average tells of one of its runs; of an average, its runs too.

    Args:
        weight: its share of the average, of 1.
    """
    if "step" not in checkpoint:  # what a run began with: the data of its record are that run's
        return {"weight": weight, "pairs": 0}
    record = training_record(checkpoint)
    names = ("pairs", "hours", "seed", "data", "averaged")
    return {"weight": weight} | {n: record[n] for n in names if record.get(n) is not None}


def public_path(argument: str) -> str:
    """An argument without the folders above the working directory."""
    head, separator, rest = "", "", argument
    for mark in ("=", ":"):
        before, found, after = argument.partition(mark)
        if found and os.path.isabs(after):
            head, separator, rest = before, mark, after
            break
    if not os.path.isabs(rest):
        return argument
    relative = os.path.relpath(rest)
    return head + separator + (Path(rest).name if relative.startswith("..") else relative)


def _plain(value: Any) -> Any:
    """Values that JSON has: tuples become lists, infinity and NaN become text."""
    if isinstance(value, dict):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(v) for v in value]
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value
