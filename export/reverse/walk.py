"""The reverse pass: from the gradient by a network's logits to that by one of its tensors."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from types import MappingProxyType

from onnx import AttributeProto, NodeProto, TensorProto

from whycam.export.graph.onnx_graph import attribute, kind
from whycam.export.graph.sizes import Dims
from whycam.export.reverse.backward import Backward, Gradient, UnsupportedLayer
from whycam.export.reverse.dense import DENSE_RULES
from whycam.export.reverse.moves import MOVE_RULES
from whycam.export.reverse.norms import NORM_RULES
from whycam.export.reverse.pointwise import POINTWISE
from whycam.export.reverse.rule import Part, Rule
from whycam.export.reverse.spatial import SPATIAL_RULES
from whycam.export.reverse.summed import SUMMED_RULES, Cells

RULES: Mapping[str, Rule] = MappingProxyType({**DENSE_RULES, **MOVE_RULES, **NORM_RULES, **SPATIAL_RULES})
"""Every operator through which a gradient goes back, the pointwise ones apart."""
BLIND = frozenset(
    ("And", "ArgMax", "ArgMin", "Ceil", "ConstantOfShape", "Equal", "EyeLike", "Floor", "Greater", "GreaterOrEqual",
     "IsInf", "IsNaN", "Less", "LessOrEqual", "NonZero", "Not", "OneHot", "Or", "Range", "Round", "Shape", "Sign",
     "Size", "Xor")
)  # fmt: skip
"""Operators through which no gradient goes back: their outputs do not change with a small change of their inputs."""
FLOATS = (TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.DOUBLE, TensorProto.BFLOAT16)


class Walk:
    """The reverse pass from one tensor back to another, appended to a graph."""

    def __init__(self, b: Backward, source: str, target: str, cells: Cells | None = None) -> None:
        self._b = b
        self._source, self._target = source, target
        self._cells = cells
        self._live, self._nodes = _active(b, source, target)
        if not self._nodes:
            raise UnsupportedLayer(None, f"'{target}' does not depend on '{source}'")
        self._place = {id(node): place for place, node in enumerate(b.graph.model.graph.node)}
        self._uses: dict[str, list[NodeProto]] = defaultdict(list)
        for node in self._nodes:
            for name in node.input:
                self._uses[name].append(node)
        self._parts: dict[str, list[Gradient | Part]] = defaultdict(list)
        self.sums: list[Gradient] = []
        """Shares [K, N, channels] of the sum over the source's cells that never were gradients by its cells."""

    def back(self, seed: Gradient) -> Gradient | None:
        """The gradient by the source, given that by the target; None if all of it is in `sums`."""
        self._parts[self._target].append(seed)
        for node in self._nodes:
            used = [place for place, name in enumerate(node.output) if name in self._parts]
            if not used:
                continue
            if kind(node) == "Split":
                self._split(node)
                continue
            if used != [0]:
                raise UnsupportedLayer(node, "one of its further outputs is used")
            gradient = self._collected(node.output[0])
            if kind(node) in POINTWISE:
                self._pointwise(node, gradient)
            elif kind(node) in RULES:
                self._ruled(node, gradient)
            else:
                raise UnsupportedLayer(node, "there is no rule for this operator")
        return self._collected(self._source) if self._parts[self._source] else None

    def _ruled(self, node: NodeProto, gradient: Gradient) -> None:
        for place, name in enumerate(node.input):
            if name not in self._live:
                continue
            if name == self._source and self._cells is not None and kind(node) in SUMMED_RULES:
                total = SUMMED_RULES[kind(node)](self._b, node, place, gradient, self._cells)
                if total is not None:
                    self.sums.append(total)
                    continue
            self._parts[name].append(RULES[kind(node)](self._b, node, place, gradient))

    def _split(self, node: NodeProto) -> None:
        axis = attribute(node, "axis", 0) % len(self._b.sizes.of(node.input[0]))
        start = 0
        for name in node.output:
            if self._parts[name]:
                self._parts[node.input[0]].append(Part(self._collected(name), axis, start))
            start += self._b.sizes.of(name)[axis]

    # Pointwise stretches: one derivative without K, forwards, in place of one product for each operator and class.

    def _pointwise(self, node: NodeProto, gradient: Gradient) -> None:
        b = self._b
        stretch = self._stretch(node)
        if stretch is not None:
            begin, nodes = stretch
            self._parts[begin].append(b.times(gradient, self._derivative(begin, nodes)))
            return
        out = b.sizes.of(node.output[0])
        for place, name in enumerate(node.input):
            if name in self._live:
                own = b.times(gradient, POINTWISE[kind(node)](b, node, place))
                self._parts[name].append(b.unbroadcast(own, out, b.sizes.of(name)))

    def _stretch(self, node: NodeProto) -> tuple[str, list[NodeProto]] | None:
        """The longest run of pointwise operators that ends in `node` and begins in one tensor of the same size."""
        dims = self._b.sizes.of(node.output[0])
        inside, best = [node], None
        edge = {name for name in node.input if name in self._live}
        while all(self._b.sizes.of(name) == dims for name in edge):
            if len(edge) == 1:
                best = (next(iter(edge)), list(inside))
            last = max(edge, key=self._order)
            maker = self._b.graph.producer(last)
            if last == self._source or maker is None or kind(maker) not in POINTWISE:
                break
            if any(all(use is not each for each in inside) for use in self._uses[last]):
                break
            inside.append(maker)
            edge = (edge - {last}) | {name for name in maker.input if name in self._live}
        return best

    def _order(self, tensor: str) -> int:
        return self._place.get(id(self._b.graph.producer(tensor)), -1)

    def _derivative(self, begin: str, nodes: Sequence[NodeProto]) -> str | None:
        """d(last output) / d(begin); None is 1."""
        known: dict[str, str | None] = {begin: None}
        for node in sorted(nodes, key=lambda each: self._place[id(each)]):
            terms = [
                self._b.product(POINTWISE[kind(node)](self._b, node, place), known[name])
                for place, name in enumerate(node.input)
                if name in known
            ]
            total = terms[0]
            for term in terms[1:]:
                total = self._b.pointwise("Add", total or self._b.number(1), term or self._b.number(1))
            known[node.output[0]] = total
        return known[nodes[0].output[0]]

    # All that arrives at one tensor.

    def _collected(self, tensor: str) -> Gradient:
        dims = self._b.sizes.of(tensor)
        parts = self._parts[tensor]
        whole = [each for each in parts if isinstance(each, Gradient)]
        slices = sorted((each for each in parts if isinstance(each, Part)), key=lambda each: each.start)
        if slices:
            whole += self._joined(slices, dims)
        total = whole[0]
        for gradient in whole[1:]:
            total = self._b.plus(total, gradient)
        self._parts[tensor] = [total]
        return total

    def _joined(self, slices: Sequence[Part], dims: Dims) -> list[Gradient]:
        """Slices that lie side by side along one axis and fill it are concatenated; others get zeros around them."""
        full = [self._filled(each, dims) for each in slices]
        axis, end = full[0].axis, 0
        for each in full:
            end = end + each.gradient.dims[axis] if each.axis == axis and each.start == end else -1
        if end == dims[axis]:
            joined = self._b.add("Concat", *(each.gradient.tensor for each in full), axis=axis + 1)
            return [Gradient(joined, dims)]
        return [
            self._b.padded(
                each.gradient, {each.axis: (each.start, dims[each.axis] - each.start - each.gradient.dims[each.axis])}
            )
            for each in full
        ]

    def _filled(self, part: Part, dims: Dims) -> Part:
        own = part.gradient.dims
        wide = tuple(own[axis] if axis == part.axis else size for axis, size in enumerate(dims))
        return part._replace(gradient=self._b.full(part.gradient, wide))


def _active(b: Backward, source: str, target: str) -> tuple[set[str], list[NodeProto]]:
    """The tensors between source and target, and the nodes that make them, the last first."""
    nodes = list(b.graph.model.graph.node)
    below = {source}
    for node in nodes:
        inner = {
            name
            for each in node.attribute
            if each.type == AttributeProto.GRAPH
            for inside in each.g.node
            for name in inside.input
        }
        if inner & below:
            raise UnsupportedLayer(node, "its branches read what depends on the layer")
        if kind(node) in BLIND or (kind(node) == "Cast" and attribute(node, "to") not in FLOATS):
            continue
        if any(name in below for name in node.input):
            below.update(name for name in node.output if name)
    above, between = {target}, []
    for node in reversed(nodes):
        if source not in node.output and any(name in above and name in below for name in node.output):
            between.append(node)
            above.update(name for name in node.input if name in below)
    return below & above, between
