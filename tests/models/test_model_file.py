"""A model file's contract, read without onnxruntime: the same that onnxruntime's session gives."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from tests.support import ROOT
from tests.support.models import tiny_models
from whycam.models import catalog
from whycam.models.contract import HEATMAPS, ContractError
from whycam.models.model_file import contract_of, output_of
from whycam.stream.inference.explainer import Explainer


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tiny_models.several_maps(tmp_path / "several.onnx")


def test_it_is_what_onnxruntime_reads(path: Path, tmp_path: Path) -> None:
    for each in (path, tiny_models.model(tmp_path / "tiny.onnx"), catalog.EFFICIENTNET_LITE0.path):
        assert contract_of(each) == Explainer(each).contract


def test_an_input_with_a_default_is_none_that_the_model_needs(path: Path) -> None:
    model = onnx.load(path)
    model.graph.input.append(helper.make_tensor_value_info("scale", TensorProto.FLOAT, [1]))
    model.graph.initializer.append(numpy_helper.from_array(np.ones(1, np.float32), "scale"))
    onnx.save(model, path)
    assert contract_of(path) == Explainer(path).contract


def test_what_the_contract_refuses_is_refused_in_the_same_words(path: Path) -> None:
    model = onnx.load(path)
    model.graph.input[0].type.tensor_type.elem_type = TensorProto.FLOAT
    onnx.save(model, path)
    with pytest.raises(
        ContractError, match=r"several\.onnx: .*'image' should be tensor\(uint8\).*it is tensor\(float\)"
    ):
        contract_of(path)


@pytest.mark.parametrize("content", [b"", b"\x3a\x05a", b"\xff" * 40, b"not a model", b"\x3a\x00"])
def test_a_file_that_is_no_model_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "broken.onnx").write_bytes(content)
    with pytest.raises(ContractError, match=r"broken\.onnx"):
        contract_of(tmp_path / "broken.onnx")


def test_a_cut_file_is_refused(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ContractError, match="several"):
        contract_of(path)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ContractError, match="There is no model file"):
        contract_of(tmp_path / "no.onnx")


def test_the_first_map_needs_no_look_into_the_file(tmp_path: Path) -> None:
    assert output_of(tmp_path / "no.onnx", None, None) == HEATMAPS


@pytest.mark.parametrize(
    ("method", "layer", "found"),
    [
        ("hirescam", None, ("hirescam", "feature")),
        (None, "fine", ("grad-cam", "fine")),
        ("hirescam", "16X16", ("hirescam", "fine")),
        (None, "8x8", ("grad-cam", "feature")),
        ("grad-cam", "eatur", ("grad-cam", "feature")),
    ],
)
def test_a_map_is_chosen_by_method_and_layer(
    path: Path, method: str | None, layer: str | None, found: tuple[str, str]
) -> None:
    spec = contract_of(path).map_of(output_of(path, method, layer))
    assert (spec.method, spec.layer) == found


def test_part_of_several_layers_is_refused_with_their_names(path: Path) -> None:
    with pytest.raises(ContractError, match=r"several layers 'f': 'feature', 'fine'\. Give a whole name"):
        output_of(path, None, "f")


def test_it_needs_no_onnxruntime(path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from whycam.models.model_file import contract_of; "
        f"contract_of(Path({str(path)!r})); print('onnxruntime' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert done.stdout.strip() == "False"
