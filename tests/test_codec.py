"""Encoded frames: what can be told of their bytes, and the live encoder and decoder."""

from __future__ import annotations

from typing import get_args

import av
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stream.codec import KEYFRAME_EVERY, MAX_PIXELS, CodecName, Decoder, EncodedFrame, Encoder
from tests import film

CODECS = pytest.mark.parametrize("codec", get_args(CodecName))


def hard(count: int, size: tuple[int, int] = (64, 48), first: int = 0) -> list[av.VideoFrame]:
    """Frames that cost an encoder many bits."""
    return [film.frame(film.noise(size, number), number * film.STEP) for number in range(first, first + count)]


def sizes(encoder: Encoder, frames: list[av.VideoFrame]) -> list[int]:
    """Bytes of each frame; none where the encoder left it out."""
    return [len(found.data) if (found := encoder.encode(frame)) else 0 for frame in frames]


@CODECS
def test_each_frame_gives_its_packet_at_once(codec: CodecName) -> None:
    encoder = Encoder(codec)
    for number in range(10):
        encoded = encoder.encode(film.frame(film.spot((64, 48), number), 500 + number * film.STEP))
        assert encoded is not None
        assert (encoded.codec, encoded.pts) == (codec, 500 + number * film.STEP)


@CODECS
def test_a_decoder_shows_each_frame_at_once(codec: CodecName) -> None:
    decoder = Decoder(codec)
    for number, encoded in enumerate(film.encoded(codec, 20, first=90_000)):
        (frame,) = decoder.decode(encoded)
        assert (frame.width, frame.height, frame.format.name) == (64, 48, "yuv420p")
        assert frame.pts == 90_000 + number * film.STEP
        x, y = film.place((64, 48), number).middle
        assert np.abs(film.colour_at(frame, x, y) - film.RED).max() < 40
        assert np.abs(film.colour_at(frame, 60, 4) - film.GREY).max() < 12


@CODECS
def test_the_first_frame_and_then_one_every_three_seconds_is_a_keyframe(codec: CodecName) -> None:
    frames = film.encoded(codec, 2 * KEYFRAME_EVERY + 10, (32, 32))
    assert [n for n, frame in enumerate(frames) if frame.is_keyframe] == [0, KEYFRAME_EVERY, 2 * KEYFRAME_EVERY]


@CODECS
def test_a_keyframe_that_is_asked_for_comes_at_once_and_a_decoder_can_begin_with_it(codec: CodecName) -> None:
    frames = film.encoded(codec, 20, keyframes=(7,))
    assert [n for n, frame in enumerate(frames) if frame.is_keyframe] == [0, 7]
    decoder = Decoder(codec)
    assert [len(decoder.decode(frame)) for frame in frames[7:]] == [1] * 13


@CODECS
def test_a_frame_of_another_size_begins_anew_with_a_keyframe(codec: CodecName) -> None:
    encoder, decoder = Encoder(codec), Decoder(codec)
    found = []
    for number, size in enumerate([(64, 48)] * 3 + [(48, 64)] * 3 + [(66, 50)] * 2):
        encoded = encoder.encode(film.frame(film.spot(size, number), number * film.STEP))
        assert encoded is not None
        (frame,) = decoder.decode(encoded)
        assert (frame.width, frame.height) == size
        found.append(encoded)
    assert [frame.is_keyframe for frame in found] == [True, False, False] * 2 + [True, False]
    assert len({found[0].header, found[3].header, found[6].header}) == 3


@CODECS
def test_the_header_is_the_same_until_the_size_changes(codec: CodecName) -> None:
    frames = film.encoded(codec, 12, keyframes=(5, 9))
    headers = {frame.header for frame in frames if frame.is_keyframe}
    assert len(headers) == 1
    assert headers != {b""}
    assert film.encoded(codec, 1, (80, 48))[0].header not in headers


@pytest.mark.parametrize("size", [(64, 48), (1280, 720), (16, 400)])
def test_a_vp8_keyframe_tells_its_size(size: tuple[int, int]) -> None:
    assert film.encoded("VP8", 1, size)[0].vp8_size == size


def test_the_upscaling_bits_of_vp8_are_no_part_of_its_size() -> None:
    frame = film.encoded("VP8", 1, (64, 48))[0]
    data = bytearray(frame.data)
    data[7] |= 0x40
    data[9] |= 0x80
    assert EncodedFrame("VP8", bytes(data), 0).vp8_size == (64, 48)


@pytest.mark.parametrize(
    ("units", "keyframe"),
    [
        ([b"\x67\x42", b"\x68\xce", b"\x65\x88"], True),
        ([b"\x09\x10", b"\x67\x42", b"\x68\xce", b"\x06\x05", b"\x25\x88"], True),
        ([b"\x65\x88"], False),  # nobody could begin with it: its parameter sets are elsewhere
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


def test_the_length_of_a_start_code_is_no_part_of_the_header() -> None:
    units = b"\x67\x42", b"\x68\xce", b"\x65\x88"
    short, long = (
        EncodedFrame("H264", b"".join(start + unit for unit in units), 0) for start in (b"\0\0\1", b"\0\0\0\1")
    )
    assert short.header == long.header == b"\x67\x42\x68\xce"


@CODECS
def test_the_bit_rate_is_held(codec: CodecName) -> None:
    encoder = Encoder(codec, bit_rate=400_000)
    total = sum(sizes(encoder, hard(90))[30:])
    assert total * 8 / 2 == pytest.approx(400_000, rel=0.35)  # 60 frames are two seconds


def test_a_new_bit_rate_is_followed_without_a_keyframe() -> None:
    encoder = Encoder("H264", bit_rate=800_000)
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
def test_an_encoder_opened_while_the_network_was_slow_speeds_up_with_it(codec: CodecName) -> None:
    encoder = Encoder(codec, bit_rate=800_000)
    encoder.set_bit_rate(150_000)
    low = sum(sizes(encoder, hard(40))[20:])
    encoder.set_bit_rate(700_000)
    assert sum(sizes(encoder, hard(40, first=40))[20:]) > 2 * low


@CODECS
def test_the_network_carries_no_more_than_it_can_or_we_want(codec: CodecName) -> None:
    fast, slow = Encoder(codec, bit_rate=400_000), Encoder(codec, bit_rate=400_000)
    plain = sum(sizes(fast, hard(60))[30:])
    fast.set_bit_rate(80_000_000)
    assert sum(sizes(fast, hard(60, first=60))[30:]) < 1.4 * plain
    sizes(slow, hard(30))
    slow.set_bit_rate(0)
    assert 0 < sum(sizes(slow, hard(60, first=30))[30:]) < plain / 2


@CODECS
def test_frames_at_the_same_time_are_both_encoded(codec: CodecName) -> None:
    encoder = Encoder(codec)
    frames = [film.frame(film.spot((64, 48), number), pts) for number, pts in enumerate([0, 3000, 3000, 2000, 6000])]
    assert all(encoder.encode(frame) is not None for frame in frames)


# VP8 says nothing of its range: whoever decodes it takes it as limited.
@pytest.mark.parametrize(("codec", "full_range"), [("H264", False), ("H264", True), ("VP8", False)])
def test_colours_survive_the_encoder(codec: CodecName, full_range: bool) -> None:
    flat = np.full((48, 64, 3), (200, 120, 40), np.uint8)
    for pix_fmt in ("yuv420p", "yuvj420p") if full_range else ("yuv420p",):
        encoded = Encoder(codec).encode(film.frame(flat, full_range=full_range, pix_fmt=pix_fmt))
        assert encoded is not None
        (frame,) = Decoder(codec).decode(encoded)
        assert np.abs(film.colour_at(frame, 20, 20, full_range=full_range) - (200, 120, 40)).max() <= 5


@CODECS
def test_the_largest_frame_is_decoded_and_a_larger_one_is_refused(codec: CodecName) -> None:
    largest, larger = (1920, 1088), (2048, 1088)
    assert largest[0] * largest[1] == MAX_PIXELS < larger[0] * larger[1]
    for size, refused in ((largest, False), (larger, True)):
        frame = film.encoded(codec, 1, size)[0]
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
def test_a_decoder_goes_on_after_garbage(codec: CodecName) -> None:
    decoder = Decoder(codec)
    frames = film.encoded(codec, 6, keyframes=(3,))
    decoder.decode(frames[0])
    with pytest.raises(av.FFmpegError):
        decoder.decode(EncodedFrame(codec, b"\xff" * 500, film.STEP))
    assert sum(len(decoder.decode(frame)) for frame in frames[3:]) == 3


FRAMES = {codec: film.encoded(codec, 4, (48, 32)) for codec in get_args(CodecName)}


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
