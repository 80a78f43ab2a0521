"""The maps of an explainable graph as outputs, listed for its metadata: normalised, with their maxima, or signed."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from onnx import ModelProto, TensorProto, helper

from whycam.export.graph.onnx_graph import Graph, Length
from whycam.export.head.layer import Layer
from whycam.export.head.methods import Method
from whycam.models.contract import HEATMAPS, IR_VERSION, OPSET, OUTPUTS, SIGNED, WHOLE, MapSpec, Region

APPENDED = "whycam.appended"
"""The model property in which the maps are listed until `save` writes the contract."""
FINEST = 56
"""Cells along an axis of a map of the input, at most: a sum over the pixels of each. A map for each of five classes has
to be kept for each frame of a film, and a pixel's own value is mostly noise."""


def outputs_of(number: int) -> tuple[str, str]:
    """The outputs of a map: `heatmaps` and `evidence` of the first, with a number from 2 on of the others."""
    return (HEATMAPS, "evidence") if number == 0 else (f"{HEATMAPS}_{number + 1}", f"evidence_{number + 1}")


def draw_maps(graph: Graph, layers: Sequence[tuple[Layer, Mapping[str, Method]]]) -> list[MapSpec]:
    """Write the map of each layer by each of its methods, and return them in the order of the methods."""
    specs: list[MapSpec] = []
    for name, method in {name: each for _, methods in layers for name, each in methods.items()}.items():
        for layer in (each for each, methods in layers if name in methods):
            layer.gradient_read = False
            heat, grid, region = _coarse(layer, method.rule(layer))
            output, evidence = outputs_of(len(specs))
            if name == SIGNED:
                graph.add("Reshape", [heat, graph.integers(0, 0, *grid)], output)
                specs.append(MapSpec(output, layer.feature.tensor, name, grid, region))
                continue
            _normalised(graph, heat, grid, output, evidence)
            gradient = layer.gradient if layer.gradient_read else ""
            specs.append(MapSpec(output, layer.feature.tensor, name, grid, region, evidence if specs else "", gradient))
    return specs


def appended(model: ModelProto) -> list[MapSpec]:
    """The maps that `append_cam` has put into a model; each covers what its layer covers."""
    text = next((entry.value for entry in model.metadata_props if entry.key == APPENDED), "[]")
    return [_spec(*each) for each in json.loads(text)]


def _spec(
    output: str,
    layer: str,
    method: str,
    grid: tuple[int, int],
    region: Region,
    evidence: str,
    gradient: str,
) -> MapSpec:
    """A map as JSON has it, with lists for tuples."""
    rows, columns = grid
    left, top, right, bottom = region
    return MapSpec(output, layer, method, (rows, columns), (left, top, right, bottom), evidence, gradient)


def close(graph: Graph, count: Length, maps: Sequence[MapSpec]) -> ModelProto:
    """Declare the contract's tensors and return the finished model."""
    model = graph.model
    rows, columns = maps[0].grid
    sizes: dict[str | int, str | int] = {"C": "C" if isinstance(count, str) else count, "h": rows, "w": columns}
    kinds = {"tensor(float)": TensorProto.FLOAT, "tensor(int64)": TensorProto.INT64}
    model.graph.input.append(helper.make_tensor_value_info("target", TensorProto.INT64, ["N", "K"]))
    del model.graph.output[:]
    for name, (type_, shape) in OUTPUTS.items():
        fixed = [sizes.get(size, size) for size in shape]
        model.graph.output.append(helper.make_tensor_value_info(name, kinds[type_], fixed))
    for each in maps[1:]:
        for name, shape in ((each.output, ("N", "K", *each.grid)), (each.evidence, ("N", "K"))):
            if name:
                model.graph.output.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, shape))
    model.ir_version = IR_VERSION if graph.opset == OPSET else max(IR_VERSION, model.ir_version)
    helper.set_model_props(model, {APPENDED: json.dumps(maps)})
    return model


def _coarse(layer: Layer, signed: str) -> tuple[str, tuple[int, int], Region]:
    """Maps (N, K, cells) of the input summed over blocks of pixels, other maps as they are; their grid and region."""
    height, width = layer.feature.height, layer.feature.width
    side = -(-max(height, width) // FINEST)
    if layer.source == "layer" or side == 1:
        return signed, (height, width), WHOLE
    graph = layer.graph
    rows, columns = -(-height // side), -(-width // side)
    pixels = graph.add("Reshape", [signed, graph.integers(0, 0, height, width)])
    beyond = graph.integers(0, 0, 0, 0, 0, 0, rows * side - height, columns * side - width)
    blocks = graph.add("Reshape", [graph.add("Pad", [pixels, beyond]), graph.integers(0, 0, rows, side, columns, side)])
    sums = graph.add("ReduceSum", [blocks, graph.integers(3, 5)], keepdims=0)
    cells = graph.add("Reshape", [sums, graph.integers(0, 0, rows * columns)])
    return cells, (rows, columns), (0.0, 0.0, columns * side / width, rows * side / height)


def _normalised(graph: Graph, signed: str, grid: tuple[int, int], output: str, evidence: str) -> None:
    """The positive part of maps (N, K, cells) divided by its maximum; all zero if that is 0."""
    maps = graph.add("Relu", [signed])
    peak = graph.reduce("ReduceMax", maps, 2)  # (N, K, 1)
    alive = graph.add("Greater", [peak, graph.number(0)])
    shown = graph.add("Div", [maps, graph.add("Where", [alive, peak, graph.number(1)])])
    graph.add("Reshape", [shown, graph.integers(0, 0, *grid)], output)
    graph.add("Squeeze", [peak, graph.integers(2)], evidence)
