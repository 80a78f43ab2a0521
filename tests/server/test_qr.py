"""The QR code encodes the URL, in a terminal and as an image."""

from __future__ import annotations

import io

import numpy as np
import pytest
from numpy.typing import NDArray
from rich.console import Console
from rich.text import Text

from tests.support.qr_codes import HALVES, as_shown, decoded
from whycam.stream.cli import serve
from whycam.stream.server.lan import Lan
from whycam.stream.server.qr import svg_qr, terminal_qr
from whycam.stream.server.tokens import Credentials

URL = "https://192.168.178.123:8443/#aDM5yayTjIpEjaFqu2tsWQ"


def test_the_terminals_code_encodes_the_url() -> None:
    assert decoded(as_shown(terminal_qr(URL))) == URL


def drawn(lines: list[str]) -> NDArray[np.uint8]:
    """These lines as xterm draws them: the font's blocks leave the top pixel row of each cell (9 x 19) unfilled."""
    console, rows = Console(), []
    for line in map(Text.from_ansi, lines):
        cells = []
        for place, character in enumerate(line.plain):
            paper = line.get_style_at_offset(console, place).bgcolor
            cell = np.full((19, 9), 0 if paper is not None and paper.number == 0 else 255, np.uint8)
            top, bottom = HALVES[character]
            cell[1 : 10 if top else 1] = 0
            cell[10 if bottom else 19 :] = 0
            cells.append(cell)
        rows.append(np.hstack(cells))
    return np.vstack(rows)


def test_a_terminal_whose_font_leaves_gaps_shows_the_code(monkeypatch: pytest.MonkeyPatch) -> None:
    out = io.StringIO()
    monkeypatch.setattr(serve, "screen", Console(file=out, force_terminal=True, color_system="standard", width=80))
    known = Credentials({"phone": URL.partition("#")[2], "viewer": "for-viewers"}, b"")
    serve.invite(Lan(("192.168.178.123",), 8443, None, known))
    code = [line for line in out.getvalue().splitlines() if set(Text.from_ansi(line).plain) <= set(HALVES)]
    assert decoded(drawn(code)) == URL
    assert "Watch only: https://192.168.178.123:8443/watch#for-viewers" in Text.from_ansi(out.getvalue()).plain


def test_it_fits_a_small_terminal() -> None:
    lines = terminal_qr(URL).splitlines()
    assert len(lines) <= 20
    assert {len(line) for line in lines} == {len(lines[0])}
    assert len(lines[0]) <= 40


def test_the_svg_has_no_script_and_loads_nothing() -> None:
    svg = svg_qr(URL)
    assert svg.startswith(b"<svg")
    assert b"viewBox" in svg
    assert not any(word in svg.lower() for word in (b"script", b"href", b"style"))
