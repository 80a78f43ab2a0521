"""A linear classifier of vectors."""

from __future__ import annotations

import time

import numpy as np
import pytest
from numpy.typing import NDArray

from whycam.stream.teaching.learner import learn

WIDTH = 40
Vectors = NDArray[np.float32]
Classes = NDArray[np.int64]


def clouds(
    counts: list[int], *, seed: int = 0, width: int = WIDTH, spread: float = 1.0, walk: float = 0.0
) -> tuple[Vectors, Classes]:
    """Gaussian clouds around random centres, as far apart as they are wide; `walk`: each cloud drifts meanwhile."""
    centres = np.random.default_rng(99).normal(0, 1, (len(counts), width))
    random = np.random.default_rng(seed)
    parts = []
    for centre, count in zip(centres, counts, strict=True):
        drift = np.cumsum(random.normal(0, 1, (count, width)), 0) * walk
        parts.append(centre + spread * random.normal(0, 1, (count, width)) + drift)
    classes = np.repeat(np.arange(len(counts)), counts)
    return np.concatenate(parts).astype(np.float32), classes


def probabilities_of(vectors: Vectors, learned: tuple[Vectors, Vectors]) -> NDArray[np.float64]:
    logits = vectors.astype(np.float64) @ learned[0] + learned[1]
    powers = np.exp(logits - logits.max(1, keepdims=True))
    return np.asarray(powers / powers.sum(1, keepdims=True))


def test_new_examples_are_told_apart() -> None:
    learned = learn(*clouds([30, 30, 30]), 3)
    vectors, classes = clouds([200, 200, 200], seed=1)
    assert learned[0].shape == (WIDTH, 3)
    assert learned[1].shape == (3,)
    assert learned[0].dtype == learned[1].dtype == np.float32
    assert (probabilities_of(vectors, learned).argmax(1) == classes).mean() > 0.97


@pytest.mark.parametrize("counts", [[12, 50], [3, 2, 4], [60, 20, 9], [300, 2, 400, 1, 40]])
def test_the_weights_are_those_of_the_equation(counts: list[int]) -> None:
    """Up to the temperature: those that least squares finds with the ridge as rows of its own."""
    width, count = 15, len(counts)
    vectors, classes = clouds(counts, width=width)
    weights, bias = learn(vectors, classes, count)
    share = np.array([1 / (count * counts[each]) for each in classes])
    centre = sum(vectors[classes == each].astype(np.float64).mean(0) for each in range(count)) / count
    offset = vectors - centre
    ridge = 0.1 * sum(part * row @ row for part, row in zip(share, offset, strict=True))
    root = np.sqrt(share)[:, None]
    rows = np.vstack([root * offset, np.sqrt(ridge) * np.eye(width)])
    wanted = np.vstack([root * (np.eye(count)[classes] - 1 / count), np.zeros((width, count))])
    expected = np.linalg.lstsq(rows, wanted, rcond=None)[0]
    scale = float((weights * expected).sum() / (expected * expected).sum())
    assert scale > 0
    np.testing.assert_allclose(weights, scale * expected, atol=1e-5 * scale)
    np.testing.assert_allclose(bias, -scale * centre @ expected, atol=1e-5 * scale)


def test_shifted_vectors_are_learned_as_well() -> None:
    """Embeddings behind a ReLU are far from 0, each number on a scale of its own."""
    vectors, classes = clouds([30, 30, 30])
    moved = vectors + 500
    plain = probabilities_of(vectors, learn(vectors, classes, 3))
    np.testing.assert_allclose(probabilities_of(moved, learn(moved, classes, 3)), plain, atol=5e-3)


def test_one_example_of_each_class_is_enough() -> None:
    vectors, classes = clouds([1, 1, 1], spread=0.3)
    learned = learn(vectors, classes, 3)
    found = probabilities_of(vectors, learned)
    assert (found.argmax(1) == classes).all()
    assert 0.55 < found.max(1).mean() < 0.75  # (1 + 1) / (1 + 2)
    others, truth = clouds([40, 40, 40], seed=5, spread=0.3)
    assert (probabilities_of(others, learned).argmax(1) == truth).mean() > 0.95


def test_a_class_of_few_examples_is_named_as_often_as_one_of_many() -> None:
    learned = learn(*clouds([300, 6], spread=1.5), 2)
    vectors, classes = clouds([400, 400], seed=7, spread=1.5)
    named = np.bincount(probabilities_of(vectors, learned).argmax(1), minlength=2) / len(classes)
    assert 0.4 < named[1] < 0.6


def test_probabilities_are_no_surer_than_the_examples_allow() -> None:
    """Clouds so far apart that no example is ever wrong: 30 of each leave room for doubt, 300 for less."""
    for count in (5, 30, 300):
        learned = learn(*clouds([count, count, count], spread=0.1), 3)
        vectors, classes = clouds([100, 100, 100], seed=3, spread=0.1)
        found = probabilities_of(vectors, learned)
        assert (found.argmax(1) == classes).all()
        most = (count + 1) / (count + 2)
        assert most - 0.1 < found.max(1).mean() < most + 0.005


def test_probabilities_are_true_where_classes_overlap() -> None:
    """Of the examples with a probability of about p, a part p is right."""
    learned = learn(*clouds([60, 60, 60], spread=3.5), 3)
    vectors, classes = clouds([2000, 2000, 2000], seed=11, spread=3.5)
    found = probabilities_of(vectors, learned)
    right, sure = found.argmax(1) == classes, found.max(1)
    assert 0.5 < right.mean() < 0.95
    for low in (0.4, 0.6, 0.8):
        some = (sure >= low) & (sure < low + 0.2)
        assert abs(right[some].mean() - sure[some].mean()) < 0.12


def test_neighbours_do_not_make_it_sure() -> None:
    """A film of three places proves less than its frames in random order, where each has others like it."""
    vectors, classes = clouds([90, 90], spread=0.1)
    vectors -= np.repeat([vectors[:90].mean(0), vectors[90:].mean(0)], 90, axis=0)
    vectors[np.arange(90, 180), np.arange(90) // 30] += 3
    order = np.random.default_rng(0).permutation(len(vectors))
    film, shuffled = learn(vectors, classes, 2), learn(vectors[order], classes[order], 2)
    sure = [probabilities_of(vectors, each).max(1).mean() for each in (film, shuffled)]
    assert sure[0] < sure[1] - 0.1


def test_the_same_examples_give_the_same_weights() -> None:
    vectors, classes = clouds([15, 20, 25])
    first, second = learn(vectors, classes, 3), learn(vectors.copy(), classes.copy(), 3)
    assert (first[0] == second[0]).all()
    assert (first[1] == second[1]).all()


def test_examples_that_are_all_alike_give_equal_probabilities() -> None:
    vectors = np.ones((6, 5), np.float32)
    found = probabilities_of(vectors, learn(vectors, np.array([0, 0, 1, 1, 2, 2]), 3))
    np.testing.assert_allclose(found, 1 / 3, atol=1e-6)


def test_twelve_classes_of_200_examples_take_about_a_second() -> None:
    vectors, classes = clouds([200] * 12, width=1280)
    begun = time.process_time()
    learn(vectors, classes, 12)
    assert time.process_time() - begun < 3  # of all cores


@pytest.mark.parametrize(
    ("vectors", "classes", "count", "words"),
    [
        (np.ones((3, 4), np.float32), np.array([0, 0, 0]), 1, "two classes or more"),
        (np.ones((3, 4), np.float32), np.array([0, 0, 2]), 3, "there is none of 1"),
        (np.ones((3, 4), np.float32), np.array([0, 1, 2]), 2, "should be 0 to 1"),
        (np.ones((3, 4), np.float32), np.array([0, 1]), 2, "one class each"),
        (np.full((2, 4), np.nan, np.float32), np.array([0, 1]), 2, "finite"),
    ],
)
def test_what_cannot_be_learned_from_is_said(vectors: Vectors, classes: Classes, count: int, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        learn(vectors, classes, count)
