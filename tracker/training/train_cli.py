"""What ``tools/train.py`` does."""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch.utils.data import default_collate

from tracker.errors import UserError
from tracker.files import hold_folder, make_folder
from tracker.network.kestrel import Kestrel
from tracker.network.siamfc import SiamFC
from tracker.spec import with_parameters
from tracker.training.branches import make_spec
from tracker.training.checkpoint import beginning, load_checkpoint, reading, save_checkpoint
from tracker.training.loader import PairDataset
from tracker.training.log import plot_run
from tracker.training.loop import Trainer, Validation
from tracker.training.models import (
    load_imagenet,
    load_weights,
    make_network,
    refuse_other_build,
    restore_network,
    settings_of,
)
from tracker.training.objective import LossOptions
from tracker.training.pair_options import PairOptions
from tracker.training.pairs import PairSampler
from tracker.training.processes import (
    choose_training_device,
    fast_autocast,
    join_processes,
    leave_processes,
    process_rank,
)
from tracker.training.record import make_record
from tracker.training.requirements import require
from tracker.training.sheet import show_pairs
from tracker.training.sources import open_source
from tracker.training.toy import render_clip, toy_source
from tracker.training.tracks import Source
from tracker.training.train_options import build_parser, fill_defaults
from tracker.training.train_settings import network_settings, pair_options, run_options
from tracker.training.validation import (
    ClipValidation,
    PairValidation,
    Validations,
    clip_names,
)
from tracker.weights import available_models, read_model

PATIENCE = 10.0
"""Seconds for which the loader processes of a run that was killed may outlive it."""


def main() -> int:
    """Run the command; returns the exit status."""
    args = build_parser().parse_args()
    fill_defaults(args)
    if args.autocast == "auto":
        args.autocast = fast_autocast()
    if args.threads:
        torch.set_num_threads(args.threads)
    torch.manual_seed(args.seed)
    network, settings, tuned = build_network(args)
    options = run_options(args)
    pairs = pair_options(args, network)
    sources = open_sources(args)
    sampler = PairSampler(sources, pairs, args.seed)
    if args.show_pairs:
        return draw_sheet(args, sampler)
    if args.out is None:
        raise UserError("--out names the folder of the run, such as --out runs/mine")
    # before anything is begun: what is wrong with them leaves no folder behind
    validate = validations(args, pairs, options.loss, network, tuned)
    teacher = read_teacher(args)
    join_processes(options.batch)
    try:
        checkpoint = prepare_folder(args)
        with hold(args.out):
            prepare_folder(args)  # another run may have used it while this one waited
            if not args.resume:
                initialise(network, args.init)
                if is_model(args.init):
                    settle(network, sampler, options.batch)
            record = make_record(sources, sys.argv, [*args.data, *args.rough] or ["toy"], settings)
            record["tuned"] = tuned
            trainer = Trainer(
                network, sampler, options, args.out, choose_training_device(), record, validate,
                teacher,
            )  # fmt: skip
            if args.resume:
                with reading(checkpoint):
                    tell(trainer.resume(checkpoint))
            else:
                keep_start(network, record, args.out)
            return train(trainer, args)
    finally:
        leave_processes()


def keep_start(network: SiamFC | Kestrel, record: dict[str, Any], folder: Path) -> None:
    """Write what the run starts from, so that its result can be averaged with it."""
    if process_rank() == 0:
        save_checkpoint(folder / START, beginning(network.name, network.state_dict(), record))


def train(trainer: Trainer, args: argparse.Namespace) -> int:
    """Run the trainer, then say how it went; returns the exit status."""
    started = time.monotonic()
    if args.toy and trainer.validate and process_rank() == 0 and trainer.step == 0:
        tell([f"before training: {sentence(trainer.validate(trainer.average.network))}"])
    complete = trainer.run()
    if process_rank() != 0:
        return 0
    plot = plot_run(args.out)
    tell([trainer.waiting_report(time.monotonic() - started)])
    if plot:
        tell([f"losses: {plot}"])
    where = args.out / "checkpoint.pt"
    if complete:
        print(f"complete: {where}; next: python tools/export.py --checkpoint {where} --out ...")
    else:
        print(f"stopped after step {trainer.step}; go on with --resume")
    return 130 if trainer.interrupted and not complete else 0


def open_sources(args: argparse.Namespace) -> list[Source]:
    """The training data.

    Raises:
        UserError: none, or both rendered and given ones.
    """
    if args.toy:
        if args.data or args.rough:
            raise UserError("--toy renders its own data: leave --data out, or --toy")
        return [toy_source(seed=args.seed)]
    if not args.data and not args.rough:
        raise UserError("--data names what to train on (--toy renders something); see --help")
    sources = [open_source(text) for text in args.data]
    sources += [replace(open_source(text), rough=True) for text in args.rough]
    tell([note for source in sources for note in source.notes])
    return sources


def draw_sheet(args: argparse.Namespace, sampler: PairSampler) -> int:
    """``--show-pairs``."""
    count, path = args.show_pairs
    if not (count.isascii() and count.isdigit()) or not 1 <= int(count) <= 400:
        raise UserError(f"--show-pairs takes a number of 1 to 400 and a file, found {count!r}")
    show_pairs(sampler, int(count), Path(path), args.overwrite)
    print(f"{count} pairs: {path}")
    return 0


STARTS = ("imagenet", "none")
"""What ``--init`` takes beside a checkpoint and a model."""
NORM_STEPS = 16
"""Batches from which the norms of an exported model get their statistics."""
START = "start.pt"
"""The weights that a run began with."""
MADE = ("log.csv", "validation.csv", "losses.png", START)
"""What a run makes beside its checkpoint."""


def prepare_folder(args: argparse.Namespace) -> Path:
    """Make the folder of the run; its checkpoint.

    Raises:
        UserError: there is one already, or none to go on from.
    """
    checkpoint: Path = args.out / "checkpoint.pt"
    # the first process makes them, while others may still be on their way here
    new = process_rank() == 0 and not (args.resume or args.overwrite)
    if new and checkpoint.exists():
        raise UserError(
            f"{checkpoint} exists; go on with --resume, start anew with --overwrite, or choose "
            "another --out"
        )
    strangers = [path for name in MADE if os.path.lexists(path := args.out / name)]
    if new and strangers:
        raise UserError(
            f"{strangers[0]} exists and there is no checkpoint to go on from; replace it with "
            "--overwrite, or choose another --out"
        )
    own = (checkpoint, args.out / START)
    if not args.resume and any(path.exists() and _is_file(args.init, path) for path in own):
        raise UserError(f"--init {args.init} would be replaced by the run; choose another --out")
    if args.teacher and any(path.exists() and _is_file(str(args.teacher), path) for path in own):
        raise UserError(
            f"--teacher {args.teacher} would be replaced by the run; choose another --out"
        )
    if args.resume and not checkpoint.exists():
        raise UserError(f"there is no {checkpoint} to go on from; start without --resume")
    make_folder(args.out)
    return checkpoint


def _is_file(name: str, path: Path) -> bool:
    return os.path.exists(name) and os.path.samefile(name, path)


def hold(folder: Path) -> contextlib.AbstractContextManager[None]:
    """Keep a folder for this run; its first process does so for all."""
    return hold_folder(folder, PATIENCE) if process_rank() == 0 else contextlib.nullcontext()


def build_network(
    args: argparse.Namespace,
) -> tuple[SiamFC | Kestrel, dict[str, Any], dict[str, Any]]:
    """The network, built as that of the checkpoint it starts from or goes on with; its settings,
    and the online parameters that were tuned for it.

    Raises:
        UserError: the checkpoint is missing, damaged, or of a network that was built otherwise
            than the options ask for.
    """
    given = network_settings(args)
    own = args.out / "checkpoint.pt" if args.out is not None else None
    if args.resume and own is not None and own.is_file():
        path = own
    elif args.init in STARTS:
        return make_network(args.network, **given), given, {}
    else:
        path = Path(args.init)
    content = read_start(str(path))
    with reading(path):
        same = content["network"] == args.network
        if same:
            refuse_other_build(content, given, path)
        settings = (settings_of(content) if same else {}) | given
        tuned = dict(content.get("record", {}).get("tuned") or {}) if same else {}
        return make_network(args.network, **settings), settings, tuned


def is_model(name: str) -> bool:
    """Whether a start is an exported model rather than a checkpoint."""
    if name in STARTS or Path(name).is_file():
        return name.endswith(".onnx")
    return name in available_models() or Path(f"{name}.search.onnx").is_file()


def read_start(name: str) -> dict[str, Any]:
    """The checkpoint of that name, or one made of an exported model.

    Raises:
        UserError: missing, damaged, or a model that cannot be turned back.
    """
    if not is_model(name):
        if not Path(name).is_file():
            raise UserError(
                f"there is no checkpoint at {name}, and no model of this name; give the "
                "checkpoint.pt of a run, an export without its endings, or kestrel"
            )
        return load_checkpoint(Path(name))
    require("onnx")
    from tracker.training.restore import checkpoint_of_model

    return checkpoint_of_model(read_model(name))


def settle(network: SiamFC | Kestrel, sampler: PairSampler, batch: int) -> None:
    """Give the norms of a network that was an exported model the statistics of these pairs.

    Each process looks at all of them: frozen norms have to be the same in all.
    """
    from tracker.training.restore import spread_norms

    pairs = PairDataset(sampler, NORM_STEPS * batch)
    spread_norms(
        network.eval(),
        (
            default_collate([pairs[i] for i in range(first, first + batch)])
            for first in range(0, len(pairs), batch)
        ),
    )


def read_teacher(args: argparse.Namespace) -> Kestrel | None:
    """The network of ``--teacher``.

    Raises:
        UserError: it is no Kestrel, or SiamFC is to learn from it.
    """
    if args.teacher is None:
        return None
    teacher = restore_network(read_start(str(args.teacher)), "average", args.teacher)
    if not isinstance(teacher, Kestrel) or args.network != teacher.name:
        raise UserError(
            f"a teacher is a kestrel that teaches a kestrel; {args.teacher} is a {teacher.name} "
            f"and --network is {args.network}"
        )
    return teacher


def initialise(network: SiamFC | Kestrel, init: str) -> None:
    """Give the network its first weights.

    Raises:
        UserError: a checkpoint that is missing, damaged or of another network.
    """
    if init == "imagenet":
        load_imagenet(network)
    elif init != "none":
        path = Path(init)
        content = read_start(init)
        with reading(path):
            if content["network"] != network.name:
                raise UserError(f"{path} is of a {content['network']}, not of a {network.name}")
            load_weights(network, content["average"], path)


def validations(
    args: argparse.Namespace,
    pairs: PairOptions,
    losses: LossOptions,
    network: SiamFC | Kestrel,
    tuned: dict[str, Any],
) -> Validation | None:
    """What is measured while training: clips with the online parameters that an export gets."""
    parts: list[Validation] = []
    if args.val:
        sources = [open_source(text) for text in args.val]
        tell([note for source in sources for note in source.notes])
        sampler = PairSampler(sources, pairs.plain(), seed=0)
        parts.append(PairValidation(sampler, args.val_pairs, losses))
    spec = with_parameters(make_spec(network), tuned, "the parameters that the run begins with")
    names = clip_names(args.val_clip)
    parts += [ClipValidation.open(p, n, spec) for p, n in zip(args.val_clip, names, strict=True)]
    if args.toy:
        for number in range(4):
            frames, boxes = render_clip(60, seed=(987, number), step=1.5)
            name = f"shape{number}"
            parts.append(ClipValidation(name, lambda f=frames: f, boxes[-1], spec))  # type: ignore[misc]
    return Validations(parts) if parts else None


def sentence(figures: dict[str, float]) -> str:
    """Figures in a line."""
    return ", ".join(f"{name} {value:.3f}" for name, value in figures.items())


def tell(notes: list[str]) -> None:
    """Say something beside the results, once and not by every process."""
    if process_rank() == 0:
        for note in notes:
            print(note, file=sys.stderr)
