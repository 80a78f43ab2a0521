"""Encoded frames: what is read from their bytes, and the live decoder."""

from __future__ import annotations

from typing import get_args

import av
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.films import media_samples
from whycam.stream.video.codec import MAX_PIXELS, CodecName, Decoder, EncodedFrame

CODECS = pytest.mark.parametrize("codec", get_args(CodecName))


@CODECS
def test_a_decoder_returns_each_frame_at_once(codec: CodecName) -> None:
    decoder = Decoder(codec)
    for number, encoded in enumerate(media_samples.encoded(codec, 20, first=90_000)):
        (frame,) = decoder.decode(encoded)
        assert (frame.width, frame.height, frame.format.name) == (64, 48, "yuv420p")
        assert frame.pts == 90_000 + number * media_samples.STEP
        x, y = media_samples.place((64, 48), number).middle
        assert np.abs(media_samples.colour_at(frame, x, y) - media_samples.RED).max() < 40
        assert np.abs(media_samples.colour_at(frame, 60, 4) - media_samples.GREY).max() < 12


@CODECS
def test_a_requested_keyframe_comes_at_once_and_a_decoder_can_begin_with_it(codec: CodecName) -> None:
    frames = media_samples.encoded(codec, 20, keyframes=(7,))
    assert [n for n, frame in enumerate(frames) if frame.is_keyframe] == [0, 7]
    decoder = Decoder(codec)
    assert [len(decoder.decode(frame)) for frame in frames[7:]] == [1] * 13


@CODECS
def test_the_header_is_the_same_until_the_size_changes(codec: CodecName) -> None:
    frames = media_samples.encoded(codec, 12, keyframes=(5, 9))
    headers = {frame.header for frame in frames if frame.is_keyframe}
    assert len(headers) == 1
    assert headers != {b""}
    assert media_samples.encoded(codec, 1, (80, 48))[0].header not in headers


@pytest.mark.parametrize("size", [(64, 48), (1280, 720), (16, 400)])
def test_a_vp8_keyframe_contains_its_size(size: tuple[int, int]) -> None:
    assert media_samples.encoded("VP8", 1, size)[0].vp8_size == size


def test_the_upscaling_bits_of_vp8_are_not_part_of_its_size() -> None:
    frame = media_samples.encoded("VP8", 1, (64, 48))[0]
    data = bytearray(frame.data)
    data[7] |= 0x40
    data[9] |= 0x80
    assert EncodedFrame("VP8", bytes(data), 0).vp8_size == (64, 48)


@pytest.mark.parametrize(
    ("units", "keyframe"),
    [
        ([b"\x67\x42", b"\x68\xce", b"\x65\x88"], True),
        ([b"\x09\x10", b"\x67\x42", b"\x68\xce", b"\x06\x05", b"\x25\x88"], True),
        ([b"\x65\x88"], False),  # no decoder can begin with it: its parameter sets are missing
        ([b"\x67\x42", b"\x68\xce", b"\x41\x9a"], False),
        ([b"\x41\x9a\x65"], False),
        ([], False),
    ],
)
@pytest.mark.parametrize("start", [b"\0\0\1", b"\0\0\0\1"])
def test_an_h264_keyframe_is_an_idr_picture_with_its_parameter_sets(
    units: list[bytes], keyframe: bool, start: bytes
) -> None:
    assert EncodedFrame("H264", b"".join(start + unit for unit in units), 0).is_keyframe == keyframe


@pytest.mark.parametrize("data", [b"", b"\x10", b"\x10\x02\x00\x9d\x01\x2a", b"\x11" + b"\0" * 20, b"\x10" * 20])
def test_bytes_that_only_begin_like_vp8_are_no_keyframe(data: bytes) -> None:
    assert not EncodedFrame("VP8", data, 0).is_keyframe


def test_the_length_of_a_start_code_is_not_part_of_the_header() -> None:
    units = b"\x67\x42", b"\x68\xce", b"\x65\x88"
    short, long = (
        EncodedFrame("H264", b"".join(start + unit for unit in units), 0) for start in (b"\0\0\1", b"\0\0\0\1")
    )
    assert short.header == long.header == b"\x67\x42\x68\xce"


@CODECS
def test_the_largest_frame_is_decoded_and_a_larger_one_is_refused(codec: CodecName) -> None:
    largest, larger = (1920, 1088), (2048, 1088)
    assert largest[0] * largest[1] == MAX_PIXELS < larger[0] * larger[1]
    for size, refused in ((largest, False), (larger, True)):
        frame = media_samples.encoded(codec, 1, size)[0]
        if refused:
            with pytest.raises(av.FFmpegError):
                Decoder(codec).decode(frame)
        else:
            assert len(Decoder(codec).decode(frame)) == 1


@CODECS
def test_garbage_is_refused(codec: CodecName) -> None:
    with pytest.raises(av.FFmpegError):
        Decoder(codec).decode(EncodedFrame(codec, b"\xff" * 500, 0))


@CODECS
def test_a_decoder_continues_after_garbage(codec: CodecName) -> None:
    decoder = Decoder(codec)
    frames = media_samples.encoded(codec, 6, keyframes=(3,))
    decoder.decode(frames[0])
    with pytest.raises(av.FFmpegError):
        decoder.decode(EncodedFrame(codec, b"\xff" * 500, media_samples.STEP))
    assert sum(len(decoder.decode(frame)) for frame in frames[3:]) == 3


FRAMES = {codec: media_samples.encoded(codec, 4, (48, 32)) for codec in get_args(CodecName)}


@CODECS
@given(st.data())
@settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_damaged_frames_raise_nothing_but_ffmpegs_error(codec: CodecName, data: st.DataObject) -> None:
    decoder = Decoder(codec)
    for frame in FRAMES[codec]:
        damaged = bytearray(frame.data[: data.draw(st.integers(0, len(frame.data)))])
        for at in data.draw(st.lists(st.integers(0, max(0, len(damaged) - 1)), max_size=4)):
            if damaged:
                damaged[at] = data.draw(st.integers(0, 255))
        mutant = EncodedFrame(codec, bytes(damaged), frame.pts)
        assert mutant.is_keyframe in (False, True)
        assert isinstance(mutant.header, bytes)
        try:
            pictures = decoder.decode(mutant)
        except av.FFmpegError:
            continue
        assert all(picture.format.name == "yuv420p" for picture in pictures)


def test_a_frames_bytes_are_read_once_however_often_it_is_asked() -> None:
    reads = []

    class Counted(EncodedFrame):
        @property
        def nal_units(self) -> list[bytes]:
            reads.append(self.pts)
            return super().nal_units

    (first, *_) = media_samples.encoded("H264", 2)
    frame = Counted(first.codec, first.data, first.pts)
    assert all(frame.is_keyframe for _ in range(15))
    assert reads == [first.pts]
    assert all(frame.header for _ in range(15))
    assert len(reads) == 2
