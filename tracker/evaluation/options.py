"""Options that the tools of evaluation share, so that they read the same everywhere."""

from __future__ import annotations

import argparse

from tracker.cli import some_path, thread_count
from tracker.data import datasets
from tracker.evaluation import opponents
from tracker.threads import usable_cores
from tracker.weights import available_models


def some_names(text: str) -> list[str]:
    """Argparse type: one word or more between commas, each once."""
    found = list(dict.fromkeys(word for word in text.split(",") if word))
    if not found:
        raise argparse.ArgumentTypeError(f"a name is needed, or several between commas: {text!r}")
    return found


def add_data(parser: argparse.ArgumentParser, required: bool = True) -> None:
    """``--data``, ``--kind``, ``--only``: annotated clips, as ``datasets.load`` takes them."""
    add = parser.add_argument
    add(
        "--data", required=required, type=some_path, help="root of a data set, or a folder of clips"
    )
    add("--kind", default="auto", choices=["auto", *sorted(datasets.KINDS)],
        help="its layout, where it is not recognised")  # fmt: skip
    add("--only", default=[], type=some_names, help="sequences or folders: otb/David,uav")


def add_trackers(parser: argparse.ArgumentParser, default: list[str] | None = None) -> None:
    """``--trackers`` and what building them needs, but for threads; see ``tracker_options``."""
    add = parser.add_argument
    known = (*available_models(), *opponents.OPENCV, *opponents.NANOTRACK)
    add("--trackers", default=default, required=default is None, type=some_names,
        help="names or models, comma-separated; the first is compared with the others. "
        f"Known: {', '.join(known)}, identity, a model's path, module:Class "
        "of your own, with init(image, box) and update(image) -> box: images HxWx3 uint8 BGR, "
        "boxes x,y,w,h float, 0-based, from the top left"
        + (f" (default: {','.join(default)})" if default else ""))  # fmt: skip
    add_device(parser)
    add("--nanotrack-dir", help="folder with NanoTrack's ONNX files (nanotrackv2/, nanotrackv3/)")
    add("--opencv-models", help="folder with the ONNX files of OpenCV's Vit and DaSiamRPN")


def add_device(parser: argparse.ArgumentParser) -> None:
    """``--device``."""
    parser.add_argument("--device", default="auto", help="for our models: auto, cpu, cuda, ...")


def tracker_options(args: argparse.Namespace, threads: int | None) -> opponents.Options:
    """What ``add_trackers`` brought, for ``opponents.build``."""
    return opponents.Options(args.device, threads, args.nanotrack_dir, args.opencv_models)


def add_jobs(parser: argparse.ArgumentParser) -> None:
    """``--jobs`` and ``--threads``, which share the cores; see ``share_threads``."""
    add = parser.add_argument
    add("--jobs", type=thread_count, default=1, help="processes, one sequence each (default: 1)")
    add("--threads", type=thread_count, help="threads a tracker may use (default: cores / jobs)")


def share_threads(args: argparse.Namespace) -> None:
    """Where no ``--threads`` was given, each job gets its share of the cores."""
    if args.threads is None:
        args.threads = max(1, usable_cores() // args.jobs)
