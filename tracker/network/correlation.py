"""Similarity of an exemplar embedding with every place of a search embedding.

Two geometries. *Dense*: the exemplar embedding slides over the search embedding as one
kernel and gives one number a place (SiamFC). *Pixel-wise*: every cell of the exemplar is
compared with every cell of the search region and gives one channel each (Yan et al. 2021,
"Alpha-Refine", section 3.2; LightTrack and NanoTrack use it).

Each similarity is a choice of one interface, ``SIMILARITIES[name](exemplar, search)``,
larger meaning more alike.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

Similarity = Callable[[Tensor, Tensor], Tensor]


def dot_product(exemplar: Tensor, search: Tensor) -> Tensor:
    """Dense cross-correlation: the sum of products under the exemplar at every place.

    Bertinetto et al. 2016, equation 2, without the bias. One exemplar serves every
    search region, or each search region has its own.

    Args:
        exemplar: (1, C, h, w) or (B, C, h, w).
        search: (B, C, H, W).

    Returns:
        (B, 1, H - h + 1, W - w + 1).

    Raises:
        ValueError: shapes that do not fit.
    """
    _check(exemplar, search)
    if exemplar.shape[0] == 1:  # the form that exports with a free batch
        return F.conv2d(search, exemplar)
    batch, channels, height, width = search.shape
    grouped = F.conv2d(search.reshape(1, batch * channels, height, width), exemplar, groups=batch)
    return grouped.reshape(batch, 1, *grouped.shape[2:])


def cosine(exemplar: Tensor, search: Tensor, eps: float = 1e-8) -> Tensor:
    """Cosine of the angle between the exemplar and the window at every place, -1..1.

    Shapes and errors as ``dot_product``.
    """
    product = dot_product(exemplar, search)
    exemplar_norm = exemplar.flatten(1).norm(dim=1).reshape(-1, 1, 1, 1)
    least = torch.finfo(product.dtype).tiny  # in half precision 1e-8 is 0
    window_norm = _window_sum(search.square(), exemplar).clamp_min(least).sqrt()
    return product / (exemplar_norm * window_norm).clamp_min(max(eps, least))


def negative_euclidean(exemplar: Tensor, search: Tensor) -> Tensor:
    """Minus the Euclidean distance between the exemplar and the window at every place.

    ``|z - x|^2 = |z|^2 - 2 z.x + |x|^2``, so it costs one correlation. Shapes and errors
    as ``dot_product``.
    """
    product = dot_product(exemplar, search)
    exemplar_square = exemplar.flatten(1).square().sum(1).reshape(-1, 1, 1, 1)
    square = exemplar_square - 2 * product + _window_sum(search.square(), exemplar)
    return -square.clamp_min(max(1e-12, torch.finfo(square.dtype).tiny)).sqrt()


def negative_manhattan(exemplar: Tensor, search: Tensor) -> Tensor:
    """Minus the sum of absolute differences at every place.

    It has no form as a correlation: memory grows with the exemplar's cells, so it is for
    small embeddings and for comparison. Shapes and errors as ``dot_product``.
    """
    _check(exemplar, search)
    _, channels, h, w = exemplar.shape
    out_h, out_w = search.shape[2] - h + 1, search.shape[3] - w + 1
    windows = F.unfold(search, (h, w))  # (B, C h w, places)
    distance = (windows - exemplar.reshape(-1, channels * h * w, 1)).abs().sum(1)
    return -distance.reshape(-1, 1, out_h, out_w)


SIMILARITIES: dict[str, Similarity] = {
    "dot": dot_product,
    "cosine": cosine,
    "euclidean": negative_euclidean,
    "manhattan": negative_manhattan,
}


def pixelwise_correlation(exemplar: Tensor, search: Tensor) -> Tensor:
    """Scaled dot product of every exemplar cell with every search cell.

    Args:
        exemplar: (1 or B, N, C): the N cells (or pooled rows) of the exemplar embedding.
        search: (B, C, H, W).

    Returns:
        (B, N, H, W), divided by sqrt(C) so that its spread does not grow with C.
    """
    batch, channels, height, width = search.shape
    response = torch.matmul(exemplar, search.flatten(2)) * channels**-0.5
    return response.reshape(batch, -1, height, width)


def _window_sum(values: Tensor, exemplar: Tensor) -> Tensor:
    height, width = (int(n) for n in exemplar.shape[2:])  # a kernel of traced sizes has no export
    return height * width * F.avg_pool2d(values.sum(1, keepdim=True), (height, width), 1)


def _check(exemplar: Tensor, search: Tensor) -> None:
    fits = (
        exemplar.ndim == search.ndim == 4
        and exemplar.shape[0] in (1, search.shape[0])
        and exemplar.shape[1] == search.shape[1]
        and exemplar.shape[2] <= search.shape[2]
        and exemplar.shape[3] <= search.shape[3]
    )
    if not fits:
        raise ValueError(
            "the exemplar embedding must be (1 or B, C, h, w) and no larger than the search "
            f"embedding (B, C, H, W), found {tuple(exemplar.shape)} and {tuple(search.shape)}"
        )
