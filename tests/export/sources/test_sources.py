"""What a classifier's file, and the files beside it, say of themselves; no framework is needed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import ModelProto, TensorProto, helper, numpy_helper

from tests.support.models import tiny_models
from tests.support.models.plain_classifier import SIZE, classifier
from whycam.export.exporter import Wanted, explainable, export
from whycam.export.labels import read_labels
from whycam.export.precision.single import in_single
from whycam.export.preprocess import take_images
from whycam.export.preprocessing import PREPROCESSING, Preprocessing
from whycam.export.requirements import ExportMissing
from whycam.export.sources.find_source import find_source
from whycam.models.contract import MULTI_LABEL
from whycam.stream.inference.explainer import Explainer, evaluate

IMAGES = tiny_models.images(4)


def saved(folder: Path, model: ModelProto | None = None) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    onnx.save(model or classifier(), folder / "model.onnx")
    return folder / "model.onnx"


def beside(folder: Path, **files: Any) -> None:
    for name, content in files.items():
        (folder / f"{name}.json").write_text(json.dumps(content))


PROCESSOR = {
    "do_rescale": True,
    "rescale_factor": 1 / 255,
    "do_normalize": True,
    "image_mean": [0.5, 0.4, 0.3],
    "image_std": [0.25, 0.5, 1.0],
    "do_center_crop": True,
    "crop_size": {"height": SIZE, "width": SIZE},
    "size": {"shortest_edge": 48},
}
CONFIGURATION = {"id2label": {"0": "cup", "1": "pan", "2": "jar"}}


@pytest.mark.parametrize("where", ["beside", "above the folder onnx"])
def test_the_files_of_hugging_face_say_images_classes_and_size(tmp_path: Path, where: str) -> None:
    path = saved(tmp_path if where == "beside" else tmp_path / "onnx", classifier(size="side"))
    beside(tmp_path, config=CONFIGURATION, preprocessor_config=PROCESSOR)
    found = find_source(str(path))
    assert found.preprocessing is not None
    assert found.preprocessing.value == Preprocessing((0.5, 0.4, 0.3), (0.25, 0.5, 1.0))
    assert found.size == (SIZE, SIZE)
    said: list[str] = []
    made = explainable(found, Wanted(), said.append)
    assert made.about.labels == ("cup", "pan", "jar")
    assert "Labels: from config.json" in said
    assert any("by preprocessor_config.json" in line for line in said)


@pytest.mark.parametrize(
    ("processor", "expected"),
    [
        ({"do_normalize": False}, Preprocessing((0, 0, 0), (1, 1, 1))),
        (
            {"do_rescale": False, "image_mean": [127.5], "image_std": 127.5},
            Preprocessing((127.5,) * 3, (127.5,) * 3, 1),
        ),
        ({"image_mean": 0.5, "image_std": 0.5, "size": 32}, Preprocessing((0.5,) * 3, (0.5,) * 3)),
    ],
)
def test_a_processor_may_scale_or_normalise_or_neither(
    tmp_path: Path, processor: dict[str, Any], expected: Preprocessing
) -> None:
    path = saved(tmp_path)
    beside(tmp_path, preprocessor_config=processor)
    found = find_source(str(path)).preprocessing
    assert found is not None
    assert found.value == expected


def test_a_configuration_says_several_labels_at_once(tmp_path: Path) -> None:
    path = saved(tmp_path)
    beside(tmp_path, config=CONFIGURATION | {"problem_type": "multi_label_classification"})
    assert explainable(find_source(str(path)), Wanted(), lambda _: None).about.task == MULTI_LABEL
    one = explainable(find_source(str(path)), Wanted(task="single-label"), lambda _: None)
    assert one.about.task != MULTI_LABEL  # what a person says counts


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({"config": {"problem_type": "regression"}}, "is a regression"),
        ({"preprocessor_config": {"image_mean": ["red", 1, 2]}}, "a number for each colour"),
        ({"preprocessor_config": {"image_mean": [1, 2]}}, "a number for each colour"),
    ],
)
def test_files_that_say_what_cannot_be_are_named(tmp_path: Path, files: dict[str, Any], words: str) -> None:
    path = saved(tmp_path)
    beside(tmp_path, **files)
    with pytest.raises(ValueError, match=words):
        find_source(str(path))


def test_a_file_of_hugging_face_that_is_damaged_is_named(tmp_path: Path) -> None:
    path = saved(tmp_path)
    (tmp_path / "config.json").write_text('{"id2label": ')
    with pytest.raises(ValueError, match=r"config.json is not JSON"):
        find_source(str(path))


def test_another_programs_config_counts_as_none(tmp_path: Path) -> None:
    path = saved(tmp_path)
    (tmp_path / "config.json").write_text('["a", "b"]')
    assert find_source(str(path)).labels is None


def test_weights_in_a_file_beside_the_graph_are_read_and_missed(tmp_path: Path) -> None:
    options = {"save_as_external_data": True, "location": "model.onnx.data", "size_threshold": 16}
    onnx.save(classifier(), tmp_path / "model.onnx", **options)
    agreement = export(find_source(str(tmp_path / "model.onnx")), Wanted(), tmp_path / "out.onnx", lambda _: None)
    assert agreement.float64 < 1e-5
    (tmp_path / "model.onnx.data").rename(tmp_path / "elsewhere")
    with pytest.raises(ValueError, match=r"keeps its weights in model\.onnx\.data, which is not beside it"):
        find_source(str(tmp_path / "model.onnx"))
    Explainer(tmp_path / "out.onnx")  # holds its weights itself


def test_a_graph_against_onnx_s_rules_is_refused_with_its_node(tmp_path: Path) -> None:
    network = classifier()
    network.graph.node.append(
        helper.make_node("TopK", ["logits", "three"], ["best"], "best", axis=1)
    )  # lacks its second
    network.graph.initializer.append(numpy_helper.from_array(np.array([3]), "three"))
    network.graph.output[0].name = "best"
    with pytest.raises(ValueError, match=r"no valid ONNX graph.*TopK, node name: best"):
        explainable(find_source(str(saved(tmp_path, network))), Wanted(), lambda _: None)


BAD = {
    "none.onnx": "There is no file none.onnx",
    "none.keras": "There is no file none.keras",
    "empty": "is a folder without saved_model.pb",
    "text.txt": "is no network that whycam reads.*keras:NAME",
    "weights.pth": "holds weights, not a network.*torchvision:NAME --weights weights.pth",
    "nothing": "There is no file nothing. Give a file",
}


@pytest.mark.parametrize("name", BAD)
def test_what_is_no_network_is_refused_with_what_to_give(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("empty").mkdir()
    for file in ("text.txt", "weights.pth"):
        Path(file).write_bytes(b"x")
    with pytest.raises(ValueError, match=BAD[name]):
        find_source(name)


@pytest.mark.parametrize(
    ("model", "packages"),
    [
        ("mine.pt2", "torch"),
        ("torchvision:resnet18", "torchvision"),
        ("timm:resnet18", "timm"),
        ("keras:VGG19", "keras"),
    ],
)
def test_a_missing_package_is_named_with_its_extra(
    tmp_path: Path, model: str, packages: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from whycam.export import requirements

    monkeypatch.chdir(tmp_path)
    Path("mine.pt2").write_bytes(b"")
    monkeypatch.setattr(requirements, "find_spec", lambda name: None if name != "onnx" else name)
    extra = "export" if packages == "keras" else "torch"
    how = "make setup" if extra == "export" else r"pip install '\.\[torch\]'"
    with pytest.raises(ExportMissing, match=rf"needs .*{packages}.*whycam\[{extra}\].*{how}"):
        find_source(model)


def test_weights_are_for_a_network_by_its_name(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="a file has its own weights"):
        find_source(str(saved(tmp_path)), "random")


def test_labels_with_their_numbers_lose_them(tmp_path: Path) -> None:
    (tmp_path / "labels.txt").write_text("0 red cup\n1 pan\n2 jar\n")
    assert read_labels(tmp_path / "labels.txt") == ("red cup", "pan", "jar")
    (tmp_path / "labels.txt").write_text("0 red cup\n2 pan\n")
    assert read_labels(tmp_path / "labels.txt") == ("0 red cup", "2 pan")


# Networks in other numbers than float32.


def in_half(model: ModelProto, kind: int = TensorProto.FLOAT16) -> ModelProto:
    """All of a network in another precision, with its input and its output."""
    half = ModelProto()
    half.CopyFrom(model)
    dtype = helper.tensor_dtype_to_np_dtype(kind)
    for tensor in half.graph.initializer:
        if tensor.data_type == TensorProto.FLOAT:
            tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor).astype(dtype), tensor.name))
    for value in (*half.graph.input, *half.graph.output):
        value.type.tensor_type.elem_type = kind
    return half


@pytest.mark.parametrize("kind", [TensorProto.FLOAT16, TensorProto.DOUBLE])
def test_a_network_of_another_precision_computes_in_single(tmp_path: Path, kind: int) -> None:
    path = saved(tmp_path, in_half(classifier(), kind))
    said: list[str] = []
    agreement = export(find_source(str(path)), Wanted(), tmp_path / "out.onnx", said.append)
    assert agreement.float64 < 1e-5
    assert any("computes in single precision" in line for line in said)
    made, plain = Explainer(tmp_path / "out.onnx"), classifier()
    scores = made.explain(IMAGES, [-1]).scores
    inputs = PREPROCESSING["imagenet"].apply(IMAGES).transpose(0, 3, 1, 2)
    (logits,) = evaluate(plain.SerializeToString(), {"input": inputs}, ["logits"])
    powers = np.exp(logits - logits.max(1, keepdims=True))
    np.testing.assert_allclose(scores, powers / powers.sum(1, keepdims=True), atol=2e-2)


@pytest.mark.parametrize("end", ["Softmax", ""])
def test_a_half_network_that_keeps_its_inputs_and_outputs_in_single_is_explained(tmp_path: Path, end: str) -> None:
    """As converters write it: a Cast behind the image and one behind the softmax, which would get a second one."""
    half = in_half(classifier())
    half.graph.node.insert(0, helper.make_node("Cast", ["image"], ["input"], to=TensorProto.FLOAT16))
    last = "logits"
    if end:
        half.graph.node.append(helper.make_node(end, ["logits"], ["probabilities"], axis=-1))
        last = "probabilities"
    half.graph.node.append(helper.make_node("Cast", [last], ["out"], to=TensorProto.FLOAT))
    half.graph.input[0].name, half.graph.output[0].name = "image", "out"
    for value in (*half.graph.input, *half.graph.output):
        value.type.tensor_type.elem_type = TensorProto.FLOAT
    said: list[str] = []
    agreement = export(find_source(str(saved(tmp_path, half))), Wanted(), tmp_path / "out.onnx", said.append)
    assert agreement.float64 < 1e-5
    assert not any("reverse pass" in line for line in said)
    inputs = PREPROCESSING["imagenet"].apply(IMAGES).transpose(0, 3, 1, 2)
    (own,) = evaluate(half.SerializeToString(), {"image": inputs}, ["out"])
    if not end:
        powers = np.exp(own - own.max(1, keepdims=True))
        own = powers / powers.sum(1, keepdims=True)
    np.testing.assert_allclose(Explainer(tmp_path / "out.onnx").explain(IMAGES, [-1]).scores, own, atol=2e-2)


def test_a_network_of_mixed_precision_loses_its_casts() -> None:
    mixed = classifier()
    mixed.graph.node.insert(0, helper.make_node("Cast", ["input"], ["half"], to=TensorProto.FLOAT16))
    mixed.graph.node.insert(1, helper.make_node("Cast", ["half"], ["float"], to=TensorProto.FLOAT))
    mixed.graph.node[2].input[0] = "float"
    single = in_single(mixed)
    assert single is not None
    assert not [each for node in single.graph.node for each in node.attribute if each.name == "to" and each.i != 1]


def test_a_network_in_float32_stays_as_it_is() -> None:
    assert in_single(classifier()) is None


def test_large_weights_stay_in_half_precision(tmp_path: Path) -> None:
    wide = in_half(tiny_models.classifier(classes=400, channels=64))
    del wide.graph.input[:]
    wide.graph.input.append(helper.make_tensor_value_info("input", TensorProto.FLOAT16, ["N", 3, SIZE, SIZE]))
    single = in_single(wide)
    assert single is not None
    stored = {tensor.name: tensor.data_type for tensor in single.graph.initializer}
    assert stored["whycam/half/weights"] == TensorProto.FLOAT16
    assert stored["bias"] == TensorProto.FLOAT


def test_a_network_that_takes_bytes_gets_them() -> None:
    taking = classifier()
    taking.graph.node.insert(0, helper.make_node("Cast", ["bytes"], ["input"], to=TensorProto.FLOAT))
    taking.graph.input[0].name = "bytes"
    taking.graph.input[0].type.tensor_type.elem_type = TensorProto.UINT8
    ready = take_images(taking, mean=[0], scale=[1])
    (got,) = evaluate(ready.SerializeToString(), {"image": IMAGES}, ["logits"])
    plain = IMAGES.transpose(0, 3, 1, 2).astype(np.float32)
    (expected,) = evaluate(classifier().SerializeToString(), {"input": plain}, ["logits"])
    np.testing.assert_allclose(got, expected, rtol=1e-5)


# Sizes that shape inference does not find.


def test_sizes_that_a_graph_computes_are_found_by_running_it(tmp_path: Path) -> None:
    """A Reshape to a shape that is computed from the image itself, as some exporters write it."""
    hidden = classifier()
    nodes = list(hidden.graph.node)
    place = next(index for index, node in enumerate(nodes) if node.op_type == "GlobalAveragePool")
    odd = [
        helper.make_node("Shape", ["feature"], ["sizes"]),
        helper.make_node("Cast", ["sizes"], ["as floats"], to=TensorProto.FLOAT),
        helper.make_node("Ceil", ["as floats"], ["rounded"]),
        helper.make_node("Cast", ["rounded"], ["again"], to=TensorProto.INT64),
        helper.make_node("Reshape", ["feature", "again"], ["shaped"], "shaped"),
        helper.make_node("Relu", ["shaped"], ["hidden"], "hidden"),
    ]
    nodes[place].input[0] = "hidden"
    del hidden.graph.node[:]
    hidden.graph.node.extend([*nodes[:place], *odd, *nodes[place:]])
    inferred = onnx.shape_inference.infer_shapes(hidden, data_prop=True)
    known = {value.name: value for value in inferred.graph.value_info}
    assert not all(dim.HasField("dim_value") for dim in known["hidden"].type.tensor_type.shape.dim[1:])
    agreement = export(find_source(str(saved(tmp_path, hidden))), Wanted(), tmp_path / "out.onnx", lambda _: None)
    assert agreement.float64 < 1e-5
    assert Explainer(tmp_path / "out.onnx").contract.feature == "hidden"


# The page about an export.


def test_the_report_says_what_the_file_says(tmp_path: Path) -> None:
    source = find_source(str(saved(tmp_path)))
    agreement = export(source, Wanted(name="mine"), tmp_path / "out.onnx", lambda _: None, tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text("utf-8")
    assert page.count("<img") == 12
    for words in (
        "<h1>mine</h1>",
        f"{agreement.maps} heatmaps of {agreement.images} images",
        f"{agreement.float64:.1e}",
        f"{agreement.shift:.1e}",
        Explainer(tmp_path / "out.onnx").sha256,
        "There was no framework to ask",
    ):
        assert words in page


def test_an_open_size_written_as_minus_one_is_open(tmp_path: Path) -> None:
    """As Paddle writes it."""
    network = classifier()
    for axis in (0, 2, 3):
        network.graph.input[0].type.tensor_type.shape.dim[axis].dim_value = -1
    network.graph.output[0].type.tensor_type.shape.dim[0].dim_value = -1
    source = find_source(str(saved(tmp_path, network)))
    with pytest.raises(ValueError, match=r"not \['\?', 3, '\?', '\?'\]"):
        explainable(source, Wanted(), lambda _: None)
    made = explainable(source, Wanted(size=(SIZE, SIZE)), lambda _: None)
    assert made.model.graph.input[0].type.tensor_type.shape.dim[1].dim_value == SIZE
