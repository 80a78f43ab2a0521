"""A camera on a narrow network gets frames of its own; what viewers and the recording get stays as it was."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import cache

import av
import numpy as np
import pytest
import skimage.data

from tests.support.films import media_samples
from whycam.stream.live.live_encoder import APART_BELOW, FRAMES, TOGETHER_ABOVE, Encoded, LiveEncoder
from whycam.stream.video.codec import CodecName, Decoder
from whycam.stream.video.encoder import BIT_RATE, SOFTWARE
from whycam.stream.video.planes import as_bytes

CODECS: tuple[CodecName, ...] = ("H264", "VP8")
SIZE = (640, 480)


@cache
def places() -> list[av.VideoFrame]:
    photo = np.tile(skimage.data.coffee(), (2, 2, 1))
    return [
        media_samples.frame(as_bytes(np.ascontiguousarray(photo[at : at + 480, at : at + 640])))
        for at in range(0, 160, 4)
    ]


def pictures(count: int, first: int = 0) -> Iterator[av.VideoFrame]:
    """A camera that moves over a photograph, and begins anew after 40 frames."""
    for number in range(first, first + count):
        picture = places()[number % 40]
        picture.pts = number * 3000
        yield picture


def encoded(encoder: LiveEncoder, frames: Iterable[av.VideoFrame], *, others: bool = True) -> list[Encoded]:
    made = [encoder.encode(frame, keyframe=False, others=others) for frame in frames]
    return [each for each in made if each is not None]


def size(frames: Sequence[Encoded], which: str) -> float:
    """Bit/s of frames at 30 a second."""
    return 8 * 30 / len(frames) * sum(len(getattr(each, which).data) for each in frames if getattr(each, which))


@pytest.mark.parametrize("codec", CODECS)
def test_without_others_or_with_room_all_get_the_same_frame(codec: CodecName) -> None:
    encoder = LiveEncoder(SOFTWARE[codec])
    frames = encoded(encoder, pictures(3))
    encoder.set_bit_rate(round(0.9 * BIT_RATE))
    frames += encoded(encoder, pictures(3, 3))
    encoder.set_bit_rate(200_000)
    frames += encoded(encoder, pictures(20, 6), others=False)
    assert all(each.returned is each.shared for each in frames)
    assert size(frames[10:], "shared") < 600_000, "the camera's network carries no more"


@pytest.mark.parametrize("codec", CODECS)
def test_a_narrow_way_back_takes_nothing_from_others(codec: CodecName) -> None:
    alone, encoder = (LiveEncoder(SOFTWARE[codec]) for _ in range(2))
    encoder.set_bit_rate(300_000)
    before = encoded(encoder, pictures(FRAMES + 5))  # until it is seen that this limits the encoder
    frames = encoded(encoder, pictures(60, FRAMES + 5))
    wide = encoded(alone, pictures(60))
    assert size(frames, "shared") > 0.6 * size(wide, "shared") > 500_000
    assert size(frames[30:], "returned") < 600_000
    decoder = Decoder(codec)
    shown = [len(decoder.decode(each.returned)) for each in (*before, *frames) if each.returned]
    assert sum(shown) == len(shown)


def test_a_scene_that_needs_less_than_the_network_carries_is_encoded_once() -> None:
    """A browser's estimate is little more than what it receives: for a still scene it is far below the full rate."""
    encoder = LiveEncoder(SOFTWARE["H264"])
    encoder.set_bit_rate(1_000_000)
    (still,) = pictures(1)
    frames = []
    for number in range(2 * FRAMES):
        still.pts = 3000 * number
        frames += encoded(encoder, [still])
    assert all(each.returned is each.shared for each in frames)


@pytest.mark.parametrize("codec", CODECS)
def test_where_the_cameras_frames_come_from_another_encoder_it_gets_a_keyframe(codec: CodecName) -> None:
    encoder = LiveEncoder(SOFTWARE[codec])
    decoder = Decoder(codec)
    begin, before, changes = 0, True, []
    for rate in (2 * BIT_RATE, 300_000, 2 * BIT_RATE, 300_000):
        encoder.set_bit_rate(rate)
        for each in encoded(encoder, pictures(FRAMES + 5, begin)):
            if each.returned is None:
                continue
            decoder.decode(each.returned)
            together = each.returned is each.shared
            if together != before:
                changes.append(each.returned.is_keyframe)
            before = together
        begin += FRAMES + 5
    assert changes == [True] * 3


def test_between_the_thresholds_nothing_changes() -> None:
    between = round((APART_BELOW + TOGETHER_ABOVE) / 2 * BIT_RATE)
    encoder = LiveEncoder(SOFTWARE["H264"])
    together, apart = list[Encoded](), list[Encoded]()
    for rate, into in ((2 * BIT_RATE, together), (between, together), (300_000, None), (300_000, apart)):
        encoder.set_bit_rate(rate)
        made = encoded(encoder, pictures(FRAMES + 5))
        if into is not None:
            into += made
    assert all(each.returned is each.shared for each in together)
    assert not any(each.returned is each.shared for each in apart)


def test_when_the_others_leave_the_camera_alone_decides() -> None:
    encoder = LiveEncoder(SOFTWARE["H264"])
    encoder.set_bit_rate(300_000)
    last = encoded(encoder, pictures(FRAMES + 5))[-1]
    assert last.returned is not last.shared
    frames = encoded(encoder, pictures(60, FRAMES + 5), others=False)
    assert all(each.returned is each.shared for each in frames)
    assert frames[0].shared.is_keyframe
    assert size(frames[30:], "shared") < 600_000
