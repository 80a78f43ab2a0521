"""The live encoder, and which of FFmpeg's encoders it chooses."""

from __future__ import annotations

from dataclasses import replace
from typing import get_args

import av
import numpy as np
import pytest

from tests.support.films import media_samples
from whycam.stream.video import encoder as encoders
from whycam.stream.video.codec import CodecName, Decoder
from whycam.stream.video.encoder import (
    ENCODERS,
    HARDWARE,
    KEYFRAME_EVERY,
    LIBVPX,
    SOFTWARE,
    X264,
    Backend,
    Encoder,
    backends,
    problem_of,
)

CODECS = pytest.mark.parametrize("codec", get_args(CodecName))


def hard(count: int, size: tuple[int, int] = (64, 48), first: int = 0) -> list[av.VideoFrame]:
    """Frames that cost an encoder many bits."""
    return [
        media_samples.frame(media_samples.noise(size, number), number * media_samples.STEP)
        for number in range(first, first + count)
    ]


def sizes(encoder: Encoder, frames: list[av.VideoFrame]) -> list[int]:
    """Bytes of each frame; 0 where the encoder skipped it."""
    return [len(found.data) if (found := encoder.encode(frame)) else 0 for frame in frames]


@CODECS
def test_each_frame_gives_its_packet_at_once(codec: CodecName) -> None:
    encoder = Encoder(SOFTWARE[codec])
    for number in range(10):
        encoded = encoder.encode(
            media_samples.frame(media_samples.spot((64, 48), number), 500 + number * media_samples.STEP)
        )
        assert encoded is not None
        assert (encoded.codec, encoded.pts) == (codec, 500 + number * media_samples.STEP)


@CODECS
def test_the_first_frame_and_then_one_every_three_seconds_is_a_keyframe(codec: CodecName) -> None:
    frames = media_samples.encoded(codec, 2 * KEYFRAME_EVERY + 10, (32, 32))
    assert [n for n, frame in enumerate(frames) if frame.is_keyframe] == [0, KEYFRAME_EVERY, 2 * KEYFRAME_EVERY]


@CODECS
def test_a_frame_of_another_size_begins_anew_with_a_keyframe(codec: CodecName) -> None:
    encoder, decoder = Encoder(SOFTWARE[codec]), Decoder(codec)
    found = []
    for number, size in enumerate([(64, 48)] * 3 + [(48, 64)] * 3 + [(66, 50)] * 2):
        encoded = encoder.encode(media_samples.frame(media_samples.spot(size, number), number * media_samples.STEP))
        assert encoded is not None
        (frame,) = decoder.decode(encoded)
        assert (frame.width, frame.height) == size
        found.append(encoded)
    assert [frame.is_keyframe for frame in found] == [True, False, False] * 2 + [True, False]
    assert len({found[0].header, found[3].header, found[6].header}) == 3


@CODECS
def test_the_bit_rate_is_kept(codec: CodecName) -> None:
    encoder = Encoder(SOFTWARE[codec], bit_rate=400_000)
    total = sum(sizes(encoder, hard(90))[30:])
    assert total * 8 / 2 == pytest.approx(400_000, rel=0.35)  # 60 frames are two seconds


def test_the_bit_rate_changes_without_a_keyframe() -> None:
    encoder = Encoder(X264, bit_rate=800_000)
    keyframes = 0
    totals: list[int] = []
    for bit_rate in (800_000, 200_000, 800_000):
        encoder.set_bit_rate(bit_rate)
        found = [encoder.encode(frame) for frame in hard(29, first=29 * len(totals))]
        assert None not in found
        keyframes += sum(frame.is_keyframe for frame in found if frame)
        totals.append(sum(len(frame.data) for frame in found[15:] if frame))
    assert keyframes == 1
    assert totals[1] < totals[0] / 2
    assert totals[2] > totals[1] * 2


@CODECS
def test_an_encoder_opened_on_a_slow_network_speeds_up_with_it(codec: CodecName) -> None:
    encoder = Encoder(SOFTWARE[codec], bit_rate=800_000)
    encoder.set_bit_rate(150_000)
    low = sum(sizes(encoder, hard(40))[20:])
    encoder.set_bit_rate(700_000)
    assert sum(sizes(encoder, hard(40, first=40))[20:]) > 2 * low


@CODECS
def test_the_bit_rate_exceeds_neither_the_networks_nor_the_encoders_limit(codec: CodecName) -> None:
    fast, slow = Encoder(SOFTWARE[codec], bit_rate=400_000), Encoder(SOFTWARE[codec], bit_rate=400_000)
    plain = sum(sizes(fast, hard(60))[30:])
    fast.set_bit_rate(80_000_000)
    assert sum(sizes(fast, hard(60, first=60))[30:]) < 1.4 * plain
    sizes(slow, hard(30))
    slow.set_bit_rate(0)
    assert 0 < sum(sizes(slow, hard(60, first=30))[30:]) < plain / 2


@CODECS
def test_frames_at_the_same_time_are_both_encoded(codec: CodecName) -> None:
    encoder = Encoder(SOFTWARE[codec])
    frames = [
        media_samples.frame(media_samples.spot((64, 48), number), pts)
        for number, pts in enumerate([0, 3000, 3000, 2000, 6000])
    ]
    assert all(encoder.encode(frame) is not None for frame in frames)


# VP8 does not signal its range: decoders assume limited.
@pytest.mark.parametrize(("codec", "full_range"), [("H264", False), ("H264", True), ("VP8", False)])
def test_colours_survive_the_encoder(codec: CodecName, full_range: bool) -> None:
    flat = np.full((48, 64, 3), (200, 120, 40), np.uint8)
    for pix_fmt in ("yuv420p", "yuvj420p") if full_range else ("yuv420p",):
        encoded = Encoder(SOFTWARE[codec]).encode(media_samples.frame(flat, full_range=full_range, pix_fmt=pix_fmt))
        assert encoded is not None
        (frame,) = Decoder(codec).decode(encoded)
        assert np.abs(media_samples.colour_at(frame, 20, 20, full_range=full_range) - (200, 120, 40)).max() <= 5


def test_a_larger_frame_has_a_higher_bit_rate() -> None:
    middle, large = (
        sum(sizes(Encoder(X264, bit_rate=2_000_000), hard(40, size))[20:]) for size in ((640, 480), (1280, 720))
    )
    assert large == pytest.approx(1.6 * middle, rel=0.2)


def test_hardware_is_taken_where_it_works_and_x264_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    working = {"h264_qsv", "h264_vaapi"}
    monkeypatch.setattr(encoders, "problem_of", lambda backend: "" if backend.name in working else "no such device")
    assert backends()["H264"].name == "h264_qsv"
    assert backends("h264_vaapi")["H264"].name == "h264_vaapi"
    assert backends()["VP8"] is LIBVPX
    working.clear()
    assert backends() == {"H264": X264, "VP8": LIBVPX}
    with pytest.raises(ValueError, match=r"h264_nvenc does not work here \(no such device\)"):
        backends("h264_nvenc")


def test_every_encoder_of_h264_can_be_chosen() -> None:
    assert set(ENCODERS) == {"auto", X264.name, *(backend.name for backend in HARDWARE)}


@pytest.mark.parametrize("backend", SOFTWARE.values(), ids=lambda backend: backend.name)
def test_the_software_encoders_work(backend: Backend) -> None:
    assert problem_of(backend) == ""


@pytest.mark.parametrize("backend", HARDWARE, ids=lambda backend: backend.name)
def test_hardware_works_or_says_why_not(backend: Backend) -> None:
    if problem := problem_of(backend):
        assert problem.startswith("it ")
        with pytest.raises((av.FFmpegError, ValueError)):
            Encoder(backend).encode(media_samples.frame(media_samples.spot((320, 240), 0)))
    else:
        encoded = Encoder(backend).encode(media_samples.frame(media_samples.spot((320, 240), 0)))
        assert encoded is not None
        assert encoded.is_keyframe


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"name": "h264_of_tomorrow"}, "not part of this FFmpeg"),
        ({"options": lambda _: {"preset": "ultrafast", "forced-idr": "1"}}, "delays frames"),
        (
            {"options": lambda rate: {**X264.options(rate), "x264-params": "keyint=1"}},
            "chooses keyframes itself",
        ),
    ],
)
def test_an_encoder_unsuitable_for_live_video_is_detected(changes: dict[str, object], problem: str) -> None:
    assert problem in problem_of(replace(X264, **changes))  # type: ignore[arg-type]


@pytest.mark.parametrize("fallback", [X264, None])
def test_software_takes_over_when_hardware_fails_in_mid_stream(fallback: Backend | None) -> None:
    opened = 0

    def options(bit_rate: int) -> dict[str, str]:
        nonlocal opened
        opened += 1
        return dict(X264.options(bit_rate)) | ({"profile": "nonsense"} if opened > 1 else {})

    encoder, decoder = Encoder(replace(X264, name="libx264", options=options), fallback=fallback), Decoder("H264")
    first = encoder.encode(media_samples.frame(media_samples.spot((64, 48), 0)))
    assert first is not None
    turned = media_samples.frame(media_samples.spot((48, 64), 1), media_samples.STEP)
    if fallback is None:
        with pytest.raises(av.FFmpegError):
            encoder.encode(turned)
        return
    second = encoder.encode(turned)
    assert second is not None
    assert second.is_keyframe
    assert [picture.width for frame in (first, second) for picture in decoder.decode(frame)] == [64, 48]
