"""What ``tools/export.py`` does: weights of a checkpoint to two compared graphs."""

from __future__ import annotations

import argparse
import contextlib
import json
import warnings
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from tracker.assets import sample_clip
from tracker.cli import file_stem, some_path
from tracker.errors import UserError
from tracker.files import check_writable, refuse_existing
from tracker.frames import PICTURE_SUFFIXES, VIDEO_SUFFIXES, Video, read_picture
from tracker.image import Image
from tracker.network.kestrel import Kestrel
from tracker.network.siamfc import SiamFC
from tracker.spec import ModelSpec, read_parameters, with_parameters
from tracker.training.branches import make_spec
from tracker.training.checkpoint import load_checkpoint, reading
from tracker.training.export import export
from tracker.training.models import restore_network
from tracker.training.pair_options import PairOptions
from tracker.training.pairs import PairSampler
from tracker.training.record import training_record
from tracker.training.sources import open_source
from tracker.training.toy import toy_source
from tracker.weights import graph_files, write_model

CROPS, EVERY = 6, 10  # to compare on, of a video one in so many frames
SAMPLE, _ = sample_clip()
Crops = NDArray[np.uint8]


def build_parser() -> argparse.ArgumentParser:
    """Options of the command."""
    p = argparse.ArgumentParser(
        description="Write the two ONNX graphs of a trained network. They are compared with "
        "torch on real crops first, and refused if they differ."
    )
    add = p.add_argument
    add("--checkpoint", type=some_path, required=True, help="checkpoint.pt of a run")
    add("--out", type=file_stem, required=True, metavar="STEM", help="such as weights/kestrel")
    add("--weights", choices=("average", "model"), default="average", help="averaged, or the last")
    add("--crops", type=some_path, help="pictures or a video to compare on (else training data)")
    add("--online", type=some_path, metavar="JSON", help="online and presence parameters, scores")
    add("--overwrite", action="store_true", help="replace an earlier export")
    return p


def main() -> int:
    """Run the command; returns the exit status."""
    args = build_parser().parse_args()
    targets = graph_files(args.out)
    refuse_existing(targets, args.overwrite)
    content = load_checkpoint(args.checkpoint)
    network = restore_network(content, args.weights, args.checkpoint)
    with reading(args.checkpoint):
        record = training_record(content)
        json.dumps(record)
        tuned = dict(content.get("record", {}).get("tuned") or {})
    if args.online:
        tuned = read_parameters(args.online)
    spec = tuned_spec(network, record, tuned, str(args.online or args.checkpoint))
    crops = comparison_crops(network, content, args.crops)
    check_writable(args.out.parent)
    with warnings.catch_warnings():
        # torch's exporter warns of itself and of shape checks; the comparison is what counts
        warnings.simplefilter("ignore")
        files = export(network, spec, crops)
    try:
        write_model(files, args.out)
    except OSError as error:
        raise UserError(f"{args.out} could not be written ({error.strerror})") from None
    if tuned and not args.online:
        print("online parameters and thresholds are those that the run began with (see --online)")
    for target in targets:
        print(f"{target}  {target.stat().st_size / 1e6:.2f} MB")
    print(f"compared with torch at batch 1 and 3 on {CROPS} crops; SHA256SUMS written")
    return 0


def tuned_spec(
    network: SiamFC | Kestrel, training: dict[str, Any], tuned: dict[str, Any], where: str
) -> ModelSpec:
    """The record of the model, with tuned parameters where there are some.

    Raises:
        UserError: unknown parameters, or values out of range.
    """
    if tuned.get("scores"):
        training = {**training, "scores": tuned["scores"]}
    return with_parameters(make_spec(network, training), tuned, where)


def comparison_crops(
    network: SiamFC | Kestrel, content: dict[str, Any], given: Path | None
) -> Crops:
    """Real search crops: of ``given``, of the training data, or of the sample clip.

    Raises:
        UserError: none of them is there.
    """
    size = network.search_size
    if given is not None:
        return _squares(_pictures(given), size)
    sources = content.get("record", {}).get("sources", [])
    known = [s for s in sources if isinstance(s, str)] if isinstance(sources, list) else []
    options = PairOptions(network.exemplar_size, size).plain()
    for name in known:
        with contextlib.suppress(UserError):  # elsewhere now, or objects alone
            source = toy_source(2) if name == "toy" else open_source(name)
            sampler = PairSampler([source], options, seed=0)
            return np.stack([sampler.pair(i).search for i in range(CROPS)])
    if SAMPLE.is_file():
        return _squares(_pictures(SAMPLE), size)
    raise UserError("there are no crops to compare on; give --crops with pictures or a video")


def _pictures(path: Path) -> list[Image]:
    """A few pictures of a folder, a picture or a video."""
    if path.is_dir():
        found = sorted(p for p in path.rglob("*") if p.suffix.lower() in PICTURE_SUFFIXES)
        chosen = found[:: max(len(found) // CROPS, 1)][:CROPS]
        pictures = [read_picture(p) for p in chosen]
    elif path.suffix.lower() in PICTURE_SUFFIXES:
        pictures = [read_picture(path)]
    elif path.is_file() or path.suffix.lower() in VIDEO_SUFFIXES:
        frames: Iterator[Image] = _some_frames(path)
        pictures = list(frames)
    else:
        raise UserError(f"there is nothing at {path}; --crops names pictures or a video")
    if not pictures:
        raise UserError(f"there is no picture in {path}")
    return pictures


def _some_frames(path: Path) -> Iterator[Image]:
    """One in ``EVERY`` frames from the first on, as far as the video goes."""
    frames = Video(path).read(range(CROPS * EVERY))
    try:
        yield from islice(frames, 0, None, EVERY)
    except UserError as error:
        if "ends after 0" in str(error) or "opened" in str(error):
            raise


def _squares(pictures: list[Image], size: int) -> Crops:
    """``CROPS`` squares out of pictures, at different places where there are too few."""
    crops = []
    for index in range(CROPS):
        image = pictures[index % len(pictures)]
        side = max(int(min(image.shape[:2]) * (1 - 0.08 * index)), 1)
        top, left = (image.shape[0] - side) // 2, (image.shape[1] - side) // 2
        square = image[top : top + side, left : left + side]
        crops.append(cv2.resize(square, (size, size), interpolation=cv2.INTER_AREA))
    return np.asarray(np.stack(crops), dtype=np.uint8)
