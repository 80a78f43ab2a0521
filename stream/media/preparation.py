"""Converts decoded frames to what every other part expects: 8-bit yuv420p, SDR, upright, square pixels."""

from __future__ import annotations

from fractions import Fraction

import av
from av.video.reformatter import ColorRange, Colorspace, VideoReformatter

from whycam.stream.media.hdr import ToneMapper, transfer_of
from whycam.stream.media.rotation import Orientation, upright

MAX_PIXELS = 8192 * 4320
"""Most pixels of a frame; the largest that phones film."""


class Preparation:
    """Prepares the frames of one stream, whose pixels are `pixel` times as wide as high."""

    def __init__(self, pixel: Fraction | None) -> None:
        self._pixel = pixel or Fraction(1)
        self._reformatter = VideoReformatter()
        self._tone_mapper = ToneMapper()
        self._orientations: dict[int, Orientation] = {}

    def __call__(self, frame: av.VideoFrame) -> av.VideoFrame:
        """The frame, upright, of even size and at most `MAX_PIXELS` large."""
        # Reading a frame's side data makes a reference cycle, which keeps the frame until the garbage collector runs.
        turn = self._orientations.get(frame.rotation)
        if turn is None:
            turn = self._orientations[frame.rotation] = Orientation.of(frame)
        transfer = transfer_of(frame)
        plain = frame if transfer is None else self._tone_mapper(frame, transfer)
        width = min(round(frame.width * self._pixel), MAX_PIXELS // frame.height)  # the header is untrusted
        if plain.format.is_rgb:
            # By default FFmpeg converts to BT.601 without a label.
            plain = self._reformatter.reformat(
                plain, width, format="yuv420p", dst_colorspace=Colorspace.ITU709, dst_color_range=ColorRange.MPEG
            )
            plain.colorspace, plain.color_range = Colorspace.ITU709, ColorRange.MPEG
        elif plain.format.name != "yuv420p" or plain.width != width:
            plain = self._reformatter.reformat(plain, width, format="yuv420p")
        return upright(plain, turn)
