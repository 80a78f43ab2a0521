"""A thumbnail of a film: the frame at a time, as a small JPEG."""

from __future__ import annotations

from pathlib import Path

import av

from whycam.stream.video.jpeg import jpeg

QUALITY = 85


class NoThumbnail(ValueError):
    """A film has no frame that can be decoded; the message names the film."""


def still(film: Path, seconds: float, width: int) -> bytes:
    """The frame at this time, as JPEG of at most this width; beyond the end, the last frame. Raises `NoThumbnail`."""
    try:
        with av.open(film) as container:
            stream = container.streams.video[0]
            stream.thread_type = "NONE"  # only a few frames, and the cores are needed elsewhere
            assert stream.time_base is not None
            wanted = seconds / stream.time_base
            container.seek(int(wanted), stream=stream)
            shown: av.VideoFrame | None = None
            for frame in container.decode(stream):
                if shown is not None and frame.pts is not None and frame.pts > wanted:
                    break
                shown = frame
    except (OSError, IndexError, av.FFmpegError) as error:
        raise NoThumbnail(f"{film.name} has no frame that can be decoded ({error}).") from error
    if shown is None:
        raise NoThumbnail(f"{film.name} has no frame yet.")
    return jpeg(shown, QUALITY, width)
