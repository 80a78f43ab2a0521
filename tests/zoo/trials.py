"""The list of all networks that are tried, in the order of docs/models.md."""

from __future__ import annotations

from tests.zoo import keras_networks, torch_networks, variants, wheels
from tests.zoo.trial import Trial


def trials() -> dict[str, Trial]:
    """By key."""
    modules = (torch_networks, keras_networks, variants, wheels)
    return {trial.key: trial for module in modules for trial in module.trials()}
