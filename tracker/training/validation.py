"""How good is the network now? Fixed pairs, and clips tracked by the real online tracker."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import default_collate

from tracker.data.annotations import check_start, read_boxes
from tracker.errors import UserError
from tracker.evaluation.metrics import one_pass
from tracker.evaluation.verification import roc
from tracker.frames import Video
from tracker.geometry import FloatArray, check_box
from tracker.image import Image
from tracker.network.losses import corner_iou
from tracker.siamese_tracker import SiameseTracker
from tracker.spec import ModelSpec
from tracker.training.layouts import annotation_beside
from tracker.training.loader import PairDataset
from tracker.training.objective import Batch, KestrelObjective, LossOptions, make_objective
from tracker.training.pairs import PairSampler
from tracker.training.torch_network import TorchNetwork

BATCH = 16
"""Pairs that are measured at a time."""


class PairValidation:
    """Loss, overlap and verification on pairs that stay the same.

    Args:
        sampler: of data that is not trained on, with ``PairOptions.plain``.
        count: pairs; kept in memory, about 0.25 MB each.
        options: of the losses.
    """

    def __init__(self, sampler: PairSampler, count: int, options: LossOptions) -> None:
        dataset = PairDataset(sampler, count)
        self.options = options
        self.batches: list[Batch] = [
            default_collate([dataset[i] for i in range(first, min(first + BATCH, count))])
            for first in range(0, count, BATCH)
        ]

    @torch.inference_mode()
    def __call__(self, network: nn.Module) -> dict[str, float]:
        """``loss``; for Kestrel also ``iou`` (mean overlap of the best cell's box with the
        truth, positive pairs) and ``identity_auc`` (same object or another, all pairs).
        """
        objective = make_objective(network, self.options).eval()
        device = next(network.parameters()).device
        losses, overlaps, alike, same = [], [], [], []
        for batch in self.batches:
            batch = {k: v.to(device) for k, v in batch.items()}
            losses.append((float(objective(batch)["loss"]), len(batch["positive"])))
            if isinstance(objective, KestrelObjective) and objective.seen is not None:
                seen = objective.seen
                alike.append((seen.anchor * seen.shown).sum(1).cpu())
                same.append(seen.positive.cpu())
                overlaps.append(best_overlap(seen.score, seen.boxes, batch)[seen.positive].cpu())
        figures = {"loss": sum(v * n for v, n in losses) / sum(n for _, n in losses)}
        if same:
            positive = torch.cat(same).numpy()
            figures["iou"] = float(torch.cat(overlaps).mean())
            if positive.any() and not positive.all():
                figures["identity_auc"] = roc(torch.cat(alike).double().numpy(), positive).auc
        return figures


def best_overlap(score: Tensor, boxes: Tensor, batch: Batch) -> Tensor:
    """Overlap (B,) of the box of the highest score (B, H, W) with the search box."""
    best = score.flatten(1).argmax(1)
    chosen = boxes.flatten(2).gather(2, best[:, None, None].expand(-1, 4, 1))[:, :, 0]
    return corner_iou(chosen, batch["search_box"])


class ClipValidation:
    """Success AUC of a clip tracked from its first box to its end, no resets.

    Args:
        name: of the clip, for the log.
        frames: gives the frames anew at every call.
        truth: (N, 4) boxes x, y, w, h; NaN where the target is absent.
        spec: with the online parameters to track with; ``None`` takes the default ones.
    """

    def __init__(
        self,
        name: str,
        frames: Callable[[], Iterable[Image]],
        truth: FloatArray,
        spec: ModelSpec | None = None,
    ) -> None:
        self.name, self.frames, self.truth, self.spec = name, frames, truth, spec

    @staticmethod
    def open(path: Path, name: str = "", spec: ModelSpec | None = None) -> ClipValidation:
        """A video with ``<name>.txt`` or ``<name>.csv`` beside it.

        Args:
            name: for the log, if not that of the file.
            spec: as of the class.

        Raises:
            UserError: no video, a damaged one, or one that is shorter than its annotation; no
                annotation, or no box in its first line that a tracker could start from.
        """
        if not path.is_file():
            raise UserError(f"there is no clip {path}; --val-clip names a video file")
        annotation = annotation_beside(path)
        truth = read_boxes(annotation)
        check_start(truth, str(annotation))
        # one that breaks, ends too early or begins elsewhere is known now, not hours later
        for number, image in enumerate(Video(path).read(range(len(truth)))):
            if number == 0:
                _check_first_box(truth[0], image, annotation)
        frames = range(len(truth))
        return ClipValidation(name or path.stem, lambda: Video(path).read(frames), truth, spec)

    def __call__(self, network: nn.Module) -> dict[str, float]:
        """``auc <name>``: mean over 21 overlap thresholds of the share of frames above."""
        tracker = SiameseTracker(TorchNetwork(network, self.spec))  # type: ignore[arg-type]
        boxes = []
        for index, image in enumerate(self.frames()):
            if index == 0:
                tracker.init(image, self.truth[0].tolist())
                boxes.append(tuple(self.truth[0]))
            else:
                boxes.append(tracker.update(image).box)
        return {f"auc {self.name}": one_pass(np.asarray(boxes), self.truth).auc}


def _check_first_box(box: FloatArray, image: Image, path: Path) -> None:
    try:
        check_box(box.tolist(), image.shape[1], image.shape[0])
    except ValueError as error:
        raise UserError(f"{path}: the tracker cannot start from its first line: {error}") from None


def clip_names(paths: Sequence[Path]) -> list[str]:
    """What clips are called in the log: with their folder where files have one name.

    Raises:
        UserError: two would have one name even so.
    """
    shared = Counter(path.stem for path in paths)
    names = []
    for path in paths:
        folder = os.path.basename(os.path.dirname(os.path.abspath(path)))
        name = path.stem if shared[path.stem] == 1 else f"{folder}/{path.stem}"
        if name in names:
            raise UserError(
                f"two clips of --val-clip would be called {name}; give each clip once, or rename "
                "one of them"
            )
        names.append(name)
    return names


class Validations:
    """Several validations as one."""

    def __init__(self, parts: Sequence[Callable[[nn.Module], dict[str, float]]]) -> None:
        self.parts = parts

    def __call__(self, network: nn.Module) -> dict[str, float]:
        """All figures; with several clips also ``auc``, their mean."""
        figures: dict[str, float] = {}
        for part in self.parts:
            figures |= part(network)
        clips = [v for k, v in figures.items() if k.startswith("auc ")]
        return figures | ({"auc": float(np.mean(clips))} if len(clips) > 1 else {})
