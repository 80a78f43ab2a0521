"""What a keyframe tells of the stream behind it, read by FFmpeg."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import av
from av.container import InputContainer

from stream.codec import EncodedFrame


class DamagedKeyframe(ValueError):
    """A keyframe that does not say how large its picture is; no file can begin with it."""


@dataclass(frozen=True, slots=True)
class Opening:
    """How a stream goes on from a keyframe."""

    size: tuple[int, int]
    """Width and height, in pixels."""
    reorders: bool
    """Whether its frames may come in another order than they are shown (H.264: as its SPS says)."""


def read_keyframe(keyframe: EncodedFrame) -> Opening:
    """What the keyframe says; raises `DamagedKeyframe`."""
    with opened(keyframe) as container:
        if container is None:
            opening = Opening(keyframe.vp8_size, reorders=False)
        else:
            video = container.streams.video[0]
            opening = Opening((video.width, video.height), reorders=bool(video.codec_context.has_b_frames))
    if 0 in opening.size:
        raise DamagedKeyframe
    return opening


@contextmanager
def opened(keyframe: EncodedFrame) -> Iterator[InputContainer | None]:
    """A keyframe as a file of its own; None for VP8, which FFmpeg does not read without a container.

    Raises `DamagedKeyframe`.
    """
    if keyframe.codec == "VP8":
        yield None
        return
    try:
        container = av.open(io.BytesIO(keyframe.data), "r", format="h264")
    except av.FFmpegError as error:
        raise DamagedKeyframe from error
    with container:
        if not container.streams.video:
            raise DamagedKeyframe
        yield container
