"""The data channels to one client: its reports, and the last words before the connection closes."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from aiortc import RTCDataChannel

MAX_UNSENT_BYTES = 64 * 1024
"""Of reports that wait for the network: beyond, they are left out, for a late one is worth nothing."""
PARTING_S = 1.5
"""For the last words to arrive: SCTP sends a lost packet again after a second."""


class Reports:
    """Sends reports to one client, from when it has opened a channel for them, if it ever does."""

    def __init__(self) -> None:
        self._channel: RTCDataChannel | None = None

    def take(self, channel: RTCDataChannel) -> None:
        """Look at a channel that the client opened: `reports` is the one."""
        if channel.label == "reports":
            self._channel = channel

    @property
    def channel(self) -> RTCDataChannel | None:
        """The channel, once the client has opened it."""
        return self._channel

    def send(self, text: str) -> None:
        """Send a report, if there is somebody to read it and room for it; never blocks."""
        channel = self._channel
        if channel is not None and channel.readyState == "open" and channel.bufferedAmount < MAX_UNSENT_BYTES:
            channel.send(text)


async def close_with_message(channel: RTCDataChannel | None, close_message: str | None) -> None:
    """Send the last words on a channel and close it; returns when the client has them, or has had time for them.

    The client closes its side behind the last message (RFC 8831, 6.7): that is the acknowledgement.
    """
    if channel is None or channel.readyState != "open" or close_message is None:
        return
    closed = asyncio.Event()
    channel.on("close", closed.set)
    channel.send(close_message)
    channel.close()
    with suppress(TimeoutError):
        async with asyncio.timeout(PARTING_S):
            await closed.wait()
