"""Puts a network's preprocessing into its graph: from `image`, uint8 RGB, to the network's input."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from whycam.export.graph.onnx_graph import PREFIX, rename
from whycam.stream.inference.explainer import evaluate

FIXED = (
    "The network computes {images} at a time: its batch is fixed to {count}. Export it with a free (dynamic) batch, "
    "and give --size HxW if height and width are open then."
)


Channels = Literal["rgb", "bgr"]
LUMA = (0.299, 0.587, 0.114)
"""Shares of red, green and blue in the grey that a network with one channel gets (ITU-R BT.601)."""


def take_images(
    model: ModelProto, *, mean: Sequence[float], scale: Sequence[float], channels: Channels = "rgb"
) -> ModelProto:
    """A copy of a model with the input `image`, uint8 RGB [N, H, W, 3], whose network gets (image − mean) / scale.

    `mean` and `scale` are one number, or one for each of red, green and blue, in levels of 0…255; `channels` is the
    network's own order. Its input may be [N, H, W, C] or [N, C, H, W], with fixed H and W and with C 3, or 1 for grey;
    raises `ValueError` for any other. A batch that is fixed becomes free if the graph really gives two images the
    scores that it gives each of them.
    """
    ready = ModelProto()
    ready.CopyFrom(model)
    graph = ready.graph
    stored = {tensor.name for tensor in graph.initializer}
    images = [each for each in graph.input if each.name not in stored]
    shape = [dim.dim_value for dim in images[0].type.tensor_type.shape.dim] if len(images) == 1 else []
    if len(shape) != 4 or {1, 3}.isdisjoint((shape[1], shape[3])) or not all(shape[1:]):
        raise ValueError(
            "A network takes one input [N, H, W, 3] or [N, 3, H, W], or with 1 channel for grey, with H and W fixed, "
            f"not {[size or '?' for size in shape]}. An open H and W are fixed with --size HxW."
        )
    channels_last = shape[1] not in (1, 3) or shape[3] == 3
    height, width, count = shape[1:] if channels_last else (*shape[2:], shape[1])
    network = PREFIX + "network"
    rename(ready, images[0].name, network)
    nodes, constants = _steps(network, mean, scale, grey=count == 1, reverse=channels == "bgr", first=not channels_last)
    nodes += graph.node
    del graph.node[:]
    graph.node.extend(nodes)
    for name, value in constants.items():
        graph.initializer.append(numpy_helper.from_array(value, PREFIX + name))
    kept = [each for each in graph.input if each.name in stored]
    del graph.input[:]
    graph.input.append(helper.make_tensor_value_info("image", TensorProto.UINT8, ["N", height, width, 3]))
    graph.input.extend(kept)
    if shape[0]:
        _free_batch(ready, shape[0], (height, width))
    return ready


def _steps(
    network: str, mean: Sequence[float], scale: Sequence[float], *, grey: bool, reverse: bool, first: bool
) -> tuple[list[NodeProto], dict[str, NDArray[Any]]]:
    """The nodes from `image` to `network`, and their constants by name."""
    nodes: list[NodeProto] = []
    constants: dict[str, NDArray[Any]] = {}

    def step(operator: str, name: str, constant: tuple[str, NDArray[Any]] | None = None, **attributes: Any) -> None:
        inputs = [nodes[-1].output[0] if nodes else "image"]
        if constant is not None:
            constants[constant[0]] = constant[1]
            inputs.append(PREFIX + constant[0])
        nodes.append(helper.make_node(operator, inputs, [PREFIX + name], PREFIX + name, **attributes))

    step("Cast", "levels", to=TensorProto.FLOAT)
    step("Sub", "centred", ("mean", np.array(mean, np.float32)))
    if not all(each == 1 for each in scale):
        step("Div", "scaled", ("scale", np.array(scale, np.float32)))
    if grey:
        step("MatMul", "grey", ("luma", np.array(LUMA, np.float32)[:, None]))
    elif reverse:
        step("Gather", "reversed", ("order", np.array([2, 1, 0], np.int64)), axis=3)
    if first:
        step("Transpose", "moved", perm=[0, 3, 1, 2])
        nodes[-1].name = network
    nodes[-1].output[0] = network
    return nodes, constants


def _free_batch(model: ModelProto, count: int, size: tuple[int, int]) -> None:
    """Declare the outputs' batch, fixed to `count`, free; raises `ValueError` if the graph computes as many only."""
    refusal = FIXED.format(images="one image" if count == 1 else f"{count} images", count=count)
    for output in model.graph.output:
        output.type.tensor_type.shape.dim[0].dim_param = "N"
    images = np.random.default_rng(0).integers(0, 256, (2, *size, 3)).astype(np.uint8)
    names = [output.name for output in model.graph.output]
    graph = model.SerializeToString()
    try:
        both = evaluate(graph, {"image": images}, names)
        each = [evaluate(graph, {"image": images[index : index + 1]}, names) for index in range(2)]
        same = all(
            np.allclose(together, np.concatenate(alone), rtol=1e-3, atol=1e-5)
            for together, *alone in zip(both, *each, strict=True)
        )
    except Exception as error:  # onnxruntime's exceptions have no common base class
        raise ValueError(f"{refusal} ({str(error).splitlines()[0]})") from error
    if not same:
        raise ValueError(refusal)
