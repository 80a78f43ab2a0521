"""Writes an explainable model file: the graph, and the metadata of its contract."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import onnx
from onnx import ModelProto, helper

from whycam.export.graph.feature import Feature
from whycam.export.graph.onnx_graph import Graph, skeleton
from whycam.export.head.covered import UnsupportedTail
from whycam.export.head.ends import find_ends
from whycam.export.head.last_layer import opened
from whycam.export.head.maps import appended
from whycam.export.head.region import region_of
from whycam.export.head.tail import find_tail
from whycam.export.reverse.layers import grid_of
from whycam.models.contract import Contract, MapSpec
from whycam.models.whole_file import write_whole


def save(model: ModelProto, contract: Contract, path: Path) -> Contract:
    """Write a model with the metadata of its contract, and return what was written of it.

    Raises onnx's `ValidationError` for an invalid graph.

    The metadata is added to the given model, because a copy may take half a gigabyte. The file appears complete or not
    at all: it is written next to the destination and then renamed.

    The metadata says by which method the maps are made, if it is not Grad-CAM, which part of the image they cover, if
    it is not the whole, and whether the scores are of several classes at once. Raises `MisplacedMap` for a map that
    has no place in the image, and `ValueError` if the contract lists another method or region.
    """
    contract = _described(model, contract)
    helper.set_model_props(model, contract.metadata())
    onnx.checker.check_model(skeleton(model), full_check=True)
    write_whole(path, model.SerializeToString(deterministic=True))
    return contract


def _described(model: ModelProto, contract: Contract) -> Contract:
    """The contract with the task, the last layer and the maps that the file really has."""
    graph = Graph(model)
    ends = find_ends(graph)
    contract = replace(contract, task=ends.task, last_layer=opened(model) or contract.last_layer)
    try:
        last: Feature | None = find_tail(graph, ends)[0]
    except UnsupportedTail:
        last = None
    made = _placed(graph, contract, last, appended(model))
    listed = contract.drawn_map()
    if len(made) == 1 and (made[0].method, made[0].region, made[0].gradient) == (listed.method, listed.region, ""):
        return contract
    if contract.maps and contract.maps != made and (len(made) == 1 or appended(model)):
        raise ValueError(
            f"The heatmaps are made by {made[0].method} and cover {made[0].region} of the image, the contract says "
            f"{listed.method} and {listed.region}. Leave `maps` out of it."
        )
    return contract if contract.maps else replace(contract, maps=made)


def _placed(graph: Graph, contract: Contract, last: Feature | None, made: Sequence[MapSpec]) -> tuple[MapSpec, ...]:
    """The maps with the part of the image that each covers; the first is of the contract's feature map, if it names it.

    A model that was saved before says no longer what was appended to it: then it is what the contract says.
    """
    found = []
    for place, each in enumerate(made or contract.listed_maps()):
        layer = (contract.feature if place == 0 else "") or each.layer or (last.tensor if last else "")
        feature = last if last and layer == last.tensor else grid_of(graph, layer, each.output)
        region = region_of(graph, feature) if feature else None
        grid = (feature.height, feature.width) if feature else each.grid
        found.append(each._replace(layer=layer, grid=grid, region=region or each.region))
    return tuple(found)
