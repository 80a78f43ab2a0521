"""The operators that the closed form covers between feature map and logits, and the error for any other."""

from __future__ import annotations

from onnx import NodeProto

from whycam.export.graph.feature import POOLS
from whycam.export.head.quantization import MOVES

DENSE = frozenset(("Conv", "Gemm", "MatMul"))
SHIFT = frozenset(("Add", "Sub"))
SCALE = frozenset(("BatchNormalization", "Div", "Mul"))
GATE = frozenset(("Clip", "Relu"))
QUANTIZATION = frozenset(("DequantizeLinear", "QuantizeLinear"))
FACTORS = SCALE | {"DequantizeLinear"}
"""Operators that multiply a vector by `factors`."""
RULED = MOVES | DENSE | SHIFT | SCALE | GATE | QUANTIZATION
"""Operators allowed between the flattened feature map and the logits."""
REDUCTIONS = ("ReduceMean", "ReduceMax")
POOLINGS = (*POOLS, *REDUCTIONS)
KEEP_PLACE = QUANTIZATION | {"Dropout", "Identity"}
"""Operators that keep a feature map's axes and their order."""
ELEMENTWISE = KEEP_PLACE | SHIFT | SCALE | GATE | {"Concat", "Elu", "HardSwish", "LeakyRelu", "Sigmoid", "Sum", "Tanh"}


COVERED = (
    f"After its last feature map a classifier may pool ({', '.join(POOLINGS)}), flatten, and have any of "
    f"{', '.join(sorted(RULED))}, then Softmax or nothing."
)


class UnsupportedTail(ValueError):
    """A classifier that the closed form does not cover; names the operator and node where the walk stopped."""

    def __init__(self, node: NodeProto | None, reason: str, advice: str = COVERED) -> None:
        where = f"{node.op_type} '{node.name or node.output[0]}'" if node else "the network's input"
        self.operator = node.op_type if node else None
        self.node = node.name if node else None
        self.reason = reason
        super().__init__(f"No closed-form Grad-CAM through {where}: {reason}. {advice}")
