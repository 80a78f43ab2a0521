"""Writes an explainable model file: the graph, and the metadata by which it names itself."""

from __future__ import annotations

import secrets
from pathlib import Path

import onnx
from onnx import ModelProto, helper

from whycam.export.head.onnx_graph import skeleton
from whycam.models.contract import Contract


def save(model: ModelProto, contract: Contract, path: Path) -> None:
    """Write a model with the metadata of its contract; raises onnx's `ValidationError` for a graph that is not sound.

    The model itself gets that metadata: a copy of half a gigabyte, made to be written, would be memory for nothing.
    The file appears whole or not at all: it is written beside its place and then moved there.
    """
    helper.set_model_props(model, contract.metadata())
    onnx.checker.check_model(skeleton(model), full_check=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.{secrets.token_hex(4)}.partial")  # another run may write it, too
    try:
        partial.write_bytes(model.SerializeToString(deterministic=True))
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
