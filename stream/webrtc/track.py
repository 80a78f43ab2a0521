"""Encoded frames on their way to one receiver: from a keyframe on, and never more than the network takes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from aiortc.mediastreams import MediaStreamError, MediaStreamTrack

from whycam.stream.webrtc.packetizer import PackedFrame

MAX_UNSENT = 60
"""Frames that may wait to be sent, two seconds; then they are dropped up to a new keyframe."""
MAX_UNSENT_BYTES = 512 * 1024
"""The same for what the network was given and does not take, as a Wi-Fi that is too slow."""


class PacketTrack(MediaStreamTrack):
    """Gives aiortc's sender frames that are packed already.

    Nothing is kept before the connection stands; then the receiver's first frame is a keyframe. `want_keyframe` is
    called with each frame that is left out for want of one, so it should be a `Wish`; a receiver that takes nothing
    asks for nothing.
    """

    kind = "video"

    def __init__(
        self, want_keyframe: Callable[[], None], on_stop: Callable[[], None], unsent_bytes: Callable[[], int]
    ) -> None:
        super().__init__()
        self._queue: asyncio.Queue[PackedFrame | None] = asyncio.Queue()
        self._want_keyframe = want_keyframe
        self._on_stop = on_stop
        self._unsent_bytes = unsent_bytes
        self._connected = self._taking = False
        self._gap = True
        self.dropped = 0
        """Frames that this receiver did not get since it is connected."""

    def put(self, frame: PackedFrame) -> None:
        """Send a frame; never blocks."""
        if not self._connected:
            return
        crowded = self._unsent_bytes() > MAX_UNSENT_BYTES
        if crowded or self._queue.qsize() >= MAX_UNSENT:
            self.dropped += self._queue.qsize()
            while not self._queue.empty():
                self._queue.get_nowait()
            self._gap = True
        if crowded:  # a keyframe would only add to it
            self.dropped += 1
            return
        if self._gap and not frame.is_keyframe:
            self.dropped += 1
            if self._taking:
                self._want_keyframe()
            return
        self._gap = False
        self._queue.put_nowait(frame)

    def interrupt(self) -> None:
        """Frames are missing in the stream: go on with a keyframe."""
        self._gap = True

    def stop(self) -> None:  # by us, or by aiortc's sender when it gives up
        """End the track."""
        super().stop()
        self._queue.put_nowait(None)
        self._on_stop()

    async def recv(self) -> PackedFrame:  # type: ignore[override] # aiortc's sender hands it to what packs
        """The next frame; aiortc's sender asks for it once the connection stands."""
        if not self._connected:
            self._connected = True
            self._want_keyframe()
        self._taking = True
        frame = await self._queue.get()
        self._taking = False
        if frame is None:
            raise MediaStreamError
        return frame
