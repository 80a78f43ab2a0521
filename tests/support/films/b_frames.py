"""H.264 with B-frames."""

from __future__ import annotations

from fractions import Fraction

import av
from av.video.codeccontext import VideoCodecContext

from tests.support.films import media_samples
from whycam.stream.video.codec import TIME_BASE, EncodedFrame

SIZE = (160, 120)


def with_b_frames(count: int = 60, *, bframes: int = 2, profile: str = "high") -> list[EncodedFrame]:
    """The moving spot, encoded by x264 with B-frames: in decoding order, with pts in display order."""
    context = av.CodecContext.create("libx264", "w")
    assert isinstance(context, VideoCodecContext)
    context.width, context.height = SIZE
    context.pix_fmt, context.time_base, context.framerate = "yuv420p", TIME_BASE, Fraction(30)
    context.thread_count, context.gop_size, context.profile = 1, 30, profile
    context.options = {
        "preset": "veryfast",
        "x264-params": f"bframes={bframes}:b-adapt=0:b-pyramid=none:rc-lookahead=4:scenecut=0:repeat-headers=1",
    }
    packets = []
    for number in range(count):
        packets += context.encode(media_samples.frame(media_samples.spot(SIZE, number), number * media_samples.STEP))
    packets += context.encode(None)
    frames = []
    for packet in packets:
        assert packet.pts is not None
        frames.append(EncodedFrame("H264", bytes(packet), packet.pts))
    return frames
