"""The track of encoded frames for one receiver: begins with a keyframe, and drops frames when the network is slow."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from aiortc.mediastreams import MediaStreamError, MediaStreamTrack

from whycam.stream.webrtc.rtp.packetizer import PackedFrame

MAX_UNSENT = 60
"""Frames that may wait to be sent, two seconds; above this they are dropped up to a new keyframe."""
MAX_UNSENT_BYTES = 512 * 1024
"""The same for bytes that the socket does not accept yet, for instance on a slow Wi-Fi."""


class PacketTrack(MediaStreamTrack):
    """Supplies packed frames to aiortc's sender.

    Frames are dropped until the connection is established; then the first one sent is a keyframe. `want_keyframe` is
    called for each frame that is dropped because a keyframe is missing, unless the sender is not reading: it should be
    a `RateLimitedRequest`.
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
        self._connected = self._reading = False
        self._gap = True
        self.dropped = 0
        """Frames that were dropped for this receiver since it connected."""

    def put(self, frame: PackedFrame) -> None:
        """Queue a frame, or drop it; never blocks."""
        if not self._connected:
            return
        congested = self._unsent_bytes() > MAX_UNSENT_BYTES
        if congested or self._queue.qsize() >= MAX_UNSENT:
            self.dropped += self._queue.qsize()
            while not self._queue.empty():
                self._queue.get_nowait()
            self._gap = True
        if congested:  # a keyframe would only add to the backlog
            self.dropped += 1
            return
        if self._gap and not frame.is_keyframe:
            self.dropped += 1
            if self._reading:
                self._want_keyframe()
            return
        self._gap = False
        self._queue.put_nowait(frame)

    def interrupt(self) -> None:
        """Frames are missing in the stream: continue with a keyframe."""
        self._gap = True

    def stop(self) -> None:  # called by us, or by aiortc's sender when it gives up
        """End the track."""
        super().stop()
        self._queue.put_nowait(None)
        self._on_stop()

    async def recv(self) -> PackedFrame:  # type: ignore[override] # aiortc's sender passes it to the encoder
        """The next frame; aiortc's sender calls this when the connection is established."""
        if not self._connected:
            self._connected = True
            self._want_keyframe()
        self._reading = True
        frame = await self._queue.get()
        self._reading = False
        if frame is None:
            raise MediaStreamError
        return frame
