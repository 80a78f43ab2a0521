"""Finds the classifier that `whycam export MODEL` names: a file, a folder, or a network by its library's name."""

from __future__ import annotations

from pathlib import Path

from whycam.export.requirements import check_needs
from whycam.export.sources.classifier import Classifier
from whycam.export.sources.weights import PUBLISHED

LIBRARIES = ("keras", "torchvision", "timm")
SUFFIXES = (".onnx", ".keras", ".h5", ".pt2")
"""Files that hold a whole network."""
PICKLED = (".pt", ".pth", ".bin", ".ckpt", ".safetensors")
EXPECTED = (
    f"Give a file ({', '.join(SUFFIXES)}), the folder of a SavedModel, or a network by its name "
    "(keras:NAME, torchvision:NAME, timm:NAME)."
)


def library_of(model: str) -> str | None:
    """The library whose name is before the colon; None for a file."""
    library = model.partition(":")[0].lower()
    return library if ":" in model and library in LIBRARIES else None


def find_source(model: str, weights: str = PUBLISHED, size: tuple[int, int] | None = None) -> Classifier:
    """The classifier that `model` names; `weights` are for a network by its name: published, random, or a file.

    Raises `ValueError` for what is none, and `ExportMissing` without a package that it needs.
    """
    check_needs("onnx", extra="onnx")
    name = model.partition(":")[2]
    match library_of(model):
        case "keras":
            from whycam.export.sources.keras_source import from_applications

            return from_applications(name, weights, size)
        case "torchvision" | "timm" as library:
            from whycam.export.sources.torch_source import from_library

            return from_library(library, name, weights, size)
    if weights != PUBLISHED:
        raise ValueError("--weights is for a network by its name; a file has its own weights.")
    return _from_path(Path(model).expanduser())


def _from_path(path: Path) -> Classifier:
    if path.is_dir():
        if not (path / "saved_model.pb").is_file():
            raise ValueError(f"{path} is a folder without saved_model.pb. {EXPECTED}")
        from whycam.export.sources.keras_source import from_saved_model

        return from_saved_model(path)
    match path.suffix.lower():
        case ".keras" | ".h5" | ".hdf5":
            from whycam.export.sources.keras_source import from_keras

            return from_keras(path)
        case ".pt2":
            from whycam.export.sources.torch_source import from_program

            return from_program(path)
        case suffix if suffix in PICKLED and path.is_file():
            raise ValueError(
                f"{path.name} holds weights, not a network. Give the network's name and the file: whycam export "
                f"torchvision:NAME --weights {path.name}, or save the whole with torch.export.save(…, 'mine.pt2')."
            )
        case ".onnx":
            from whycam.export.sources.onnx_source import from_onnx

            return from_onnx(path)
    if not path.exists():
        raise ValueError(f"There is no file {path}. {EXPECTED}")
    raise ValueError(f"{path.name} is no network that whycam reads. {EXPECTED}")
