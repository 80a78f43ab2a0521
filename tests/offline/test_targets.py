"""Classes by full, partial or misspelt name, or by number."""

from __future__ import annotations

import pytest

from whycam.models import catalog
from whycam.stream.inference.explainer import MAX_PINNED, Explainer
from whycam.stream.offline.targets import TargetError, find_targets


@pytest.fixture(scope="module")
def labels() -> tuple[str, ...]:
    return Explainer(catalog.find("efficientnet-lite0")).contract.labels


@pytest.mark.parametrize(
    ("name", "label"),
    [
        ("espresso", "espresso"),
        ("Espresso", "espresso"),
        ("ESPRESSO_maker", "espresso maker"),
        ("mug", "coffee mug"),
        ("cup", "cup"),
        ("bannana", "banana"),
        ("banan", "banana"),
        ("sulphur crested cock", "sulphur-crested cockatoo"),
        ("coffe mugg", "coffee mug"),
        ("954", "banana"),
    ],
)
def test_a_class_is_found(labels: tuple[str, ...], name: str, label: str) -> None:
    assert [labels[number] for number in find_targets([name], labels)] == [label]


def test_a_number_is_accepted(labels: tuple[str, ...]) -> None:
    assert find_targets(["0", "999", "954"], labels) == (0, 999, 954)


@pytest.mark.parametrize("number", ["1000", "-1", "99999999999"])
def test_a_number_that_no_class_has_is_refused(labels: tuple[str, ...], number: str) -> None:
    with pytest.raises(TargetError, match="classes 0 to 999"):
        find_targets([number], labels)


def test_an_ambiguous_name_lists_the_classes(labels: tuple[str, ...]) -> None:
    with pytest.raises(TargetError, match=r"'retriever' may be .*golden retriever \(207\)"):
        find_targets(["retriever"], labels)


def test_an_unknown_name_lists_similar_classes(labels: tuple[str, ...]) -> None:
    with pytest.raises(TargetError, match=r"no class 'strawbarrels'.*strawberry \(949\)"):
        find_targets(["strawbarrels"], labels)


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("microvawe", r"microwave \(651\), microphone \(650\)"),
        ("unobtainium", r"fountain \(562\)"),
        ("human", r"chain \(488\)"),
        ("headphones", "pay-phone"),
    ],
)
def test_a_class_of_little_similarity_is_suggested_and_never_chosen(
    labels: tuple[str, ...], name: str, near: str
) -> None:
    with pytest.raises(TargetError, match=f"no class '{name}'. Similar: {near}"):
        find_targets([name], labels)


def test_letters_from_the_middle_of_a_word_do_not_match(labels: tuple[str, ...]) -> None:
    assert "marmoset" in labels
    with pytest.raises(TargetError, match="no class 'rmose'"):
        find_targets(["rmose"], labels)


@pytest.mark.parametrize("name", ["", "   ", "xyzzyx", "☕"])
def test_an_empty_or_senseless_name_is_refused(labels: tuple[str, ...], name: str) -> None:
    with pytest.raises(TargetError):
        find_targets([name], labels)


def test_two_classes_of_one_name_are_distinguished_by_number() -> None:
    with pytest.raises(TargetError, match=r"crane \(0\), crane \(2\)\. Give the whole name, or the number"):
        find_targets(["crane"], ["crane", "heron", "crane"])


def test_a_class_given_twice_is_shown_once_and_too_many_are_refused(labels: tuple[str, ...]) -> None:
    assert find_targets(["banana", "954"], labels) == (954,)
    with pytest.raises(TargetError, match=f"At most {MAX_PINNED}"):
        find_targets([str(number) for number in range(MAX_PINNED + 1)], labels)
