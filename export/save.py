"""Writes an explainable model file: the graph, and the metadata of its contract."""

from __future__ import annotations

import secrets
from dataclasses import replace
from pathlib import Path

import onnx
from onnx import ModelProto, helper

from whycam.export.graph.onnx_graph import Graph, skeleton
from whycam.export.head.covered import UnsupportedTail
from whycam.export.head.ends import find_ends
from whycam.export.head.grad_cam import METHOD_KEY
from whycam.export.head.region import region_of
from whycam.export.head.tail import find_tail
from whycam.export.reverse.layers import grid_of
from whycam.models.contract import HEATMAPS, Contract, MapSpec


def save(model: ModelProto, contract: Contract, path: Path) -> None:
    """Write a model with the metadata of its contract; raises onnx's `ValidationError` for an invalid graph.

    The metadata is added to the given model, because a copy may take half a gigabyte. The file appears complete or not
    at all: it is written next to the destination and then renamed.

    The metadata says by which method the maps are made, if it is not Grad-CAM, which part of the image they cover, if
    it is not the whole, and whether the scores are of several classes at once. Raises `MisplacedMap` for a map that
    has no place in the image, and `ValueError` if the contract lists another method or region.
    """
    helper.set_model_props(model, _described(model, contract).metadata())
    onnx.checker.check_model(skeleton(model), full_check=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.{secrets.token_hex(4)}.partial")  # another run may write the same file
    try:
        partial.write_bytes(model.SerializeToString(deterministic=True))
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def _described(model: ModelProto, contract: Contract) -> Contract:
    """The contract with the task and the map that the file really has."""
    graph = Graph(model)
    ends = find_ends(graph)
    contract = replace(contract, task=ends.task)
    try:
        feature, _ = find_tail(graph, ends)
    except UnsupportedTail:
        feature = None
    if contract.feature and (feature is None or contract.feature != feature.tensor):
        feature = grid_of(graph, contract.feature)
    if feature is None:
        return contract
    listed = contract.drawn_map()
    method = next((entry.value for entry in model.metadata_props if entry.key == METHOD_KEY), listed.method)
    region = region_of(graph, feature) or listed.region
    if (method, region) == (listed.method, listed.region):
        return contract
    if contract.maps:
        raise ValueError(
            f"The heatmaps are made by {method} and cover {region} of the image, the contract says {listed.method} and "
            f"{listed.region}. Leave `maps` out of it."
        )
    return replace(contract, maps=(MapSpec(HEATMAPS, feature.tensor, method, (feature.height, feature.width), region),))
