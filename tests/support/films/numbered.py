"""Pictures that carry their number, to be read from a picture that was encoded, drawn on a page and grabbed there."""

from __future__ import annotations

import numpy as np

from tests.support.films import media_samples
from whycam.stream.video.codec import EncodedFrame
from whycam.stream.video.encoder import SOFTWARE, Encoder
from whycam.stream.video.planes import Bytes

BITS = 10
COUNT = 240
"""Eight seconds at 30 frames a second, then they begin again."""


def numbered(size: tuple[int, int], number: int) -> Bytes:
    """A grey picture (H, W, 3) with a row of black and white squares: the number's bits, each beside its opposite."""
    width, height = size
    picture = np.full((height, width, 3), 96, np.uint8)
    for bit in range(BITS):
        left, right = bit * width // BITS, (bit + 1) * width // BITS
        level = 235 if number >> bit & 1 else 20
        picture[height // 2 : height * 5 // 8, left:right] = level
        picture[height * 5 // 8 : height * 3 // 4, left:right] = 255 - level
    return picture


def number_of(picture: Bytes) -> int:
    """The number in a picture (H, W, 3) of any size."""
    height, width = picture.shape[:2]
    columns = [(2 * bit + 1) * width // (2 * BITS) for bit in range(BITS)]
    luma = picture.astype(np.float64).mean(axis=2)
    upper, lower = luma[height * 9 // 16, columns], luma[height * 11 // 16, columns]
    assert np.abs(upper - lower).min() > 60, "the picture has no number"
    return sum(1 << bit for bit in range(BITS) if upper[bit] > lower[bit])


def stream(size: tuple[int, int]) -> list[EncodedFrame]:
    """The pictures as a live stream in H.264, with a keyframe each second."""
    encoder = Encoder(SOFTWARE["H264"])
    frames = [
        encoder.encode(
            media_samples.frame(numbered(size, number), number * media_samples.STEP), keyframe=not number % 30
        )
        for number in range(COUNT)
    ]
    return [each for each in frames if each is not None]
