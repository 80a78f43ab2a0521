"""`whycam export FILE.onnx`: from a plain classifier to a model by its name, in one command."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray

from tests.support.command import run
from tests.support.films import media_samples
from tests.support.models.plain_classifier import SIZE, classifier
from whycam.export.exporter import Wanted
from whycam.export.exporter import export as export_classifier
from whycam.export.preprocessing import PREPROCESSING
from whycam.export.sources.find_source import find_source
from whycam.models.class_set import ClassSet
from whycam.models.contract import WHOLE
from whycam.stream.inference.explainer import Explainer, evaluate
from whycam.stream.media.image import write_image


@pytest.fixture
def export(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a classifier; models of this test's own."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    onnx.save(classifier(names="{0: 'red', 1: 'green', 2: 'blue'}"), tmp_path / "My Colours.onnx")
    return tmp_path


def told(done: subprocess.CompletedProcess[str]) -> str:
    return done.stdout + done.stderr


def spot() -> NDArray[np.uint8]:
    image = np.full((SIZE, SIZE, 3), 90, np.uint8)
    image[8:12, 20:24] = (30, 220, 40)
    return image


def test_a_classifier_becomes_a_model_by_its_name(export: Path) -> None:
    done = run("export", "My Colours.onnx", "--like", "plain", folder=export)
    assert done.returncode == 0, told(done)
    for words in ("the model's own ('names')", "ends in logits", "from float64", "whycam serve --model my-colours"):
        assert words in done.stdout
    assert "my-colours" in run("models", folder=export).stdout
    media_samples.write(export / "kitchen.mov", count=3)
    film = run("process", "kitchen.mov", "--model", "my-colours", folder=export)
    assert film.returncode == 0, told(film)

    path = export / "data" / "whycam" / "models" / "my-colours.onnx"
    explainer = Explainer(path)
    assert explainer.contract.labels == ("red", "green", "blue")
    assert explainer.contract.parity["float64"] < 1e-5
    found = explainer.explain(spot()[None], [-1])
    assert found.classes.tolist() == [[1]]
    assert np.unravel_index(found.heatmaps[0, 0].argmax(), (8, 8)) == (2, 5)

    renamed = run("models", "--rename", "my-colours", "colours", folder=export)
    assert renamed.returncode == 0, told(renamed)
    assert run("models", "--rename", "colours", "vgg16", folder=export).returncode == 1
    removed = run("models", "--remove", "colours", folder=export)
    assert (removed.returncode, list(path.parent.glob("*.onnx"))) == (0, [])


@pytest.mark.parametrize(
    ("options", "mean", "std", "reverse"),
    [
        (["--like", "torch"], [0.485, 0.456, 0.406], [0.229, 0.224, 0.225], False),
        (["--like", "keras-tf"], [0.5] * 3, [0.5] * 3, False),
        (["--like", "keras-caffe"], [123.68 / 255, 116.779 / 255, 103.939 / 255], [1 / 255] * 3, True),
        (["--mean", "0.1", "0.2", "0.3", "--std", "2", "3", "4", "--bgr"], [0.1, 0.2, 0.3], [2, 3, 4], True),
        (["--scale", "1"], [0] * 3, [1 / 255] * 3, False),
    ],
)
def test_the_network_gets_what_it_expects(
    export: Path, options: list[str], mean: list[float], std: list[float], reverse: bool
) -> None:
    done = run("export", "My Colours.onnx", "-o", "out.onnx", *options, folder=export)
    assert done.returncode == 0, told(done)
    levels = (spot() / 255 - np.array(mean)) / np.array(std)
    given = (levels[..., ::-1] if reverse else levels).transpose(2, 0, 1)[None].astype(np.float32)
    (logits,) = evaluate(classifier().SerializeToString(), {"input": given}, ["logits"])
    expected = np.exp(logits - logits.max())
    scores = Explainer(export / "out.onnx").explain(spot()[None], [-1]).scores
    np.testing.assert_allclose(scores, expected / expected.sum(), atol=1e-4)


def test_a_network_for_grey_gets_luma(export: Path) -> None:
    onnx.save(classifier(channels=1), export / "grey.onnx")
    done = run("export", "grey.onnx", "-o", "out.onnx", "--like", "plain", folder=export)
    assert done.returncode == 0, told(done)
    luma = (spot() / 255 @ np.array([0.299, 0.587, 0.114]))[None, None].astype(np.float32)
    (logits,) = evaluate(classifier(channels=1).SerializeToString(), {"input": luma}, ["logits"])
    found = Explainer(export / "out.onnx").explain(spot()[None], [-1])
    expected = np.exp(logits - logits.max())
    np.testing.assert_allclose(found.scores, expected / expected.sum(), atol=1e-4)


def test_an_open_size_is_fixed_and_a_cropped_one_is_drawn_in_its_place(export: Path) -> None:
    onnx.save(classifier(size="S", crop=True), export / "open.onnx")
    without = run("export", "open.onnx", folder=export)
    assert (without.returncode, "--size HxW" in told(without)) == (1, True)
    done = run("export", "open.onnx", "--size", "32x32", "-o", "out.onnx", folder=export)
    assert done.returncode == 0, told(done)
    region = Explainer(export / "out.onnx").contract.drawn_map().region
    assert region == (0.5, 0.0, 1.0, 0.5) != WHOLE
    other = run("export", "My Colours.onnx", "--size", "64x64", "-o", "out.onnx", folder=export)
    assert (other.returncode, "32x32 pixels only" in told(other)) == (1, True)


def test_a_try_shows_the_best_classes_and_writes_nothing(export: Path) -> None:
    write_image(export / "spot.png", spot())
    before = set(export.rglob("*"))
    done = run("export", "My Colours.onnx", "--like", "plain", "--try", "spot.png", folder=export)
    assert done.returncode == 0, told(done)
    assert "% green" in done.stdout.splitlines()[-3]
    assert set(export.rglob("*")) == before


def test_the_default_preprocessing_is_said_with_how_to_change_it(export: Path) -> None:
    done = run("export", "My Colours.onnx", "-o", "out.onnx", folder=export)
    assert "Preprocessing: ImageNet's" in done.stdout
    assert "--like" in done.stdout


def test_a_model_may_have_maps_by_several_methods(export: Path) -> None:
    methods = ["--method", "layer-cam", "--method", "negative", "--method", "layer-cam"]
    done = run("export", "My Colours.onnx", "--like", "plain", "-o", "out.onnx", *methods, folder=export)
    assert done.returncode == 0, told(done)
    maps = Explainer(export / "out.onnx").contract.listed_maps()
    assert [each.method for each in maps] == ["layer-cam", "negative"]
    compared = [line for line in done.stdout.splitlines() if "from float64" in line]
    assert len(compared) == 3, told(done)  # each map with the file's own classes, and all of them with others
    assert "classes" in compared[-1]


def test_a_network_that_makes_shares_of_its_numbers_is_refused(export: Path) -> None:
    """By operators that say nothing of it: a ReLU, divided by its sum."""
    network = classifier()
    shares = [
        onnx.helper.make_node("Relu", ["logits"], ["positive"]),
        onnx.helper.make_node("ReduceSum", ["positive", "one"], ["total"]),
        onnx.helper.make_node("Div", ["positive", "total"], ["shares"]),
    ]
    network.graph.node.extend(shares)
    network.graph.initializer.append(onnx.numpy_helper.from_array(np.array([1]), "one"))
    network.graph.output[0].name = "shares"
    onnx.save(network, export / "shares.onnx")
    for layer in ([], ["--layer", "8x8"]):
        done = run("export", "shares.onnx", *layer, folder=export)
        assert (done.returncode, "the network's numbers sum to 1" in done.stderr) == (1, True), told(done)


BAD: dict[str, tuple[list[str], str]] = {
    "no file": (["none.onnx"], "There is no file none.onnx"),
    "no model": (["text.onnx"], "is not an ONNX model"),
    "two kinds": (["vgg16", "--labels", "text.onnx"], "--labels is for a classifier of your own only"),
    "vgg16's options": (["My Colours.onnx", "--half", "--int8"], "--half and --int8 are for vgg16 only"),
    "itself": (["My Colours.onnx", "-o", "My Colours.onnx"], "is the classifier itself"),
    "another ending": (["My Colours.onnx", "-o", "out.txt"], "ends in .onnx"),
    "a taken name": (["My Colours.onnx", "--name", "vgg16"], "a model that whycam makes"),
    "an odd name": (["My Colours.onnx", "--name", "../x"], "cannot be a model's name"),
    "a size": (["My Colours.onnx", "--size", "32"], "written HxW"),
    "two ways": (["My Colours.onnx", "--like", "plain", "--scale", "1"], "say the same"),
    "nothing to divide by": (["My Colours.onnx", "--std", "0", "1", "1"], "no number of it can be 0"),
    "no method": (["My Colours.onnx", "--method", "cam"], "no CAM method 'cam'. Choose one of grad-cam, hirescam"),
    "no layer": (["My Colours.onnx", "--layer", "8x8", "--layer", "9x9"], "has no layer '9x9'"),
    "vgg16's layers": (["vgg16", "--list-layers"], "--list-layers is for a classifier of your own only"),
    "no labels": (["My Colours.onnx", "--labels", "none.txt"], "none.txt cannot be read"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_call_ends_with_a_sentence_and_leaves_nothing(export: Path, name: str) -> None:
    (export / "text.onnx").write_text("not a model")
    before = set(export.rglob("*"))
    arguments, words = BAD[name]
    done = run("export", *arguments, folder=export)
    assert done.returncode == 1
    assert words in done.stderr
    assert "Traceback" not in done.stderr
    assert set(export.rglob("*")) == before


def exported(plain: onnx.ModelProto, folder: Path) -> tuple[Explainer, str]:
    """A classifier's file, and what its export said."""
    onnx.save(plain, folder / "plain.onnx")
    said: list[str] = []
    source = find_source(str(folder / "plain.onnx"), "imagenet", None)
    export_classifier(source, Wanted(preprocessing=PREPROCESSING["plain"]), folder / "made.onnx", said.append)
    return Explainer(folder / "made.onnx"), "\n".join(said)


def test_a_file_takes_other_classes_where_the_network_ends_in_a_dense_layer(tmp_path: Path) -> None:
    explainer, said = exported(classifier(), tmp_path)
    layer = explainer.contract.last_layer
    assert layer is not None
    assert "With a last layer for 3 and 10 other classes: 18 heatmaps at most" in said
    weights = np.random.default_rng(0).normal(size=(layer.width, 5)).astype(np.float32)
    five = ClassSet(tuple("abcde"), weights, np.zeros(5, np.float32))
    assert explainer.explain(spot()[None], [-1, 4], five).scores.shape == (1, 5)


def test_an_export_says_why_a_files_classes_are_fixed(tmp_path: Path) -> None:
    plain = classifier()
    output = plain.graph.output[0]
    plain.graph.node.append(onnx.helper.make_node("Mul", [output.name, "two"], ["doubled"], "double"))
    plain.graph.initializer.append(onnx.numpy_helper.from_array(np.float32(2), "two"))
    output.name = "doubled"
    explainer, said = exported(plain, tmp_path)
    assert explainer.contract.last_layer is None
    assert "classes cannot be replaced by others: its last layer is not one plain dense layer" in said
    assert "Mul 'double'" in said
