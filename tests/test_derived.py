"""Generated parts of pages and docs agree with the code."""

from __future__ import annotations

import pytest

from tests.support import derived
from whycam.stream.limits import Limits
from whycam.stream.overlay.colormaps import COLORMAPS


def test_no_generated_part_is_outdated() -> None:
    assert derived.outdated() == [], "Run `make derived` and commit what it writes."


@pytest.mark.parametrize(
    "name",
    sorted(
        set(derived.DERIVED)
        - {"docs/append-cam.md", "docs/layers.md", "docs/models.md", "docs/reliability.md"}
        - {"web/recordings/recordings.css"}
    ),
)
def test_an_additional_colormap_makes_each_file_outdated(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setattr(derived, "COLORMAPS", (*COLORMAPS, "hot"))
    assert name in derived.outdated()
    assert "hot" in derived.DERIVED[name](derived._text(name))


def test_a_changed_limit_makes_the_docs_outdated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(derived, "LIMITS", Limits(max_viewers=33))
    assert derived.outdated() == ["docs/reliability.md"]


def test_a_changed_colour_makes_the_style_sheet_outdated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(derived, "CLASS_COLORS_ON_DARK", ("#000000",) * 8)
    assert derived.outdated() == ["web/recordings/recordings.css"]
