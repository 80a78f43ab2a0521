"""Films whose frames are woven of two fields."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
from av.video.stream import VideoStream

from tests.support.films import media_samples
from whycam.stream.video.codec import TIME_BASE

SIZE = (128, 96)
COUNT = 12


def interlaced(path: Path, *, codec: str = "mpeg2video", is_flagged: bool = True, count: int = COUNT) -> Path:
    """A bar that moves 8 pixels from field to field, 25 frames a second: frames of two fields show it twice."""
    with av.open(path, "w") as file:
        video = file.add_stream(codec, 25)
        assert isinstance(video, VideoStream)
        video.width, video.height, video.pix_fmt = *SIZE, "yuv420p"
        video.codec_context.qmin = video.codec_context.qmax = 2
        video.codec_context.options = {"flags": "+ildct+ilme"} if is_flagged else {}
        for number in range(count):
            picture = np.full((SIZE[1], SIZE[0], 3), 40, np.uint8)
            for field in (0, 1):
                begin = (2 * number + field) * 4 % 100
                picture[field::2, begin : begin + 16] = 220
            frame = media_samples.frame(picture, round(number / 25 / TIME_BASE))
            frame.pts, frame.time_base = number * 3600, TIME_BASE
            file.mux(video.encode(frame))
        file.mux(video.encode(None))
    return path
