"""The options of ``tools/train.py``."""

from __future__ import annotations

import argparse
import textwrap
from pathlib import Path
from typing import Any

from tracker.cli import number, positive, some_path, some_text, whole
from tracker.network.correlation import SIMILARITIES
from tracker.threads import MOST_ALLOWED
from tracker.training.hiding import GONE
from tracker.training.loop import RunOptions
from tracker.training.models import NETWORKS
from tracker.training.objective import LossOptions
from tracker.training.optimise import OptimOptions
from tracker.training.option_types import (
    amount,
    clear_share,
    factors,
    share,
    unfreezing,
    whole_amount,
)
from tracker.training.pair_options import PairOptions
from tracker.training.sources import READERS

EXAMPLES = """
examples:
  python tools/train.py --toy
  python tools/train.py --data my_clips/ --init kestrel --out runs/mine
  python tools/train.py --data coco:stills@0.6 --data got10k:videos@0.4 --out runs/k --pairs 400000
  python tools/train.py --data my_clips/ --show-pairs 24 pairs.png
  torchrun --nproc-per-node 2 tools/train.py --data videos/ --out runs/k --batch 64
"""
NOTES = {
    "video": "a file with .txt or .csv beside it",
    "videos": "a folder of such",
    "views": "a folder an object with pictures that are transparent around it; it has to be named",
}
"""Of layouts whose names do not say it all."""

# Two minutes on two cores.
TOY: dict[str, int] = {"pairs": 2800, "batch": 16, "frozen": 4}
TOY_LR = 2e-3


class _WithDefaults(argparse.RawDescriptionHelpFormatter):
    """Puts the default of an option in brackets where its help has none."""

    def _get_help_string(self, action: argparse.Action) -> str | None:
        told, default = action.help or "", action.default
        given = isinstance(default, (int, float, str)) and not isinstance(default, bool)
        untold = given and default != argparse.SUPPRESS and "(" not in told
        return f"{told} (%(default)s)" if untold else action.help


def _layouts() -> str:
    told = [name for name in READERS if name not in NOTES]
    told += [f"{name} ({note})" for name, note in NOTES.items()]
    sentence = f"A source is [LAYOUT:]PATH[@WEIGHT]. Layouts: {', '.join(told)}."
    return textwrap.fill(sentence, 92)


def build_parser() -> argparse.ArgumentParser:
    """Options of the command."""
    p = argparse.ArgumentParser(
        description="Train a tracker on pairs of pictures.",
        epilog=f"{EXAMPLES}\n{_layouts()}",
        formatter_class=_WithDefaults,
    )
    run = p.add_argument_group("run")
    _add_run(run)
    _add_machine(run)
    _add_optimisation(p.add_argument_group("optimisation"))
    _add_losses(p.add_argument_group("losses"))
    _add_pairs(p.add_argument_group("pairs (shares are of all pairs, if nothing else is said)"))
    _add_checks(p.add_argument_group("validation"))
    return p


def _add_run(g: Any) -> None:
    g.add_argument("--network", choices=NETWORKS, default="kestrel", help="what is trained")
    g.add_argument(
        "--data",
        action="append",
        default=[],
        metavar="[LAYOUT:]PATH[@WEIGHT]",
        help="training data; give it several times to mix",
    )
    g.add_argument(
        "--rough",
        action="append",
        default=[],
        metavar="[LAYOUT:]PATH[@WEIGHT]",
        help="as --data, with boxes a few percent off, such as a detector's: "
        "they teach which object it is, not where it ends",
    )
    g.add_argument("--toy", action="store_true", help="rendered shapes: a run of two minutes")
    g.add_argument(
        "--out",
        type=some_path,
        help="folder of the run: checkpoint, log, plot (with --toy runs/toy)",
    )
    g.add_argument(
        "--pairs", type=positive, help=f"pairs in the whole run (100000; with --toy {TOY['pairs']})"
    )
    g.add_argument(
        "--batch",
        type=positive,
        help=f"pairs a step, of all processes (32; with --toy {TOY['batch']})",
    )
    g.add_argument(
        "--init",
        type=some_text,
        default="imagenet",
        metavar="START",
        help="imagenet, none, a checkpoint, or a model such as kestrel to start from",
    )
    g.add_argument(
        "--teacher",
        type=some_path,
        metavar="TEACHER",
        help="a checkpoint or a model: Kestrel's trunk learns to answer as it does, "
        "and nothing else learns",
    )
    g.add_argument(
        "--spoil",
        type=share,
        default=LossOptions.spoil,
        help="with --teacher: share of pairs that the network sees dark, noisy, foggy or out of "
        "focus, and the teacher as they are (0)",
    )
    g.add_argument(
        "--identity-only",
        action="store_true",
        help="Kestrel: nothing learns but the verification embedding; tracking stays as it is",
    )
    g.add_argument("--resume", action="store_true", help="go on where --out stopped")


def _add_machine(g: Any) -> None:
    g.add_argument(
        "--max-minutes", type=amount, default=0.0, help="stop, resumable, after these (0: never)"
    )
    g.add_argument("--save-every", type=positive, default=200, help="steps between checkpoints")
    g.add_argument(
        "--log-every", type=positive, help="steps between rows of log.csv (50; with --toy 25)"
    )
    g.add_argument(
        "--workers", type=whole(0, MOST_ALLOWED), default=1, help="processes that make pairs"
    )
    g.add_argument("--seed", type=whole_amount, default=0, help="of weights and pairs")
    g.add_argument(
        "--autocast",
        choices=("auto", "bf16", "fp16", "none"),
        default="auto",
        help="auto: bf16 where the processor or GPU computes in it",
    )
    g.add_argument("--channels-first", action="store_true", help="the slower memory format")
    g.add_argument(
        "--threads",
        type=whole(0, MOST_ALLOWED),
        default=0,
        help="of torch on the CPU (0: its choice)",
    )
    g.add_argument("--quiet", action="store_true", help="no progress bar")
    g.add_argument("--overwrite", action="store_true", help="replace what --out or a sheet holds")
    g.add_argument(
        "--channels", type=whole(1, 4096), help="width of Kestrel's neck and towers (96)"
    )
    g.add_argument("--tower-depth", type=whole(1, 64), help="blocks in Kestrel's towers (4)")
    g.add_argument("--similarity", choices=SIMILARITIES, help="of SiamFC (dot)")


def _add_optimisation(g: Any) -> None:
    d = OptimOptions()
    g.add_argument(
        "--optimiser",
        choices=("adamw", "sgd"),
        default=d.optimiser,
        help="AdamW, or SGD with momentum .9",
    )
    g.add_argument(
        "--lr", type=amount, help=f"peak rate of new layers ({d.lr:g}; with --toy {TOY_LR:g})"
    )
    g.add_argument(
        "--trunk-lr",
        type=factors,
        metavar="F[,F,F,F,F,F]",
        help="factor on it for the trunk, or for its stem and 5 stages "
        f"({d.trunk_lr:g}; with --teacher, and for SiamFC, which starts from nothing, 1)",
    )
    g.add_argument(
        "--schedule",
        choices=("cosine", "step", "exponential", "constant"),
        default=d.schedule,
        help="of the rate",
    )
    g.add_argument("--warmup", type=share, default=d.warmup, help="share of the run")
    g.add_argument("--final", type=share, default=d.final, help="rate at the end, of the peak")
    g.add_argument("--weight-decay", type=amount, default=d.weight_decay, help="of kernels")
    g.add_argument(
        "--clip",
        type=amount,
        default=d.clip,
        help=f"largest norm of the gradient ({d.clip:g}; 0: any)",
    )
    g.add_argument(
        "--ema",
        type=number(0, 0.999999, "decay"),
        default=d.ema,
        help="decay of the averaged weights; below 1, with which they would never learn",
    )
    g.add_argument(
        "--frozen",
        type=whole_amount,
        help="parts of Kestrel's trunk that do not learn: 0 none, 1 the stem, 6 all "
        f"(3; with --toy {TOY['frozen']}, with --teacher 0, with --identity-only 6)",
    )
    g.add_argument(
        "--unfreeze-at",
        type=unfreezing,
        action="append",
        default=[],
        metavar="SHARE:COUNT",
        help="from this share of the run on, freeze COUNT",
    )
    g.add_argument(
        "--mine-every",
        type=whole_amount,
        default=0,
        metavar="STEPS",
        help="learn which objects are confused, and show them as negatives, "
        "in rounds of so many steps (0: off)",
    )


def _add_losses(g: Any) -> None:
    d = LossOptions()
    g.add_argument(
        "--score-loss", choices=("bce", "focal"), default=d.score, help="of Kestrel's cells"
    )
    g.add_argument(
        "--quality",
        type=share,
        default=d.quality,
        help="share of the box's overlap in the target of a positive cell",
    )
    g.add_argument(
        "--clear",
        type=clear_share,
        default=d.clear,
        help="share of a hidden target to be seen from which its score is to be 1 "
        f"({d.clear:g}); it falls to 0 at {GONE:g}",
    )
    g.add_argument("--box-weight", type=amount, default=d.box, help="of the GIoU loss")
    g.add_argument(
        "--contrastive-weight",
        type=amount,
        default=d.contrastive,
        help="of the verification embedding's contrastive loss",
    )
    g.add_argument("--triplet-weight", type=amount, default=d.triplet, help="of its triplet loss")
    g.add_argument("--margin", type=amount, default=d.margin, help="of the triplet loss")
    g.add_argument(
        "--nce-weight",
        type=amount,
        default=d.nce,
        help="of the loss that asks which of all objects of a batch it is",
    )
    g.add_argument(
        "--radius",
        type=amount,
        default=d.radius,
        help=f"SiamFC: pixels around the middle that are positive ({d.radius:g}); the nearest "
        "cell always is",
    )


def _add_pairs(g: Any) -> None:
    d = PairOptions(128, 224)
    g.add_argument("--negative", type=share, default=d.negative, help="another object is shown")
    g.add_argument("--hard", type=share, default=d.hard, help="of these: confused, else same class")
    g.add_argument("--paste", type=share, default=d.paste, help="of objects with outlines")
    g.add_argument("--part", type=share, default=d.part, help="of stills: a part of the object")
    g.add_argument("--moving-part", type=share, default=d.moving_part, help="of videos: the same")
    g.add_argument(
        "--distractor", type=share, default=d.distractor, help="others beside the target"
    )
    g.add_argument(
        "--crossing", type=share, default=d.crossing, help="of distractors: cover the target"
    )
    g.add_argument(
        "--occluder", type=share, default=d.occluder, help="up to half of the target is hidden"
    )
    g.add_argument("--hidden", type=share, default=d.hidden, help="Kestrel: the target disappears")
    g.add_argument("--grey", type=share, default=d.grey, help="both crops without colour")
    g.add_argument("--far", type=share, default=d.far, help="both crops with few pixels")
    g.add_argument("--flip", type=share, default=d.flip, help="both crops mirrored")
    g.add_argument(
        "--max-gap", type=whole_amount, default=d.max_gap, help="frames from exemplar to search"
    )
    g.add_argument(
        "--shift",
        type=amount,
        help="pixels off the middle (64; SiamFC 32, 75 at most with radius 16)",
    )
    g.add_argument(
        "--scale", type=number(0, 2, "scale"), default=d.scale, help="changed by exp of +-SCALE"
    )
    g.add_argument("--zoom", type=share, default=d.zoom, help="scale changed up to two-fold")
    g.add_argument(
        "--stretch", type=share, default=d.stretch, help="aspect up to two-fold, and turned"
    )
    g.add_argument(
        "--later", type=share, default=d.later, help="Kestrel: with a later exemplar, too"
    )
    g.add_argument("--show-pairs", nargs=2, metavar=("N", "PNG"), help="draw pairs and stop")


def _add_checks(g: Any) -> None:
    g.add_argument(
        "--val",
        action="append",
        default=[],
        metavar="[LAYOUT:]PATH[@WEIGHT]",
        help="data for validation pairs; never trained on",
    )
    g.add_argument("--val-pairs", type=positive, default=128, help="pairs of --val")
    g.add_argument(
        "--val-clip",
        action="append",
        default=[],
        type=some_path,
        metavar="VIDEO",
        help="clip with .txt or .csv beside it, tracked as training goes",
    )
    g.add_argument(
        "--val-every",
        type=positive,
        metavar="STEPS",
        help="steps between validations (1000; with --toy 100)",
    )


def fill_defaults(args: argparse.Namespace) -> None:
    """Defaults that depend on ``--toy``; an explicit option always wins."""
    toy = args.toy
    args.pairs = args.pairs or (TOY["pairs"] if toy else 100_000)
    args.batch = args.batch or (TOY["batch"] if toy else 32)
    args.lr = args.lr if args.lr is not None else (TOY_LR if toy else OptimOptions.lr)
    if args.frozen is None:
        usual = TOY["frozen"] if toy else RunOptions.frozen
        args.frozen = 6 if args.identity_only else 0 if args.teacher else usual
    if toy:
        args.out = args.out or Path("runs/toy")
    args.log_every = args.log_every or (25 if toy else 50)
    args.val_every = args.val_every or (100 if toy else 1000)
