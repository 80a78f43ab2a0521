"""What a model is: the contract of its ONNX file, and the catalogue of those whycam knows."""

import os

# Ten seconds after it was imported, onnxruntime 1.32 calls its maker (mobile.events.data.microsoft.com), unless it is
# told before not to. Nothing leaves this computer.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"
