"""Small networks under construction, an operator at a time."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, TensorProto, helper, numpy_helper

Array = NDArray[Any]


@dataclass
class Net:
    """A network under construction: `x` is [N, *shape]; each call appends an operator on the last tensor."""

    shape: tuple[int, ...]
    seed: int = 0
    opset: int = 20
    nodes: list[Any] = field(default_factory=list)
    stored: dict[str, Array] = field(default_factory=dict)
    last: str = "x"

    def __post_init__(self) -> None:
        self.random = np.random.default_rng(self.seed)

    def keep(self, value: Any, kind: type = np.float32) -> str:
        name = f"c{len(self.stored)}"
        self.stored[name] = np.asarray(value, kind)
        return name

    def normal(self, *shape: int, spread: float = 1.0) -> str:
        return self.keep(self.random.normal(0, spread, shape))

    def __call__(self, operator: str, *inputs: str, outputs: int = 1, **attributes: Any) -> str:
        names = [f"{operator}{len(self.nodes)}" + (f"_{n}" if n else "") for n in range(outputs)]
        given = inputs or (self.last,)
        self.nodes.append(helper.make_node(operator, list(given), names, names[0], **attributes))
        self.last = names[0]
        return self.last

    def model(self) -> ModelProto:
        graph = helper.make_graph(
            self.nodes,
            "net",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", *self.shape])],
            [helper.make_tensor_value_info(self.last, TensorProto.FLOAT, None)],
            [numpy_helper.from_array(value, name) for name, value in self.stored.items()],
        )
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", self.opset)], ir_version=10)
