"""RTP packets are reassembled into frames: at once without losses, and within a time limit with them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.films.media_samples import STEP
from whycam.stream.webrtc.rtp.jitter_buffer import CAPACITY, GIVE_UP_AFTER, FrameAssembler


@dataclass(frozen=True, slots=True)
class Packet:
    """The attributes of an RTP packet that the assembler reads."""

    sequence_number: int
    timestamp: int
    marker: bool
    _data: bytes
    payload_type: int = 97


class Receiver:
    """Collects the frames, losses and keyframe requests of an assembler."""

    def __init__(self) -> None:
        self.frames: list[tuple[int, bytes, int]] = []
        self.requests = 0
        self.losses: list[int] = []
        """The number of delivered frames each time packets were given up."""
        self._assembler = FrameAssembler(
            lambda *frame: self.frames.append(frame), lambda: self.losses.append(len(self.frames))
        )

    def add(self, *packets: Packet) -> None:
        for packet in packets:
            request, none = self._assembler.add(packet)  # type: ignore[arg-type]  # a frozen packet may be read as well
            assert none is None
            self.requests += request

    @property
    def numbers(self) -> list[int]:
        """The numbers of the delivered frames of `stream`."""
        return [int(data.split(b":")[0]) for _, data, _ in self.frames]


def stream(packets_of: Iterable[int], *, sequence: int = 1000, timestamp: int = 50_000) -> list[list[Packet]]:
    """Frames of the given numbers of packets; frame 3 with two packets contains '3:0;' and '3:1;'."""
    frames = []
    for number, count in enumerate(packets_of):
        at = timestamp + number * STEP & 0xFFFFFFFF
        frames.append(
            [Packet(sequence + i & 0xFFFF, at, i == count - 1, f"{number}:{i};".encode()) for i in range(count)]
        )
        sequence += count
    return frames


def flat(frames: Iterable[Iterable[Packet]]) -> list[Packet]:
    return [packet for frame in frames for packet in frame]


def whole(number: int, count: int) -> bytes:
    return b"".join(f"{number}:{i};".encode() for i in range(count))


def test_a_frame_is_delivered_with_its_last_packet_and_does_not_wait_for_the_next() -> None:
    receiver = Receiver()
    for number, frame in enumerate(stream([3, 1, 2])):
        receiver.add(*frame[:-1])
        assert len(receiver.frames) == number
        receiver.add(frame[-1])
        assert receiver.frames[-1] == (97, whole(number, len(frame)), 50_000 + number * STEP)
    assert receiver.requests == 0


def test_a_frame_without_a_marker_is_delivered_when_the_next_begins() -> None:
    first, second = stream([2, 2])
    receiver = Receiver()
    receiver.add(first[0], replace(first[1], marker=False))
    assert receiver.frames == []
    receiver.add(second[0])
    assert receiver.numbers == [0]


def test_packets_that_overtook_others_are_put_back_in_order() -> None:
    frames = stream([3, 3, 3])
    receiver = Receiver()
    receiver.add(frames[0][0], frames[0][2], frames[1][0], frames[0][1], frames[2][0], frames[1][2], frames[1][1])
    assert [data for _, data, _ in receiver.frames] == [whole(0, 3), whole(1, 3)]
    receiver.add(frames[2][2], frames[2][1])
    assert receiver.numbers == [0, 1, 2]
    assert receiver.requests == 0


def test_a_packet_that_comes_twice_counts_once() -> None:
    receiver = Receiver()
    for frame in stream([2, 3, 1, 2]):
        for packet in frame:
            receiver.add(packet, packet)
    receiver.add(*stream([2, 3, 1, 2])[1])
    assert [data for _, data, _ in receiver.frames] == [whole(0, 2), whole(1, 3), whole(2, 1), whole(3, 2)]
    assert receiver.requests == 0


@pytest.mark.parametrize("lost", [0, 1, 2], ids=["first", "middle", "last"])
def test_a_lost_packet_is_given_up_in_time_and_a_keyframe_requested(lost: int) -> None:
    frames = stream([3] * 20)
    receiver = Receiver()
    receiver.add(*flat(frames[:5]), *(p for i, p in enumerate(frames[5]) if i != lost))
    given_up_at = None
    for number in range(6, 20):
        receiver.add(*frames[number])
        if given_up_at is None and receiver.requests:
            given_up_at = number
    assert given_up_at is not None
    assert (given_up_at - 5) * STEP in range(GIVE_UP_AFTER, GIVE_UP_AFTER + 2 * STEP)
    assert receiver.requests == 1
    # After a lost end of a frame, the next one's beginning may be missing too.
    assert receiver.numbers == [0, 1, 2, 3, 4, *range(7 if lost == 2 else 6, 20)]


def test_a_lost_frame_of_one_packet_is_given_up_too() -> None:
    frames = stream([1] * 30)
    receiver = Receiver()
    receiver.add(*flat(frames[:5]), *flat(frames[6:]))
    assert receiver.requests == 1
    assert receiver.numbers == [0, 1, 2, 3, 4, *range(7, 30)]  # the sixth may have been the end of the lost one


def test_a_retransmission_within_200_ms_loses_nothing() -> None:
    frames = stream([3] * 20)
    late = frames[5].pop(1)
    receiver = Receiver()
    receiver.add(*flat(frames[:11]), late, *flat(frames[11:]))
    assert receiver.numbers == [*range(20)]
    assert receiver.requests == 0


def test_a_retransmission_that_comes_too_late_is_dropped() -> None:
    frames = stream([3] * 20)
    late = frames[5].pop(1)
    receiver = Receiver()
    receiver.add(*flat(frames[:15]), late, *flat(frames[15:]))
    assert receiver.numbers == [0, 1, 2, 3, 4, *range(6, 20)]
    assert receiver.requests == 1


def test_two_losses_are_given_up_one_after_the_other() -> None:
    frames = stream([3] * 30)
    frames[5].pop(1)
    frames[8].pop(1)
    receiver = Receiver()
    receiver.add(*flat(frames))
    assert receiver.numbers == [n for n in range(30) if n not in (5, 8)]
    assert receiver.requests == 2


def test_each_frame_is_delivered_whole_or_not_at_all() -> None:
    frames = stream([4] * 60)
    for number in range(3, 60, 5):
        frames[number].pop(number % 4)
    receiver = Receiver()
    receiver.add(*flat(frames))
    assert all(data == whole(number, 4) for number, (_, data, _) in zip(receiver.numbers, receiver.frames, strict=True))


def test_sequence_numbers_and_time_stamps_wrap_around() -> None:
    frames = stream([2] * 20, sequence=65_536 - 13, timestamp=(1 << 32) - 7 * STEP)
    frames[6].reverse()
    receiver = Receiver()
    receiver.add(*flat(frames))
    assert receiver.numbers == [*range(20)]
    assert receiver.requests == 0
    assert [at for _, _, at in receiver.frames][6:8] == [(1 << 32) - STEP, 0]


def test_a_loss_at_the_wrap_around_is_given_up_like_any_other() -> None:
    frames = stream([2] * 30, sequence=65_536 - 13, timestamp=(1 << 32) - 7 * STEP)
    frames[6].pop(0)
    receiver = Receiver()
    receiver.add(*flat(frames))
    assert receiver.numbers == [n for n in range(30) if n != 6]
    assert receiver.requests == 1


@pytest.mark.parametrize(
    ("jump", "timestamp"), [(CAPACITY, 20_000), (20_000, 900_000), (40_000, 900_000), (40_000, 20_000)]
)
def test_a_sender_that_restarts_is_followed_at_once(jump: int, timestamp: int) -> None:
    before = stream([2] * 5)
    after = stream([2] * 10, sequence=1010 + jump, timestamp=timestamp)
    receiver = Receiver()
    receiver.add(*flat(before), *flat(after))
    assert receiver.numbers == [*range(5), *range(10)]
    assert receiver.requests == 1


@pytest.mark.parametrize("first", [0, 1])
def test_after_an_outage_nothing_waits_for_retransmissions(first: int) -> None:
    # Ten seconds are missing. A sender retransmits the last of them at once: without their reference frames, and too
    # late. The beginning of the first frame after the outage may be missing, so it is dropped.
    receiver, frames = Receiver(), stream([2] * 400)
    for frame in frames[:50]:
        receiver.add(*frame)
    receiver.add(*frames[350][first:], *frames[351])
    assert receiver.numbers == [*range(50), 351]
    assert receiver.losses == [50]
    for frame in [*frames[300:350], *frames[352:]]:
        receiver.add(*frame)
    assert receiver.numbers == [*range(50), *range(351, 400)]
    assert receiver.losses == [50]


def test_a_camera_that_pauses_loses_nothing() -> None:
    receiver, frames = Receiver(), stream([1, 3, 2])
    later = [[replace(p, timestamp=p.timestamp + 900_000) for p in frame] for frame in frames[1:]]
    first, second, third = later[0]
    receiver.add(*frames[0], second, first, third, *later[1])  # two of them in the wrong order
    assert receiver.numbers == [0, 1, 2]
    assert not receiver.losses


def test_padding_between_frames_is_not_a_frame() -> None:
    frames = stream([2] * 6)
    padding = [
        Packet(1004, frames[1][0].timestamp, False, b""),
        Packet(1005, frames[1][0].timestamp, False, b""),
    ]
    later = [[replace(p, sequence_number=p.sequence_number + 2) for p in frame] for frame in frames[2:]]
    receiver = Receiver()
    receiver.add(*flat(frames[:2]), *padding, *flat(later))
    assert receiver.numbers == [*range(6)]
    assert receiver.requests == 0


def test_what_waits_is_bounded() -> None:
    receiver = Receiver()
    receiver.add(Packet(0, 0, True, b"0:0;"))
    for number in range(2, 6000):  # one packet is missing, and the time stamp does not change
        receiver.add(Packet(number & 0xFFFF, 3000, False, b"1:0;"))
    assert len(receiver._assembler._packets) <= CAPACITY
    assert receiver.requests >= 1


@given(
    st.lists(st.integers(1, 5), min_size=1, max_size=25),
    st.randoms(use_true_random=False),
    st.integers(0, 65_535),
    st.integers(0, (1 << 32) - 1),
)
@settings(deadline=None, max_examples=200)
def test_packets_in_any_order_within_a_window_give_all_frames_in_order(
    packets_of: list[int], random: Random, sequence: int, timestamp: int
) -> None:
    packets = flat(stream(packets_of, sequence=sequence, timestamp=timestamp))
    # Each packet but the first arrives up to eight places late; some arrive twice.
    late = sorted(enumerate(packets[1:]), key=lambda each: each[0] + random.uniform(0, 8))
    arriving = [packets[0], *(p for _, packet in late for p in [packet] * random.choice([1, 1, 1, 2]))]
    receiver = Receiver()
    receiver.add(*arriving)
    assert [data for _, data, _ in receiver.frames] == [whole(n, count) for n, count in enumerate(packets_of)]
    assert [at for _, _, at in receiver.frames] == [timestamp + n * STEP & 0xFFFFFFFF for n in range(len(packets_of))]
    assert receiver.requests == 0


@given(
    st.lists(st.integers(1, 4), min_size=30, max_size=60),
    st.sets(st.integers(1, 60), max_size=12),
    st.integers(0, 65_535),
)
@settings(deadline=None, max_examples=200)
def test_after_any_loss_the_stream_continues_with_whole_frames_in_order(
    packets_of: list[int], lost: set[int], sequence: int
) -> None:
    packets = flat(stream(packets_of, sequence=sequence))
    receiver = Receiver()
    receiver.add(*(packet for i, packet in enumerate(packets) if i not in lost))
    numbers = receiver.numbers
    assert numbers == sorted(set(numbers))
    assert all(data == whole(n, packets_of[n]) for n, (_, data, _) in zip(numbers, receiver.frames, strict=True))
    after = stream([2] * 20, sequence=sequence + len(packets), timestamp=50_000 + len(packets_of) * STEP)
    receiver.add(*flat(after))
    assert receiver.numbers[-5:] == [15, 16, 17, 18, 19]


def test_a_loss_is_reported_before_the_first_frame_after_it() -> None:
    frames = stream([2] * 20)
    receiver = Receiver()
    receiver.add(*flat(frames[:5]), frames[5][0], *flat(frames[6:]))
    assert receiver.numbers[:5] == [0, 1, 2, 3, 4]
    assert receiver.losses == [5]
