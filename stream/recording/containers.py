"""The files of a recording: what container each codec is recorded in, and how its files are named and served."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from whycam.stream.video.codec import TIME_BASE, CodecName

_KEPT_PTS = {"avoid_negative_ts": "disabled"}
"""A film's first pts is kept, else camera and explained would not be in step."""


@dataclass(frozen=True, slots=True)
class Container:
    """A container format. FFmpeg knows it by its suffix without the full stop."""

    suffix: str
    mime_type: str
    recording: Mapping[str, str]
    """FFmpeg's options while frames are recorded: the file is readable after a crash."""
    repairing: Mapping[str, str] = field(default_factory=lambda: _KEPT_PTS)
    """FFmpeg's options where a film that breaks off is made an ordinary one."""

    @property
    def muxer(self) -> str:
        """FFmpeg's name of the format."""
        return self.suffix[1:]


CONTAINERS: Mapping[CodecName, Container] = {
    "H264": Container(
        ".mp4",
        "video/mp4",
        # Fragments of half a second can be read after a crash; a clean stop turns the file into an ordinary MP4.
        # Without delay_moov the first fragment could not be read, with empty_moov the file would begin at 0 until it is
        # closed.
        {
            "movflags": "hybrid_fragmented+delay_moov+default_base_moof",
            "frag_duration": "500000",
            "movie_timescale": str(TIME_BASE.denominator),  # a file's first pts is written in it
            "flush_packets": "1",
            **_KEPT_PTS,
        },
        {"movie_timescale": str(TIME_BASE.denominator), **_KEPT_PTS},
    ),
    "VP8": Container(".webm", "video/webm", {"cluster_time_limit": "500", "flush_packets": "1", **_KEPT_PTS}),
}
"""What each codec is recorded in. All that knows a recording's files reads this table."""

BY_SUFFIX: Mapping[str, Container] = {container.suffix: container for container in CONTAINERS.values()}
MIME_TYPES = {suffix: container.mime_type for suffix, container in BY_SUFFIX.items()} | {
    ".jsonl": "application/x-ndjson",
    ".json": "application/json",
}
"""Of each kind of file in a recording, by its suffix."""

_FILM = re.compile(rf"(camera|explained)-\d{{3,}}({'|'.join(map(re.escape, BY_SUFFIX))})")
_FILE = re.compile(rf"[a-z0-9][a-z0-9-]*({'|'.join(map(re.escape, MIME_TYPES))})")


def is_film(name: str) -> bool:
    """Whether a file's name is that of a film of a recording."""
    return _FILM.fullmatch(name) is not None


def is_file(name: str) -> bool:
    """Whether a file's name is that of a file of a recording."""
    return _FILE.fullmatch(name) is not None
