"""The live encoder: encodes each frame without delay, with the first of FFmpeg's encoders that works here."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from typing import Literal, get_args

import av
from av.codec.codec import UnknownCodecError
from av.video.codeccontext import VideoCodecContext
from av.video.frame import PictureType

from whycam.stream.video.codec import TIME_BASE, CodecName, Decoder, EncodedFrame

logger = logging.getLogger(__name__)

KEYFRAME_EVERY = 90  # frames: seeking in a recording, and recovery from a lost packet, take at most 3 s
MIN_BIT_RATE = 100_000
"""Below, the video is useless; a receiver may request any number."""
BIT_RATE = 2_500_000
"""At 640x480, in bit/s. It rises with the square root of the frame's area, up to 4 Mbit/s at 1280x720."""
_MAX_SIZE_FACTOR = 1.6
_REOPEN_RATIO = 1.5
_PROBE_SIZE = (320, 240)
"""Width and height of the frames for testing an encoder; some do not accept smaller ones."""

Options = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Backend:
    """One of FFmpeg's encoders, with the options for encoding without delay."""

    name: str
    """FFmpeg's name, also the value of `--encoder`."""
    codec: CodecName
    options: Callable[[int], Options]
    """FFmpeg's options for a bit rate in bit/s."""
    adaptive: bool = False
    """Can change its bit rate without reopening, up to the one with which it was opened."""
    pixels: str = "yuv420p"
    quantizers: tuple[int, int] | None = None
    """Minimum and maximum, where FFmpeg's defaults are unsuitable for live video. Below 18, x264 spends bits and time
    on what nobody sees: with it a still photograph takes a fifth of the bit rate and three quarters of the time, one
    that moves two fifths and nine tenths; a phone's film loses 0.1 dB and keeps its bit rate."""


def _x264(bit_rate: int) -> Options:
    # A buffer of half a second keeps a keyframe from delaying the frames after it.
    # Without its search for blocks whose few coefficients may be dropped, x264 takes a fifth less time; a dead zone of
    # 28 instead of 21 drops as many. A photograph that moves keeps bit rate and PSNR, a phone's film loses 0.2 dB.
    return {
        "preset": "ultrafast",
        "x264-params": "no-dct-decimate=1:deadzone-inter=28",
        "tune": "zerolatency",
        "profile": "baseline",
        "forced-idr": "1",
        "maxrate": str(bit_rate),
        "bufsize": str(bit_rate // 2),
    }


def _libvpx(bit_rate: int) -> Options:
    rate = str(bit_rate)
    return {
        "deadline": "realtime",
        "cpu-used": "-12",
        "lag-in-frames": "0",
        "minrate": rate,
        "maxrate": rate,
        "bufsize": rate,
        "static-thresh": "1",
    }


def _nvenc(bit_rate: int) -> Options:
    return {
        "preset": "p1",
        "tune": "ull",
        "profile": "baseline",
        "zerolatency": "1",
        "delay": "0",
        "rc": "cbr",
        "forced-idr": "1",
        "maxrate": str(bit_rate),
        "bufsize": str(bit_rate // 2),
    }


def _videotoolbox(_: int) -> Options:
    return {"profile": "constrained_baseline", "realtime": "1", "prio_speed": "1"}


def _qsv(bit_rate: int) -> Options:
    return {
        "preset": "veryfast",
        "profile": "baseline",
        "async_depth": "1",
        "low_delay_brc": "1",
        "forced_idr": "1",
        "maxrate": str(bit_rate),
        "bufsize": str(bit_rate // 2),
    }


def _vaapi(bit_rate: int) -> Options:
    return {"profile": "constrained_baseline", "async_depth": "1", "rc_mode": "CBR", "maxrate": str(bit_rate)}


X264 = Backend("libx264", "H264", _x264, adaptive=True, quantizers=(18, 69))
LIBVPX = Backend("libvpx", "VP8", _libvpx, quantizers=(2, 56))
SOFTWARE: Mapping[CodecName, Backend] = {"H264": X264, "VP8": LIBVPX}
HARDWARE = (
    Backend("h264_nvenc", "H264", _nvenc, adaptive=True),
    Backend("h264_videotoolbox", "H264", _videotoolbox),
    Backend("h264_qsv", "H264", _qsv, pixels="nv12"),
    Backend("h264_vaapi", "H264", _vaapi, pixels="nv12"),
)
"""For H.264 only, in the order in which they are tried."""
EncoderChoice = Literal["auto", "libx264", "h264_nvenc", "h264_videotoolbox", "h264_qsv", "h264_vaapi"]
ENCODERS: tuple[EncoderChoice, ...] = get_args(EncoderChoice)
"""All encoders for H.264, and `auto`: the first that works here."""


@cache
def problem_of(backend: Backend) -> str:
    """Why an encoder cannot be used here; empty if it can. It is tested by encoding four frames and decoding them."""
    decoder = Decoder(backend.codec)
    try:
        encoder = Encoder(backend)
        for number in range(4):
            frame = av.VideoFrame(*_PROBE_SIZE, "yuv420p")
            for plane in frame.planes:
                plane.update(bytes([64 + 32 * number]) * plane.buffer_size)
            frame.pts = number * 3000
            encoded = encoder.encode(frame, keyframe=number == 2)
            if encoded is None:
                return "it delays frames"
            if encoded.is_keyframe != (number in (0, 2)):
                return "it chooses keyframes itself"
            if len(decoder.decode(encoded)) != 1:
                return "it produces frames that cannot be decoded without delay"
    except UnknownCodecError:
        return "it is not part of this FFmpeg"
    except (av.FFmpegError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        return f"it does not open ({reason}): the hardware or its driver is missing" if backend in HARDWARE else reason
    return ""


def backends(choice: EncoderChoice = "auto") -> dict[CodecName, Backend]:
    """The encoder for each codec; `auto` is the first hardware encoder that works, otherwise software.

    Raises `ValueError` for an encoder that does not work here.
    """
    if choice == "auto":
        return {**SOFTWARE, "H264": next((backend for backend in HARDWARE if not problem_of(backend)), X264)}
    (chosen,) = (backend for backend in (X264, *HARDWARE) if backend.name == choice)
    if problem := problem_of(chosen):
        raise ValueError(f"The encoder {choice} does not work here ({problem}). Omit --encoder, or use libx264.")
    return {**SOFTWARE, "H264": chosen}


class Encoder:
    """Encodes one live stream with a `Backend`.

    A frame of a new size opens a new encoder, whose first frame is a keyframe. If the backend fails (hardware limits
    the number of streams), the `fallback` takes over; without one, `av.FFmpegError` is raised.
    """

    def __init__(self, backend: Backend, *, fallback: Backend | None = None, bit_rate: int = BIT_RATE) -> None:
        self._backend = backend
        self._fallback = fallback if fallback is not backend else None
        self._max_bit_rate = bit_rate
        self._network_bit_rate: int | None = None
        self._opened_with = 0
        self._context: VideoCodecContext | None = None

    @property
    def codec(self) -> CodecName:
        """The codec of the encoded frames."""
        return self._backend.codec

    @property
    def name(self) -> str:
        """FFmpeg's name of the encoder in use."""
        return self._backend.name

    def set_bit_rate(self, bit_rate: int) -> None:
        """Set the bit rate that the network carries, in bit/s; the limit for the frame size still applies.

        An adaptive backend changes its rate without a keyframe, but not above the one with which it was opened, and
        others not at all: the encoder is reopened when the rate has changed by half.
        """
        self._network_bit_rate = max(bit_rate, MIN_BIT_RATE)
        context = self._context
        if context is not None and self._backend.adaptive:
            rate = self._bit_rate(context.width, context.height)
            if abs((context.bit_rate or 0) - rate) > rate // 20:
                context.bit_rate = rate

    def encode(self, frame: av.VideoFrame, *, keyframe: bool = False) -> EncodedFrame | None:
        """The encoded frame; `None` if the encoder skipped it (VP8, to keep the bit rate)."""
        try:
            return self._encode(frame, keyframe=keyframe)
        except av.FFmpegError as error:
            fallback, self._fallback = self._fallback, None
            if fallback is None:
                raise
            logger.warning("The encoder %s failed (%s); %s takes over.", self.name, error.strerror, fallback.name)
            self._backend, self._context = fallback, None
            return self._encode(frame, keyframe=True)

    def _encode(self, frame: av.VideoFrame, *, keyframe: bool) -> EncodedFrame | None:
        context = self._context
        if context is None or (context.width, context.height) != (frame.width, frame.height) or self._is_stale(context):
            context = self._context = self._open(frame)
        pts = frame.pts
        assert pts is not None
        if frame.format.name not in (self._backend.pixels, "yuvj420p"):
            frame = frame.reformat(format=self._backend.pixels)
        frame.pict_type = PictureType.I if keyframe else PictureType.NONE
        data = b"".join(bytes(packet) for packet in context.encode(frame))
        return EncodedFrame(self.codec, data, pts) if data else None

    def full_bit_rate(self, width: int, height: int) -> int:
        """The bit rate of frames of this size where the network carries it, in bit/s."""
        factor = min(max(math.sqrt(width * height / (640 * 480)), 1), _MAX_SIZE_FACTOR)
        return round(self._max_bit_rate * factor)

    def _bit_rate(self, width: int, height: int) -> int:
        full = self.full_bit_rate(width, height)
        return full if self._network_bit_rate is None else min(self._network_bit_rate, full)

    def _is_stale(self, context: VideoCodecContext) -> bool:
        """Whether the encoder must be reopened for the current bit rate."""
        change = self._bit_rate(context.width, context.height) / self._opened_with
        return change > _REOPEN_RATIO or (not self._backend.adaptive and change < 1 / _REOPEN_RATIO)

    def _open(self, frame: av.VideoFrame) -> VideoCodecContext:
        context = av.CodecContext.create(self._backend.name, "w")
        assert isinstance(context, VideoCodecContext)
        self._opened_with = self._bit_rate(frame.width, frame.height)
        context.width, context.height = frame.width, frame.height
        context.pix_fmt = self._backend.pixels
        context.time_base = TIME_BASE
        context.framerate = Fraction(30)
        context.bit_rate = self._opened_with
        context.gop_size = KEYFRAME_EVERY
        context.max_b_frames = 0
        context.thread_count = 1  # slices for a second thread cost more than they save at this size
        context.colorspace, context.color_range = frame.colorspace, frame.color_range
        if self._backend.quantizers is not None:
            context.qmin, context.qmax = self._backend.quantizers
        context.options = dict(self._backend.options(self._opened_with))
        return context
