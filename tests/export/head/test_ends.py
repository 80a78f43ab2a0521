"""What a network's last numbers are: probabilities of one class of many, of several at once, or of yes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import ModelProto, helper

from tests.support.models import tiny_models
from tests.support.models.dense_tail_models import DenseTail, Floats, grad_cam
from whycam.export.graph.onnx_graph import Graph
from whycam.export.head.ends import as_two_classes, find_ends
from whycam.export.head.grad_cam import append_cam
from whycam.export.save import save
from whycam.export.verify.activations import observe
from whycam.export.verify.agreement import compare
from whycam.models.contract import MULTI_LABEL, SINGLE_LABEL, Score
from whycam.stream.inference.explainer import BEST, Explainer, Explanation

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
