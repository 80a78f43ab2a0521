"""Writes an explainable model file: the graph, and the metadata by which it names itself."""

from __future__ import annotations

from pathlib import Path

import onnx
from onnx import ModelProto, helper

from models.contract import Contract


def save(model: ModelProto, contract: Contract, path: Path) -> None:
    """Write a model with the metadata of its contract; raises onnx's `ValidationError` for a graph that is not sound.

    The file appears whole or not at all: it is written beside its place and then moved there.
    """
    named = ModelProto()
    named.CopyFrom(model)
    helper.set_model_props(named, contract.metadata())
    onnx.checker.check_model(named, full_check=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    partial.write_bytes(named.SerializeToString(deterministic=True))
    partial.replace(path)
