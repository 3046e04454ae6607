"""The way back from exported graphs to a network that can learn.

So a training may start from a model that comes with the project, or from an export whose
checkpoint is gone. What the export folded stays folded: kernels hold their batch norms, and
``spread_norms`` gives the norms that learn the statistics of data again.
"""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Iterable
from typing import Any

import numpy as np
import onnx
import torch
from onnx import numpy_helper
from torch import Tensor, nn

from tracker.errors import UserError
from tracker.network.kestrel import Kestrel
from tracker.network.norm import FrozenNormConv2d
from tracker.network.preprocess import PIXEL_STD
from tracker.training.checkpoint import beginning
from tracker.training.objective import Batch
from tracker.training.stamp import spec_of
from tracker.weights import ModelFiles

Kernels = dict[str, tuple[Tensor, Tensor]]


def checkpoint_of_model(files: ModelFiles) -> dict[str, Any]:
    """What a checkpoint of the model would hold, but for the state of a training.

    Raises:
        UserError: not a Kestrel in float32, or one that an older version exported otherwise.
    """
    spec = spec_of(files, "search")
    if spec.name != Kestrel.name or spec.precision != "fp32":
        raise UserError(
            f"training cannot start from {files.name}: it is a {spec.name} in {spec.precision}, "
            "and only a kestrel in fp32 can be turned back; give kestrel, or a checkpoint"
        )
    try:
        network, settings = restore_kestrel(files)
    except (KeyError, IndexError, RuntimeError, ValueError) as error:
        raise UserError(
            f"training cannot start from {files.name}: its graphs are not as this version exports "
            f"them ({type(error).__name__}: {error}); give a checkpoint"
        ) from None
    record = {
        "commands": list(spec.training.get("commands", [])),
        "settings": settings,
        "tuned": {
            "online": dataclasses.asdict(spec.online),
            "presence": dataclasses.asdict(spec.presence),
        },
    }
    return beginning(Kestrel.name, network.state_dict(), record)


def restore_kestrel(files: ModelFiles) -> tuple[Kestrel, dict[str, Any]]:
    """The network of two graphs, in evaluation mode, and the arguments of its constructor."""
    graphs = [onnx.load_from_string(content).graph for content in (files.exemplar, files.search)]
    constants = _constants(graphs[0])
    kernels = _kernels(graphs[1]) | _kernels(graphs[0])
    settings = _settings(kernels)
    network = Kestrel(**settings).eval()
    with torch.no_grad():
        stem, bias = kernels["trunk.stem"]
        kernels["trunk.stem"] = stem.flip(1) * PIXEL_STD, bias
        fused = ("fuse_plain", "fuse_pooled", "fuse_cells")
        plain, pooled, cells = (constants[name] for name in fused)
        joined = torch.cat([plain, pooled, cells * math.sqrt(len(plain))], 1)
        kernels["fuse"] = joined[:, :, None, None], constants["fuse_bias"][:, 0]
        for name, (kernel, bias) in kernels.items():
            _set_convolution(network, name, kernel, bias)
        own = {name: p for name, p in network.named_parameters() if name.split(".")[0] in _PLAIN}
        for name, parameter in own.items():
            parameter.copy_(constants[f"network.{name}"].reshape(parameter.shape))
    return network, settings


_PLAIN = ("inside", "outside", "shape_hint")  # what is in a graph as it was trained


def _constants(graph: onnx.GraphProto) -> dict[str, Tensor]:
    return {i.name: torch.from_numpy(np.array(numpy_helper.to_array(i))) for i in graph.initializer}


def _kernels(graph: onnx.GraphProto) -> Kernels:
    """Kernel and bias of each convolution, by the name that its module has in the network."""
    values = _constants(graph)
    return {
        _module_name(node.name): (values[node.input[1]], values[node.input[2]])
        for node in graph.node
        if node.op_type == "Conv"
    }


def _module_name(node: str) -> str:
    """``/trunk/stages.0/stages.0.1/expand/Conv`` -> ``trunk.stages.0.1.expand``."""
    parts = node.strip("/").split("/")[:-1]
    # a list names itself again in front of its items
    kept = [p for p, following in zip(parts, [*parts[1:], ""], strict=True)
            if not following.startswith(p + ".")]  # fmt: skip
    return ".".join(kept)


def _settings(kernels: Kernels) -> dict[str, Any]:
    """Arguments of Kestrel's constructor, from the shapes of its kernels."""
    expands = [kernel for name, (kernel, _) in kernels.items() if name.endswith(".expand")]
    depth = len({name for name in kernels if re.match(r"head\.score_tower\.\d+\.0$", name)})
    return {
        "channels": len(kernels["neck.0"][0]),
        "identity_channels": len(kernels["identity.3"][0]),
        "tower_depth": depth,
        "detail_channels": len(kernels["detail.1"][0]),
        "trunk_widths": [len(kernel) for kernel in (kernels["trunk.stem"][0], *expands)],
    }


def _set_convolution(network: Kestrel, name: str, kernel: Tensor, bias: Tensor) -> None:
    """Set a convolution; a norm behind it, or inside of it, scales what it gives and adds to it.

    A kernel before a norm is made as large as a fresh one is, so that rates of learning mean
    what they mean elsewhere.
    """
    module, norm = network.get_submodule(name), _norm_behind(network, name)
    if norm is None and not isinstance(module, FrozenNormConv2d):
        assert isinstance(module, nn.Conv2d) and module.bias is not None
        module.weight.copy_(kernel)
        module.bias.copy_(bias)
        return
    size = kernel.flatten(1).norm(dim=1).clamp_min(1e-6)
    module.weight.copy_(kernel / size[:, None, None, None])  # type: ignore[operator]
    if norm is None:
        assert isinstance(module, FrozenNormConv2d)
        gain, shift, eps = module.gamma, module.beta, module.eps
        module.running_mean.zero_()
        module.running_var.fill_(1.0)
    else:
        gain, shift, eps = norm.weight, norm.bias, norm.eps
        norm.reset_running_stats()
    gain.copy_(size * math.sqrt(1 + eps))
    shift.copy_(bias)


def _norm_behind(network: Kestrel, name: str) -> nn.BatchNorm2d | None:
    if name == "fuse":
        return network.fuse_norm
    parent, _, number = name.rpartition(".")
    if not number.isdigit():
        return None
    following = dict(network.named_modules()).get(f"{parent}.{int(number) + 1}")
    return following if isinstance(following, nn.BatchNorm2d) else None


@torch.no_grad()
def spread_norms(network: nn.Module, batches: Iterable[Batch]) -> None:
    """Give every batch norm the statistics of data, and change nothing in what it does.

    Args:
        network: a Kestrel in evaluation mode.
        batches: at least one.
    """
    assert isinstance(network, Kestrel)
    norms = [m for m in network.modules() if isinstance(m, nn.BatchNorm2d)]
    sums: dict[nn.Module, Tensor] = {}
    hooks = [norm.register_forward_pre_hook(_summing(sums)) for norm in norms]
    count = 0
    for count, batch in enumerate(batches, 1):  # noqa: B007
        embedding, _ = network.exemplar(batch["exemplar"], batch["exemplar_box"])
        network.search(embedding, batch["search"])
    for hook in hooks:
        hook.remove()
    for norm in norms:
        assert norm.running_mean is not None and norm.running_var is not None
        # neck, detail and identity see both branches: two passes a batch
        mean, square = sums[norm][:2] / sums[norm][2]
        scale = norm.weight * torch.rsqrt(norm.running_var + norm.eps)
        shift = norm.bias - norm.running_mean * scale
        norm.running_mean.copy_(mean)
        norm.running_var.copy_((square - mean.square()).clamp_min(1e-6))
        norm.weight.copy_(scale * torch.sqrt(norm.running_var + norm.eps))
        norm.bias.copy_(shift + mean * scale)


def _summing(sums: dict[nn.Module, Tensor]) -> Any:
    """A hook that adds up mean, mean square and number of what a module is given."""

    def add(module: nn.Module, inputs: tuple[Tensor]) -> None:
        x = inputs[0].float()
        moments = torch.stack(
            [x.mean((0, 2, 3)), x.square().mean((0, 2, 3)), torch.ones(x.shape[1])]
        )
        sums[module] = sums.get(module, 0) + moments

    return add
