"""Puts a network's preprocessing into its graph: from `image`, uint8 RGB, to the network's input."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from onnx import ModelProto, TensorProto, helper, numpy_helper

from whycam.export.head.onnx_graph import PREFIX, rename
from whycam.stream.inference.explainer import evaluate

ONE_IMAGE = "The network computes one image at a time: its batch is fixed to 1. Export it with a free (dynamic) batch."


def take_images(model: ModelProto, *, mean: Sequence[float], scale: Sequence[float]) -> ModelProto:
    """A copy of a model with the input `image`, uint8 RGB [N, H, W, 3], whose network gets (image − mean) / scale.

    `mean` and `scale` are one number, or one for each of red, green and blue, in levels of 0…255. The model's own
    input may be [N, H, W, 3] or [N, 3, H, W], with fixed H and W; raises `ValueError` for any other. A batch that is
    fixed to 1 becomes free if the graph really gives two images the scores that it gives each of them.
    """
    ready = ModelProto()
    ready.CopyFrom(model)
    graph = ready.graph
    stored = {tensor.name for tensor in graph.initializer}
    images = [each for each in graph.input if each.name not in stored]
    shape = [dim.dim_value for dim in images[0].type.tensor_type.shape.dim] if len(images) == 1 else []
    if len(shape) != 4 or 3 not in (shape[1], shape[3]) or not all(shape[1:]):
        raise ValueError(f"A network takes one input [N, H, W, 3] or [N, 3, H, W] with H and W fixed, not {shape}.")
    channels_last = shape[3] == 3
    network = PREFIX + "network"
    rename(ready, images[0].name, network)

    constants = {"mean": mean, "scale": scale}
    steps = [
        helper.make_node("Cast", ["image"], [PREFIX + "levels"], PREFIX + "levels", to=TensorProto.FLOAT),
        helper.make_node("Sub", [PREFIX + "levels", PREFIX + "mean"], [PREFIX + "centred"], PREFIX + "centred"),
    ]
    if all(each == 1 for each in scale):
        del constants["scale"]
    else:
        scaled = PREFIX + "scaled"
        steps.append(helper.make_node("Div", [PREFIX + "centred", PREFIX + "scale"], [scaled], scaled))
    if not channels_last:
        steps.append(helper.make_node("Transpose", [steps[-1].output[0]], [network], network, perm=[0, 3, 1, 2]))
    else:
        steps[-1].output[0] = network
    nodes = [*steps, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)
    for name, value in constants.items():
        graph.initializer.append(numpy_helper.from_array(np.array(value, np.float32), PREFIX + name))
    height, width = shape[1:3] if channels_last else shape[2:]
    kept = [each for each in graph.input if each.name in stored]
    del graph.input[:]
    graph.input.append(helper.make_tensor_value_info("image", TensorProto.UINT8, ["N", height, width, 3]))
    graph.input.extend(kept)
    if shape[0]:
        _free_batch(ready, (height, width))
    return ready


def _free_batch(model: ModelProto, size: tuple[int, int]) -> None:
    """Declare the outputs' batch free; raises `ValueError` if the graph computes one image only."""
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
        raise ValueError(f"{ONE_IMAGE} ({str(error).splitlines()[0]})") from error
    if not same:
        raise ValueError(ONE_IMAGE)
