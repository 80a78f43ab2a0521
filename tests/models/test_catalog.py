"""Finding a model by name or path."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from platformdirs import user_data_path

from tests.support.models import tiny_models
from whycam.models import catalog
from whycam.models.contract import ContractError


def test_the_default_is_the_bundled_model_until_vgg16_is_made(tmp_path: Path) -> None:
    assert catalog.find(folder=tmp_path) == catalog.EFFICIENTNET_LITE0.path
    tiny_models.model(tmp_path / "elsewhere.onnx", name="vgg16")
    assert catalog.find(folder=tmp_path) == catalog.EFFICIENTNET_LITE0.path
    made = tiny_models.model(tmp_path / "vgg16.onnx", name="vgg16")
    assert catalog.find(folder=tmp_path) == made
    assert catalog.find("vgg16", folder=tmp_path) == made
    assert catalog.find("efficientnet-lite0", folder=tmp_path) == catalog.EFFICIENTNET_LITE0.path


def test_the_error_for_a_missing_vgg16_names_the_command(tmp_path: Path) -> None:
    with pytest.raises(ContractError, match="Make it: whycam export vgg16"):
        catalog.find("vgg16", folder=tmp_path)
    assert "vgg16" in [model.name for model in catalog.known(tmp_path)]


def test_an_exported_vgg16_is_in_the_users_data_folder() -> None:
    assert catalog.vgg16().path == user_data_path("whycam", appauthor=False) / "models" / "vgg16.onnx"
    assert catalog.vgg16() in catalog.known()


@pytest.mark.parametrize("name", ["efficientnet-lite0", "EfficientNet-Lite0"])
def test_a_known_model_is_found_by_name(name: str) -> None:
    assert catalog.find(name) == catalog.EFFICIENTNET_LITE0.path


def test_every_known_model_has_a_source_and_a_licence() -> None:
    names = [model.name for model in catalog.known()]
    assert len(set(names)) == len(names)
    for model in catalog.known():
        assert model.source
        assert model.licence
        assert model.ready or model.make


def test_the_bundled_file_is_the_one_that_was_made() -> None:
    bundled = catalog.EFFICIENTNET_LITE0
    assert bundled.ready
    assert catalog.sha256(bundled.path) == bundled.sha256


def test_a_file_is_found_by_its_path(tmp_path: Path) -> None:
    path = tiny_models.model(tmp_path / "mine.onnx")
    assert catalog.find(str(path)) == path


def test_a_misspelt_name_gets_a_suggestion() -> None:
    with pytest.raises(ContractError, match=r"no model called 'eficientnet-lite'\. Did you mean efficientnet-lite0\?"):
        catalog.find("eficientnet-lite")


def test_the_error_for_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(ContractError, match=r"no model called 'xyz'.*efficientnet-lite0.*path to an \.onnx file"):
        catalog.find("xyz")


@pytest.mark.parametrize("path", ["nowhere.onnx", "some/folder/model"])
def test_the_error_for_a_missing_file_names_its_path(path: str) -> None:
    with pytest.raises(ContractError, match=f"no model file {path}"):
        catalog.find(path)


def test_a_damaged_file_of_a_known_model_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "damaged.onnx"
    content = bytearray(catalog.EFFICIENTNET_LITE0.path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    monkeypatch.setattr(catalog, "EFFICIENTNET_LITE0", replace(catalog.EFFICIENTNET_LITE0, path=path))
    with pytest.raises(ContractError, match="damaged or was changed"):
        catalog.find(folder=tmp_path)


def test_a_bundled_model_whose_file_is_missing_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    missing = replace(catalog.EFFICIENTNET_LITE0, path=tmp_path / "missing.onnx")
    assert not missing.ready
    monkeypatch.setattr(catalog, "EFFICIENTNET_LITE0", missing)
    with pytest.raises(ContractError, match="install whycam again"):
        catalog.find(folder=tmp_path)
