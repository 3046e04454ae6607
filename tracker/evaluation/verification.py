"""Same object or not: ROC, equal error rate and one-shot retrieval from similarities.

The pairs are cut from annotated clips (``cut_pairs``), so that every model is asked the
same questions: the same object later in its clip, against an object of another clip, and
against a patch of the same frame that does not touch the target.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tracker.evaluation.metrics import present_frames
from tracker.geometry import FloatArray, as_box, iou
from tracker.results import Box

SAME, OTHER_CLIP, SAME_FRAME = "same", "other clip", "same frame"
CURVE_POINTS = 200
QUERIES = 5  # a clip


@dataclass(frozen=True)
class Roc:
    """Points of the curve, from (0, 0) to (1, 1).

    A pair is accepted when its similarity is at least a threshold.
    """

    false_accept: FloatArray
    true_accept: FloatArray

    @property
    def auc(self) -> float:
        """Area under the curve: the chance that a true pair ranks above a false one."""
        width = np.diff(self.false_accept)
        return float((width * (self.true_accept[1:] + self.true_accept[:-1]) / 2).sum())

    @property
    def equal_error_rate(self) -> float:
        """Where as many false pairs are accepted as true ones are refused (interpolated)."""
        refuse = 1 - self.true_accept
        gap = self.false_accept - refuse
        after = int(np.argmax(gap >= 0))
        share = -gap[after - 1] / (gap[after] - gap[after - 1])
        step = self.false_accept[after] - self.false_accept[after - 1]
        return float(self.false_accept[after - 1] + share * step)


def roc(similarities: ArrayLike, same: ArrayLike) -> Roc:
    """ROC over all distinct similarities; ties move as one step.

    Args:
        similarities: (N,), higher is more alike.
        same: (N,) truth: 1 for the same object.

    Raises:
        ValueError: without both kinds of pairs, or with a similarity that is not a number.
    """
    values = np.asarray(similarities, dtype=np.float64)
    labels = np.asarray(same, dtype=bool)
    if values.shape != labels.shape or values.ndim != 1:
        raise ValueError(f"one label a similarity, found {values.shape} and {labels.shape}")
    if labels.all() or not labels.any():
        raise ValueError("a ROC curve needs pairs of the same object and pairs of others")
    if np.isnan(values).any():
        raise ValueError("a similarity is not a number")
    order = np.argsort(-values, kind="stable")
    values, labels = values[order], labels[order]
    last_of_tie = np.append(np.flatnonzero(np.diff(values)), len(values) - 1)
    accepted_true = np.cumsum(labels)[last_of_tie]
    accepted_false = last_of_tie + 1 - accepted_true
    return Roc(
        np.append(0.0, accepted_false / accepted_false[-1]),
        np.append(0.0, accepted_true / accepted_true[-1]),
    )


def recall_at(similarities: ArrayLike, target: ArrayLike, k: int) -> float:
    """One-shot retrieval: share of queries whose true match is among the k most similar.

    A tie counts against the query: what is as similar as the true match ranks before it.

    Args:
        similarities: (Q, G) of each query with each gallery entry (one per identity).
        target: (Q,) index of the true entry.
    """
    s = np.asarray(similarities, dtype=np.float64)
    index = np.asarray(target, dtype=np.int64)
    true = s[np.arange(len(s)), index][:, None]
    rank = (s >= true).sum(axis=1)
    return float((rank <= k).mean())


@dataclass(frozen=True)
class Patch:
    """A box in a frame of a sequence."""

    sequence: str
    frame: int
    box: Box


@dataclass(frozen=True)
class Pair:
    """Two patches and how they belong together: same, other clip, same frame."""

    first: Patch
    second: Patch
    kind: str

    @property
    def same(self) -> bool:
        return self.kind == SAME


def cut_pairs(
    truths: Mapping[str, FloatArray],
    sizes: Mapping[str, tuple[int, int]],
    per_sequence: int = 20,
    seed: int = 0,
    clips: Mapping[str, str] | None = None,
) -> list[Pair]:
    """Cut pairs from annotated clips: of each kind ``per_sequence`` a clip, where possible.

    The first patch of every pair is the clip's first box (one-shot: what a user selects).
    The draws of a sequence depend on the seed, its name and the list of the others.

    Args:
        truths, sizes: sequence key -> (N, 4) boxes, and (width, height) of its frames.
        clips: sequence key -> clip (``Frames.clip``), whose targets may show in each other's
            patches; ``None`` where each sequence is a clip of its own.
    """
    clips = clips or {name: name for name in truths}
    names = sorted(truths)
    pairs = []
    for name in names:
        # not hash(): it differs between runs of Python
        rng = np.random.default_rng([seed, *name.encode()])
        exemplar = _patch(name, 0, truths[name])
        later = np.flatnonzero(present_frames(truths[name]))[1:]
        if not len(later):
            continue
        others = [n for n in names if clips[n] != clips[name]]
        for _ in range(per_sequence):
            frame = int(rng.choice(later))
            positive = _patch(name, frame, truths[name])
            pairs.append(Pair(exemplar, positive, SAME))
            if others:
                other = others[int(rng.integers(len(others)))]
                visible = np.flatnonzero(present_frames(truths[other]))
                patch = _patch(other, int(rng.choice(visible)), truths[other])
                pairs.append(Pair(exemplar, patch, OTHER_CLIP))
            beside = _beside(positive.box, sizes[name], rng)
            if beside is not None:
                pairs.append(Pair(exemplar, Patch(name, frame, beside), SAME_FRAME))
    return pairs


def retrieval_sets(
    truths: Mapping[str, FloatArray], seed: int = 0
) -> tuple[list[Patch], list[Patch], NDArray[np.int64]]:
    """Gallery (first box of each clip), queries (later boxes), index of each query's clip."""
    names = sorted(truths)
    gallery = [_patch(name, 0, truths[name]) for name in names]
    queries, target = [], []
    for index, name in enumerate(names):
        rng = np.random.default_rng([seed, 1, *name.encode()])
        later = np.flatnonzero(present_frames(truths[name]))[1:]
        for frame in sorted(rng.choice(later, min(QUERIES, len(later)), replace=False)):
            queries.append(_patch(name, int(frame), truths[name]))
            target.append(index)
    return gallery, queries, np.array(target, dtype=np.int64)


@dataclass(frozen=True)
class VerificationScore:
    """Figures of one model on the cut pairs.

    Attributes:
        roc: (false accept, true accept) over all pairs, at most about ``CURVE_POINTS`` of them.
    """

    auc: float
    equal_error_rate: float
    auc_same_frame: float
    recall1: float
    recall5: float
    pairs: int
    roc: tuple[tuple[float, float], ...] = ()


def summarise(
    similarities: FloatArray,
    pairs: Sequence[Pair],
    retrieval: FloatArray,
    target: NDArray[np.int64],
) -> VerificationScore:
    """Figures from the similarity of every pair and of every query with the gallery."""
    kinds = np.array([pair.kind for pair in pairs])
    same = kinds == SAME
    curve = roc(similarities, same)
    near = same | (kinds == SAME_FRAME)
    return VerificationScore(
        auc=curve.auc,
        equal_error_rate=curve.equal_error_rate,
        auc_same_frame=roc(similarities[near], same[near]).auc,
        recall1=recall_at(retrieval, target, 1),
        recall5=recall_at(retrieval, target, 5),
        pairs=len(pairs),
        roc=_thinned(curve),
    )


def _thinned(curve: Roc) -> tuple[tuple[float, float], ...]:
    count = min(len(curve.false_accept), CURVE_POINTS)
    picks = np.unique(np.linspace(0, len(curve.false_accept) - 1, count).round().astype(int))
    return tuple((float(curve.false_accept[i]), float(curve.true_accept[i])) for i in picks)


def _patch(name: str, frame: int, truth: FloatArray) -> Patch:
    return Patch(name, frame, as_box(truth[frame]))


def _beside(box: Box, size: tuple[int, int], rng: np.random.Generator) -> Box | None:
    """A box of the same size in the picture that does not touch ``box``; None if no room."""
    _, _, w, h = box
    for _ in range(50):
        room_x, room_y = size[0] - w, size[1] - h
        if room_x <= 0 or room_y <= 0:
            return None
        x, y = float(rng.uniform(0, room_x)), float(rng.uniform(0, room_y))
        if iou(box, (x, y, w, h)) == 0:
            return x, y, w, h
    return None
