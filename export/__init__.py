"""Makes model files: Keras to ONNX, then the CAM head. The only package that uses Keras, tf2onnx and onnx."""

from whycam import models as models  # before onnxruntime, to disable its telemetry
