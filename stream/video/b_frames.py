"""B-frames: H.264 frames that follow, in decoding order, one that is shown later. Detects and reorders them."""

from __future__ import annotations

import av

from whycam.stream.video.codec import Decoder, EncodedFrame
from whycam.stream.video.encoder import X264, Encoder

BIT_RATE = 8_000_000
"""In bit/s, of a re-encoded stream: high, so that the loss is not visible."""
_SLICE = 1  # nal_unit_type of a slice that is not of an IDR picture (ITU-T H.264, table 7-1)


def is_b_picture(data: bytes) -> bool:
    """Whether the first slice of an Annex B frame is bi-predictive."""
    at = data.find(b"\0\0\1")
    while 0 <= at < len(data) - 4:
        if data[at + 3] & 31 == _SLICE:
            # first_mb_in_slice is 0, written '1'; slice_type is 1 or 6, written '010' or '00111' (7.3.3, 9.1).
            head = data[at + 4]
            return head >> 4 == 0b1010 or head >> 2 == 0b100111
        at = data.find(b"\0\0\1", at + 3)
    return False


class DisplayOrder:
    """Re-encodes a stream in display order, from its first keyframe on."""

    def __init__(self) -> None:
        self._decoder: Decoder | None = None
        self._encoder = Encoder(X264, bit_rate=BIT_RATE)

    def take(self, frame: EncodedFrame) -> list[EncodedFrame]:
        """The frames that are next in display order; raises `av.FFmpegError` for a frame that cannot be decoded."""
        if self._decoder is None:
            if not frame.is_keyframe:
                return []
            self._decoder = Decoder(frame.codec)
        return self._encoded(self._decoder.decode(frame))

    def rest(self) -> list[EncodedFrame]:
        """The frames that are still buffered at the stream's end."""
        return [] if self._decoder is None else self._encoded(self._decoder.rest())

    def _encoded(self, pictures: list[av.VideoFrame]) -> list[EncodedFrame]:
        return [frame for picture in pictures if (frame := self._encoder.encode(picture)) is not None]
