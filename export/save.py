"""Writes an explainable model file: the graph, and the metadata of its contract."""

from __future__ import annotations

import secrets
from dataclasses import replace
from pathlib import Path

import onnx
from onnx import ModelProto, helper

from whycam.export.head.onnx_graph import skeleton
from whycam.export.head.region import find_region
from whycam.export.head.tail import UnsupportedTail, find_feature
from whycam.models.contract import HEATMAPS, METHOD, Contract, MapSpec


def save(model: ModelProto, contract: Contract, path: Path) -> None:
    """Write a model with the metadata of its contract; raises onnx's `ValidationError` for an invalid graph.

    The metadata is added to the given model, because a copy may take half a gigabyte. The file appears complete or not
    at all: it is written next to the destination and then renamed.

    Where the maps do not cover the whole image, the metadata gets their region. Raises `MisplacedMap` for a map that
    has no place in the image, and `ValueError` if the contract says another one.
    """
    helper.set_model_props(model, _placed(model, contract).metadata())
    onnx.checker.check_model(skeleton(model), full_check=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.{secrets.token_hex(4)}.partial")  # another run may write the same file
    try:
        partial.write_bytes(model.SerializeToString(deterministic=True))
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def _placed(model: ModelProto, contract: Contract) -> Contract:
    """The contract with the region that the maps really cover."""
    try:
        feature = find_feature(model)
    except UnsupportedTail:
        return contract
    region = find_region(model)
    if region is None or contract.drawn_map().region == region:
        return contract
    if contract.maps:
        raise ValueError(f"The heatmaps cover {region} of the image, the contract says {contract.drawn_map().region}.")
    return replace(contract, maps=(MapSpec(HEATMAPS, feature.tensor, METHOD, (feature.height, feature.width), region),))
