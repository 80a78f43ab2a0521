"""Converts a Keras network, or a function of TensorFlow, to a plain ONNX classifier with tf2onnx."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from onnx import ModelProto, numpy_helper

from whycam.export.graph.onnx_graph import rename, tidy
from whycam.models.contract import IR_VERSION, OPSET

LARGE = 1 << 20
"""A matrix with more entries is kept from tf2onnx, which takes 17 GB for VGG16's three; it gets an input instead."""


def to_onnx(network: Any, *, plain: bool = False) -> ModelProto:
    """A Keras network as ONNX: one float32 input [N, H, W, C], one output.

    `plain` states that the network is a chain of convolutions, activations and poolings: tf2onnx then runs only the
    optimizer passes that such a chain needs, in half the time, and without a deep copy of all weights for each other
    pass (2.7 GB instead of 3.7 GB for VGG16's convolutions). Raises `ValueError` for a network with more than one
    output.
    """
    if len(network.outputs) != 1:
        raise ValueError(f"A classifier has one output, its scores; this network has {len(network.outputs)}.")
    matrices = [each for each in network.variables if len(each.shape) == 2 and np.prod(each.shape) > LARGE]
    places = {id(variable): place for place, variable in enumerate(matrices)}

    def scores(picture: Any, *given: Any) -> Any:
        """The network's scores, with matrices that are given."""
        trained, others = (
            [given[places[id(each)]] if id(each) in places else each.value for each in variables]
            for variables in (network.trainable_variables, network.non_trainable_variables)
        )
        return network.stateless_call(trained, others, picture, training=False)[0]

    image = network.inputs[0]
    if plain:
        return _chain_to_onnx(network)
    model = function_to_onnx(scores, image.shape, image.dtype, [np.asarray(each) for each in matrices])
    (name,) = getattr(network, "output_names", None) or [network.name]  # a Sequential network has no names of outputs
    rename(model, model.graph.output[0].name, name)
    model.graph.doc_string = f"converted from {network.name}"
    return model


def function_to_onnx(
    function: Callable[..., Any],
    shape: Sequence[int | None],
    dtype: Any,
    matrices: Sequence[Any] = (),
) -> ModelProto:
    """A function of an image [N, H, W, C] and of constant `matrices` as ONNX, in which these are stored."""
    import tensorflow as tf
    import tf2onnx

    signature = [tf.TensorSpec(shape, dtype, name="picture")]
    signature += [tf.TensorSpec(each.shape, tf.float32, name=f"matrix_{place}") for place, each in enumerate(matrices)]
    traced = tf.function(function, input_signature=signature)
    with _functions_inlined():
        handlers: dict[str, tuple[Any, list[Any]]] = {"Erfc": (_one_minus_erf, [])}
        model, _ = tf2onnx.convert.from_function(traced, signature, opset=OPSET, custom_op_handlers=handlers)
    values = {f"matrix_{place}": each for place, each in enumerate(matrices)}
    # A tensor of another function, such as the mean in Keras' Normalization, becomes an input by tf2onnx.
    captured = traced.get_concrete_function(*signature).graph.captures
    values |= {inner.name.partition(":")[0]: outer for outer, inner in captured if outer.dtype != tf.resource}
    graph = model.graph
    names = [each.name for each in graph.input[1:]]
    del graph.input[1:]
    graph.initializer.extend(
        numpy_helper.from_array(np.asarray(values[name.partition(":")[0]]), name) for name in names
    )
    model.ir_version = IR_VERSION
    model.graph.doc_string = ""  # holds a number that changes between runs
    return tidy(model)


def _one_minus_erf(context: Any, node: Any, _name: str, _arguments: Any) -> None:
    """Erfc, of which TensorFlow makes GELU, and which neither ONNX nor tf2onnx has."""
    kind, shape = context.get_dtype(node.output[0]), context.get_shape(node.output[0])
    erf = context.make_node("Erf", [node.input[0]], dtypes=[kind], shapes=[shape])
    one = context.make_const(f"{node.name}/one", np.array(1, np.float32))
    context.remove_node(node.name)
    inputs = [one.output[0], erf.output[0]]
    context.make_node("Sub", inputs, name=node.name, outputs=node.output, dtypes=[kind], shapes=[shape])


@contextmanager
def _functions_inlined() -> Iterator[None]:
    """Trace nested functions in place: Keras compiles a grouped convolution by XLA, which tf2onnx does not follow."""
    import tensorflow as tf

    before = tf.config.functions_run_eagerly()
    tf.config.run_functions_eagerly(True)
    try:
        yield
    finally:
        tf.config.run_functions_eagerly(before)


def _chain_to_onnx(network: Any) -> ModelProto:
    import tensorflow as tf
    import tf2onnx

    signature = [tf.TensorSpec(network.inputs[0].shape, tf.float32, name="picture")]
    model, _ = tf2onnx.convert.from_keras(network, signature, opset=OPSET, optimizers=_passes_of_a_chain())
    model.ir_version = IR_VERSION
    return tidy(model)


def _passes_of_a_chain() -> dict[str, Any]:
    from tf2onnx.optimizer.back_to_back_optimizer import BackToBackOptimizer
    from tf2onnx.optimizer.const_fold_optimizer import ConstFoldOptimizer
    from tf2onnx.optimizer.identity_optimizer import IdentityOptimizer
    from tf2onnx.optimizer.transpose_optimizer import TransposeOptimizer

    return {
        "optimize_transpose": TransposeOptimizer,
        "fold_constants": ConstFoldOptimizer,
        "remove_identity": IdentityOptimizer,
        "remove_back_to_back": BackToBackOptimizer,
    }
