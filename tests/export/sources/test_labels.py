"""Labels come from a file, from the model's own metadata, or are numbers."""

from __future__ import annotations

from pathlib import Path

import pytest
from onnx import ModelProto, helper

from whycam.export.labels import find_labels, read_labels

ANIMALS = ("cat", "dog", "größe")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.txt", "cat\ndog\n\n größe \n"),
        ("bom.txt", "\ufeffcat\r\ndog\r\ngröße"),
        ("a.json", '["cat", "dog", "größe"]'),
        ("b.json", '{"1": "dog", "0": "cat", "2": "größe"}'),
        ("config.json", '{"model_type": "x", "id2label": {"0": "cat", "1": "dog", "2": "größe"}}'),
        ("class_indices.json", '{"dog": 1, "cat": 0, "größe": 2}'),
        ("a.csv", "cat\ndog\ngröße\n"),
        ("b.csv", 'id,name\n0,cat\n1,"dog"\n2,größe\n'),
        ("c.csv", "0,cat\n1,dog\n2,größe\n"),
    ],
)
def test_a_file_of_labels_is_read(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text, encoding="utf-8")
    assert read_labels(tmp_path / name) == ANIMALS


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.json", b"{", "not JSON"),
        ("deep.json", b"[" * 100_000, "not JSON"),
        ("a.json", b'{"1": "dog", "2": "cat"}', "2 or more classes, it names 0"),
        ("a.txt", b"cat", "2 or more classes, it names 1"),
        ("a.txt", b"\xff\xfe\x00", "cannot be read"),
        ("none.txt", None, "cannot be read"),
    ],
)
def test_a_file_that_names_no_classes_is_refused(tmp_path: Path, name: str, content: bytes | None, words: str) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=words):
        read_labels(tmp_path / name)


def model(**properties: str) -> ModelProto:
    made = helper.make_model(helper.make_graph([], "empty", [], []))
    helper.set_model_props(made, properties)
    return made


@pytest.mark.parametrize(
    "properties",
    [
        {"names": "{0: 'cat', 1: 'dog', 2: 'größe'}"},
        {"id2label": '{"0": "cat", "1": "dog", "2": "größe"}'},
        {"labels": '["cat", "dog", "größe"]'},
    ],
)
def test_a_models_own_labels_are_taken(properties: dict[str, str]) -> None:
    labels, sentence = find_labels(model(**properties), 3, None)
    assert labels == ANIMALS
    assert next(iter(properties)) in sentence


@pytest.mark.parametrize("names", ["{0: 'cat'}", "cat, dog", "__import__('os')", "[" * 10_000])
def test_labels_that_do_not_fit_are_left_for_numbers(names: str) -> None:
    labels, sentence = find_labels(model(names=names), 3, None)
    assert labels == ("class 0", "class 1", "class 2")
    assert "--labels FILE" in sentence


def test_a_thousand_classes_are_imagenets() -> None:
    labels, sentence = find_labels(model(), 1000, None)
    assert (len(labels), labels[954]) == (1000, "banana")
    assert "ImageNet" in sentence


def test_a_file_with_another_number_of_classes_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("cat\ndog\n")
    with pytest.raises(ValueError, match="names 2 classes, the network scores 3"):
        find_labels(model(), 3, tmp_path / "a.txt")
