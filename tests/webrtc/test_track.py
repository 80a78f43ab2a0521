"""A receiver's stream begins with a keyframe, and frames that it does not take are dropped."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from aiortc.mediastreams import MediaStreamError

from whycam.stream.webrtc.rtp.packetizer import PackedFrame
from whycam.stream.webrtc.track import MAX_UNSENT, MAX_UNSENT_BYTES, PacketTrack


def frame(number: int, *, key: bool = False) -> PackedFrame:
    return PackedFrame([b"payload"], number, is_keyframe=key)


class Receiver:
    """Reads the frames of a track one by one."""

    def __init__(self) -> None:
        self.requests = self.stops = self.unsent = 0
        self.track = PacketTrack(self._request, self._stop, lambda: self.unsent)

    def _request(self) -> None:
        self.requests += 1

    def _stop(self) -> None:
        self.stops += 1

    async def take(self, count: int = 1) -> list[int]:
        return [(await asyncio.wait_for(self.track.recv(), 1)).pts for _ in range(count)]

    async def connect(self) -> asyncio.Task[list[int]]:
        taking = asyncio.create_task(self.take())
        for _ in range(3):
            await asyncio.sleep(0)
        return taking


def run(body: Callable[[Receiver], Awaitable[None]]) -> None:
    async def whole() -> None:
        await body(Receiver())

    asyncio.run(whole())


def test_nothing_is_queued_before_the_connection_is_established() -> None:
    async def body(receiver: Receiver) -> None:
        for number in range(1000):
            receiver.track.put(frame(number, key=True))
        assert receiver.requests == 0
        taking = await receiver.connect()
        assert receiver.requests == 1
        receiver.track.put(frame(1000, key=True))
        assert await taking == [1000]

    run(body)


def test_a_receiver_begins_with_a_keyframe() -> None:
    async def body(receiver: Receiver) -> None:
        taking = await receiver.connect()
        for number in (1, 2, 3):
            receiver.track.put(frame(number))
        assert receiver.requests == 4
        receiver.track.put(frame(4, key=True))
        receiver.track.put(frame(5))
        assert await taking == [4]
        assert await receiver.take() == [5]
        assert receiver.track.dropped == 3
        assert receiver.requests == 4

    run(body)


def test_the_queue_is_bounded_and_continues_with_a_keyframe() -> None:
    async def body(receiver: Receiver) -> None:
        taking = await receiver.connect()
        receiver.track.put(frame(0, key=True))
        await taking
        before = receiver.requests
        for number in range(1, 10 * MAX_UNSENT):
            receiver.track.put(frame(number))
            assert receiver.track._queue.qsize() <= MAX_UNSENT
        assert receiver.track.dropped >= 9 * MAX_UNSENT
        assert receiver.requests == before  # because it reads nothing
        taking = await receiver.connect()
        receiver.track.put(frame(5000))
        assert receiver.requests == before + 1
        receiver.track.put(frame(5001, key=True))
        assert await taking == [5001]

    run(body)


def test_frames_are_dropped_while_the_socket_is_full() -> None:
    async def body(receiver: Receiver) -> None:
        taking = await receiver.connect()
        receiver.track.put(frame(0, key=True))
        await taking
        taking = await receiver.connect()
        receiver.unsent, before = MAX_UNSENT_BYTES + 1, receiver.requests
        for number in range(1, 10):
            receiver.track.put(frame(number, key=number == 5))
        assert receiver.track._queue.qsize() == 0
        assert receiver.requests == before
        receiver.unsent = 0
        receiver.track.put(frame(10))
        assert receiver.requests == before + 1
        receiver.track.put(frame(11, key=True))
        assert await taking == [11]

    run(body)


def test_an_interrupted_stream_continues_with_a_keyframe() -> None:
    async def body(receiver: Receiver) -> None:
        taking = await receiver.connect()
        receiver.track.put(frame(0, key=True))
        await taking
        receiver.track.interrupt()
        receiver.track.put(frame(1))
        receiver.track.put(frame(2, key=True))
        assert await receiver.take() == [2]

    run(body)


def test_a_stopped_track_ends_its_sender() -> None:
    async def body(receiver: Receiver) -> None:
        receiver.track.stop()
        assert receiver.stops == 1
        with pytest.raises(MediaStreamError):
            await receiver.track.recv()

    run(body)
