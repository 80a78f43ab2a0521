"""What a model file must say of itself."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace

import pytest

from models.contract import METADATA, Contract, ContractError, Tensor, read_contract

CONTRACT = Contract(
    name="tiny",
    labels=("cat", "dog", "größe"),
    fit="crop",
    score="logit",
    feature="feature",
    weights_source="made in code",
    weights_sha256="0" * 64,
    licence="Apache-2.0",
    made_by="a test",
    parity={"float64": 1.5e-6, "maps": 40},
    size=(32, 48),
    map_size=(4, 6),
)
INPUTS = [Tensor("image", "tensor(uint8)", ["N", 32, 48, 3]), Tensor("target", "tensor(int64)", ["N", "K"])]
OUTPUTS = [
    Tensor("scores", "tensor(float)", ["N", 3]),
    Tensor("classes", "tensor(int64)", ["N", "K"]),
    Tensor("heatmaps", "tensor(float)", ["N", "K", 4, 6]),
    Tensor("evidence", "tensor(float)", ["N", "K"]),
]


def changed(tensors: Sequence[Tensor], **shapes: list[int | str | None]) -> list[Tensor]:
    return [tensor._replace(shape=shapes.get(tensor.name, tensor.shape)) for tensor in tensors]


def test_metadata_and_contract_are_each_others_inverse() -> None:
    assert read_contract(CONTRACT.metadata(), INPUTS, OUTPUTS) == CONTRACT


def test_every_value_of_the_metadata_is_text_under_one_prefix() -> None:
    metadata = CONTRACT.metadata()
    assert all(name.startswith("whycam.") and isinstance(value, str) for name, value in metadata.items())
    assert set(metadata) == {"whycam.contract", *(f"whycam.{name}" for name in METADATA)}


def test_free_sizes_may_have_any_name_or_none() -> None:
    inputs = changed(INPUTS, target=[None, "unk__7"])
    assert read_contract(CONTRACT.metadata(), inputs, OUTPUTS) == CONTRACT


def test_metadata_of_others_does_no_harm() -> None:
    assert read_contract(CONTRACT.metadata() | {"author": "someone"}, INPUTS, OUTPUTS) == CONTRACT


def test_a_file_without_contract_is_told_how_to_get_one() -> None:
    with pytest.raises(ContractError, match=r"not explainable.*whycam export"):
        read_contract({}, INPUTS, OUTPUTS)


def test_another_version_is_refused() -> None:
    with pytest.raises(ContractError, match="contract 2, this whycam reads 1"):
        read_contract(CONTRACT.metadata() | {"whycam.contract": "2"}, INPUTS, OUTPUTS)


@pytest.mark.parametrize("name", METADATA)
def test_a_missing_key_is_named(name: str) -> None:
    metadata = CONTRACT.metadata()
    del metadata[f"whycam.{name}"]
    with pytest.raises(ContractError, match=f"lacks {name}"):
        read_contract(metadata, INPUTS, OUTPUTS)


@pytest.mark.parametrize(
    ("key", "value", "complaint"),
    [
        ("labels", "cat, dog", "not JSON"),
        ("labels", '{"cat": 0}', "JSON list"),
        ("labels", '["cat", "dog", 3]', "list of strings"),
        ("labels", '["cat", "dog"]', "scores 3 classes and names 2"),
        ("parity", "[]", "JSON dict"),
        ("fit", "letterbox", "one of stretch, crop"),
        ("score", "softmax", "one of probability, logit"),
    ],
)
def test_a_value_that_makes_no_sense_is_named(key: str, value: str, complaint: str) -> None:
    with pytest.raises(ContractError, match=complaint):
        read_contract(CONTRACT.metadata() | {f"whycam.{key}": value}, INPUTS, OUTPUTS)


def test_a_model_of_one_class_is_refused() -> None:
    with pytest.raises(ContractError, match="2 or more"):
        read_contract(replace(CONTRACT, labels=("cat",)).metadata(), INPUTS, changed(OUTPUTS, scores=["N", 1]))


def test_a_missing_or_an_unknown_tensor_is_refused() -> None:
    with pytest.raises(ContractError, match=r"outputs should be .*'evidence'.* they are"):
        read_contract(CONTRACT.metadata(), INPUTS, OUTPUTS[:-1])
    with pytest.raises(ContractError, match="'mask'"):
        read_contract(CONTRACT.metadata(), [*INPUTS, Tensor("mask", "tensor(float)", ["N"])], OUTPUTS)


@pytest.mark.parametrize(
    ("tensor", "shape"),
    [
        ("image", ["N", 3, 32, 48]),  # channels first
        ("image", ["N", "H", "W", 3]),  # no fixed size
        ("image", [1, 32, 48, 3]),  # a fixed batch
        ("target", ["N"]),
        ("target", ["N", 5]),  # a fixed number of classes
        ("scores", ["N", "C"]),
        ("heatmaps", ["N", "K", 24]),
        ("heatmaps", ["N", "K", 0, 6]),
        ("heatmaps", ["N", "K", None, 6]),
    ],
)
def test_a_shape_that_breaks_the_contract_is_shown(tensor: str, shape: list[int | str | None]) -> None:
    with pytest.raises(ContractError, match=f"'{tensor}' should be") as caught:
        read_contract(CONTRACT.metadata(), changed(INPUTS, **{tensor: shape}), changed(OUTPUTS, **{tensor: shape}))
    assert str(shape) in str(caught.value)


def test_a_wrong_type_is_shown() -> None:
    inputs = [INPUTS[0]._replace(type="tensor(float)"), INPUTS[1]]
    with pytest.raises(ContractError, match=r"'image' should be tensor\(uint8\).*it is tensor\(float\)"):
        read_contract(CONTRACT.metadata(), inputs, OUTPUTS)


def test_labels_keep_their_letters() -> None:
    assert json.loads(CONTRACT.metadata()["whycam.labels"])[2] == "größe"
