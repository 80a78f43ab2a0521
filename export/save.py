"""Writes an explainable model file: the graph, and the metadata of its contract."""

from __future__ import annotations

import secrets
from pathlib import Path

import onnx
from onnx import ModelProto, helper

from whycam.export.head.onnx_graph import skeleton
from whycam.models.contract import Contract


def save(model: ModelProto, contract: Contract, path: Path) -> None:
    """Write a model with the metadata of its contract; raises onnx's `ValidationError` for an invalid graph.

    The metadata is added to the given model, because a copy may take half a gigabyte. The file appears complete or not
    at all: it is written next to the destination and then renamed.
    """
    helper.set_model_props(model, contract.metadata())
    onnx.checker.check_model(skeleton(model), full_check=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.{secrets.token_hex(4)}.partial")  # another run may write the same file
    try:
        partial.write_bytes(model.SerializeToString(deterministic=True))
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
