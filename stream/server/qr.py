"""A text as a QR code: characters for a terminal, SVG for the page."""

from __future__ import annotations

import io

import segno

QUIET = 3
"""Light modules around the code, which scanners need."""
_HALVES = {(False, False): " ", (True, False): "▀", (False, True): "▄", (True, True): "█"}


def terminal_qr(text: str) -> str:
    """Two modules per character, one above the other; to be printed black on white."""
    rows = [[bool(module) for module in row] for row in _code(text).matrix_iter(border=QUIET)]
    if len(rows) % 2:
        rows.append([False] * len(rows[0]))
    pairs = zip(rows[::2], rows[1::2], strict=True)
    return "\n".join("".join(_HALVES[pair] for pair in zip(*two, strict=True)) for two in pairs)


def svg_qr(text: str) -> bytes:
    """An SVG image without a fixed size, black on white."""
    out = io.BytesIO()
    _code(text).save(out, kind="svg", border=QUIET, light="#fff", omitsize=True, xmldecl=False)
    return out.getvalue()


def _code(text: str) -> segno.QRCode:
    return segno.make_qr(text, error="l", boost_error=True)
