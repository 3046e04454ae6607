"""Judge models that say whether two patches show the same object.

An embedder is any object with ``embed(image, box)`` that returns a vector; likeness is the
cosine of two vectors. ``thumbnail`` is the null baseline: it knows colours and coarse shape,
and a model has to beat it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Protocol

import numpy as np

from tracker.data.datasets import Sequence
from tracker.errors import UserError
from tracker.evaluation import opponents
from tracker.evaluation.metrics import present_frames
from tracker.evaluation.verification import (
    SAME,
    SAME_FRAME,
    Pair,
    Patch,
    VerificationScore,
    cut_pairs,
    retrieval_sets,
    summarise,
)
from tracker.geometry import FloatArray, clip_box, xywh_to_corners
from tracker.image import Image
from tracker.results import Box

THUMBNAIL = 8


class Embedder(Protocol):
    """What is judged."""

    def embed(self, image: Image, box: Box) -> Any: ...


class Thumbnail:
    """The box shrunk to 8 x 8 pixels, its mean taken off."""

    def embed(self, image: Image, box: Box) -> FloatArray:
        import cv2

        height, width = image.shape[:2]
        x, y, w, h = (int(v) for v in clip_box(box, width, height))
        part = image[y : y + max(h, 1), x : x + max(w, 1)]
        small = cv2.resize(part, (THUMBNAIL, THUMBNAIL), interpolation=cv2.INTER_AREA)
        vector = small.astype(np.float64).ravel()
        centred: FloatArray = vector - vector.mean()
        return centred


def build_embedder(name: str, options: opponents.Options) -> Embedder:
    """``thumbnail``, one of our models, or ``module:Class`` with ``embed(image, box)``.

    Raises:
        Unavailable: it cannot be had, or it has no embedding.
    """
    made: Any = (
        Thumbnail() if opponents.target(name) == "thumbnail" else opponents.build(name, options)
    )
    if not callable(getattr(made, "embed", None)):
        raise opponents.Unavailable(
            f"{opponents.label(name)}: it has no embed(image, box), so it cannot be judged on pairs"
        )
    embedder: Embedder = made
    try:  # now: of our models not all have one
        embedder.embed(np.zeros((64, 64, 3), dtype=np.uint8), (16.0, 16.0, 32.0, 32.0))
    except UserError as reason:
        raise opponents.Unavailable(f"{opponents.label(name)}: {reason}") from None
    except (Exception, SystemExit) as error:
        said = f"{type(error).__name__}: {' '.join(str(error).split())}"
        raise opponents.Unavailable(f"{opponents.label(name)}: its embed fails ({said})") from None
    return embedder


def judge(
    embedders: Mapping[str, Embedder],
    sequences: Iterable[Sequence],
    per_sequence: int = 20,
    seed: int = 0,
) -> dict[str, VerificationScore]:
    """Ask every embedder the same questions about pairs cut from the sequences.

    Boxes beyond the picture are not asked about, nor are clips that begin with one.

    Raises:
        UserError: a clip that cannot be read, clips without pairs, or a model that fails.
    """
    clips = {s.key: s for s in sequences}
    sizes = {key: _size(s) for key, s in clips.items()}
    truths = {key: inside(s.truth, sizes[key]) for key, s in clips.items()}
    truths = {key: truth for key, truth in truths.items() if present_frames(truth[:1])[0]}
    shared = {key: clips[key].source.clip() for key in truths}
    pairs = cut_pairs(truths, sizes, per_sequence, seed, shared)
    if not {SAME, SAME_FRAME} <= {pair.kind for pair in pairs}:
        raise UserError(
            "there are no pairs to ask about: clips are needed in which the target is there in "
            "two frames and leaves room beside it"
        )
    gallery, queries, target = retrieval_sets(truths, seed=seed)
    patches = {*gallery, *queries, *(p for pair in pairs for p in (pair.first, pair.second))}
    vectors = embed_patches(embedders, clips, patches)
    return {
        name: summarise(
            _of_pairs(pairs, found),
            pairs,
            _stack(queries, found) @ _stack(gallery, found).T,
            target,
        )
        for name, found in vectors.items()
    }


def embed_patches(
    embedders: Mapping[str, Embedder], clips: Mapping[str, Sequence], patches: Iterable[Patch]
) -> dict[str, dict[Patch, FloatArray]]:
    """Unit vectors of all patches; every clip is read once."""
    wanted: dict[str, dict[int, list[Patch]]] = {}
    for patch in patches:
        wanted.setdefault(patch.sequence, {}).setdefault(patch.frame, []).append(patch)
    vectors: dict[str, dict[Patch, FloatArray]] = {name: {} for name in embedders}
    for key, frames in sorted(wanted.items()):
        for index, image in enumerate(clips[key].source.read(range(max(frames) + 1))):
            for patch in frames.get(index, []):
                for name, embedder in embedders.items():
                    vectors[name][patch] = _ask(name, embedder, image, patch)
    return vectors


def _ask(name: str, embedder: Embedder, image: Image, patch: Patch) -> FloatArray:
    """One unit vector; UserError says where there is none."""
    try:
        vector = _unit(embedder.embed(image, patch.box))
    except (Exception, SystemExit) as error:  # a model under test may raise anything
        said = f"{type(error).__name__}: {' '.join(str(error).split())}"
    else:
        if np.isfinite(vector).all() and len(vector):
            return vector
        said = "it is not finite, or empty"
    raise UserError(
        f"{name}: no vector of {patch.sequence}, frame {patch.frame}, can be had ({said}); leave "
        "this model out, or mend it"
    )


def text_table(scores: Mapping[str, VerificationScore]) -> str:
    """The table that the command prints."""
    width = max([len(name) for name in scores] + [5])
    head = f"{'model':<{width}}  ROC AUC  same frame  equal error  recall@1  recall@5  pairs"
    rows = [
        f"{name:<{width}}  {s.auc:7.3f}  {s.auc_same_frame:10.3f}  {s.equal_error_rate:11.3f}  "
        f"{s.recall1:8.3f}  {s.recall5:8.3f}  {s.pairs:5d}"
        for name, s in scores.items()
    ]
    return "\n".join([head, *rows])


def _of_pairs(pairs: list[Pair], vectors: Mapping[Patch, FloatArray]) -> FloatArray:
    return np.array([float(vectors[p.first] @ vectors[p.second]) for p in pairs])


def inside(truth: FloatArray, size: tuple[int, int]) -> FloatArray:
    """The truth with NaN where its box does not touch the picture: there is nothing to see."""
    corners = xywh_to_corners(truth)
    beyond = (corners[:, :2] >= size).any(axis=1) | (corners[:, 2:] <= 0).any(axis=1)
    kept = truth.copy()
    kept[beyond] = np.nan
    return kept


def _stack(patches: list[Patch], vectors: Mapping[Patch, FloatArray]) -> FloatArray:
    return np.stack([vectors[p] for p in patches])


def _unit(vector: Any) -> FloatArray:
    v = np.asarray(vector, dtype=np.float64).ravel()
    length = float(np.linalg.norm(v))
    unit: FloatArray = v / length if length > 0 else v
    return unit


def _size(sequence: Sequence) -> tuple[int, int]:
    image = next(iter(sequence.source.read(range(1))))
    return image.shape[1], image.shape[0]
