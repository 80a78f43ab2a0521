"""Grad-CAM of a PyTorch network by its own automatic differentiation."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from whycam.export.verify.autodiff import (
    Differentiated,
    Layout,
    Output,
    Question,
    Visit,
    Watched,
    as_map,
    heatmap,
    of_explained,
)
from whycam.models.contract import MULTI_LABEL, Task

RELUS = ("relu", "relu_")
GATES = (*RELUS, "hardtanh", "hardtanh_", "relu6", "clamp", "clamp_", "clip")


class TorchNetwork(Watched):
    """A PyTorch network in evaluation mode, in single or double precision, which takes images [N, C, H, W]."""

    def __init__(self, network: Any) -> None:
        self._network = network

    def differentiated(self, question: Question, place: int, layout: Layout) -> Differentiated:
        """As `Watched` says; the calls are those of torch's functions, by name."""
        import torch

        gates: list[NDArray[np.bool_]] = []
        leaves: list[Any] = []

        def replace(number: int, name: str, result: Any) -> Any:
            if number == place:
                leaves.append(result.detach().clone().requires_grad_())
                return leaves[0].clone()  # a leaf may not be changed in place, as a ReLU behind it may do
            if number > place and name in GATES:
                passed = result > 0 if name in RELUS else (result > result.min()) & (result < result.max())
                gates.append(passed.reshape(len(result), -1).numpy())
            return result

        explained, scores = self.scores(self.run(question.inputs, replace), question.output, question.task)
        (leaf,) = leaves
        height, width = question.features.shape[2:]
        values = as_map(leaf.detach().numpy(), layout, (height, width))
        chosen = explained if question.score == "logit" else scores
        maps = []
        for classes in torch.from_numpy(question.classes).T:
            picked = chosen.gather(1, classes[:, None])
            (gradient,) = torch.autograd.grad(picked.sum(), leaf, retain_graph=True)
            own = of_explained(
                as_map(gradient.numpy(), layout, (height, width)), picked[:, 0].detach().numpy(), question
            )
            maps.append(heatmap(own, values, question.method))
        return np.stack(maps, 1), gates, scores.detach().numpy()

    def run(self, inputs: NDArray[np.float32], visit: Visit) -> Any:
        """Watch the results of torch's functions that are tensors of floating-point numbers."""
        import torch
        from torch.overrides import TorchFunctionMode

        class Calls(TorchFunctionMode):  # type: ignore[misc, unused-ignore]
            """Shows every result of the forward pass to `visit`."""

            count = 0

            def __torch_function__(self, func: Any, _types: Any, args: Any = (), kwargs: Any = None) -> Any:
                result = func(*args, **(kwargs or {}))
                if not isinstance(result, torch.Tensor) or not result.is_floating_point():
                    return result
                self.count += 1
                name = str(getattr(func, "__name__", "")).split(".")[0]
                return visit(self.count, name, result)

        precision = next((each.dtype for each in self._network.parameters()), torch.float32)
        images = torch.from_numpy(np.ascontiguousarray(inputs.transpose(0, 3, 1, 2)))
        with Calls():
            return self._network(images.to(precision))

    def has_logits(self, output: Output) -> bool:
        """Only where the network ends in them."""
        return output == "logits"

    def array(self, result: Any) -> NDArray[np.floating]:
        """Without its history."""
        values: NDArray[np.floating] = result.detach().numpy()
        return values

    def scores(self, outputs: Any, output: Output, task: Task) -> tuple[Any, Any]:
        """What is explained as logit, and the probabilities (N, C)."""
        import torch

        numbers = outputs.reshape(len(outputs), -1)
        if output == "logits":
            if numbers.shape[1] == 1:  # of 'yes'; that of 'no' is 0
                numbers = torch.cat([torch.zeros_like(numbers), numbers], 1)
            return numbers, numbers.sigmoid() if task == MULTI_LABEL else numbers.softmax(1)
        scores = numbers.exp() if output == "log-probabilities" else numbers
        if scores.shape[1] == 1:
            scores = torch.cat([1 - scores, scores], 1)
        return scores, scores
