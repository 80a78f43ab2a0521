"""Converts decoded frames to what every other part expects: 8-bit yuv420p, SDR, upright, square pixels."""

from __future__ import annotations

from fractions import Fraction

import av
from av.video.reformatter import ColorRange, Colorspace, Interpolation, VideoReformatter
from av.video.stream import VideoStream

from whycam.stream.media.frames.hdr import ToneMapper, transfer_of
from whycam.stream.media.frames.rotation import Orientation, upright

MAX_PIXELS = 8192 * 4320
"""Most pixels of a frame; the largest that phones film."""
LARGE_PIXELS = 12_000_000
"""Frames from here on, more than 4K, are so large that few may be in memory at once."""
_GBR, _UNSPECIFIED = 0, 2
"""Matrices of ITU-T H.273 that PyAV does not name."""
IMAGE_CODECS = frozenset({"mjpeg", "png", "webp", "tiff", "jpeg2000", "jpegxl", "bmp", "gif"})
"""Codecs, by FFmpeg's names, whose frames are images that may each have EXIF."""


class Preparation:
    """Prepares the frames of one stream, whose pixels are `pixel` times as wide as high.

    `is_images`: each frame is an image with an orientation of its own, as the photographs of a time lapse.
    """

    def __init__(self, pixel: Fraction | None, *, is_images: bool = False) -> None:
        self._pixel = pixel or Fraction(1)
        self._is_images = is_images
        self._reformatter = VideoReformatter()
        self._probe = VideoReformatter()
        self._tone_mapper = ToneMapper()
        self._orientations: dict[int, Orientation] = {}

    @classmethod
    def of(cls, stream: VideoStream) -> Preparation:
        """The preparation for a stream's frames."""
        is_images = stream.codec_context.codec.canonical_name in IMAGE_CODECS
        return cls(stream.sample_aspect_ratio, is_images=is_images)

    def _orientation(self, frame: av.VideoFrame) -> Orientation:
        # Reading a frame's side data makes a reference cycle, which keeps the frame until the garbage collector runs.
        if self._is_images:
            small = self._probe.reformat(frame, 16, 16, "gray", interpolation=Interpolation.POINT)
            return Orientation.of(small)
        turn = self._orientations.get(frame.rotation)
        if turn is None:
            turn = self._orientations[frame.rotation] = Orientation.of(frame)
        return turn

    def __call__(self, frame: av.VideoFrame) -> av.VideoFrame:
        """The frame, upright, of even size and at most `MAX_PIXELS` large."""
        turn = self._orientation(frame)
        transfer = transfer_of(frame)
        plain = frame if transfer is None else self._tone_mapper(frame, transfer)
        width = min(round(frame.width * self._pixel), MAX_PIXELS // frame.height)  # the header is untrusted
        if plain.format.is_rgb:
            # By default FFmpeg converts to BT.601 without a label.
            plain = self._reformatter.reformat(
                plain, width, format="yuv420p", dst_colorspace=Colorspace.ITU709, dst_color_range=ColorRange.MPEG
            )
            plain.colorspace, plain.color_range = Colorspace.ITU709, ColorRange.MPEG
        elif plain.colorspace == _GBR:
            # Encoders take the tag of a palette or an RGB image for the YUV that they make; players refuse it.
            plain.colorspace = _UNSPECIFIED
        if plain.format.name != "yuv420p" or plain.width != width:
            plain = self._reformatter.reformat(plain, width, format="yuv420p")
        return upright(plain, turn)
