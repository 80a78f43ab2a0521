"""The report on a whole film, as a self-contained page and as an image."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path

from whycam.stream.media.image import write_image
from whycam.stream.media.losses import MediaError
from whycam.stream.overlay.view import View
from whycam.stream.report.contents import Contents
from whycam.stream.report.page import page
from whycam.stream.report.sheet import sheet


def write_report(
    sidecar: Path,
    video: Path,
    name: str,
    files: Sequence[Path],
    drawn_as: Callable[[View], View] = lambda view: view,
) -> None:
    """Write a result's page (.html) and image (.png); `name` is the original's name in the report.

    `video` is the explained film, or a folder of explained images; `drawn_as` maps the sidecar's views to those that
    were drawn. Raises `MediaError` if there is no frame, or if the page cannot be written, and `ImageError`.
    """
    html, png = files
    contents = Contents(sidecar, video, name, drawn_as)
    part = html.with_name(html.name + ".part")
    try:
        part.write_text(page(contents), encoding="utf-8")
        os.replace(part, html)
    except OSError as error:
        raise MediaError(f"{html} cannot be written ({error.strerror}).") from error
    write_image(png, sheet(contents), is_result=True)
