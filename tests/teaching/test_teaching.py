"""What a server is taught: classes, examples, names, limits, and what can be taken back."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from whycam.models.class_set import FIRST_NUMBER
from whycam.stream.limits import LIMITS
from whycam.stream.teaching.examples import Example
from whycam.stream.teaching.teaching import Teaching, TeachingError

WIDTH = 6
FEW = replace(LIMITS, max_classes=3, max_examples=4, max_class_name=10)


def example(place: int, number: int = 0, holding: str = "first", giver: str = "host") -> Example:
    """A picture whose vector has its maximum at `place`."""
    noise = np.random.default_rng(100 * place + number).normal(0, 0.1, WIDTH)
    return Example(np.asarray(np.eye(WIDTH)[place] + noise, np.float32), b"jpeg", holding, giver)


def taught(limits: Any = LIMITS) -> tuple[Teaching, int, int]:
    """Two classes with three examples each."""
    teaching = Teaching(WIDTH, limits)
    mug, table = teaching.add_class("mug"), teaching.add_class("table")
    for number, place in ((mug, 1), (table, 4)):
        for count in range(3):
            teaching.add_example(number, example(place, count))
    return teaching, mug, table


def named(teaching: Teaching) -> list[tuple[str, int]]:
    return [(each["name"], each["examples"]) for each in teaching.describe()["classes"]]


def test_two_classes_with_examples_are_learned_and_told_apart() -> None:
    teaching, mug, table = taught()
    learned = teaching.learn()
    assert learned is not None
    assert (learned.labels, learned.numbers) == (("mug", "table"), (mug, table))
    for place, best in ((1, 0), (4, 1)):
        logits = example(place, 77).vector @ learned.weights + learned.bias
        assert logits.argmax() == best


def test_a_class_without_examples_is_not_learned_and_one_alone_is_nothing() -> None:
    teaching = Teaching(WIDTH, LIMITS)
    assert teaching.learn() is None
    first = teaching.add_class("mug")
    teaching.add_class("empty")
    teaching.add_example(first, example(1))
    assert teaching.learn() is None
    third = teaching.add_class("table")
    teaching.add_example(third, example(2))
    learned = teaching.learn()
    assert learned is not None
    assert learned.numbers == (first, third)


def test_a_number_is_never_given_twice() -> None:
    teaching, mug, table = taught()
    teaching.remove_class(table)
    assert teaching.add_class("table") == FIRST_NUMBER + 2
    teaching.clear()
    assert teaching.add_class("mug") == FIRST_NUMBER + 3
    assert mug == FIRST_NUMBER


def test_renaming_keeps_number_and_examples() -> None:
    teaching, mug, _ = taught()
    teaching.rename_class(mug, "  my\tcup \n")
    assert named(teaching) == [("my cup", 3), ("table", 3)]
    teaching.rename_class(mug, "MY CUP")  # its own name in other letters
    learned = teaching.learn()
    assert learned is not None
    assert (learned.labels[0], learned.numbers[0]) == ("MY CUP", mug)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("", "needs a name"),
        (" \t\r\n\u200b", "needs a name"),
        ("eleven char", "at most 10 characters, this one has 11"),
        ("Mug", "There is a class 'Mug' already"),
        (" mug ", "There is a class 'mug' already"),
    ],
)
def test_a_name_that_cannot_be_shown_or_told_apart_is_refused(name: str, said: str) -> None:
    teaching, _, table = taught(FEW)
    for attempt in (lambda: teaching.add_class(name), lambda: teaching.rename_class(table, name)):
        with pytest.raises(TeachingError, match=said) as refused:
            attempt()
        assert refused.value.code == ("taken" if "already" in said else "wrong-value")
    assert named(teaching) == [("mug", 3), ("table", 3)]


@pytest.mark.parametrize("name", ["../../x", "<img src=x onerror=alert(1)>", "größe 茶", "CON", "a/b"])
def test_a_name_is_text_and_nothing_else(name: str) -> None:
    teaching = Teaching(WIDTH, LIMITS)
    teaching.add_class(name)
    assert named(teaching) == [(name, 0)]


def test_limits_are_refused_in_words_and_change_nothing() -> None:
    teaching, mug, _ = taught(FEW)
    teaching.add_class("third")
    with pytest.raises(TeachingError, match="3 classes") as refused:
        teaching.add_class("fourth")
    assert refused.value.code == "full"
    teaching.add_example(mug, example(1, 9))
    with pytest.raises(TeachingError, match="mug has 4 examples") as refused:
        teaching.add_example(mug, example(1, 10))
    assert refused.value.code == "full"
    assert named(teaching) == [("mug", 4), ("table", 3), ("third", 0)]


def test_what_does_not_exist_is_a_key_error() -> None:
    teaching, _, _ = taught()
    for attempt in (
        lambda: teaching.rename_class(5, "x"),
        lambda: teaching.remove_class(FIRST_NUMBER + 9),
        lambda: teaching.add_example(FIRST_NUMBER + 9, example(1)),
        lambda: teaching.remove_example(999),
        lambda: teaching.example(999),
    ):
        with pytest.raises(KeyError):
            attempt()
    assert teaching.count(5) is None
    assert named(teaching) == [("mug", 3), ("table", 3)]


def test_every_change_can_be_taken_back_one_after_the_other() -> None:
    teaching, mug, table = taught()
    states = [named(teaching)]
    changes = [
        lambda: teaching.rename_class(mug, "cup"),
        lambda: [teaching.add_example(mug, example(1, count, "second")) for count in range(5)],
        lambda: teaching.remove_example(1),
        lambda: teaching.remove_class(table),
        lambda: teaching.add_class("floor"),
        teaching.clear,
    ]
    steps = []
    for change in changes:
        change()
        states.append(named(teaching))
        steps.append(teaching.describe()["undo"])
    assert [(step["what"], step["class"], step["count"]) for step in steps] == [
        ("name", "mug", 1),
        ("examples", "cup", 5),
        ("removal of an example", "cup", 1),
        ("removal", "table", 1),
        ("class", "floor", 1),
        ("clearing", "", 1),
    ]
    for expected in reversed(states[:-1]):
        assert teaching.undo()
        assert named(teaching) == expected


def test_the_examples_of_a_holding_are_taken_back_together() -> None:
    teaching, mug, _ = taught()
    for holding, count in (("second", 4), ("third", 2)):
        for number in range(count):
            teaching.add_example(mug, example(1, number, holding))
    assert teaching.undo()
    assert named(teaching)[0] == ("mug", 7)
    assert teaching.undo()
    assert named(teaching)[0] == ("mug", 3)


def test_nothing_can_be_taken_back_at_the_beginning() -> None:
    teaching = Teaching(WIDTH, LIMITS)
    assert not teaching.undo()
    assert teaching.describe()["undo"] is None


def test_the_state_says_who_gave_examples_and_which_are_the_latest() -> None:
    teaching, mug, _ = taught()
    for number in range(4):
        teaching.add_example(mug, example(1, number, "second", "phone 1"))
    state = teaching.describe()["classes"][0]
    assert (state["class"], state["holdings"]) == (mug, 2)
    assert state["givers"] == {"host": 3, "phone 1": 4}
    assert [teaching.example(each).giver for each in state["latest"]] == ["host"] + 4 * ["phone 1"]
    assert teaching.example(state["latest"][-1]).picture == b"jpeg"


def test_with_one_holding_each_nothing_is_said_of_accuracy() -> None:
    teaching, _, _ = taught()
    teaching.learn()
    state = teaching.describe()
    assert (state["accuracy"], state["confusion"], teaching.wrong()) == (None, None, [])


def test_accuracy_is_of_holdings_that_were_kept_out() -> None:
    teaching, mug, table = taught()
    for number in range(3):
        teaching.add_example(mug, example(1, 20 + number, "second"))
        teaching.add_example(table, example(1, 30 + number, "wrong"))  # pictures of a mug
    teaching.learn()
    state = teaching.describe()
    assert state["accuracy"]["tested"] >= 6
    assert 0 < state["accuracy"]["share"] < 1
    assert sum(map(sum, state["confusion"])) == state["accuracy"]["tested"]
    wrong = teaching.wrong()
    assert wrong
    assert all(each["class"] != each["taken_for"] for each in wrong)
    assert any((each["class"], each["taken_for"]) == (table, mug) for each in wrong)
    probabilities = [each["probability"] for each in wrong]
    assert probabilities == sorted(probabilities, reverse=True)
    teaching.clear()
    assert teaching.learn() is None
    assert teaching.wrong() == []


def test_many_threads_may_teach_at_once() -> None:
    teaching = Teaching(WIDTH, LIMITS)
    numbers = [teaching.add_class(f"class {number}") for number in range(4)]
    ids: list[int] = []

    def give(number: int) -> None:
        ids.extend(teaching.add_example(number, example(number % WIDTH, count, str(number))) for count in range(100))

    threads = [threading.Thread(target=give, args=(number,)) for number in numbers for _ in range(2)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert len(set(ids)) == 800
    assert [count for _, count in named(teaching)] == [200] * 4
