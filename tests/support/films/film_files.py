"""Films on disk: copies of one, and their frames."""

from __future__ import annotations

from pathlib import Path

import av

from whycam.stream.media.film_reader import open_film, read_film
from whycam.stream.media.film_writer import FilmWriter

SIZE = (64, 48)


def frames_of(path: Path) -> list[av.VideoFrame]:
    with open_film(path) as opened:
        return [item for item in read_film(opened) if isinstance(item, av.VideoFrame)]


def copy(source: Path, target: Path) -> Path:
    """Copy a film as `explain_file` does, without explaining it."""
    with open_film(source) as opened:
        writer = FilmWriter(target, opened)
        for item in read_film(opened):
            if isinstance(item, av.VideoFrame):
                writer.write(item)
            else:
                writer.write_sound(item)
        writer.close()
    return target
