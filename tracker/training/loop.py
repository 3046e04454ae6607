"""The training loop."""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from tqdm import tqdm

from tracker.errors import UserError
from tracker.network.kestrel import Kestrel
from tracker.network.siamfc import SiamFC
from tracker.training.checkpoint import load_checkpoint, save_checkpoint
from tracker.training.continuation import changed_data, changed_options
from tracker.training.imitation import ImitationObjective, only_trunk_learns
from tracker.training.loader import PairLoader
from tracker.training.log import RunningMeans, Table
from tracker.training.mining import ConfusionMiner
from tracker.training.models import load_weights, weights_hash
from tracker.training.objective import (
    Batch,
    LossOptions,
    make_objective,
    only_identity_learns,
)
from tracker.training.optimise import (
    MovingAverage,
    OptimOptions,
    add_learning,
    make_optimiser,
    rate_factor,
    restore_optimiser,
)
from tracker.training.pairs import PairSampler
from tracker.training.processes import any_process, process_count, process_rank
from tracker.training.shortage import shortages_told
from tracker.training.stopping import StopRequest

Validation = Callable[[nn.Module], dict[str, float]]
"""Measures a network; names of figures to their values."""


@dataclass(frozen=True)
class RunOptions:
    """One training run.

    Attributes:
        pairs: pairs in the whole run; the schedule is laid over them.
        batch: pairs a step, of all processes together.
        seed: of weights and pairs.
        frozen: parts of Kestrel's trunk that do not learn: 1 is the stem, 3 that and two stages.
        unfreeze_at: (share of the run, number frozen from then on), in order.
        workers: processes that make pairs.
        max_minutes: stop (resumable) after this time; 0 for no limit.
        save_every, log_every: steps between checkpoints, and between rows of the log.
        validate_every: steps between validations; 0 for none.
        mine_every: steps of a round of mining confusions; 0 for none.
        autocast: ``bf16``, ``fp16`` or ``none``.
        channels_last: memory format of the network, faster on most devices.
        quiet: no progress bar.
        identity_only: of a Kestrel, nothing learns but the verification embedding.
    """

    pairs: int
    batch: int = 32
    seed: int = 0
    frozen: int = 3
    unfreeze_at: tuple[tuple[float, int], ...] = ()
    workers: int = 1
    max_minutes: float = 0.0
    save_every: int = 200
    log_every: int = 50
    validate_every: int = 0
    mine_every: int = 0
    autocast: str = "bf16"
    channels_last: bool = True
    quiet: bool = False
    identity_only: bool = False
    optim: OptimOptions = field(default_factory=OptimOptions)
    loss: LossOptions = field(default_factory=LossOptions)

    @property
    def steps(self) -> int:
        return max(self.pairs // self.batch, 1)

    def frozen_at(self, step: int) -> int:
        """Parts of the trunk that do not learn in a step."""
        count = self.frozen
        for share, later in self.unfreeze_at:
            if step >= share * self.steps:
                count = later
        return count


class Trainer:
    """Trains a network on pairs; resumes exactly; writes checkpoints and a log.

    Args:
        network: to train, changed in place.
        sampler: makes the pairs.
        options: of the run.
        out: folder for ``checkpoint.pt``, ``log.csv`` and ``validation.csv``.
        device: where to train.
        record: of data and command, kept in the checkpoint for the export.
        validate: measures the averaged network now and then.
        teacher: its answers are all that the network's trunk learns from; the rest stays.
    """

    def __init__(
        self,
        network: SiamFC | Kestrel,
        sampler: PairSampler,
        options: RunOptions,
        out: Path,
        device: torch.device,
        record: dict[str, Any] | None = None,
        validate: Validation | None = None,
        teacher: Kestrel | None = None,
    ) -> None:
        self.options, self.out, self.device = options, out, device
        self.sampler, self.validate = sampler, validate
        self.record = record or {}
        self.interrupted = False  # by ctrl-c or SIGTERM
        layout = torch.channels_last if options.channels_last else torch.contiguous_format
        self.network = network.to(device)
        self.network.to(memory_format=layout)  # type: ignore[call-overload]
        if teacher is not None and isinstance(network, Kestrel):
            only_trunk_learns(network)
        self.frozen = options.frozen
        self._freeze(options.frozen)
        if options.identity_only and isinstance(network, Kestrel):
            only_identity_learns(network)
        self.optimiser = make_optimiser(network, options.optim)
        self.average = MovingAverage(network, options.optim.ema)
        self.bare = make_objective(network, options.loss, teacher)
        self.bare.to(device).to(memory_format=layout)  # type: ignore[call-overload]
        self.objective = self.bare
        half = options.autocast == "fp16"
        self.scaler = torch.amp.GradScaler(device.type, enabled=half)
        self.miner = ConfusionMiner(len(sampler.tracks)) if options.mine_every else None
        self.loader = PairLoader(sampler, options.batch, options.workers, device)
        self.means = RunningMeans()
        self.step = 0
        self.seconds = 0.0
        self._whole = True  # whether all parts of the state are of one step

    def resume(self, path: Path) -> list[str]:
        """Go on where a checkpoint stopped: exactly, if the options are the same.

        Returns:
            Sentences on what is not as it was.

        Raises:
            UserError: a checkpoint of another network, or of other data.
        """
        content = load_checkpoint(path)
        if content["network"] != self.network.name:
            raise UserError(f"{path} is of a {content['network']}, not of a {self.network.name}")
        load_weights(self.network, content["model"], path)
        load_weights(self.average.network, content["average"], path)
        self.step, self.seconds = int(content["step"]), float(content["seconds"])
        notes = changed_options(content["options"], dataclasses.asdict(self.options))
        notes += changed_options(content.get("making", {}), self._making())
        moved = changed_data(content["record"].get("data", []), self.record.get("data", []))
        notes += moved
        for step in range(self.step + 1):  # what learned once stays with the optimiser
            self._follow_freezing(step)
        fresh = restore_optimiser(self.optimiser, content["optimiser"])
        if fresh:
            notes.append(f"{len(fresh)} parameters begin without moments of the optimiser")
        if len(content["confused"]) == len(self.sampler.confused):
            self.sampler.confused.copy_(content["confused"])
        elif not moved:
            notes.append("the data have another number of objects than before")
        if (
            self.miner
            and content["mining"]
            and self.miner.found.shape == content["mining"]["found"].shape
        ):
            self.miner.load_state_dict(content["mining"])
        if content["scaler"]:
            self.scaler.load_state_dict(content["scaler"])
        if content["means"]:
            self.means.load_state_dict(content["means"], self.device)
        before = content["record"].get("commands", [])
        mine = self.record.get("commands", [])
        self.record["commands"] = before + [c for c in mine if c not in before]
        self.record["tuned"] = content["record"].get("tuned", {})
        self.record["averaged"] = content["record"].get("averaged", [])
        torch.set_rng_state(content["rng"])
        return notes

    def _making(self) -> dict[str, Any]:
        """What decides on pairs and losses beside the options of the run."""
        making = {"pair": dataclasses.asdict(self.sampler.options), "teacher": False}
        if isinstance(self.bare, ImitationObjective):
            making |= {"teacher": True, "teacher's weights": weights_hash(self.bare.teacher)[:12]}
        return making

    def save(self) -> None:
        """Write ``checkpoint.pt``."""
        if process_rank() != 0:
            return
        content = {
            "network": self.network.name,
            "model": self.network.state_dict(),
            "average": self.average.network.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "confused": self.sampler.confused,
            "mining": self.miner.state_dict() if self.miner else None,
            "scaler": self.scaler.state_dict(),
            "means": self.means.state_dict(),
            "step": self.step,
            "seconds": self.seconds,
            "rng": torch.get_rng_state(),
            "options": dataclasses.asdict(self.options),
            "making": self._making(),
            "record": self.record,
        }
        save_checkpoint(self.out / "checkpoint.pt", content)

    def run(self) -> bool:
        """Train to the end, the time limit or a signal. Returns whether the run is complete."""
        options = self.options
        started, already = time.monotonic(), self.seconds
        log, checks = (Table(self.out / n, self.step) for n in ("log.csv", "validation.csv"))
        bar = tqdm(
            total=options.steps * options.batch, initial=self.step * options.batch,
            unit="pair", disable=options.quiet or process_rank() != 0, mininterval=5,
        )  # fmt: skip
        with StopRequest() as stop, shortages_told(options.batch):  # the last checkpoint, too
            try:
                self.objective = self._spread(self.bare)
                if not self.step:
                    self.save()  # what is there before the first step can be resumed, too
                while self.step < options.steps:
                    for batch in self.loader.batches(self.step, self._round_end()):
                        self._whole = False
                        self._train_step(batch)
                        self.step += 1
                        self.seconds = already + time.monotonic() - started
                        self._whole = True
                        bar.update(options.batch)
                        self._keep_books(log, checks, bar)
                        late = (
                            options.max_minutes
                            and self.seconds - already > options.max_minutes * 60
                        )
                        self.interrupted = stop.wanted
                        if any_process(stop.wanted or bool(late), self.device):
                            self._refuse_nonsense()
                            return self.step >= options.steps
            finally:
                bar.close()
                # What spreads gradients must not outlive the process group: see leave_processes.
                self.objective = self.bare
                if self._whole and self._sound():
                    self.save()
        return True

    def waiting_report(self, spent: float) -> str:
        """How much of ``spent`` seconds the network waited for pairs, in a sentence."""
        waited, first = self.loader.waited, self.loader.first
        share = 100 * waited / max(spent, 1e-9)
        return (
            f"the network waited for pairs in {share:.1f} % of the time "
            f"({waited:.1f} s, {first:.1f} s of them for the first batch)"
        )

    def _round_end(self) -> int:
        """The step before which the loaders' table of confusions stays as it is."""
        rounds, steps = self.options.mine_every, self.options.steps
        return min((self.step // rounds + 1) * rounds, steps) if rounds else steps

    def _keep_books(self, log: Table, checks: Table, bar: tqdm[Any]) -> None:
        """What is due after a step: mining, log, validation, checkpoint."""
        options, step = self.options, self.step
        last = step == options.steps
        if self.miner and (step % options.mine_every == 0):
            self.miner.finish_round(self.sampler.confused)
        if step % options.log_every == 0 or last:
            self._refuse_nonsense()
            values = self.means.take()
            rate = max(group["lr"] for group in self.optimiser.param_groups)
            row = {"step": step, "seconds": round(self.seconds, 1), "lr": rate}
            row |= {"waited": round(self.loader.waited, 1)}
            log.add(row | {k: round(v, 5) for k, v in values.items()})
            bar.set_postfix({k: f"{v:.3f}" for k, v in values.items()})
        check = options.validate_every and (step % options.validate_every == 0 or last)
        if self.validate and check and process_rank() == 0:
            figures = self.validate(self.average.network)
            checks.add({"step": step} | {k: round(v, 5) for k, v in figures.items()})
            bar.write(f"step {step}: " + ", ".join(f"{k} {v:.3f}" for k, v in figures.items()))
        if step % options.save_every == 0:
            self._refuse_nonsense()
            self.save()

    def _sound(self) -> bool:
        """Whether losses and weights are numbers."""
        state = self.network.state_dict().values()
        return self.means.finite() and all(bool(v.isfinite().all()) for v in state)

    def _refuse_nonsense(self) -> None:
        if not self._sound():
            self._whole = False  # these weights are worth nothing: keep the last checkpoint
            raise UserError(
                f"the loss is not a number any more at step {self.step}; the last checkpoint is "
                "kept: resume it with a lower --lr or --clip, or with --autocast none"
            )

    def _train_step(self, batch: Batch) -> None:
        self._follow_freezing(self.step)
        factor = rate_factor(self.options.optim, self.step / self.options.steps)
        for group in self.optimiser.param_groups:
            group["lr"] = group["peak"] * factor
        self.objective.train()
        with self._autocast():
            parts: dict[str, Tensor] = self.objective(batch)
        self.optimiser.zero_grad(set_to_none=True)
        self.scaler.scale(parts["loss"]).backward()
        self.scaler.unscale_(self.optimiser)
        most = self.options.optim.clip or math.inf
        nn.utils.clip_grad_norm_(self.network.parameters(), most)
        self.scaler.step(self.optimiser)
        self.scaler.update()
        self.average.update(self.network, self.step)
        self.means.add(parts)
        seen = getattr(self.bare, "seen", None)
        if self.miner and seen is not None:
            self.miner.add(seen)

    def _freeze(self, count: int) -> None:
        if isinstance(self.network, Kestrel):
            self.network.trunk.freeze_stages(count)

    def _follow_freezing(self, step: int) -> None:
        """Freeze and unfreeze as the schedule says for a step."""
        wanted = self.options.frozen_at(step)
        if wanted == self.frozen:
            return
        self.frozen = wanted
        self._freeze(wanted)
        self.optimiser.zero_grad(set_to_none=True)
        add_learning(self.optimiser, self.network, self.options.optim)
        self.objective = self._spread(self.bare)

    def _spread(self, objective: nn.Module) -> nn.Module:
        """The objective, with gradients averaged over the processes if there are several."""
        if process_count() == 1:
            return objective
        # norms are shared and start alike: their statistics need no broadcast
        return DistributedDataParallel(objective, broadcast_buffers=False)

    def _autocast(self) -> Any:
        kinds = {"bf16": torch.bfloat16, "fp16": torch.float16}
        dtype = kinds.get(self.options.autocast)
        return torch.autocast(self.device.type, dtype, enabled=dtype is not None)
