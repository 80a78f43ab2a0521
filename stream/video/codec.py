"""Encoded video, H.264 and VP8: an encoded frame, the stream parameters in its keyframes, and the live decoder."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import Any, Literal

import av
from av.container import InputContainer
from av.video.codeccontext import VideoCodecContext

from whycam.stream.limits import LIMITS

CodecName = Literal["H264", "VP8"]
TIME_BASE = Fraction(1, 90_000)
"""The clock of video over RTP; every pts of a live stream counts in it."""

MAX_PIXELS = LIMITS.max_pixels
H264_SPS, H264_PPS, H264_IDR = 7, 8, 5
"""Types of NAL units."""
_VP8_START = b"\x9d\x01\x2a"


@dataclass(frozen=True)
class EncodedFrame:
    """One complete encoded frame, in decoding order; H.264 as an Annex B byte stream.

    What is read from its bytes is cached.
    """

    codec: CodecName
    data: bytes
    pts: int
    """In 1/90000 s, unwrapped."""

    @cached_property
    def is_keyframe(self) -> bool:
        """Whether a decoder can begin here (H.264: an IDR picture with its parameter sets)."""
        if self.codec == "VP8":  # RFC 6386, 9.1
            return len(self.data) >= 10 and not self.data[0] & 1 and self.data[3:6] == _VP8_START
        return {H264_SPS, H264_PPS, H264_IDR} <= {unit[0] & 31 for unit in self.nal_units}

    @cached_property
    def header(self) -> bytes:
        """Of a keyframe: the part whose change requires a new file (H.264: the SPS and PPS; VP8: the size)."""
        if self.codec == "VP8":
            return self.data[6:10]
        return b"".join(unit for unit in self.nal_units if unit[0] & 31 in (H264_SPS, H264_PPS))

    @property
    def nal_units(self) -> list[bytes]:
        """The NAL units of an H.264 frame, without start codes."""
        return [unit.rstrip(b"\0") for unit in self.data.split(b"\0\0\1")[1:] if unit.rstrip(b"\0")]

    @property
    def vp8_size(self) -> tuple[int, int]:
        """Width and height of a VP8 keyframe, in pixels."""
        return (self.data[6] | self.data[7] << 8) & 0x3FFF, (self.data[8] | self.data[9] << 8) & 0x3FFF

    @property
    def is_too_large(self) -> bool:
        """Whether this is a VP8 keyframe above `MAX_PIXELS`, for which libvpx would allocate a gigabyte.

        FFmpeg itself refuses such H.264.
        """
        if self.codec == "H264" or not self.is_keyframe:
            return False
        width, height = self.vp8_size
        return width * height > MAX_PIXELS


class Decoder:
    """Decodes one live stream, without delay."""

    def __init__(self, codec: CodecName) -> None:
        context = av.CodecContext.create("h264" if codec == "H264" else "libvpx", "r")
        assert isinstance(context, VideoCodecContext)
        context.thread_count = 1  # more would delay frames
        context.options = {"max_pixels": str(MAX_PIXELS)}
        self._context = context
        self.codec = codec

    def decode(self, frame: EncodedFrame) -> list[av.VideoFrame]:
        """The decoded frames in yuv420p; raises `av.FFmpegError` for one that cannot be decoded."""
        if frame.is_too_large:
            raise av.InvalidDataError(1, f"a frame of {frame.vp8_size} is larger than {MAX_PIXELS} pixels")
        packet = av.Packet(frame.data)
        packet.pts = packet.dts = frame.pts
        packet.time_base = TIME_BASE
        return self._decode(packet)

    def rest(self) -> list[av.VideoFrame]:
        """The frames that are still buffered at the stream's end."""
        return self._decode(None)

    def _decode(self, packet: av.Packet[Any] | None) -> list[av.VideoFrame]:
        pictures = self._context.decode(packet)
        return [p if p.format.name in ("yuv420p", "yuvj420p") else p.reformat(format="yuv420p") for p in pictures]


class DamagedKeyframe(ValueError):
    """A keyframe without a readable frame size; no file can begin with it."""


@dataclass(frozen=True, slots=True)
class Opening:
    """The parameters of a stream from a keyframe on."""

    size: tuple[int, int]
    """Width and height, in pixels."""
    reorders: bool
    """Whether decoding order may differ from display order (H.264: from its SPS)."""


def read_keyframe(keyframe: EncodedFrame) -> Opening:
    """The stream parameters in a keyframe; raises `DamagedKeyframe`."""
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
    """A keyframe as an open file; None for VP8, which FFmpeg does not read without a container.

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
