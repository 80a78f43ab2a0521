"""A classifier from an ONNX file, with the files that Hugging Face writes beside it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import onnx
from onnx import ModelProto, TensorProto, external_data_helper

from whycam.export.preprocessing import PREPROCESSING, Preprocessing
from whycam.export.sources.classifier import Classifier, Stated
from whycam.export.sources.hugging_face import Card, read_card
from whycam.models.catalog import sha256


def from_onnx(source: Path) -> Classifier:
    """The classifier in a file; raises `ValueError` for one that cannot be read."""
    model = read_classifier(source)
    card = read_card(source) or Card()
    return Classifier(
        model=model,
        name=plain_name(source.stem),
        origin=source.name,
        sha256=sha256(source),
        made_by=f"onnx {onnx.__version__}",
        preprocessing=_of_levels(model) or card.preprocessing,
        labels=card.labels,
        task=card.task,
        size=card.size,
    )


def plain_name(text: str) -> str:
    """A model's name from a file's: small letters, digits, '.', '_' and '-'."""
    return re.sub(r"[^a-z0-9._-]+", "-", text.lower()).strip("-._")


def read_classifier(source: Path) -> ModelProto:
    """An ONNX file with the weights beside it, if there are any; raises `ValueError`."""
    if not source.is_file():
        raise ValueError(f"There is no file {source}.")
    try:
        model = onnx.load(source, load_external_data=False)
        lost = sorted({place for place in _weights_beside(model) if not (source.parent / place).is_file()})
        if lost:
            raise ValueError(
                f"{source} keeps its weights in {' and '.join(lost)}, which is not beside it. Put it there."
            )
        external_data_helper.load_external_data_for_model(model, str(source.parent))
    except ValueError:
        raise
    except Exception as error:  # protobuf's and onnx's have no common base class
        raise ValueError(f"{source} is not an ONNX model, or it is damaged. ({error})") from error
    for value in (*model.graph.input, *model.graph.output, *model.graph.value_info):
        for dim in value.type.tensor_type.shape.dim:
            if dim.dim_value < 0:  # how Paddle writes an open size
                dim.Clear()
    return model


def _weights_beside(model: ModelProto) -> Iterator[str]:
    """The files that hold a model's weights, for each of them."""
    for tensor in model.graph.initializer:
        if external_data_helper.uses_external_data(tensor):
            yield external_data_helper.ExternalDataInfo(tensor).location


def _of_levels(model: ModelProto) -> Stated[Preprocessing] | None:
    """What a network that takes bytes expects: the levels themselves."""
    stored = {tensor.name for tensor in model.graph.initializer}
    kinds = [each.type.tensor_type.elem_type for each in model.graph.input if each.name not in stored]
    return Stated(PREPROCESSING["levels"], "it takes bytes") if kinds == [TensorProto.UINT8] else None
