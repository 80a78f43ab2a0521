"""A model file with classes of its own: an explainable file whose last layer and labels are those of a class set."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from whycam.models.class_set import ClassSet
from whycam.models.contract import Contract, ContractError, LastLayer, read_contract
from whycam.models.described import describe
from whycam.models.whole_file import write_whole

if TYPE_CHECKING:
    from onnx import ModelProto

TAUGHT = "whycam.taught"
"""The metadata of a file that `write_taught` made: what its classes were learned from."""


class SourceChanged(ContractError):
    """A model's file is another one than its classes were learned with."""


def write_taught(
    source: Path,
    class_set: ClassSet,
    contract_name: str,
    about: Mapping[str, Any],
    path: Path,
    *,
    learned_with: str | None = None,
) -> None:
    """Write `source`'s model with the layer and labels of `class_set` as its own, by the name `contract_name`.

    `about` is stored as `whycam.taught`: numbers of examples, a date, the accuracy. The file's classes can be replaced
    again. It appears complete or not at all. Its parity says that it is its source's: the head was verified there.
    `learned_with` is the SHA-256 of the file that the classes were learned with: behind another network their weights
    would mean nothing.
    Raises `SourceChanged`, `ContractError` for a source that is not explainable or whose last layer cannot be replaced,
    and `ValueError` for a class set of another width, or if it would take the place of its source.
    """
    import onnx

    if path.resolve() == source.resolve():
        raise ValueError(f"{source} is the model that was taught. Give the file of its new classes another name.")
    contract = _contract(source)
    layer = contract.last_layer
    if layer is None:
        raise ContractError(f"{source}: its last layer cannot be replaced. `whycam export` it again.")
    content = source.read_bytes()
    if learned_with is not None and hashlib.sha256(content).hexdigest() != learned_with:
        raise SourceChanged(
            f"{source} is not the file any more that the classes were learned with. Put that back, or begin anew with "
            "the one that is there now."
        )
    model = onnx.load_from_string(content)
    put_in(model, layer, class_set)
    parity = {"of": contract.name, **contract.parity} if contract.parity else {}
    taught = replace(contract, name=contract_name, labels=class_set.labels, parity=parity)
    kept = {entry.key: entry.value for entry in model.metadata_props}
    onnx.helper.set_model_props(model, kept | taught.metadata() | {TAUGHT: json.dumps(dict(about))})
    write_whole(path, model.SerializeToString(deterministic=True))


def about_taught(path: Path) -> dict[str, Any] | None:
    """What a file says that its classes were learned from; None of one that was not taught, or cannot be read."""
    try:
        said = json.loads(describe(path).metadata.get(TAUGHT, "null"))
    except (ValueError, RecursionError, OSError):
        return None
    return said if isinstance(said, dict) else None


def network_of(source: Path) -> str:
    """The name of the network in an explainable file, also if its classes were taught."""
    known = (about_taught(source) or {}).get("network")
    return known if isinstance(known, str) else _contract(source).name


def put_in(model: ModelProto, layer: LastLayer, class_set: ClassSet) -> None:
    """Make a class set's weights and bias the defaults of a model's last layer.

    Raises `ValueError` for a class set of another width, and `ContractError` for a layer that the model does not have.
    """
    from onnx import numpy_helper

    if len(class_set.weights) != layer.width:
        raise ValueError(
            f"The class set was learned from vectors of {len(class_set.weights)} numbers, those of the model have "
            f"{layer.width}."
        )
    weights = class_set.weights.T if layer.transposed else class_set.weights
    for name, value in ((layer.weights, weights), (layer.bias, class_set.bias)):
        stored = next((tensor for tensor in model.graph.initializer if tensor.name == name), None)
        if stored is None:
            raise ContractError(f"The model's last layer has no default '{name}'. Export the model again.")
        stored.CopyFrom(numpy_helper.from_array(np.ascontiguousarray(value, np.float32), name))


def _contract(source: Path) -> Contract:
    try:
        return read_contract(*describe(source))
    except (ContractError, OSError) as error:
        raise ContractError(f"{source}: {error}") from error
    except ValueError as error:
        raise ContractError(f"{source} is not an ONNX model, or it is damaged. ({error})") from error
