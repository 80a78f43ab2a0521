"""Classes by index, as the network has them, and by number, as reports and recordings have them."""

from __future__ import annotations

import numpy as np

from whycam.models.class_set import FIRST_NUMBER, ClassSet
from whycam.stream.inference.known_classes import ClassNames, KnownClasses

MUG, TABLE = FIRST_NUMBER + 5, FIRST_NUMBER + 2
SET = ClassSet(("mug", "table"), np.zeros((3, 2), np.float32), np.zeros(2, np.float32), (MUG, TABLE))


def test_a_models_own_classes_have_their_index_as_their_number() -> None:
    own = KnownClasses(["cat", "dog", "cup"])
    assert [own.number(index) for index in range(3)] == [0, 1, 2]
    assert own.indices([2, 0, 3, -1, MUG]) == [2, 0]
    assert (own.id, own.names) == ("", None)


def test_taught_classes_have_the_numbers_of_their_set() -> None:
    taught = KnownClasses(["cat", "dog", "cup"], SET)
    assert [taught.number(index) for index in range(2)] == [MUG, TABLE]
    assert taught.indices([TABLE, 0, MUG, 1]) == [1, 0]
    assert taught.labels == ("mug", "table")
    assert taught.names == ClassNames(SET.id, ((MUG, "mug"), (TABLE, "table")))
