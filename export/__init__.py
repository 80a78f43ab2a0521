"""Makes model files: Keras to ONNX, then the CAM head. The only package that knows Keras, tf2onnx and onnx."""

from whycam import models as models  # before onnxruntime, which it tells to keep to itself
