"""The contract of a model file: metadata, tensors, and the errors for each violation."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from whycam.models.contract import (
    METADATA,
    MULTI_LABEL,
    REQUIRED,
    SINGLE_LABEL,
    Contract,
    ContractError,
    LastLayer,
    MapSpec,
    Tensor,
    read_contract,
)

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
    input_size=(32, 48),
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
    omitted = ("maps", "task", "last_layer")  # their defaults: files of the first version have none of them
    assert set(metadata) == {"whycam.contract", *(f"whycam.{name}" for name in METADATA if name not in omitted)}


def test_dynamic_sizes_may_have_any_name_or_none() -> None:
    inputs = changed(INPUTS, target=[None, "unk__7"])
    assert read_contract(CONTRACT.metadata(), inputs, OUTPUTS) == CONTRACT


def test_metadata_of_other_tools_is_ignored() -> None:
    assert read_contract(CONTRACT.metadata() | {"author": "someone"}, INPUTS, OUTPUTS) == CONTRACT


def test_the_error_for_a_file_without_contract_says_how_to_get_one() -> None:
    with pytest.raises(ContractError, match=r"not explainable.*whycam export"):
        read_contract({}, INPUTS, OUTPUTS)


def test_another_version_is_refused() -> None:
    with pytest.raises(ContractError, match="contract 2, this whycam reads 1"):
        read_contract(CONTRACT.metadata() | {"whycam.contract": "2"}, INPUTS, OUTPUTS)


@pytest.mark.parametrize("name", REQUIRED)
def test_a_missing_mandatory_key_is_named(name: str) -> None:
    metadata = CONTRACT.metadata()
    del metadata[f"whycam.{name}"]
    with pytest.raises(ContractError, match=f"lacks {name}"):
        read_contract(metadata, INPUTS, OUTPUTS)


@pytest.mark.parametrize("name", sorted(set(METADATA) - set(REQUIRED)))
def test_every_other_key_has_a_default(name: str) -> None:
    metadata = CONTRACT.metadata()
    metadata.pop(f"whycam.{name}", None)
    default: Any = {"parity": {}, "maps": (), "task": SINGLE_LABEL, "last_layer": None}.get(name, "")
    assert read_contract(metadata, INPUTS, OUTPUTS) == replace(CONTRACT, **{name: default})


def test_unknown_keys_and_outputs_are_ignored() -> None:
    metadata = CONTRACT.metadata() | {"whycam.teacher": "dense", "whycam.embedding": "flattened"}
    more = [*OUTPUTS, Tensor("embedding", "tensor(float)", ["N", 512])]
    assert read_contract(metadata, INPUTS, more) == CONTRACT


LAYER = LastLayer("embedding", "weights", "bias", 512, transposed=True)
WITH_EMBEDDING = [*OUTPUTS, Tensor("embedding", "tensor(float)", ["N", 512])]


def test_a_file_may_name_its_last_layer() -> None:
    teachable = replace(CONTRACT, last_layer=LAYER)
    assert read_contract(teachable.metadata(), INPUTS, WITH_EMBEDDING) == teachable


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("[]", "should be a JSON dict"),
        ("{}", "should name an embedding"),
        (json.dumps(LAYER._asdict() | {"width": True}), "should name an embedding"),
        (json.dumps(LAYER._asdict() | {"weights": 7}), "should name an embedding"),
        (json.dumps(LAYER._asdict() | {"width": 513}), "the width 513, in the graph it is 512"),
        (json.dumps(LAYER._asdict() | {"embedding": "vector"}), "outputs should be"),
    ],
)
def test_a_last_layer_that_the_graph_does_not_have_is_refused(given: str, said: str) -> None:
    with pytest.raises(ContractError, match=said):
        read_contract(CONTRACT.metadata() | {"whycam.last_layer": given}, INPUTS, WITH_EMBEDDING)


def test_a_task_is_one_of_those_that_whycam_knows() -> None:
    several = replace(CONTRACT, task=MULTI_LABEL)
    assert read_contract(several.metadata(), INPUTS, OUTPUTS) == several
    with pytest.raises(ContractError, match=r"whycam\.task should be one of .*, it is 'ranking'"):
        read_contract(CONTRACT.metadata() | {"whycam.task": "ranking"}, INPUTS, OUTPUTS)


def test_the_number_of_classes_may_be_dynamic() -> None:
    assert read_contract(CONTRACT.metadata(), INPUTS, changed(OUTPUTS, scores=["N", "C"])) == CONTRACT
    with pytest.raises(ContractError, match="2 or more"):
        read_contract(replace(CONTRACT, labels=("cat",)).metadata(), INPUTS, changed(OUTPUTS, scores=["N", None]))


EARLY = Tensor("early", "tensor(float)", ["N", "K", 8, 12])


def listing(*maps: object) -> dict[str, str]:
    return CONTRACT.metadata() | {"whycam.maps": json.dumps(maps)}


def test_a_file_that_lists_no_maps_holds_one_of_its_feature_map() -> None:
    assert CONTRACT.listed_maps() == (MapSpec("heatmaps", "feature", "grad-cam", (4, 6), (0, 0, 1, 1)),)
    assert "whycam.maps" not in CONTRACT.metadata(), "or the files of older versions would change"


def test_a_file_may_list_several_maps() -> None:
    early = {"output": "early", "layer": "conv2", "method": "layer-cam", "grid": [8, 12], "region": [0.1, 0, 1, 0.9]}
    found = read_contract(listing({"output": "heatmaps", "note": "?"}, early), INPUTS, [*OUTPUTS, EARLY])
    assert found.listed_maps() == (
        MapSpec("heatmaps", "feature", "grad-cam", (4, 6), (0, 0, 1, 1)),
        MapSpec("early", "conv2", "layer-cam", (8, 12), (0.1, 0, 1, 0.9)),
    )
    again = read_contract(found.metadata(), INPUTS, [*OUTPUTS, EARLY])
    assert again == found


HOTTEST = Tensor("hottest", "tensor(float)", ["N", "K"])


def test_a_map_may_name_its_evidence_and_its_gradient() -> None:
    early = {"output": "early", "layer": "conv2", "method": "hirescam", "evidence": "hottest", "gradient": "g"}
    outputs = [*OUTPUTS, EARLY, HOTTEST]
    found = read_contract(listing({"output": "heatmaps"}, early), INPUTS, outputs)
    assert [each.maxima for each in found.maps] == ["evidence", "hottest"]
    assert found.map_of("early").gradient == "g"
    assert read_contract(found.metadata(), INPUTS, outputs) == found
    assert "hottest" not in json.dumps(found.drawn_map().listed())
    assert set(found.drawn_map().listed()) == {"output", "layer", "method", "grid", "region"}, "as older files have it"
    with pytest.raises(ContractError, match=r"no map 'late'\. It has heatmaps, early"):
        found.map_of("late")


def test_a_null_in_a_map_means_the_default() -> None:
    given = {"output": "heatmaps", "layer": None, "method": None, "grid": None, "region": None}
    assert read_contract(listing(given), INPUTS, OUTPUTS).maps == CONTRACT.listed_maps()


@pytest.mark.parametrize(
    ("maps", "complaint"),
    [
        ([], "should list 'heatmaps'"),
        ([{"output": "early"}], "should list 'heatmaps'"),
        (["heatmaps"], "an object with an 'output'"),
        ([{"output": "heatmaps"}, {"output": "late"}], r"outputs should be \['late'\]"),
        ([{"output": "heatmaps"}, {"output": "scores"}], "'scores' should be .*'h', 'w'"),
        ([{"output": "heatmaps", "grid": [6, 4]}], r"has the grid \(6, 4\), in the graph \(4, 6\)"),
        ([{"output": "heatmaps", "grid": 4}], "a grid is 2 whole numbers"),
        ([{"output": "heatmaps", "grid": [4.5, 6]}], "a grid is 2 whole numbers"),
        ([{"output": "heatmaps", "grid": "46"}], "a grid is 2 whole numbers"),
        ([{"output": "heatmaps", "grid": [True, 6]}], "a grid is 2 whole numbers"),
        ([{"output": "heatmaps", "grid": [float("inf"), 6]}], "a grid is 2 whole numbers"),
        ([{"output": "heatmaps", "grid": [10**400, 6]}], r"has the grid \(1000.*, in the graph \(4, 6\)"),
        ([{"output": "heatmaps", "region": [0, 0, 1]}], "a region 4"),
        ([{"output": "heatmaps", "region": "0011"}], "a region 4"),
        ([{"output": "heatmaps", "region": {"0": 0, "1": 0, "2": 1, "3": 1}}], "a region 4"),
        (
            [{"output": "heatmaps", "region": [0, 0, 1, 10**400]}],
            "should be parts of the input",
        ),
        (
            [{"output": "heatmaps", "region": [float("nan"), 0, 1, 1]}],
            "should be parts of the input",
        ),
        (
            [{"output": "heatmaps", "region": [0, 0, 1, float("inf")]}],
            "should be parts of the input",
        ),
        (
            [{"output": "heatmaps", "region": [-4.1, 0, 1, 1]}],
            "should be parts of the input",
        ),
        ([{"output": "heatmaps", "layer": 5}], "a layer and a method are names"),
        ([{"output": "heatmaps", "method": ["cam"]}], "a layer and a method are names"),
        ([{"output": "heatmaps", "gradient": 1}], "a layer and a method are names"),
        ([{"output": "heatmaps", "evidence": ["e"]}], "a layer and a method are names"),
        ([{"output": "heatmaps", "evidence": "none"}], r"outputs should be \['none'\]"),
        ([{"output": "heatmaps", "evidence": "early"}], r"'early' should be tensor\(float\) \['N', 'K'\]"),
        ([{"output": "heatmaps"}, {"output": "heatmaps"}], r"list an output once.*\['heatmaps', 'heatmaps'\]"),
        (
            [{"output": "heatmaps", "region": [0.5, 0, 0.5, 1]}],
            "should be parts of the input",
        ),
        (
            [{"output": "heatmaps", "region": [1.1, 0, 2, 1]}],
            "should be parts of the input",
        ),
        (
            [{"output": "heatmaps", "region": [0, -2, 1, -1]}],
            "should be parts of the input",
        ),
    ],
)
def test_an_invalid_list_of_maps_is_refused(maps: list[object], complaint: str) -> None:
    with pytest.raises(ContractError, match=complaint):
        read_contract(listing(*maps), INPUTS, [*OUTPUTS, EARLY])


@pytest.mark.parametrize(
    ("key", "value", "complaint"),
    [
        ("labels", "cat, dog", "not JSON"),
        ("labels", "[" * 100_000, "not JSON"),
        ("labels", f"[1{'0' * 5000}]", "not JSON"),
        ("parity", '{"a":' * 100_000, "not JSON"),
        ("maps", '[{"output": "heatmaps", "grid": [1e999, 6]}]', "a grid is 2 whole numbers"),
        ("maps", "heatmaps", "not JSON"),
        ("maps", "{}", "JSON list"),
        ("labels", '{"cat": 0}', "JSON list"),
        ("labels", '["cat", "dog", 3]', "list of strings"),
        ("labels", '["cat", "dog"]', "scores 3 classes and names 2"),
        ("parity", "[]", "JSON dict"),
        ("fit", "letterbox", "one of stretch, crop"),
        ("score", "softmax", "one of probability, logit"),
    ],
)
def test_an_invalid_value_is_named(key: str, value: str, complaint: str) -> None:
    with pytest.raises(ContractError, match=complaint):
        read_contract(CONTRACT.metadata() | {f"whycam.{key}": value}, INPUTS, OUTPUTS)


def test_a_model_of_one_class_is_refused() -> None:
    with pytest.raises(ContractError, match="2 or more"):
        read_contract(replace(CONTRACT, labels=("cat",)).metadata(), INPUTS, changed(OUTPUTS, scores=["N", 1]))


def test_a_missing_tensor_and_a_surplus_input_are_refused() -> None:
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


def test_labels_keep_non_ascii_letters() -> None:
    assert json.loads(CONTRACT.metadata()["whycam.labels"])[2] == "größe"


SEVERAL = (
    MapSpec("heatmaps", "coarse", "grad-cam", (4, 6), (0, 0, 1, 1)),
    MapSpec("heatmaps_2", "fine", "grad-cam", (8, 12), (0, 0, 1, 1), "evidence_2"),
    MapSpec("heatmaps_3", "coarse", "layer-cam", (4, 6), (0, 0, 1, 1), "evidence_3"),
    MapSpec("heatmaps_4", "fine", "layer-cam", (8, 12), (0, 0, 1, 1), "evidence_4"),
    MapSpec("heatmaps_5", "fine", "signed", (8, 12), (0, 0, 1, 1)),
)


@pytest.mark.parametrize(
    ("method", "layer", "output"),
    [
        (None, None, "heatmaps"),
        ("layer-cam", None, "heatmaps_3"),
        (None, "fine", "heatmaps_2"),
        ("layer-cam", "fine", "heatmaps_4"),
    ],
)
def test_a_map_is_found_by_its_method_and_its_layer(method: str | None, layer: str | None, output: str) -> None:
    assert replace(CONTRACT, maps=SEVERAL).find_map(method, layer).output == output


@pytest.mark.parametrize(("method", "layer"), [("signed", None), ("grad-cam", "middle"), ("eigen-cam", "fine")])
def test_a_map_that_the_file_lacks_is_refused_with_those_it_has(method: str, layer: str | None) -> None:
    with pytest.raises(ContractError, match=r"tiny has no map by .* It has grad-cam of 'coarse', grad-cam of 'fine'"):
        replace(CONTRACT, maps=SEVERAL).find_map(method, layer)


def test_what_is_drawn_decides_which_signed_map_belongs_to_it() -> None:
    contract = replace(CONTRACT, maps=SEVERAL)
    assert contract.signed_map() is None, "of the layer 'coarse' there is none"
    assert contract.draws("heatmaps_2").signed_map() == SEVERAL[4]
    assert contract.draws("heatmaps_4").drawn_map() == SEVERAL[3]


def test_a_map_without_maxima_cannot_be_drawn() -> None:
    with pytest.raises(ContractError, match="no evidence of its map 'heatmaps_5', so it cannot be drawn"):
        replace(CONTRACT, maps=SEVERAL).draws("heatmaps_5")
