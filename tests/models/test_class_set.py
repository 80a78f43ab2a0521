"""Classes that replace a model's own: what fits together, and by what two sets differ."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from whycam.models.class_set import FIRST_NUMBER, ClassSet

WEIGHTS = np.arange(6, dtype=np.float32).reshape(3, 2)
BIAS = np.array([0.5, -1], np.float32)


def made(**others: Any) -> ClassSet:
    content: dict[str, Any] = {"labels": ("mug", "table"), "weights": WEIGHTS, "bias": BIAS} | others
    return ClassSet(**content)


def test_two_sets_of_the_same_content_have_one_id() -> None:
    assert made().id == made(weights=np.asfortranarray(WEIGHTS), numbers=(FIRST_NUMBER + 7, FIRST_NUMBER)).id


@pytest.mark.parametrize(
    "others", [{"labels": ("mug", "Table")}, {"weights": WEIGHTS + 1e-6}, {"bias": BIAS * 2}, {"bias": -BIAS}]
)
def test_sets_of_other_content_have_other_ids(others: dict[str, Any]) -> None:
    assert made(**others).id != made().id


def test_the_numbers_of_taught_classes_are_no_models_own() -> None:
    assert made().numbers == (FIRST_NUMBER, FIRST_NUMBER + 1)


@pytest.mark.parametrize(
    "others",
    [
        {"labels": ("mug",)},
        {"labels": ("mug", "table", "floor")},
        {"bias": BIAS[:1]},
        {"weights": WEIGHTS[0]},
        {"weights": np.full((3, 2), np.inf, np.float32)},
        {"bias": np.full(2, np.nan, np.float32)},
        {"numbers": (FIRST_NUMBER, FIRST_NUMBER)},
        {"numbers": (FIRST_NUMBER, 954)},
        {"numbers": (FIRST_NUMBER,)},
    ],
)
def test_what_does_not_fit_together_is_refused(others: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"set of classes|of a set"):
        made(**others)
