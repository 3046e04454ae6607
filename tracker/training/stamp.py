"""The records of graphs that exist: read, and written anew with other online parameters."""

from __future__ import annotations

import dataclasses
from typing import Any

import onnx

from tracker.spec import METADATA_KEY, ModelSpec, with_parameters
from tracker.weights import ROLES, ModelFiles


def spec_of(files: ModelFiles, role: str) -> ModelSpec:
    """The record in the graph of a role.

    Raises:
        UserError: metadata that is not this project's.
    """
    model = onnx.load_from_string(files.exemplar if role == "exemplar" else files.search)
    text = next((p.value for p in model.metadata_props if p.key == METADATA_KEY), "")
    return ModelSpec.from_json(text, role, f"the {role} graph of {files.name}")


def with_record(graph: bytes, spec: ModelSpec, role: str) -> bytes:
    """The graph of a role with this record, and no other metadata."""
    model = onnx.load_from_string(graph)
    del model.metadata_props[:]
    model.metadata_props.add(key=METADATA_KEY, value=spec.to_json(role))
    return bytes(model.SerializeToString())


def stamp(
    files: ModelFiles, parameters: dict[str, dict[str, Any]], notes: dict[str, Any]
) -> ModelFiles:
    """The same graphs with other parameters in their records.

    Args:
        files: both graphs.
        parameters: ``{"online": {...}, "presence": {...}}``; what is not named stays.
        notes: where they come from; kept in the training record under ``tuned``.

    Raises:
        UserError: metadata that is not this project's, values out of range, or a parameter
            that the model does not have.
    """
    graphs = []
    for role, content in zip(ROLES, (files.exemplar, files.search), strict=True):
        spec = spec_of(files, role)
        changed = with_parameters(spec, parameters, "the parameters")
        training = {**spec.training, "tuned": notes}
        graphs.append(with_record(content, dataclasses.replace(changed, training=training), role))
    return ModelFiles(files.name, graphs[0], graphs[1], files.folder)
