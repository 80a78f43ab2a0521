"""What a network's last numbers are: probabilities of one class of many, of several at once, or of yes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import ModelProto, helper, numpy_helper

from tests.support.models import tiny_models
from tests.support.models.dense_tail_models import DenseTail, Floats, grad_cam
from whycam.export.graph.onnx_graph import Graph
from whycam.export.head.covered import UnsupportedTail
from whycam.export.head.ends import as_two_classes, check_no_shares, find_ends
from whycam.export.head.grad_cam import append_cam
from whycam.export.save import save
from whycam.export.verify.activations import observe
from whycam.export.verify.agreement import compare
from whycam.models.contract import MULTI_LABEL, SINGLE_LABEL, Score
from whycam.stream.inference.explainer import BEST, Explainer, evaluate
from whycam.stream.inference.explanation import Explanation

TAIL = DenseTail(softmax=False, seed=4)
IMAGES = tiny_models.images(4)


def ending(tail: DenseTail, *operators: str) -> ModelProto:
    """The classifier with further operators behind its logits."""
    model = tail.model()
    for operator in operators:
        before = model.graph.output[0].name
        axis = {"axis": -1} if "Softmax" in operator else {}
        model.graph.node.append(helper.make_node(operator, [before], [f"{operator} out"], operator, **axis))
        model.graph.output[0].name = f"{operator} out"
    return model


def explained(
    model: ModelProto, path: Path, targets: list[int], labels: int
) -> tuple[Explanation, Explainer, NDArray[np.float32]]:
    """What a file says of `IMAGES`, and its feature map."""
    about = tiny_models.contract([f"class {number}" for number in range(labels)], "probability", "stretch", "ends")
    save(model, replace(about, feature="feature"), path)
    explainer = Explainer(path)
    target = np.broadcast_to(np.array(targets), (len(IMAGES), len(targets)))
    feature = observe(onnx.load(path), ["feature"], IMAGES, np.ascontiguousarray(target))["feature"]
    return explainer.explain(IMAGES, targets), explainer, feature


@pytest.mark.parametrize("score", ["probability", "logit"])
@pytest.mark.parametrize("said", [False, True], ids=["by its sigmoid", "by its task"])
def test_several_classes_at_once_are_explained_one_by_one(tmp_path: Path, score: Score, said: bool) -> None:
    plain = TAIL.model() if said else ending(TAIL, "Sigmoid")
    model = append_cam(plain, score=score, task=MULTI_LABEL if said else None)
    found, explainer, feature = explained(model, tmp_path / "several.onnx", [-1, -2, 3], 10)
    assert explainer.contract.task == MULTI_LABEL
    logits = TAIL.logits(feature.astype(np.float64))
    np.testing.assert_allclose(found.scores, 1 / (1 + np.exp(-logits)), atol=1e-5)
    assert found.classes[:, :2].tolist() == np.argsort(-logits)[:, :2].tolist()
    # The log-odds of a sigmoid are the logit; of a softmax they are not: the other classes count.
    _, maps = grad_cam(TAIL.logits, feature, found.classes, "logit")
    _, of_one = grad_cam(TAIL.logits, feature, found.classes, "probability")
    np.testing.assert_allclose(found.heatmaps, maps, atol=2e-5)
    assert np.abs(found.heatmaps - of_one).max() > 0.1
    compare(tmp_path / "several.onnx", IMAGES).check()


def test_one_number_becomes_no_and_yes(tmp_path: Path) -> None:
    one = TAIL.but(classes=1)
    plain = ending(one, "Sigmoid")
    assert as_two_classes(plain)
    found, explainer, feature = explained(append_cam(plain), tmp_path / "yes.onnx", [0, 1], 2)
    number = one.logits(feature.astype(np.float64))
    yes = 1 / (1 + np.exp(-number))
    np.testing.assert_allclose(found.scores, np.concatenate([1 - yes, yes], 1), atol=1e-6)

    def both(maps: Floats) -> Floats:
        value = one.logits(maps)
        return np.concatenate([np.zeros_like(value), value], 1)

    _, maps = grad_cam(both, feature, found.classes, "logit")
    np.testing.assert_allclose(found.heatmaps[:, 1], maps[:, 1], atol=2e-5)
    assert (found.heatmaps[:, 0] > 0).any()  # what speaks against yes speaks for no
    assert explainer.contract.task == SINGLE_LABEL
    compare(tmp_path / "yes.onnx", IMAGES, BEST[:2]).check()


def test_one_number_without_a_sigmoid_is_a_logit_only_if_somebody_says_so() -> None:
    plain = TAIL.but(classes=1).model()
    assert not as_two_classes(plain)
    with pytest.raises(ValueError, match=r"one number.*--task yes-no.*an age or a weight"):
        append_cam(plain)
    assert as_two_classes(plain, logit=True)
    assert find_ends(Graph(plain)).classes == 2


def test_a_classifier_of_many_is_not_made_to_say_yes_or_no() -> None:
    assert not as_two_classes(ending(TAIL, "Sigmoid"), logit=True)
    assert not as_two_classes(ending(TAIL, "Softmax"), logit=True)


def test_a_task_that_the_graph_contradicts_is_refused() -> None:
    with pytest.raises(ValueError, match="ends in a Softmax, so it is a single-label"):
        append_cam(ending(TAIL, "Softmax"), task=MULTI_LABEL)
    with pytest.raises(ValueError, match="ends in a Sigmoid, so it is a multi-label"):
        append_cam(ending(TAIL, "Sigmoid"), task=SINGLE_LABEL)


# Probabilities that no Softmax or Sigmoid at the very end shows: their logits are not there any more.

NUMBERS = {"one": np.float32(1), "half": np.float32(0.5), "axis": np.array([1])}
PARTS: dict[str, tuple[str, list[tuple[str, ...]]]] = {
    "mean of two": ("Softmax", [("Softmax", "logits"), ("Sigmoid", "logits"), ("Mean", "0", "1")]),
    "half of a sum": ("Softmax", [("Softmax", "logits"), ("Add", "0", "0"), ("Mul", "1", "half")]),
    "largest of two": ("Softmax", [("Softmax", "logits"), ("Sigmoid", "logits"), ("Max", "0", "1")]),
    "of the other class": ("Sigmoid", [("Sigmoid", "logits"), ("Sub", "one", "0")]),
    "beside logits": ("Sigmoid", [("Sigmoid", "logits"), ("Concat", "logits", "0")]),
    "a softmax in parts": ("Exp", [("Exp", "logits"), ("ReduceSum", "0", "axis"), ("Div", "0", "1")]),
    "a sigmoid in parts": ("Exp", [("Neg", "logits"), ("Exp", "0"), ("Add", "1", "one"), ("Reciprocal", "2")]),
    "a hard sigmoid": ("HardSigmoid", [("HardSigmoid", "logits")]),
    "the power of a logarithm": ("Exp", [("LogSoftmax", "logits"), ("Exp", "0")]),
}
"""The operator that is named, and the operators behind the logits: each with its inputs, by place or by name."""


def behind(tail: DenseTail, steps: Sequence[tuple[str, ...]], classes: int = 10) -> ModelProto:
    model = tail.model()
    logits = model.graph.output[0].name
    stored = [numpy_helper.from_array(np.asarray(value), name) for name, value in NUMBERS.items()]
    model.graph.initializer.extend(stored)
    for place, (operator, *inputs) in enumerate(steps):
        given = [logits if name == "logits" else f"step {name}" if name.isdigit() else name for name in inputs]
        more = {"axis": 1} if operator in ("Softmax", "LogSoftmax", "Concat") else {}
        model.graph.node.append(helper.make_node(operator, given, [f"step {place}"], f"{operator} {place}", **more))
    del model.graph.output[:]
    model.graph.output.append(helper.make_tensor_value_info(f"step {len(steps) - 1}", 1, ["N", classes]))
    return model


@pytest.mark.parametrize("layer", [None, "feature"])
@pytest.mark.parametrize("what", PARTS)
def test_numbers_made_of_probabilities_do_not_get_a_softmax(what: str, layer: str | None) -> None:
    operator, steps = PARTS[what]
    classes = 20 if what == "beside logits" else 10
    with pytest.raises(UnsupportedTail, match=f"through {operator} .*it makes probabilities.*ends in its Softmax"):
        append_cam(behind(TAIL, steps, classes), layer=layer)


def test_a_hard_sigmoid_is_no_logit_of_yes() -> None:
    with pytest.raises(UnsupportedTail, match="HardSigmoid 'HardSigmoid 0': it makes probabilities"):
        as_two_classes(behind(TAIL.but(classes=1), [("HardSigmoid", "logits")], 1), logit=True)


def test_logits_that_are_gated_are_logits_and_so_is_a_logarithm() -> None:
    swish = behind(TAIL, [("Sigmoid", "logits"), ("Mul", "logits", "0")])
    assert find_ends(Graph(append_cam(swish, layer="feature"))).task == SINGLE_LABEL
    logarithm = behind(TAIL, [("Softmax", "logits"), ("Log", "0")])
    feeds = {"image": IMAGES, "target": np.array([[-1]] * len(IMAGES))}
    made = [append_cam(model, layer="feature").SerializeToString() for model in (logarithm, TAIL.model())]
    (one,), (other,) = (evaluate(model, feeds, ["scores"]) for model in made)
    np.testing.assert_allclose(one, other, atol=1e-6)


def test_numbers_that_sum_to_one_are_probabilities_whatever_made_them() -> None:
    with pytest.raises(ValueError, match=r"sum to 1.*Export the network so that"):
        check_no_shares(np.array([[0.2, 0.8], [1.0, 0.0]]))
    check_no_shares(np.array([[-0.2, 1.2], [0.5, 0.5]]))
    check_no_shares(np.array([[0.2, 0.8], [0.5, 0.6]]))
