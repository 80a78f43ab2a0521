"""The weights before a tensor are permuted, and nothing else changes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from tests.support.models import tiny_models
from whycam.models.permuted import permute_weights
from whycam.stream.inference.explainer import Explainer


def network(*, raw: bool = True, dtype: type = np.float32) -> bytes:
    """Two convolutions, a scale, a bias, a table of integers that a Gather reads, and a dense layer behind."""
    random = np.random.default_rng(0)
    stored: dict[str, NDArray[Any]] = {
        "first": random.normal(size=(4, 3, 3, 3)).astype(dtype),
        "bias": random.normal(size=4).astype(dtype),
        "scale": random.normal(size=(1, 4, 1, 1)).astype(dtype),
        "second": random.normal(size=(5, 4, 1, 1)).astype(dtype),
        "dense": random.normal(size=(5, 2)).astype(dtype),
    }
    node = helper.make_node
    nodes = [
        node("Conv", ["x", "first", "bias"], ["a"]),
        node("Mul", ["a", "scale"], ["b"]),
        node("Conv", ["b", "second"], ["feature"]),
        node("GlobalAveragePool", ["feature"], ["p"]),
        node("Flatten", ["p"], ["q"]),
        node("MatMul", ["q", "dense"], ["scores"]),
    ]
    kind = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
    values = [helper.make_tensor_value_info(name, kind, None) for name in ("x", "scores")]
    tensors = [
        numpy_helper.from_array(value, name)
        if raw
        else helper.make_tensor(name, TensorProto.FLOAT, value.shape, value.ravel())
        for name, value in stored.items()
    ]
    return bytes(helper.make_model(helper.make_graph(nodes, "g", values[:1], values[1:], tensors)).SerializeToString())


def weights(model: bytes) -> dict[str, NDArray[Any]]:
    return {each.name: numpy_helper.to_array(each) for each in onnx.load_model_from_string(model).graph.initializer}


@pytest.mark.parametrize(("raw", "dtype"), [(True, np.float32), (False, np.float32), (True, np.float16)])
def test_the_weights_before_a_tensor_are_permuted_and_no_others(raw: bool, dtype: type) -> None:
    model = network(raw=raw, dtype=dtype)
    before, after = weights(model), weights(permute_weights(model, "feature"))
    assert {name for name in before if not np.array_equal(before[name], after[name])} == {"first", "second"}
    for name, value in before.items():
        assert (value.shape, value.dtype) == (after[name].shape, after[name].dtype)
        assert np.array_equal(np.sort(value, axis=None), np.sort(after[name], axis=None))
    stripped = [onnx.load_model_from_string(each) for each in (model, permute_weights(model, "feature"))]
    for each in stripped:
        del each.graph.initializer[:]
    assert stripped[0] == stripped[1]


def test_the_nearest_ones_only() -> None:
    before, after = weights(network()), weights(permute_weights(network(), "feature", most=1))
    assert {name for name in before if not np.array_equal(before[name], after[name])} == {"second"}


def test_the_order_depends_on_the_seed_alone() -> None:
    model = network()
    assert permute_weights(model, "feature") == permute_weights(model, "feature")
    assert permute_weights(model, "feature") != permute_weights(model, "feature", seed=1)


@pytest.mark.parametrize("before", ["x", "nothing"])
def test_a_tensor_without_weights_is_refused(before: str) -> None:
    with pytest.raises(ValueError, match=f"no weights before '{before}'"):
        permute_weights(network(), before)


def test_a_file_with_a_head_stays_a_valid_one(tmp_path: Path) -> None:
    path = tiny_models.model(tmp_path / "tiny.onnx")
    layer = Explainer(path).contract.drawn_map().layer
    other = tmp_path / "other.onnx"
    other.write_bytes(permute_weights(path.read_bytes(), layer))
    image = np.random.default_rng(0).integers(0, 256, (1, tiny_models.SIZE, tiny_models.SIZE, 3), np.uint8)
    changed, real = (Explainer(each).explain(image, (-1,)) for each in (other, path))
    assert np.abs(changed.scores - real.scores).max() > 1e-4
