"""Converts a functional Keras model to a plain ONNX classifier with tf2onnx."""

from __future__ import annotations

from typing import Any

from onnx import ModelProto

from whycam.export.head.onnx_graph import tidy
from whycam.models.contract import IR_VERSION, OPSET


def to_onnx(network: Any, *, plain: bool = False) -> ModelProto:
    """A functional Keras model as ONNX: one float32 input [N, H, W, 3], one output.

    `plain` states that the network is a chain of convolutions, activations and poolings: tf2onnx then runs only the
    optimizer passes that such a chain needs, in half the time, and without a deep copy of all weights for each other
    pass (2.7 GB instead of 3.7 GB for VGG16's convolutions). Raises `ValueError` for a Sequential model, which tf2onnx
    does not support, and for a model with more than one output.
    """
    import keras
    import tensorflow as tf
    import tf2onnx

    if isinstance(network, keras.Sequential) or len(network.outputs) != 1:
        raise ValueError(
            "A classifier is a functional Keras model with one output. "
            "Wrap a Sequential one: keras.Model(model.inputs, model.outputs)."
        )
    image = network.inputs[0]
    signature = [tf.TensorSpec(image.shape, tf.float32, name="picture")]
    passes = _passes_of_a_chain() if plain else None
    model, _ = tf2onnx.convert.from_keras(network, signature, opset=OPSET, optimizers=passes)
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
