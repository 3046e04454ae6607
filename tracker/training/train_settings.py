"""What the options of ``tools/train.py`` stand for: the network, its pairs and its run."""

from __future__ import annotations

import argparse
import dataclasses
from typing import Any, TypeVar

from tracker.errors import UserError
from tracker.network.kestrel import Kestrel
from tracker.network.siamfc import SiamFC
from tracker.training.loop import RunOptions
from tracker.training.objective import LossOptions, disc_reach
from tracker.training.optimise import OptimOptions
from tracker.training.pair_options import PairOptions

_T = TypeVar("_T", PairOptions, RunOptions, OptimOptions, LossOptions)

# what has no effect on the other network, and what it is where nobody gives it
OF_KESTREL = {
    "hidden": PairOptions.hidden,
    "later": PairOptions.later,
    "score_loss": LossOptions.score,
    "quality": LossOptions.quality,
    "clear": LossOptions.clear,
    "box_weight": LossOptions.box,
    "contrastive_weight": LossOptions.contrastive,
    "triplet_weight": LossOptions.triplet,
    "margin": LossOptions.margin,
    "nce_weight": LossOptions.nce,
}
OF_SIAMFC = {"radius": LossOptions.radius}


def network_settings(args: argparse.Namespace) -> dict[str, Any]:
    """Arguments of the network's constructor that differ from its defaults.

    Raises:
        UserError: an option of the other network.
    """
    kestrels = {"channels": args.channels, "tower_depth": args.tower_depth}
    siamfcs = {"similarity": args.similarity}
    siamfc = args.network == "siamfc"
    own, other = (siamfcs, kestrels) if siamfc else (kestrels, siamfcs)
    useless = OF_KESTREL if siamfc else OF_SIAMFC
    wrong = next((name for name, value in other.items() if value is not None), None) or next(
        (name for name, usual in useless.items() if getattr(args, name) != usual), None
    )
    if wrong:
        raise UserError(f"--{wrong.replace('_', '-')} is not an option of {args.network}")
    return {name: value for name, value in own.items() if value is not None}


def pair_options(args: argparse.Namespace, network: SiamFC | Kestrel) -> PairOptions:
    """How pairs are drawn.

    Raises:
        UserError: options that do not fit each other or the network.
    """
    shift = args.shift if args.shift is not None else (64.0 if args.network == "kestrel" else 32.0)
    if isinstance(network, SiamFC):
        half = (network.search_size - network.exemplar_size) / 2
        reach = disc_reach(half, network.stride, args.radius)
        if shift > reach:
            raise UserError(
                f"--shift {shift:g} puts targets beside the answers of siamfc, which reach "
                f"{int(reach)} pixels off the middle with --radius {args.radius:g}; give less"
            )
    sizes = {"exemplar_size": network.exemplar_size, "search_size": network.search_size}
    try:
        return _filled(PairOptions, args, **sizes, shift=shift)
    except ValueError as error:
        raise UserError(f"the options of the pairs do not fit: {error}") from None


def run_options(args: argparse.Namespace) -> RunOptions:
    """How the run goes."""
    kestrel = args.network == "kestrel"
    _check_freezing(args, kestrel)
    if args.score_loss == "focal" and (args.quality or args.hidden):
        raise UserError(
            "--quality and --hidden ask for scores between 0 and 1, and the focal loss knows only "
            "these two: take --score-loss bce, or leave them out"
        )
    if args.schedule == "exponential" and not args.final:
        raise UserError(
            "--schedule exponential with --final 0 learns nothing after the warm-up: give --final "
            "more than 0, such as .01, or take --schedule cosine"
        )
    return _filled(
        RunOptions,
        args,
        frozen=args.frozen if kestrel else 0,
        unfreeze_at=tuple(args.unfreeze_at),
        validate_every=args.val_every,
        channels_last=not args.channels_first,
        optim=_filled(OptimOptions, args, trunk_lr=_trunk_lr(args)),
        loss=_filled(
            LossOptions,
            args,
            score=args.score_loss,
            box=args.box_weight,
            contrastive=args.contrastive_weight,
            triplet=args.triplet_weight,
            nce=args.nce_weight,
        ),
    )


def _filled(kind: type[_T], args: argparse.Namespace, **others: Any) -> _T:
    """A dataclass of the options that are called as its fields are, and of ``others``."""
    names = {f.name for f in dataclasses.fields(kind)} & vars(args).keys()
    return kind(**{**{name: getattr(args, name) for name in names}, **others})


def _trunk_lr(args: argparse.Namespace) -> float | tuple[float, ...]:
    if args.trunk_lr is not None:
        given: float | tuple[float, ...] = args.trunk_lr
        return given
    trained_before = args.network == "kestrel" and args.teacher is None
    return OptimOptions().trunk_lr if trained_before else 1.0


def _check_freezing(args: argparse.Namespace, kestrel: bool) -> None:
    if not kestrel and (args.unfreeze_at or isinstance(args.trunk_lr, tuple) or args.mine_every):
        raise UserError(
            "--unfreeze-at, several factors of --trunk-lr and --mine-every need Kestrel's "
            "stages and identities; SiamFC has none"
        )
    if isinstance(args.trunk_lr, tuple) and len(args.trunk_lr) != 6:
        raise UserError(f"--trunk-lr takes 1 or 6 factors, found {len(args.trunk_lr)}")
    if max([args.frozen, *(count for _, count in args.unfreeze_at)]) > 6:
        raise UserError("Kestrel's trunk has a stem and 5 stages: --frozen is 0 to 6")
    if args.teacher is not None and args.frozen == 6:
        raise UserError("a teacher teaches the trunk, and --frozen 6 keeps all of it; give less")
    if args.spoil and args.teacher is None:
        raise UserError("--spoil is for a network that learns from a teacher: give --teacher, too")
    if args.identity_only and (not kestrel or args.teacher is not None or args.unfreeze_at):
        raise UserError(
            "--identity-only is for a kestrel of which nothing else learns: leave --teacher and "
            "--unfreeze-at out"
        )
    shares = [share for share, _ in args.unfreeze_at]
    if shares != sorted(shares):
        raise UserError("give --unfreeze-at in the order of its shares")
