"""What pages and docs repeat is what the code says."""

from __future__ import annotations

import pytest

from tests.support import derived
from whycam.stream.overlay.colormaps import COLORMAPS


def test_nothing_that_is_derived_is_outdated() -> None:
    assert derived.outdated() == [], "Run `make derived` and commit what it writes."


@pytest.mark.parametrize("name", derived.DERIVED)
def test_a_table_that_grew_makes_each_file_outdated(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setattr(derived, "COLORMAPS", (*COLORMAPS, "hot"))
    assert name in derived.outdated()
    assert "hot" in derived.DERIVED[name](derived._text(name))
