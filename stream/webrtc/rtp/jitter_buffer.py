"""Reassembles RTP packets into frames: delivers complete ones at once, and gives a lost packet up after 300 ms."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

CAPACITY = 1024
"""Packets that may be held while one before them is missing."""
GIVE_UP_AFTER = 90_000 * 3 // 10
"""RTP time, 300 ms, by which the newest packet may be ahead of a missing one: enough for a retransmission, even if the
round trip takes 200 ms."""
OUTAGE, OUTAGE_PACKETS = 90_000, 32
"""RTP time, one second, for which nothing arrived, and the least number of missing packets: more than a sender keeps
for retransmission."""
RESTART_JUMP = 8192
"""Packets; a longer jump means that the sender restarted, with the first packet of a frame."""


class MediaPacket(Protocol):
    """The attributes that are read from an RTP packet; aiortc puts the depayloaded bytes into `_data`."""

    sequence_number: int
    timestamp: int
    marker: int
    payload_type: int
    _data: bytes


class FrameAssembler:
    """Calls `deliver(payload_type, data, timestamp)` for each frame when its last packet has arrived.

    Replaces aiortc's `JitterBuffer`, which waits for the first packet of the next frame (one frame more delay), and for
    a lost packet until 512 others came (seconds). Frames are delivered in the order of sequence numbers. `on_loss` is
    called where frames are dropped, before the next one is delivered.
    """

    def __init__(self, deliver: Callable[[int, bytes, int], None], on_loss: Callable[[], None] = lambda: None) -> None:
        self._deliver = deliver
        self._on_loss = on_loss
        self._next: int | None = None
        self._newest = 0  # time stamp of the latest packet
        self._packets: dict[int, MediaPacket] = {}
        self._damaged: int | None = None  # time stamp of a frame whose beginning may be missing

    def add(self, packet: MediaPacket) -> tuple[bool, None]:
        """Take a packet; returns whether the sender should be asked for a keyframe. (The second part is aiortc's.)"""
        if self._next is None:
            self._next, self._newest = packet.sequence_number, packet.timestamp
        ahead = packet.sequence_number - self._next & 0xFFFF
        lost = False
        if ahead >= 0x8000 and 0x10000 - ahead <= CAPACITY:
            return False, None  # late or duplicate
        outage = ahead >= OUTAGE_PACKETS and (packet.timestamp - self._newest & 0xFFFFFFFF) in range(OUTAGE, 1 << 31)
        self._newest = packet.timestamp
        if ahead >= CAPACITY or outage:  # the sender restarted, or the gap is too long to wait for
            self._packets.clear()
            self._next = packet.sequence_number
            self._damaged = packet.timestamp if outage and ahead < RESTART_JUMP else None
            self._on_loss()
            lost = True
        self._packets[packet.sequence_number] = packet
        if not self._is_next_of_first_frame(packet):
            self._release()
            while self._packets and self._give_up(packet.timestamp):
                lost = True
        return lost, None

    def _is_next_of_first_frame(self, packet: MediaPacket) -> bool:
        """Whether it only continues the frame at the front: then none is complete, and none overdue."""
        assert self._next is not None
        first = self._packets.get(self._next)
        return (
            first is not None
            and first.timestamp == packet.timestamp
            and not packet.marker
            and packet.sequence_number - self._next & 0xFFFF == len(self._packets) - 1
        )

    def _release(self) -> None:
        """Deliver the complete frames at the front."""
        while (frame := self._first_frame()) is not None:
            assert self._next is not None
            for packet in frame:
                del self._packets[packet.sequence_number]
            self._next = frame[-1].sequence_number + 1 & 0xFFFF
            if frame[0].timestamp == self._damaged:
                continue
            self._damaged = None
            data = b"".join(packet._data for packet in frame)
            if data:  # padding between frames has none
                self._deliver(frame[0].payload_type, data, frame[0].timestamp)

    def _first_frame(self) -> list[MediaPacket] | None:
        """The packets of the frame at the front: up to the marker, or to where the time stamp changes."""
        frame: list[MediaPacket] = []
        number = self._next
        while number is not None and (packet := self._packets.get(number)) is not None:
            if frame and packet.timestamp != frame[0].timestamp:
                return frame
            frame.append(packet)
            if packet.marker:
                return frame
            number = number + 1 & 0xFFFF
        return None

    def _give_up(self, newest: int) -> bool:
        """Skip the first missing packet, and the frame it damages, if it is overdue."""
        assert self._next is not None
        start = self._next
        waiting = sorted(self._packets, key=lambda number: number - start & 0xFFFF)
        oldest = self._packets[waiting[0]].timestamp
        if (newest - oldest & 0xFFFFFFFF) not in range(GIVE_UP_AFTER, 1 << 31):
            return False
        # Before the gap is the beginning of a frame; after it may be the middle of another one.
        for place, number in enumerate(waiting):
            if number != (start + place) & 0xFFFF:
                self._next, self._damaged = number, self._packets[number].timestamp
                break
            del self._packets[number]
        self._on_loss()
        self._release()
        return True
