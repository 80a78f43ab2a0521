"""Runs the ONNX model: in this process or in a child process."""
