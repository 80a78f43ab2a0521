"""Grad-CAM of a PyTorch network by its own automatic differentiation.

Which tensor is the feature map is found by value, among the results of all calls of the network's forward pass. In a
second pass a copy of it takes its place there, and the scores are differentiated by that copy.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from whycam.export.verify.autodiff import Autodiff, Output, Question, heatmap, layout_of
from whycam.models.contract import MULTI_LABEL, Task

BATCH = 4
RELUS = ("relu", "relu_")
GATES = (*RELUS, "hardtanh", "hardtanh_", "relu6", "clamp", "clamp_", "clip")
Visit = Callable[[int, str, Any], Any]
"""From a call's number, its function's name and its result to what the network gets in place of the result."""


class TorchNetwork:
    """A PyTorch network in evaluation mode, in single or double precision, which takes images [N, C, H, W]."""

    def __init__(self, network: Any) -> None:
        self._network = network

    def autodiff(self, question: Question) -> Autodiff:
        """Differentiate by the feature map, if a call's result is it, four images at a time."""
        found = self._find(question)
        batches = [question.part(slice(start, start + BATCH)) for start in range(0, len(question.inputs), BATCH)]
        if found is None:
            return Autodiff(None, (), np.concatenate([self._probabilities(batch) for batch in batches]))
        parts = [self._differentiated(batch, *found) for batch in batches]
        heatmaps, gates, scores = zip(*parts, strict=True)
        layers = [np.concatenate(each) for each in zip(*gates, strict=True)]
        return Autodiff(np.concatenate(heatmaps), layers, np.concatenate(scores))

    def _find(self, question: Question) -> tuple[int, bool] | None:
        """The number of the last call whose result is the feature map, and whether its channels are last."""
        few = question.part(slice(0, 2))
        found: list[tuple[int, bool]] = []

        def look(place: int, _name: str, result: Any) -> Any:
            if result.ndim == 4 and (layout := layout_of(result.detach().numpy(), few.features)):
                found.append((place, layout == "NHWC"))
            return result

        self._run(few.inputs, look)
        return found[-1] if found else None

    def _differentiated(
        self, question: Question, place: int, channels_last: bool
    ) -> tuple[NDArray[np.floating], list[NDArray[np.bool_]], NDArray[np.floating]]:
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

        explained, scores = _scores(self._run(question.inputs, replace), question.output, question.task)
        (leaf,) = leaves
        values = _channels_first(leaf.detach().numpy(), channels_last)
        chosen = explained if question.score == "logit" else scores
        maps = []
        for classes in torch.from_numpy(question.classes).T:
            picked = chosen.gather(1, classes[:, None]).sum()
            (gradient,) = torch.autograd.grad(picked, leaf, retain_graph=True)
            maps.append(heatmap(_channels_first(gradient.numpy(), channels_last), values))
        return np.stack(maps, 1), gates, scores.detach().numpy()

    def _probabilities(self, question: Question) -> NDArray[np.floating]:
        outputs = self._run(question.inputs, lambda _number, _name, result: result)
        scores: NDArray[np.floating] = _scores(outputs, question.output, question.task)[1].detach().numpy()
        return scores

    def _run(self, inputs: NDArray[np.float32], visit: Visit) -> Any:
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


def _scores(outputs: Any, output: Output, task: Task) -> tuple[Any, Any]:
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


def _channels_first(values: NDArray[np.floating], channels_last: bool) -> NDArray[np.floating]:
    return values.transpose(0, 3, 1, 2) if channels_last else values
