"""Are two pictures of the same object? The verification embedding, for anyone to use.

>>> from tracker import same_object, similarity

Twin branches with shared weights map a patch to a unit vector; patches of one object lie
close together (Hadsell et al. 2006, Schroff et al. 2015).
"""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tracker.crop import mean_colour
from tracker.errors import UserError
from tracker.exemplar import embed_box
from tracker.geometry import check_box, clip_box
from tracker.image import check_image
from tracker.levels import View
from tracker.results import Box
from tracker.runtime import Network, as_network, open_network
from tracker.weights import model_stamp

FORMS = ("cosine", "euclidean")


def embed(network: Network, image: Any, box: Sequence[float] | NDArray[Any]) -> NDArray[np.float32]:
    """The verification vector of what a box shows.

    Args:
        network: of a model with a verification embedding.
        image: HxWx3 uint8 BGR.
        box: (x, y, w, h) in pixels.

    Returns:
        (D,) float32 of length 1.

    Raises:
        ValueError: an image or box that cannot be used.
        UserError: the model has no verification embedding.
    """
    image = check_image(image)
    height, width = image.shape[:2]
    checked = clip_box(check_box(box, width, height), width, height)
    _, _, identity = embed_box(network, View(image, mean_colour(image)), checked)
    if identity is None:
        raise UserError(f"the model {network.spec.name} has no verification embedding; use kestrel")
    return identity


def similarity(
    patch_a: Any,
    patch_b: Any,
    form: str = "cosine",
    model: str | Path | Network | None = None,
    device: str = "auto",
) -> float:
    """How alike the objects in two patches are; larger is more alike.

    Args:
        patch_a, patch_b: HxWx3 uint8 BGR, each cut tightly around one object.
        form: ``cosine`` of the two vectors, -1..1; or ``euclidean``: minus the distance of
            the two unit vectors, -2..0. They rank alike: ``d^2 = 2 - 2 cos``.
        model, device: as of ``SiameseTracker``.

    Raises:
        ValueError: an image that cannot be used, or an unknown form.
        UserError: a model that cannot be used.
    """
    if form not in FORMS:
        raise ValueError(f"form is one of {', '.join(FORMS)}, found {form!r}")
    network = _network(model, device)
    a, b = (embed(network, patch, _whole(patch)) for patch in (patch_a, patch_b))
    if form == "euclidean":  # not from the cosine: near 1 the rounding of that is all there is
        return max(-float(np.linalg.norm(a - b)), -2.0)
    return min(max(float(a @ b), -1.0), 1.0)


def same_object(
    patch_a: Any,
    patch_b: Any,
    threshold: float | None = None,
    model: str | Path | Network | None = None,
    device: str = "auto",
) -> bool:
    """Whether two patches show the same object.

    Args:
        patch_a, patch_b, model, device: as of ``similarity``.
        threshold: cosine similarity from which they do; ``None`` takes the model's own.

    Raises:
        ValueError: a threshold that is no cosine, or as of ``similarity``.
        UserError: as of ``similarity``.
    """
    if threshold is None:
        least = _network(model, device).spec.presence.match
    else:
        least = _cosine(threshold)
    return similarity(patch_a, patch_b, "cosine", model, device) >= least


def _cosine(threshold: Any) -> float:
    try:
        value = float(threshold)
    except (TypeError, ValueError, OverflowError):
        value = math.nan
    if not -1 <= value <= 1:
        raise ValueError(f"a threshold is a cosine similarity, -1 to 1, found {threshold!r}")
    return value


def _whole(patch: Any) -> Box:
    height, width = check_image(patch).shape[:2]
    return 0.0, 0.0, float(width), float(height)


def _network(model: str | Path | Network | None, device: str) -> Network:
    if model is not None and not isinstance(model, (str, Path)):
        return as_network(model, device, None, live=False)
    return _kept(os.getpid(), model, str(device), model_stamp(model))


@lru_cache(maxsize=2)
def _kept(process: int, model: str | Path | None, device: str, stamp: object) -> Network:
    """A network lives on from call to call, until its files change; not in a forked process."""
    return open_network(model, device)
