"""Whether a graph has the inputs and outputs that its record promises."""

from __future__ import annotations

from typing import Any

from tracker.errors import UserError
from tracker.spec import ModelSpec

ANY = None
FREE = "free"  # any size will do, and the graph must not fix one
Shapes = dict[str, tuple[int | str | None, ...]]


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
            raise misfit(what, f"{kind}s {', '.join(found)}, expected {', '.join(wanted)}")
        for name, shape in wanted.items():
            if not _fits(found[name], shape):
                raise misfit(what, f"{kind} {name} of shape {found[name]}, expected {shape}")


def expected(spec: ModelSpec, role: str) -> tuple[Shapes, Shapes]:
    """Names and shapes of a graph's inputs and outputs."""
    box = spec.kind == "box"
    if role == "exemplar":
        size = spec.exemplar_size
        inputs: Shapes = {"image": (ANY, size, size, 3)}
        if box:
            return {**inputs, "box": (ANY, 4)}, {
                "embedding": (ANY, ANY, ANY), "identity": (ANY, ANY),
            }  # fmt: skip
        return inputs, {"embedding": (ANY, ANY, ANY, ANY)}
    if not box:
        size = spec.search_size
        return {"embedding": (ANY, ANY, ANY, ANY), "image": (ANY, size, size, 3)}, {
            "score": (ANY, ANY, ANY),
        }  # fmt: skip
    return {"embedding": (ANY, ANY, ANY), "image": (ANY, FREE, FREE, 3)}, {
        "score": (ANY, FREE, FREE),
        "boxes": (ANY, 4, FREE, FREE),
        "identity": (ANY, ANY, FREE, FREE),
    }


def _fits(found: Any, wanted: tuple[int | str | None, ...]) -> bool:
    """Free sizes of a graph are names or ``None``; they fit any number that is wanted."""
    if not isinstance(found, (list, tuple)) or len(found) != len(wanted):
        return False
    return all(
        w is ANY or not isinstance(f, int) or f == w for f, w in zip(found, wanted, strict=True)
    )


def misfit(what: str, found: str) -> UserError:
    """The refusal of a graph: ``what`` it is, and what was ``found``."""
    return UserError(
        f"{what} does not fit its own record (it has {found}); export it again with tools/export.py"
    )
