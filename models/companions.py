"""The files beside a model's file: what its classes were learned from, and the examples themselves."""

from __future__ import annotations

from pathlib import Path


def classes_file(model: Path) -> Path:
    """mug.onnx -> mug.classes.json: the classes of a taught model, with their counts, date and accuracy."""
    return model.with_name(f"{model.stem}.classes.json")


def examples_file(model: Path) -> Path:
    """mug.onnx -> mug.examples.zip: the examples of a taught model, if they are kept."""
    return model.with_name(f"{model.stem}.examples.zip")


def remove_with_companions(model: Path) -> None:
    """Delete a model's file and those beside it, the examples first: they are pictures of somebody's home."""
    for path in (examples_file(model), classes_file(model), model):
        path.unlink(missing_ok=True)


def rename_with_companions(model: Path, name: str) -> Path:
    """Rename a model's file and those beside it, in its folder; return the model's new path."""
    new = model.with_name(f"{name}.onnx")
    for file in (examples_file, classes_file):
        file(new).unlink(missing_ok=True)  # left over from a model that is gone
        if file(model).exists():
            file(model).rename(file(new))
    return model.rename(new)
