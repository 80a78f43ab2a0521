"""What a file says of itself, beside what onnxruntime says of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import onnx
import onnxruntime
import pytest
from onnx import ModelProto, TensorProto, helper, numpy_helper

from tests.support.models import tiny_models
from whycam.models.catalog import EFFICIENTNET_LITE0
from whycam.models.described import describe
from whycam.stream.inference.explainer import Explainer


def as_it_is(_: ModelProto) -> None:
    return


def with_a_default(model: ModelProto) -> None:
    """An input that need not be given."""
    model.graph.input.append(helper.make_tensor_value_info("factor", TensorProto.FLOAT, [1]))
    model.graph.initializer.append(numpy_helper.from_array(tiny_models.images(1)[0, 0, 0, :1].astype("f4"), "factor"))


def with_words(model: ModelProto) -> None:
    helper.set_model_props(model, {"empty": "", "größe": "Grüße"})


@pytest.mark.parametrize("change", [as_it_is, with_a_default, with_words])
@pytest.mark.parametrize("bundled", [False, True])
def test_it_is_what_onnxruntime_says(change: Callable[[ModelProto], None], bundled: bool, tmp_path: Path) -> None:
    model = onnx.load(EFFICIENTNET_LITE0.path if bundled else tiny_models.model(tmp_path / "tiny.onnx"))
    change(model)
    onnx.save(model, tmp_path / "model.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx", providers=["CPUExecutionProvider"])
    found = describe(tmp_path / "model.onnx")
    assert found.metadata == session.get_modelmeta().custom_metadata_map
    for ours, theirs in ((found.inputs, session.get_inputs()), (found.outputs, session.get_outputs())):
        assert [tuple(each) for each in ours] == [(each.name, each.type, each.shape) for each in theirs]


def test_a_file_that_leaves_a_shape_out_is_left_to_onnxruntime(tmp_path: Path) -> None:
    model = onnx.load(tiny_models.model(tmp_path / "tiny.onnx"))
    heatmaps = next(each for each in model.graph.output if each.name == "heatmaps")
    heatmaps.type.tensor_type.ClearField("shape")
    onnx.save(model, tmp_path / "open.onnx")
    with pytest.raises(ValueError, match="not enough values"):
        describe(tmp_path / "open.onnx")
    assert Explainer(tmp_path / "open.onnx").contract.map_size == (tiny_models.CELLS, tiny_models.CELLS)


@pytest.mark.parametrize("part", [0, 1, 1000])
def test_damage_is_an_error_of_values(part: int, tmp_path: Path) -> None:
    """As an empty file is, of which nothing can be mapped."""
    path = tiny_models.model(tmp_path / "tiny.onnx")
    path.write_bytes(path.read_bytes()[:part])
    with pytest.raises(ValueError, match=" "):
        describe(path)


def test_a_file_can_be_replaced_after_it_was_described(tmp_path: Path) -> None:
    path = tiny_models.model(tmp_path / "tiny.onnx")
    describe(path)
    tiny_models.model(tmp_path / "other.onnx", name="other").replace(path)
    assert describe(path).metadata["whycam.name"] == "other"
