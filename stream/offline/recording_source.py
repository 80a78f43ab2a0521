"""The camera's video of a live recording as one film: its files in order, on the recording's clock."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av

from whycam.stream.media.film_reader import open_film
from whycam.stream.media.losses import Losses, MediaError
from whycam.stream.recording.note import read_note
from whycam.stream.recording.paths import SESSION
from whycam.stream.video.codec import TIME_BASE


@dataclass(frozen=True, slots=True)
class Segment:
    """One camera file, and its first pts on the recording's clock, in 1/90000 s."""

    path: Path
    first_pts: int


def is_recording(folder: Path) -> bool:
    """Whether a folder is a live recording."""
    return (folder / SESSION).is_file()


class RecordedFilm:
    """Camera files of a recording, without sound. See `prefetch.Source` and `film_writer.Original`."""

    time_base = TIME_BASE
    audio = None

    def __init__(self, name: str, segments: Sequence[Segment]) -> None:
        self.name = name
        self.losses = Losses()
        self.metadata: Mapping[str, str] = {}
        self._segments = segments
        films = [open_film(segment.path) for segment in segments]
        self.frames = sum(film.frames for film in films)
        self.rate: Fraction = films[0].rate
        for film in films:
            film.close()

    @classmethod
    def of(cls, path: Path) -> RecordedFilm:
        """All files of a recording's folder, or one of its files; raises `MediaError`."""
        folder = path if path.is_dir() else path.parent
        try:
            session = read_note(folder)
            segments = [Segment(folder / each["file"], each["first_pts"]) for each in session["camera"]]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise MediaError(f"{folder / SESSION} cannot be read ({error}). Give one of the folder's films.") from error
        if path != folder:
            segments = [segment for segment in segments if segment.path.name == path.name]
        if not segments:
            raise MediaError(f"{path} has no camera film.")
        return cls(path.name or folder.resolve().name, segments)

    def read(self) -> Iterator[av.VideoFrame]:
        """The frames in order, with pts on the recording's clock."""
        for segment in self._segments:
            with open_film(segment.path) as film:
                for frame in film.read():
                    if isinstance(frame, av.VideoFrame) and frame.pts is not None:
                        frame.pts = segment.first_pts + round(frame.pts * film.time_base / TIME_BASE)
                        frame.time_base = TIME_BASE
                        yield frame
                self._add(film.losses)

    def _add(self, losses: Losses) -> None:
        self.losses.concealed += losses.concealed
        self.losses.lost += losses.lost
        self.losses.missing += losses.missing
        self.losses.error = self.losses.error or losses.error
        self.losses.notes = list(dict.fromkeys(self.losses.notes + losses.notes))
