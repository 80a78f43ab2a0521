"""The files of a recording: the container of each codec, file names and MIME types."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from whycam.stream.video.codec import TIME_BASE, CodecName

_KEPT_PTS = {"avoid_negative_ts": "disabled"}
"""Keeps a film's first pts; otherwise camera and explained film would not be in sync."""


@dataclass(frozen=True, slots=True)
class Container:
    """A container format. Browsers have to play it: the recordings page shows the films as they are."""

    suffix: str
    mime_type: str
    muxer: str
    """FFmpeg's name of the format."""
    recording: Mapping[str, str]
    """FFmpeg's options for recording, which keep the file readable after a crash."""
    repairing: Mapping[str, str] = field(default_factory=lambda: _KEPT_PTS)
    """FFmpeg's options for converting a film that breaks off to an ordinary one."""


CONTAINERS: Mapping[CodecName, Container] = {
    "H264": Container(
        ".mp4",
        "video/mp4",
        "mp4",
        # Fragments of half a second are readable after a crash; a clean stop turns the file into an ordinary MP4.
        # Without delay_moov the first fragment would be unreadable; with empty_moov the file would begin at 0 until it
        # is closed.
        {
            "movflags": "hybrid_fragmented+delay_moov+default_base_moof",
            "frag_duration": "500000",
            "movie_timescale": str(TIME_BASE.denominator),  # the unit of a file's first pts
            "flush_packets": "1",
            **_KEPT_PTS,
        },
        {"movie_timescale": str(TIME_BASE.denominator), **_KEPT_PTS},
    ),
    "VP8": Container(".webm", "video/webm", "webm", {"cluster_time_limit": "500", "flush_packets": "1", **_KEPT_PTS}),
}
"""The container in which each codec is recorded."""
EARLIER: tuple[Container, ...] = ()
"""Containers of earlier versions: their recordings are still listed, played and repaired."""

BY_SUFFIX: Mapping[str, Container] = {container.suffix: container for container in (*EARLIER, *CONTAINERS.values())}
MIME_TYPES = {suffix: container.mime_type for suffix, container in BY_SUFFIX.items()} | {
    ".jsonl": "application/x-ndjson",
    ".json": "application/json",
    ".html": "text/html",
    ".png": "image/png",
}
"""MIME type of each kind of file in a recording, by suffix."""

_FILM = re.compile(rf"(camera|explained)-\d{{3,}}({'|'.join(map(re.escape, BY_SUFFIX))})")
_FILE = re.compile(rf"[a-z0-9][a-z0-9-]*({'|'.join(map(re.escape, [*BY_SUFFIX, '.jsonl', '.json']))})")
REPORTS = ("report.html", "report.png")
"""The report on a film, in a folder that `stream.uploads` made; no other page or image is served."""


def is_film(name: str) -> bool:
    """Whether a file name is that of a recording's film."""
    return _FILM.fullmatch(name) is not None


def is_file(name: str) -> bool:
    """Whether a file name is that of any file of a recording."""
    return name in REPORTS or _FILE.fullmatch(name) is not None
