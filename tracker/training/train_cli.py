"""The command ``tools/train.py``."""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from tracker.errors import UserError
from tracker.training.checkpoint import load_checkpoint
from tracker.training.loop import RunOptions, Trainer, keep_memory
from tracker.training.models import NETWORKS, load_imagenet, make_network
from tracker.training.objective import LossOptions
from tracker.training.optimise import OptimOptions
from tracker.training.pairs import PairOptions, PairSampler
from tracker.training.sources import open_source


def build_parser() -> argparse.ArgumentParser:
    """Options of the command."""
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("--network", choices=NETWORKS, default="kestrel")
    p.add_argument("--data", action="append", required=True, metavar="[LAYOUT:]PATH[@WEIGHT]")
    p.add_argument("--out", type=Path, required=True)
    p.add_argument("--pairs", type=int, default=100_000)
    p.add_argument("--batch", type=int, default=32)
    p.add_argument("--lr", type=float, default=1e-3)
    p.add_argument("--trunk-lr", type=float, default=0.1)
    p.add_argument("--optimiser", choices=("adamw", "sgd"), default="adamw")
    p.add_argument("--schedule", default="cosine")
    p.add_argument("--warmup", type=float, default=0.02)
    p.add_argument("--weight-decay", type=float, default=1e-4)
    p.add_argument("--ema", type=float, default=0.998)
    p.add_argument("--frozen", type=int, default=3)
    p.add_argument("--score-loss", choices=("bce", "focal"), default="bce")
    p.add_argument("--quality", type=float, default=0.0)
    p.add_argument("--max-gap", type=int, default=100)
    p.add_argument("--shift", type=float)
    p.add_argument("--init", default="imagenet", help="imagenet, none, or a checkpoint")
    p.add_argument("--resume", action="store_true")
    p.add_argument("--max-minutes", type=float, default=0.0)
    p.add_argument("--workers", type=int, default=1)
    p.add_argument("--seed", type=int, default=0)
    p.add_argument("--autocast", choices=("bf16", "fp16", "none"), default="bf16")
    p.add_argument("--threads", type=int, default=0)
    return p


def main() -> int:
    """Run the command; returns the exit status."""
    args = build_parser().parse_args()
    keep_memory()
    torch.manual_seed(args.seed)
    if args.threads:
        torch.set_num_threads(args.threads)
    network = make_network(args.network)
    if args.init == "imagenet":
        load_imagenet(network)
    elif args.init != "none":
        network.load_state_dict(load_checkpoint(Path(args.init))["average"], strict=False)
    shift = args.shift if args.shift is not None else (64.0 if args.network == "kestrel" else 32.0)
    pair_options = PairOptions(
        network.exemplar_size, network.search_size, max_gap=args.max_gap, shift=shift
    )
    sampler = PairSampler([open_source(d) for d in args.data], pair_options, args.seed)
    options = RunOptions(
        pairs=args.pairs,
        batch=args.batch,
        seed=args.seed,
        frozen=args.frozen if args.network == "kestrel" else 0,
        workers=args.workers,
        max_minutes=args.max_minutes,
        autocast=args.autocast,
        optim=OptimOptions(
            optimiser=args.optimiser, lr=args.lr, trunk_lr=args.trunk_lr,
            weight_decay=args.weight_decay, schedule=args.schedule, warmup=args.warmup,
            ema=args.ema,
        ),
        loss=LossOptions(score=args.score_loss, quality=args.quality),
    )  # fmt: skip
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    checkpoint = args.out / "checkpoint.pt"
    if checkpoint.exists() and not args.resume:
        raise UserError(f"{checkpoint} exists; go on with --resume, or choose another --out")
    args.out.mkdir(parents=True, exist_ok=True)
    trainer = Trainer(network, sampler, options, args.out, device)
    if args.resume:
        trainer.resume(checkpoint)
    complete = trainer.run()
    print("complete" if complete else "stopped by the time limit; go on with --resume")
    return 0
