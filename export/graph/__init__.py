"""ONNX graphs: looking tensors up, extending and converting; independent of classifiers."""
