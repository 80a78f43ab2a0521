"""whycam shows live what a neural network looks at.

import whycam
explained = whycam.explain("dog.jpg")

Public names are imported on first use, so that a child process that needs one module loads no others.
"""

from importlib import import_module, metadata
from typing import TYPE_CHECKING, Any

try:
    from whycam import models as models  # before onnxruntime, to disable its telemetry
except ImportError as error:
    raise ImportError(
        "whycam finds no package whycam.models. In a checkout, `whycam/` contains links to the folders beside it; if "
        "your system does not support links, run: pip install -e ."
    ) from error

if TYPE_CHECKING:
    from whycam.library import Explained, Model, explain, load, process
    from whycam.models.contract import Contract, ContractError
    from whycam.stream.inference.explainer import BEST, Explainer, RuntimeMissing
    from whycam.stream.inference.explanation import Explanation
    from whycam.stream.media.losses import MediaError
    from whycam.teaching import Taught, teach

    __version__: str

__all__ = [
    "BEST",
    "Contract",
    "ContractError",
    "Explained",
    "Explainer",
    "Explanation",
    "MediaError",
    "Model",
    "RuntimeMissing",
    "Taught",
    "__version__",
    "explain",
    "load",
    "process",
    "teach",
]

if not TYPE_CHECKING:
    _HOMES = {
        "library": ("Explained", "Model", "explain", "load", "process"),
        "models.contract": ("Contract", "ContractError"),
        "stream.inference.explainer": ("BEST", "Explainer", "RuntimeMissing"),
        "stream.inference.explanation": ("Explanation",),
        "stream.media.film_reader": ("MediaError",),
        "teaching": ("Taught", "teach"),
    }

    def __getattr__(name: str) -> Any:
        if name == "__version__":
            return metadata.version("whycam")
        home = next((home for home, names in _HOMES.items() if name in names), None)
        if home is None:
            raise AttributeError(f"module 'whycam' has no attribute '{name}'")
        return getattr(import_module(f"whycam.{home}"), name)

    def __dir__() -> list[str]:
        return __all__
