"""What Hugging Face writes beside a model: `config.json` and `preprocessor_config.json`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from whycam.export.labels import listed
from whycam.export.preprocessing import Preprocessing, Three
from whycam.export.sources.classifier import Stated
from whycam.models.contract import MULTI_LABEL, Task

CONFIGURATION, PROCESSOR = "config.json", "preprocessor_config.json"
REGRESSION = (
    "The model's config.json says that it is a regression. Its numbers are no classes, so they are not explained."
)


class Card(NamedTuple):
    """What the files say; None: nothing."""

    preprocessing: Stated[Preprocessing] | None = None
    labels: Stated[tuple[str, ...]] | None = None
    task: Stated[Task] | None = None
    size: tuple[int, int] | None = None
    """Height and width, in pixels."""


def read_card(model: Path) -> Card | None:
    """The files beside a model, or above its folder `onnx`; None if there are none. Raises `ValueError`."""
    folder = model.parent.parent if model.parent.name == "onnx" else model.parent
    configuration, processor = (_read(folder / name) for name in (CONFIGURATION, PROCESSOR))
    if configuration is None and processor is None:
        return None
    labels = listed(configuration or {})
    problem = (configuration or {}).get("problem_type")
    if problem == "regression":
        raise ValueError(REGRESSION)
    return Card(
        preprocessing=_preprocessing(processor) if processor else None,
        labels=Stated(labels, CONFIGURATION) if labels else None,
        task=Stated(MULTI_LABEL, CONFIGURATION) if problem == "multi_label_classification" else None,
        size=_size(processor) if processor else None,
    )


def _read(path: Path) -> Mapping[str, Any] | None:
    """A JSON object; None for no file, and for another program's file of this name."""
    try:
        found = json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, RecursionError) as error:
        raise ValueError(f"{path} is not JSON ({error}). Mend it, or move it away.") from error
    return found if isinstance(found, Mapping) else None


def _preprocessing(processor: Mapping[str, Any]) -> Stated[Preprocessing]:
    scale = processor.get("rescale_factor", 1 / 255) if processor.get("do_rescale", True) else 1
    mean, std = (_three(processor.get(key), default) for key, default in (("image_mean", 0.0), ("image_std", 1.0)))
    if not processor.get("do_normalize", True):
        mean, std = (0, 0, 0), (1, 1, 1)
    return Stated(Preprocessing(mean, std, float(scale)), PROCESSOR)


def _three(value: Any, default: float) -> Three:
    numbers = value if isinstance(value, list) else [default if value is None else value] * 3
    try:
        red, green, blue = (float(each) for each in (numbers * 3 if len(numbers) == 1 else numbers))
    except (TypeError, ValueError) as error:
        raise ValueError(f"{PROCESSOR} should give a number for each colour, not {value}.") from error
    return red, green, blue


def _size(processor: Mapping[str, Any]) -> tuple[int, int] | None:
    """What the network gets: the crop, or else the size after resizing."""
    given = processor.get("crop_size" if processor.get("do_center_crop") else "size")
    if isinstance(given, int):
        return given, given
    if isinstance(given, Mapping):
        height, width = (given.get(key, given.get("shortest_edge")) for key in ("height", "width"))
        if isinstance(height, int) and isinstance(width, int):
            return height, width
    return None
