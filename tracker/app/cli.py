r"""Command line of ``demo.py`` and of the console script ``siamtrack``.

    python demo.py                                     a sample clip, annotated
    python demo.py --video clip.mp4                    draw the target with the mouse
    python demo.py --camera 0
    python demo.py --video clip.mp4 --init-box 300,120,60,80 --no-display \
        --save out.mp4 --results out.csv
    python demo.py --batch boxes.csv --out results
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from tracker import __version__
from tracker.app.decoder_log import DecoderLog
from tracker.app.interfaces import MakeSession, TargetSession
from tracker.app.job import Job, MakeScreen
from tracker.app.results_writer import FORMATS
from tracker.app.row_file import STDOUT
from tracker.cli import join_boxes, number, parse_box, positive, some_path, some_text, thread_count


def run(
    arguments: Sequence[str],
    make_session: MakeSession | None = None,
    make_screen: MakeScreen | None = None,
) -> int:
    """Run the application.

    Args:
        arguments: the command line without the program's name.
        make_session: makes the session of targets (default: ``tracker.Session``).
        make_screen: opens a window of a title and frame size (default: ``Window``, where
            there is a display).

    Returns:
        Exit status.

    Raises:
        UserError: input that a person can mend.
        KeyboardInterrupt: ctrl-c (under ``run_main`` SIGTERM as well); all files are finished.
    """
    args = build_parser().parse_args(join_boxes(arguments))
    with DecoderLog() as log:
        job = Job(args, make_session or _session_maker(args), make_screen, log)
        return job.batch() if args.batch else job.single()


def build_parser() -> argparse.ArgumentParser:
    """All options of the demo."""
    parser = argparse.ArgumentParser(
        prog="siamtrack",
        description="Follow objects in videos, cameras and streams. Without options a sample "
        "clip is played. In the window, h shows the keys.",
    )
    parser.add_argument("--version", action="version", version=f"siamtrack {__version__}")
    _add_inputs(parser)
    _add_outputs(parser)
    _add_ways(parser)
    return parser


def _add_inputs(parser: argparse.ArgumentParser) -> None:
    source = parser.add_argument_group("where frames come from").add_mutually_exclusive_group()
    source.add_argument(
        "--video",
        type=some_text,
        metavar="WHAT",
        help="video file, folder or glob of images, TIFF of several pages, URL (rtsp, http), or - "
        "for a video on stdin",
    )
    source.add_argument("--camera", type=int, metavar="N", help="number of a camera, such as 0")
    source.add_argument(
        "--images", type=some_text, metavar="DIR", help="folder of images, in natural order"
    )
    source.add_argument(
        "--batch",
        type=some_path,
        metavar="CSV",
        help="many clips: a csv with the columns video,x,y,w,h[,label]",
    )
    targets = parser.add_argument_group("what is followed")
    targets.add_argument(
        "--init-box",
        type=parse_box,
        action="append",
        default=[],
        metavar="X,Y,W,H",
        help="a target in the first frame, in pixels; "
        "may be repeated; without it the mouse draws one",
    )
    targets.add_argument(
        "--model",
        type=some_text,
        help="name of a model, or path of an export without its endings: runs/mine/kestrel "
        "(default: kestrel)",
    )
    targets.add_argument("--device", default="auto", help="auto, cpu, cuda, ... (default: auto)")
    targets.add_argument("--threads", type=thread_count, help="processor threads for the network")


def _add_outputs(parser: argparse.ArgumentParser) -> None:
    outputs = parser.add_argument_group("what is written")
    outputs.add_argument(
        "--save",
        type=some_path,
        metavar="VIDEO",
        help="annotated video; pictures are held or "
        "left out where frames come unevenly, so that it plays at the speed of life",
    )
    outputs.add_argument(
        "--results",
        type=_results_path,
        metavar="FILE",
        help=".csv, .json, .jsonl, or .txt (one x,y,w,h a frame), or - for standard output, with "
        "--results-format; frames that are followed again "
        "after a step back in the window are written anew",
    )
    outputs.add_argument(
        "--results-format", choices=FORMATS, help="instead of what the ending of --results says"
    )
    outputs.add_argument(
        "--out",
        type=some_path,
        metavar="DIR",
        help="folder for snapshots, recordings and the results of --batch (those of --max-frames N "
        "in a folder first-N-frames in it)",
    )
    outputs.add_argument(
        "--save-videos",
        action="store_true",
        help="with --batch: an annotated video of each clip as well",
    )
    outputs.add_argument("--overwrite", action="store_true", help="replace files that exist")


def _add_ways(parser: argparse.ArgumentParser) -> None:
    how = parser.add_argument_group("how")
    how.add_argument("--no-display", action="store_true", help="open no window")
    how.add_argument(
        "--debug", action="store_true", help="draw the search region and the response map"
    )
    how.add_argument("--max-frames", type=positive, metavar="N", help="stop after N frames")
    rate = number(0, name="number of frames a second", above=True)
    how.add_argument("--fps", type=rate, help="frame rate of folders of images (default: 30)")
    how.add_argument("--quiet", action="store_true", help="no progress bar and no summary")


def _results_path(text: str) -> Path:
    return STDOUT if text == "-" else some_path(text)


def _session_maker(args: argparse.Namespace) -> MakeSession:
    said: set[str] = set()

    def make(paced: bool) -> TargetSession:
        from tracker import Session
        from tracker.runtime import open_network

        network = open_network(args.model, args.device, args.threads, live=paced)
        reason = network.device.reason
        if reason and reason not in said and not args.quiet:
            print(reason, file=sys.stderr, flush=True)
        said.add(reason)
        session: TargetSession = Session(network)
        return session

    return make
