"""A film as a phone's person drops it on the page: H.264 in an MP4, made in code."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Literal

import av
import numpy as np

from whycam.stream.video.planes import rgb_frame


def dropped_film(
    path: Path, frames: int = 12, size: tuple[int, int] = (160, 120), codec: Literal["libx264", "mpeg4"] = "libx264"
) -> Path:
    """A bright spot that moves over a dark picture, 30 frames a second."""
    width, height = size
    with av.open(path, "w", format="mp4") as container:
        stream = container.add_stream(codec, rate=30)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for number in range(frames):
            rgb = np.full((height, width, 3), 20, np.uint8)
            left = (number * 4) % (width - 40)
            rgb[30:70, left : left + 40] = (250, 40, 30)
            frame = rgb_frame(rgb).reformat(format="yuv420p")
            frame.pts, frame.time_base = number, Fraction(1, 30)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path
