"""The mark that whycam leaves in films and images that it makes, by which they are known as results."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import av
from PIL.PngImagePlugin import PngInfo

MARK = "Explained by whycam"
FILM_KEY = "comment"
OWN_KEY = "whycam"
"""Holds the mark where the comment is that of the original."""
_HEAD, _TAIL = 80_000, 4_000
"""Bytes of an image file in which the mark is, behind its EXIF or, in WebP, at the end."""


def image_options(kind: str) -> dict[str, Any]:
    """Options for Pillow that write the mark into a JPEG, PNG or WebP."""
    if kind == "PNG":
        info = PngInfo()
        info.add_text("Comment", MARK)
        return {"pnginfo": info}
    if kind == "WEBP":
        packet = '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        software = f'<rdf:Description xmlns:xmp="http://ns.adobe.com/xap/1.0/" xmp:CreatorTool="{MARK}"/>'
        return {"xmp": f"{packet}{software}</rdf:RDF></x:xmpmeta>".encode()}
    return {"comment": MARK}


def is_marked_image(path: Path) -> bool:
    """Whether an image file has the mark."""
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD)
            file.seek(max(0, path.stat().st_size - _TAIL))
            return MARK.encode() in head + file.read(_TAIL)
    except OSError:
        return False


def is_marked_film(path: Path) -> bool:
    """Whether a film has the mark."""
    try:
        with av.open(path, options={"protocol_whitelist": "file"}, metadata_errors="replace") as container:
            return any(MARK in value for value in container.metadata.values())
    except (av.FFmpegError, OSError, ValueError):
        return False
