"""What remains of a view when the model, and with it the classes, change."""

from __future__ import annotations

import pytest

from whycam.stream.overlay.view import View

BEFORE = ("crane", "banana", "cup", "crane")


@pytest.mark.parametrize(
    ("pinned", "labels", "expected"),
    [
        ((1,), ("cup", "banana"), (1,)),
        ((1, 2), ("cup", "banana"), (1, 0)),  # the order of pinning is that of the colours
        ((1, 2), ("cup", "mug"), (0,)),
        ((0,), ("mug", "spoon"), ()),
        ((), ("cup", "banana"), ()),
        ((3,), BEFORE, (3,)),  # of two classes with one label, the one with this number
        ((3,), ("cup", "crane"), (1,)),
        ((0, 3), ("cup", "crane"), (1,)),
    ],
)
def test_a_pinned_class_keeps_its_label(
    pinned: tuple[int, ...], labels: tuple[str, ...], expected: tuple[int, ...]
) -> None:
    view = View(pinned, 0.25, "jet", "steady", occlude=True)
    assert view.renumbered(BEFORE, labels) == View(expected, 0.25, "jet", "steady", occlude=True)
