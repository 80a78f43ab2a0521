"""A network's weights: random ones, or those of a PyTorch file, with as many classes as it has."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

RANDOM, PUBLISHED = "random", "imagenet"
"""What --weights says beside a file: random weights, or those that the framework publishes."""
WRAPPERS = ("state_dict", "model_state_dict", "model", "model_ema")
"""Keys below which training scripts keep a network's weights."""
PREFIXES = ("module.", "_orig_mod.", "model.")
"""What wrappers of PyTorch put before the names of weights."""


class WeightsMissing(ValueError):
    """Weights cannot be downloaded or read, or belong to another network; the message says what to do."""


def from_file(build: Callable[..., Any], weights: str, seed: int) -> Any:
    """A PyTorch network with random weights, or with those of a file and as many classes as the file has.

    `build` takes `num_classes`. Raises `WeightsMissing`.
    """
    import torch

    torch.manual_seed(seed)
    if weights == RANDOM:
        return build()
    values = read_state(Path(weights))
    classes = next((len(value) for value in list(values.values())[::-1] if value.ndim == 1), None)
    network = build() if classes is None else build(num_classes=classes)
    expected = network.state_dict()
    missing = [name for name in expected if name not in values]
    shaped = [name for name in expected if name in values and values[name].shape != expected[name].shape]
    if missing or shaped:
        name = (missing or shaped)[0]
        problem = f"it lacks '{name}'" if missing else f"its '{name}' is {list(values[name].shape)}"
        wanted = list(expected[name].shape)
        raise WeightsMissing(
            f"{Path(weights).name} holds the weights of another network: {problem}, expected {wanted}."
        )
    network.load_state_dict({name: values[name] for name in expected})
    return network


def read_state(path: Path) -> Mapping[str, Any]:
    """The weights in a .pth, .pt or .safetensors file by name; raises `WeightsMissing`."""
    import torch

    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            found: Any = load_file(path)
        else:
            found = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises what zip and pickle raise
        reason = next(iter(str(error).splitlines()), "")
        raise WeightsMissing(
            f"{path.name} holds no plain weights ({reason}). Save them with torch.save(network.state_dict(), …); a "
            "whole network is not read, because it may run any code."
        ) from error
    for key in WRAPPERS:
        if isinstance(found, Mapping) and isinstance(found.get(key), Mapping):
            found = found[key]
    if (
        not isinstance(found, Mapping)
        or not found
        or not all(isinstance(each, torch.Tensor) for each in found.values())
    ):
        raise WeightsMissing(
            f"{path.name} holds no weights by name. Save them with torch.save(network.state_dict(), …)."
        )
    for prefix in PREFIXES:
        if all(name.startswith(prefix) for name in found):
            found = {name.removeprefix(prefix): value for name, value in found.items()}
    return dict(found)


def digest(values: Iterable[Any]) -> str:
    """The SHA-256 of arrays or tensors, one after the other, in hexadecimal."""
    found = hashlib.sha256()
    for value in values:
        found.update(np.ascontiguousarray(value).data)
    return found.hexdigest()
