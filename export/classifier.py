"""Keras to ONNX: from a functional model to a plain classifier, by tf2onnx."""

from __future__ import annotations

from typing import Any

from onnx import ModelProto

from export.graph import tidy
from models.contract import IR_VERSION, OPSET


def to_onnx(network: Any) -> ModelProto:
    """A functional Keras model as ONNX: one float32 input [N, H, W, 3], one output [N, C].

    Raises `ValueError` for a Sequential model, which tf2onnx does not take, and for one with more than one output.
    """
    import keras
    import tensorflow as tf
    import tf2onnx

    if isinstance(network, keras.Sequential) or len(network.outputs) != 1:
        raise ValueError(
            "A classifier is a functional Keras model with one output. "
            "Wrap a Sequential one: keras.Model(model.inputs, model.outputs)."
        )
    picture = network.inputs[0]
    signature = [tf.TensorSpec(picture.shape, tf.float32, name="picture")]
    model, _ = tf2onnx.convert.from_keras(network, signature, opset=OPSET)
    model.ir_version = IR_VERSION
    return tidy(model)
