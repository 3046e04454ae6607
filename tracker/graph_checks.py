"""Whether a graph has the inputs and outputs that its record promises."""

from __future__ import annotations

from typing import Any

from tracker.errors import UserError
from tracker.spec import ModelSpec

ANY = None
Shapes = dict[str, tuple[int | None, ...]]


def check_graph(session: Any, spec: ModelSpec, role: str, what: str) -> None:
    """Compare names, order and known sizes of inputs and outputs with the record.

    Args:
        session: of ONNX Runtime.
        spec: the record in the same file.
        role: ``exemplar`` or ``search``; ``what`` the graph is, for the message.

    Raises:
        UserError: they do not fit.
    """
    inputs, outputs = expected(spec, role)
    for kind, wanted, given in (
        ("input", inputs, session.get_inputs()),
        ("output", outputs, session.get_outputs()),
    ):
        found = {item.name: item.shape for item in given}
        if list(found) != list(wanted):
            raise _misfit(what, f"{kind}s {', '.join(found)}, expected {', '.join(wanted)}")
        for name, shape in wanted.items():
            if not _fits(found[name], shape):
                raise _misfit(what, f"{kind} {name} of shape {found[name]}, expected {shape}")


def expected(spec: ModelSpec, role: str) -> tuple[Shapes, Shapes]:
    """Names and shapes of a graph's inputs and outputs; ``None`` where any size will do."""
    box = spec.kind == "box"
    if role == "exemplar":
        size = spec.exemplar_size
        inputs: Shapes = {"image": (ANY, size, size, 3)}
        if box:
            return {**inputs, "box": (ANY, 4)}, {
                "embedding": (ANY, ANY, ANY), "identity": (ANY, ANY),
            }  # fmt: skip
        return inputs, {"embedding": (ANY, ANY, ANY, ANY)}
    size = spec.search_size
    inputs = {
        "embedding": (ANY, ANY, ANY) if box else (ANY, ANY, ANY, ANY),
        "image": (ANY, size, size, 3),
    }
    if not box:
        return inputs, {"score": (ANY, ANY, ANY)}
    cells = size // spec.stride
    return inputs, {
        "score": (ANY, cells, cells),
        "boxes": (ANY, 4, cells, cells),
        "identity": (ANY, ANY, cells, cells),
    }


def _fits(found: Any, wanted: tuple[int | None, ...]) -> bool:
    """Free sizes of a graph are names or ``None``, and a free size of either fits any."""
    if not isinstance(found, (list, tuple)) or len(found) != len(wanted):
        return False
    return all(
        w is None or not isinstance(f, int) or f == w for f, w in zip(found, wanted, strict=True)
    )


def _misfit(what: str, found: str) -> UserError:
    return UserError(
        f"{what} does not fit its own record (it has {found}); export it again with tools/export.py"
    )
