"""The packages that an export needs in addition to whycam's."""

from __future__ import annotations

from importlib.util import find_spec

from whycam.stream.inference.explainer import RuntimeMissing

PACKAGES = ("onnx", "keras", "tensorflow", "tf2onnx")

NOTES = {
    "export": "Python 3.11 to 3.13; in a copy of the sources: make setup",
    "onnx": "in a copy of the sources: make setup",
}
"""On the extras that `make setup` installs."""
IN_SOURCES = "in a copy of the sources: pip install '.[{extra}]'"


class ExportMissing(RuntimeMissing):
    """A package that the export needs is not installed."""


def check_needs(*packages: str, extra: str = "export") -> None:
    """Raise `ExportMissing` if one of these packages, by default of all, is not installed; `extra` has them.

    Imports none of them, because that takes seconds.
    """
    missing = [package for package in packages or PACKAGES if find_spec(package) is None]
    if missing:
        raise ExportMissing(
            f"To export a model, whycam needs {', '.join(missing)}. Install it with: pip install 'whycam[{extra}]' "
            f"({NOTES.get(extra, IN_SOURCES.format(extra=extra))})."
        )
