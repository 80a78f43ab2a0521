"""The contract of an explainable ONNX file: its tensors, and the metadata that describes it.

Pure Python: callers pass in what onnxruntime or onnx read. `stream` reads a `Contract`, `export` writes one.
"""

from __future__ import annotations

import json
import reprlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any, Literal, NamedTuple, cast, get_args

VERSION = "1"
OPSET = 17
IR_VERSION = 8

Fitting = Literal["stretch", "crop"]
Score = Literal["probability", "logit"]
Task = Literal["single-label", "multi-label"]
SINGLE_LABEL: Task = "single-label"
"""One class of many: the scores sum to 1."""
MULTI_LABEL: Task = "multi-label"
"""Several classes at once: each score is a probability by itself."""


class ContractError(ValueError):
    """A file is not an explainable model: says what was expected, what was found, and what to do."""


class Tensor(NamedTuple):
    """A graph's input or output as onnxruntime describes it: `Tensor("image", "tensor(uint8)", ["N", 224, 224, 3])`."""

    name: str
    type: str
    shape: Sequence[int | str | None]


# A number is a fixed size; a letter is the same size in every tensor that fixes it; N and K are dynamic.
INPUTS: Mapping[str, tuple[str, tuple[str | int, ...]]] = {
    "image": ("tensor(uint8)", ("N", "H", "W", 3)),
    "target": ("tensor(int64)", ("N", "K")),
}
OUTPUTS: Mapping[str, tuple[str, tuple[str | int, ...]]] = {
    "scores": ("tensor(float)", ("N", "C")),
    "classes": ("tensor(int64)", ("N", "K")),
    "heatmaps": ("tensor(float)", ("N", "K", "h", "w")),
    "evidence": ("tensor(float)", ("N", "K")),
}
EMBEDDING: tuple[str, tuple[str | int, ...]] = ("tensor(float)", ("N", "D"))
"""The output of a file that names its last layer: the vector before it."""
DYNAMIC = {"N", "K"}
MAY_BE_DYNAMIC = {"C"}
HEATMAPS = "heatmaps"
METHOD = "grad-cam"
SIGNED = "signed"
"""The method whose maps are not drawn by themselves: the signed map of each class's logit, not normalised."""
Region = tuple[float, float, float, float]
"""Left, top, right and bottom edge, in parts of the input; beyond 0…1 where a network pads."""
WHOLE: Region = (0.0, 0.0, 1.0, 1.0)
MAX_BEYOND = 4.0
"""How far a region may reach beyond the input, in parts of it."""
REMEDY = "Make one with `whycam export`, or append a head with whycam.export.head.grad_cam.append_cam."


class MapSpec(NamedTuple):
    """One heatmap output of a model file, as listed in its metadata under `whycam.maps`."""

    output: str
    """The graph's output, float [N, K, h, w]."""
    layer: str
    """The tensor that the map explains."""
    method: str
    grid: tuple[int, int]
    """Height and width in cells, h and w."""
    region: Region
    """The part of the network's input that the grid covers."""
    evidence: str = ""
    """The output [N, K] with each map's maximum before it was normalised; empty: `evidence`, for `heatmaps` only."""
    gradient: str = ""
    """The tensor [N, K, channels, cells] with the gradient that the map is made of; empty if it is not computed."""

    @property
    def maxima(self) -> str:
        """The output with the maps' maxima; empty if the file has none for this map."""
        return self.evidence or ("evidence" if self.output == HEATMAPS else "")

    @property
    def title(self) -> str:
        """Its method and layer, for a sentence or a table."""
        return f"{self.method} of {self.layer}" if self.layer else self.method

    def listed(self) -> dict[str, Any]:
        """The entry of `whycam.maps`."""
        own = self._asdict()
        return {name: value for name, value in own.items() if name not in ("evidence", "gradient") or value}


class LastLayer(NamedTuple):
    """The last dense layer of a model file whose classes can be replaced, as its metadata `whycam.last_layer` names it.

    Its weights and bias are inputs of the graph with a default, which may have another number of classes.
    """

    embedding: str
    """The output, float [N, width], that the layer multiplies."""
    weights: str
    """The input, float [width, C]."""
    bias: str
    """The input, float [C]."""
    width: int
    transposed: bool = False
    """Whether the weights are [C, width]."""


@dataclass(frozen=True, slots=True)
class Contract:
    """The description of a model file; `metadata` and `read_contract` are inverses."""

    name: str
    labels: tuple[str, ...]
    fit: Fitting
    score: Score
    task: Task = SINGLE_LABEL
    """What the scores are."""
    feature: str = ""
    weights_source: str = ""
    weights_sha256: str = ""
    licence: str = ""
    made_by: str = ""
    parity: Mapping[str, Any] = field(default_factory=dict)
    maps: tuple[MapSpec, ...] = ()
    """Empty if the file lists none; it then has one Grad-CAM map of `feature`, named `heatmaps`."""
    last_layer: LastLayer | None = None
    """None if the classes cannot be replaced."""
    input_size: tuple[int, int] = (0, 0)
    """Height and width of the input, from the graph, in pixels."""
    map_size: tuple[int, int] = (0, 0)
    """Height and width of `heatmaps`, from the graph, in cells."""
    drawn: str = HEATMAPS
    """The output whose maps are drawn (see `draws`)."""

    def metadata(self) -> dict[str, str]:
        """The `metadata_props` to write into the file."""
        own = {name: getattr(self, name) for name in METADATA}
        own["maps"] = [each.listed() for each in self.maps]
        own["last_layer"] = self.last_layer._asdict() if self.last_layer else None
        # Left out by default, as in files of the first version.
        omitted: Mapping[str, Any] = {"maps": [], "task": SINGLE_LABEL, "last_layer": None}
        return {"whycam.contract": VERSION} | {
            f"whycam.{name}": value if isinstance(value, str) else json.dumps(value)
            for name, value in own.items()
            if name not in omitted or value != omitted[name]
        }

    def with_parity(self, parity: Mapping[str, Any]) -> Contract:
        """The same contract with the result of its verification."""
        return replace(self, parity=parity)

    def listed_maps(self) -> tuple[MapSpec, ...]:
        """All maps of the file, with the default one if it lists none."""
        return self.maps or (MapSpec(HEATMAPS, self.feature, METHOD, self.map_size, WHOLE),)

    def drawn_map(self) -> MapSpec:
        """The map that the overlay shows."""
        return self.map_of(self.drawn)

    def draws(self, output: str) -> Contract:
        """The same contract with another output's maps drawn; raises `ContractError` for one that cannot be."""
        if self.map_of(output) not in self.drawable_maps():
            raise ContractError(f"{self.name} has no evidence of its map '{output}', so it cannot be drawn.")
        return replace(self, drawn=output)

    def drawable_maps(self) -> tuple[MapSpec, ...]:
        """The maps that can be drawn: normalised, with their maxima."""
        return tuple(each for each in self.listed_maps() if each.maxima and each.method != SIGNED)

    def signed_map(self) -> MapSpec | None:
        """The signed map of the layer that is drawn; None if the file has none."""
        layer = self.drawn_map().layer
        signed = (each for each in self.listed_maps() if each.method == SIGNED and each.layer == layer)
        return next(signed, None)

    def find_map(self, method: str | None = None, layer: str | None = None) -> MapSpec:
        """The first of `find_maps`; the drawn one by default."""
        return self.drawn_map() if method is None and layer is None else self.find_maps(method, layer)[0]

    def find_maps(self, method: str | None = None, layer: str | None = None) -> Sequence[MapSpec]:
        """The drawable maps by this method and of this layer; raises `ContractError` if there is none.

        A layer is given by its name, a part of it that no other layer's has, or its grid, such as 14x14.
        """
        known = [each for each in self.drawable_maps() if method in (None, each.method)]
        found = known if layer is None else self._of_layer(known, layer)
        if not found:
            wanted = " of ".join(each for each in (method or "", f"'{layer}'" if layer else "") if each)
            listed = ", ".join(f"{each.method} of '{each.layer}'" for each in self.drawable_maps())
            raise ContractError(f"{self.name} has no map by {wanted}. It has {listed}. `whycam export` can add others.")
        return found

    def _of_layer(self, maps: Sequence[MapSpec], layer: str) -> Sequence[MapSpec]:
        for fits in _LAYER_FITS:
            found = [each for each in maps if fits(each, layer)]
            layers = dict.fromkeys(each.layer for each in found)
            if len(layers) > 1:
                listed = ", ".join(f"'{name}'" for name in layers)
                raise ContractError(f"{self.name} has several layers '{layer}': {listed}. Give a whole name.")
            if found:
                return found
        return ()

    def map_of(self, output: str) -> MapSpec:
        """The map of an output; raises `ContractError`."""
        for each in self.listed_maps():
            if each.output == output:
                return each
        listed = ", ".join(each.output for each in self.listed_maps())
        raise ContractError(f"{self.name} has no map '{output}'. It has {listed}.")


_LAYER_FITS: Sequence[Callable[[MapSpec, str], bool]] = (
    lambda each, layer: each.layer == layer,
    lambda each, layer: "x".join(map(str, each.grid)) == layer.lower(),
    lambda each, layer: layer in each.layer,
)
"""How a layer may be given, the surest first."""
METADATA = tuple(f.name for f in fields(Contract) if f.name not in ("input_size", "map_size", "drawn"))
REQUIRED = ("name", "labels", "fit", "score")
"""Mandatory metadata. All other keys have defaults, and unknown keys are ignored."""
PARSED = ("labels", "fit", "score", "task", "parity", "maps", "last_layer")
"""Metadata that is not plain text."""


def read_contract(metadata: Mapping[str, str], inputs: Sequence[Tensor], outputs: Sequence[Tensor]) -> Contract:
    """Check a file's metadata and tensors and return its contract; raises `ContractError`."""
    version = metadata.get("whycam.contract")
    if version is None:
        raise ContractError(f"This ONNX file is not explainable: it has no whycam.contract. {REMEDY}")
    if version != VERSION:
        raise ContractError(f"The model follows contract {version}, this whycam reads {VERSION}. Export it again.")
    missing = [name for name in REQUIRED if f"whycam.{name}" not in metadata]
    if missing:
        raise ContractError(f"The model's metadata lacks {', '.join(missing)}. {REMEDY}")
    text = {name: metadata[f"whycam.{name}"] for name in METADATA if f"whycam.{name}" in metadata}
    sizes = _check_inputs(inputs) | _check_tensors("output", OUTPUTS, outputs)
    labels = tuple(_json(text, "labels", list))
    if not all(isinstance(label, str) for label in labels):
        raise ContractError("whycam.labels should be a JSON list of strings. Export the model again.")
    classes = sizes.get("C", len(labels))
    if classes < 2 or len(labels) != classes:
        raise ContractError(
            f"The model scores {classes} classes and names {len(labels)}; it needs 2 or more, each with a name. "
            "Export it with its own labels."
        )
    return Contract(
        **{name: value for name, value in text.items() if name not in PARSED},
        labels=labels,
        fit=cast(Fitting, _one_of(text, "fit", get_args(Fitting))),
        score=cast(Score, _one_of(text, "score", get_args(Score))),
        task=cast(Task, _one_of({"task": SINGLE_LABEL} | text, "task", get_args(Task))),
        parity=_json(text, "parity", dict) if "parity" in text else {},
        maps=_read_maps(text, outputs) if "maps" in text else (),
        last_layer=_read_last_layer(text, outputs) if "last_layer" in text else None,
        input_size=(sizes["H"], sizes["W"]),
        map_size=(sizes["h"], sizes["w"]),
    )


def _read_maps(text: Mapping[str, str], outputs: Sequence[Tensor]) -> tuple[MapSpec, ...]:
    maps = tuple(_read_map(given, text, outputs) for given in _json(text, "maps", list))
    named = [each.output for each in maps]
    if len(set(named)) < len(maps):
        raise ContractError(f"whycam.maps should list an output once, it lists {named}. Export the model again.")
    drawn = next((each for each in maps if each.output == HEATMAPS), None)
    if drawn is None:
        raise ContractError(f"whycam.maps should list '{HEATMAPS}', which is drawn. Export the model again.")
    return maps


def _read_map(given: object, text: Mapping[str, str], outputs: Sequence[Tensor]) -> MapSpec:
    if not isinstance(given, dict) or not isinstance(given.get("output"), str):
        raise ContractError("An entry of whycam.maps should be an object with an 'output'. Export the model again.")
    output = given["output"]
    grid = _check_tensors("output", {output: OUTPUTS[HEATMAPS]}, outputs)
    size = (grid["h"], grid["w"])
    names = {"layer": text.get("feature", ""), "method": METHOD, "evidence": "", "gradient": ""}
    defaults = {"grid": list(size), "region": list(WHOLE), **names}
    listed = defaults | {key: value for key, value in given.items() if key in defaults and value is not None}
    if not (_numbers(listed["grid"], 2, int) and _numbers(listed["region"], 4, int, float)):
        raise ContractError(f"'{output}' in whycam.maps: a grid is 2 whole numbers, a region 4 numbers.")
    if not all(isinstance(listed[name], str) for name in ("layer", "method", "evidence", "gradient")):
        raise ContractError(f"'{output}' in whycam.maps: a layer and a method are names. Export the model again.")
    if listed["evidence"]:
        _check_tensors("output", {listed["evidence"]: OUTPUTS["evidence"]}, outputs)
    left, top, right, bottom = listed["region"]  # compared as they are: an integer may be too long for a float
    low, high = -MAX_BEYOND, 1 + MAX_BEYOND
    if not (
        low <= left < right <= high
        and low <= top < bottom <= high
        and left < 1
        and right > 0
        and top < 1
        and bottom > 0
    ):
        raise ContractError(
            f"'{output}' in whycam.maps covers {reprlib.repr(listed['region'])}: left, top, right and bottom should "
            "be parts of the input, 0…1, or a little beyond where the network pads."
        )
    if tuple(listed["grid"]) != size:
        raise ContractError(
            f"'{output}' in whycam.maps has the grid {reprlib.repr(tuple(listed['grid']))}, in the graph {size}."
        )
    region = (float(left), float(top), float(right), float(bottom))
    return MapSpec(output, listed["layer"], listed["method"], size, region, listed["evidence"], listed["gradient"])


def _read_last_layer(text: Mapping[str, str], outputs: Sequence[Tensor]) -> LastLayer:
    given = {"transposed": False} | _json(text, "last_layer", dict)
    kinds = {"embedding": str, "weights": str, "bias": str, "width": int, "transposed": bool}
    if not all(type(given.get(name)) is kind for name, kind in kinds.items()):
        raise ContractError(
            "whycam.last_layer should name an embedding, weights and a bias, and have a width. Export the model again."
        )
    layer = LastLayer(**{name: given[name] for name in kinds})
    width = _check_tensors("output", {layer.embedding: EMBEDDING}, outputs)["D"]
    if width != layer.width:
        raise ContractError(f"whycam.last_layer has the width {layer.width}, in the graph it is {width}.")
    return layer


def _numbers(value: object, count: int, *kinds: type) -> bool:
    """Whether a JSON value is a list of `count` numbers; true and false do not count as numbers."""
    return isinstance(value, list) and len(value) == count and all(type(each) in kinds for each in value)


def _check_inputs(inputs: Sequence[Tensor]) -> dict[str, int]:
    others = sorted({tensor.name for tensor in inputs} - set(INPUTS))
    if others:
        raise ContractError(
            f"The model's inputs should be {sorted(INPUTS)}; it also needs {others}. Give those a default in the "
            "graph, or export it again."
        )
    return _check_tensors("input", INPUTS, inputs)


def _check_tensors(
    kind: str, expected: Mapping[str, tuple[str, tuple[str | int, ...]]], found: Sequence[Tensor]
) -> dict[str, int]:
    """The fixed sizes of the expected tensors; further tensors are allowed."""
    by_name = {tensor.name: tensor for tensor in found}
    if not set(expected) <= set(by_name):
        raise ContractError(f"The model's {kind}s should be {sorted(expected)}, they are {sorted(by_name)}. {REMEDY}")
    sizes: dict[str, int] = {}
    for name, (type_, shape) in expected.items():
        tensor = by_name[name]
        problem = f"The model's {kind} '{name}' should be {type_} {list(shape)}, it is {tensor.type} {tensor.shape}. "
        if tensor.type != type_ or len(tensor.shape) != len(shape):
            raise ContractError(problem + REMEDY)
        for want, got in zip(shape, tensor.shape, strict=True):
            if want in DYNAMIC:
                if isinstance(got, int):
                    raise ContractError(f"{problem}{want} must be dynamic. {REMEDY}")
            elif want in MAY_BE_DYNAMIC and not isinstance(got, int):
                continue
            elif not isinstance(got, int) or got < 1 or (isinstance(want, int) and want != got):
                raise ContractError(problem + REMEDY)
            elif isinstance(want, str):
                sizes[want] = got
    return sizes


def _json(text: Mapping[str, str], name: str, type_: type) -> Any:
    try:
        value = json.loads(text[name])
    except (ValueError, RecursionError) as error:  # also too long an integer, too deep a nesting
        raise ContractError(f"whycam.{name} is not JSON ({error}). Export the model again.") from error
    if not isinstance(value, type_):
        raise ContractError(f"whycam.{name} should be a JSON {type_.__name__}. Export the model again.")
    return value


def _one_of(text: Mapping[str, str], name: str, allowed: tuple[str, ...]) -> str:
    if text[name] not in allowed:
        raise ContractError(f"whycam.{name} should be one of {', '.join(allowed)}, it is '{text[name]}'.")
    return text[name]
