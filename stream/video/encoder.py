"""The live encoder: each frame gives its packet at once, by the best of FFmpeg's encoders that really opens here."""

from __future__ import annotations

import logging
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

KEYFRAME_EVERY = 90  # frames: a recording can be sought, and a lost packet heals, within 3 s
MIN_BIT_RATE = 100_000
"""Below, a picture is not worth sending; a receiver may ask for any number."""
BIT_RATE = 2_500_000
"""Of 640x480, in bit/s. A larger picture has more, but less than in proportion: up to 4 Mbit/s at 1280x720."""
_LARGER = 1.6
_REOPEN_AT = 1.5
_PROBED = (320, 240)
"""Width and height of the frames that an encoder is tried with; some do not take smaller ones."""

Options = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Backend:
    """One of FFmpeg's encoders, and how it is opened so that no frame waits for another."""

    name: str
    """FFmpeg's, which is also what `--encoder` takes."""
    codec: CodecName
    options: Callable[[int], Options]
    """From a bit rate in bit/s."""
    follows: bool = False
    """Takes another bit rate while it runs, without a keyframe, up to the one that it was opened with."""
    pixels: str = "yuv420p"
    quantizers: tuple[int, int] | None = None
    """The least and the most, where FFmpeg's own limits serve no live picture."""


def _x264(bit_rate: int) -> Options:
    # A buffer of half a second keeps a keyframe from delaying the frames behind it.
    return {
        "preset": "ultrafast",
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


X264 = Backend("libx264", "H264", _x264, follows=True)
LIBVPX = Backend("libvpx", "VP8", _libvpx, quantizers=(2, 56))
SOFTWARE: Mapping[CodecName, Backend] = {"H264": X264, "VP8": LIBVPX}
HARDWARE = (
    Backend("h264_nvenc", "H264", _nvenc, follows=True),
    Backend("h264_videotoolbox", "H264", _videotoolbox),
    Backend("h264_qsv", "H264", _qsv, pixels="nv12"),
    Backend("h264_vaapi", "H264", _vaapi, pixels="nv12"),
)
"""For H.264 alone; in the order in which they are tried."""
EncoderChoice = Literal["auto", "libx264", "h264_nvenc", "h264_videotoolbox", "h264_qsv", "h264_vaapi"]
ENCODERS: tuple[EncoderChoice, ...] = get_args(EncoderChoice)
"""All that encode H.264, and `auto`: the first that works here."""


@cache
def problem_of(backend: Backend) -> str:
    """Why an encoder cannot be used here; empty where it can: it was opened, and its frames were decoded."""
    decoder = Decoder(backend.codec)
    try:
        encoder = Encoder(backend)
        for number in range(4):
            frame = av.VideoFrame(*_PROBED, "yuv420p")
            for plane in frame.planes:
                plane.update(bytes([64 + 32 * number]) * plane.buffer_size)
            frame.pts = number * 3000
            encoded = encoder.encode(frame, keyframe=number == 2)
            if encoded is None:
                return "it holds frames back"
            if encoded.is_keyframe != (number in (0, 2)):
                return "it gives keyframes when it likes"
            if len(decoder.decode(encoded)) != 1:
                return "its frames cannot be shown at once"
    except UnknownCodecError:
        return "it is not part of this FFmpeg"
    except (av.FFmpegError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        return f"it does not open ({reason}): the hardware or its driver is missing" if backend in HARDWARE else reason
    return ""


def backends(choice: EncoderChoice = "auto") -> dict[CodecName, Backend]:
    """The encoder for each codec; `choice` is one of `ENCODERS`, `auto` the first hardware that works, else software.

    Raises `ValueError` for an encoder that does not work here.
    """
    if choice == "auto":
        return {**SOFTWARE, "H264": next((backend for backend in HARDWARE if not problem_of(backend)), X264)}
    (chosen,) = (backend for backend in (X264, *HARDWARE) if backend.name == choice)
    if problem := problem_of(chosen):
        raise ValueError(f"The encoder {choice} does not work here ({problem}). Leave --encoder away, or take libx264.")
    return {**SOFTWARE, "H264": chosen}


class Encoder:
    """Encodes one live stream, as its `Backend` does.

    A frame of another size than the one before opens a new encoder, whose first frame is a keyframe. Where the backend
    fails (hardware may open only so many streams) the `spare` one goes on, if there is one; else `av.FFmpegError`.
    """

    def __init__(self, backend: Backend, *, spare: Backend | None = None, bit_rate: int = BIT_RATE) -> None:
        self._backend = backend
        self._spare = spare if spare is not backend else None
        self._max_bit_rate = bit_rate
        self._carried: int | None = None
        self._opened_with = 0
        self._context: VideoCodecContext | None = None

    @property
    def codec(self) -> CodecName:
        """What comes out."""
        return self._backend.codec

    @property
    def name(self) -> str:
        """FFmpeg's name of the encoder that is used."""
        return self._backend.name

    def set_bit_rate(self, bit_rate: int) -> None:
        """What the network carries, in bit/s; more than a picture of its size needs is not used.

        x264 follows without a keyframe, but not above the rate it was opened with, and others not at all: they are
        opened anew when the rate has moved by half.
        """
        self._carried = max(bit_rate, MIN_BIT_RATE)
        context = self._context
        if context is not None and self._backend.follows:
            rate = self._bit_rate(context.width, context.height)
            if abs((context.bit_rate or 0) - rate) > rate // 20:
                context.bit_rate = rate

    def encode(self, frame: av.VideoFrame, *, keyframe: bool = False) -> EncodedFrame | None:
        """The encoded frame; `None` where the encoder chose to skip it (VP8, to keep the bit rate)."""
        try:
            return self._encode(frame, keyframe=keyframe)
        except av.FFmpegError as error:
            spare, self._spare = self._spare, None
            if spare is None:
                raise
            logger.warning("The encoder %s failed (%s); %s goes on.", self.name, error.strerror, spare.name)
            self._backend, self._context = spare, None
            return self._encode(frame, keyframe=True)

    def _encode(self, frame: av.VideoFrame, *, keyframe: bool) -> EncodedFrame | None:
        context = self._context
        if context is None or (context.width, context.height) != (frame.width, frame.height) or self._outgrown(context):
            context = self._context = self._open(frame)
        pts = frame.pts
        assert pts is not None
        if frame.format.name not in (self._backend.pixels, "yuvj420p"):
            frame = frame.reformat(format=self._backend.pixels)
        frame.pict_type = PictureType.I if keyframe else PictureType.NONE
        data = b"".join(bytes(packet) for packet in context.encode(frame))
        return EncodedFrame(self.codec, data, pts) if data else None

    def _bit_rate(self, width: int, height: int) -> int:
        limit: int = round(self._max_bit_rate * min(max((width * height / (640 * 480)) ** 0.5, 1), _LARGER))
        return limit if self._carried is None else min(self._carried, limit)

    def _outgrown(self, context: VideoCodecContext) -> bool:
        """Whether the encoder cannot follow the bit rate."""
        change = self._bit_rate(context.width, context.height) / self._opened_with
        return change > _REOPEN_AT or (not self._backend.follows and change < 1 / _REOPEN_AT)

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
