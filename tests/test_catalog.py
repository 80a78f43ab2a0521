"""The models that go by a name."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from models import catalog
from models.contract import ContractError
from tests import tiny


def test_without_a_name_it_is_the_bundled_model() -> None:
    assert catalog.find() == catalog.EFFICIENTNET_LITE0.path


@pytest.mark.parametrize("name", ["efficientnet-lite0", "EfficientNet-Lite0"])
def test_a_known_model_is_found_by_name(name: str) -> None:
    assert catalog.find(name) == catalog.EFFICIENTNET_LITE0.path


def test_all_that_is_known_says_where_it_comes_from() -> None:
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
    path = tiny.model(tmp_path / "mine.onnx")
    assert catalog.find(str(path)) == path


def test_a_name_with_a_slip_is_corrected() -> None:
    with pytest.raises(ContractError, match=r"no model called 'eficientnet-lite'\. Did you mean efficientnet-lite0\?"):
        catalog.find("eficientnet-lite")


def test_an_unknown_name_is_answered_with_those_there_are() -> None:
    with pytest.raises(ContractError, match=r"no model called 'xyz'.*efficientnet-lite0.*path to an \.onnx file"):
        catalog.find("xyz")


@pytest.mark.parametrize("path", ["nowhere.onnx", "some/folder/model"])
def test_a_path_that_leads_nowhere_is_told(path: str) -> None:
    with pytest.raises(ContractError, match=f"no model file {path}"):
        catalog.find(path)


def test_a_damaged_file_of_a_known_model_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "damaged.onnx"
    content = bytearray(catalog.EFFICIENTNET_LITE0.path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    monkeypatch.setattr(catalog, "DEFAULT", replace(catalog.EFFICIENTNET_LITE0, path=path))
    with pytest.raises(ContractError, match="damaged or was changed"):
        catalog.find()


def test_a_known_model_whose_file_is_missing_says_how_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    missing = replace(catalog.EFFICIENTNET_LITE0, path=tmp_path / "missing.onnx", make="whycam export missing")
    assert not missing.ready
    monkeypatch.setattr(catalog, "DEFAULT", missing)
    with pytest.raises(ContractError, match="Make it: whycam export missing"):
        catalog.find()
