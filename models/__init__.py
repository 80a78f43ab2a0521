"""What a model is: the contract of its ONNX file, and the catalogue of those whycam knows."""
