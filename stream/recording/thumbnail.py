"""A thumbnail of a film: the frame at a time, as a small JPEG."""

from __future__ import annotations

from pathlib import Path

import av
import cv2

from whycam.stream.video.planes import PLANAR, rgb_of

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
    return _jpeg(shown, width)


def _jpeg(frame: av.VideoFrame, width: int) -> bytes:
    rgb = rgb_of(frame if frame.format.name in PLANAR else frame.reformat(format="yuv420p"))
    if frame.width > width:
        height = max(1, round(frame.height * width / frame.width))
        rgb = cv2.resize(rgb, (width, height), interpolation=cv2.INTER_AREA)  # type: ignore[assignment]
    _, data = cv2.imencode(".jpg", rgb[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
    return data.tobytes()
