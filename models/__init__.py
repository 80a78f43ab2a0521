"""Model files: the contract of an ONNX file, and the catalogue of the models that whycam knows by name."""

import os

# onnxruntime 1.32 sends telemetry to Microsoft (mobile.events.data.microsoft.com) ten seconds after its import unless
# this is set first. Nothing leaves this computer.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"
