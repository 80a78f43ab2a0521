"""A camera that sends too large or too many frames is distinguished from one with jitter."""

from __future__ import annotations

from fractions import Fraction

import av
import pytest
from av.video.codeccontext import VideoCodecContext

from tests.support.films import media_samples
from whycam.stream.limits import Limits
from whycam.stream.video.codec import EncodedFrame
from whycam.stream.webrtc.ingress_limits import Inflow

SIZE = (64, 48)


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def keyframe(size: tuple[int, int]) -> EncodedFrame:
    """A grey H.264 keyframe of any size, including sizes that whycam's own encoder refuses."""
    context = av.CodecContext.create("libx264", "w")
    assert isinstance(context, VideoCodecContext)
    context.width, context.height = size
    context.pix_fmt, context.framerate, context.time_base = "yuv420p", Fraction(30), Fraction(1, 30)
    context.options = {"preset": "ultrafast", "tune": "zerolatency"}
    frame = av.VideoFrame(*size, "yuv420p")
    for plane in frame.planes:
        plane.update(bytes(plane.buffer_size))
    frame.pts = 0
    return EncodedFrame("H264", b"".join(bytes(p) for p in [*context.encode(frame), *context.encode(None)]), 0)


def excesses(inflow: Inflow, clock: Clock, frame: EncodedFrame, gaps: list[float]) -> list[str]:
    found = []
    for gap in gaps:
        clock.now += gap
        excess = inflow.excess(frame)
        if excess:
            found.append(excess.reason)
    return found


@pytest.mark.parametrize("size", [(1920, 1080), (1080, 1920), (640, 480)])
def test_frames_up_to_1080p_are_accepted(size: tuple[int, int]) -> None:
    assert Inflow().excess(keyframe(size)) is None


@pytest.mark.parametrize("size", [(2048, 1280), (1280, 2048), (4096, 2304)])
def test_a_larger_frame_is_reported(size: tuple[int, int]) -> None:
    inflow = Inflow()
    assert inflow.excess(keyframe((640, 480))) is None
    excess = inflow.excess(keyframe(size))
    assert excess is not None
    assert excess.code == "too-large"
    assert f"{size[0]}x{size[1]}, larger than 1920x1080" in excess.reason


def test_a_keyframe_without_a_size_is_accepted() -> None:
    assert (
        Inflow().excess(EncodedFrame("H264", b"".join(b"\0\0\0\1" + u for u in (b"\x67", b"\x68", b"\x65")), 0)) is None
    )


def test_sixty_frames_a_second_may_come_for_an_hour() -> None:
    clock, (frame, *_) = Clock(), media_samples.encoded("VP8", 1, SIZE)
    assert not excesses(Inflow(now=clock), clock, frame, [1 / 60.5] * 60 * 3600)


def test_frames_that_waited_in_the_network_may_arrive_at_once() -> None:
    clock, (frame, *_) = Clock(), media_samples.encoded("VP8", 1, SIZE)
    assert not excesses(Inflow(now=clock), clock, frame, [*[1 / 60] * 600, 12.5, *[0.0] * 750, *[1 / 60] * 600])


def test_a_hundred_frames_a_second_are_too_many_within_half_a_minute() -> None:
    clock, (frame, *_) = Clock(), media_samples.encoded("VP8", 1, SIZE)
    (first, *_) = excesses(Inflow(now=clock), clock, frame, [1 / 100] * 3000)
    assert "more than 60 frames a second" in first
    assert not excesses(Inflow(Limits(max_frame_rate=120), clock), clock, frame, [1 / 100] * 3000)
