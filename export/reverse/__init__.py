"""The reverse pass in plain ONNX: the gradient of a class's score by any tensor of a network, with stock operators.

A gradient by a tensor of shape [*dims] is a tensor [K, *dims], K the number of classes asked for. K is first, so that a
network's own tensors broadcast against gradients by themselves, and no rule needs to know which axis the images are.
"""
