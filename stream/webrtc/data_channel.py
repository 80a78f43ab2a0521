"""The data channels to one client: its reports, and the close message."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from aiortc import RTCDataChannel

MAX_UNSENT_BYTES = 64 * 1024
"""Of reports waiting for the network. Above this, reports are dropped, because a late one is useless."""
CLOSE_TIMEOUT_S = 1.5
"""Time for the close message to arrive: SCTP retransmits a lost packet after a second."""


class Reports:
    """Sends reports to one client, if and when it opens a channel for them."""

    def __init__(self) -> None:
        self._channel: RTCDataChannel | None = None

    def take(self, channel: RTCDataChannel) -> None:
        """Use a channel that the client opened, if its label is `reports`."""
        if channel.label == "reports":
            self._channel = channel

    @property
    def channel(self) -> RTCDataChannel | None:
        """The channel; None until the client opens it."""
        return self._channel

    def send(self, text: str) -> None:
        """Send a report if the channel is open and has room; never blocks."""
        channel = self._channel
        if channel is not None and channel.readyState == "open" and channel.bufferedAmount < MAX_UNSENT_BYTES:
            channel.send(text)


async def close_with_message(channel: RTCDataChannel | None, close_message: str | None) -> None:
    """Send the message and close the channel; returns when the client has it, or after `CLOSE_TIMEOUT_S`.

    The client closes its side after the last message (RFC 8831, 6.7), which acknowledges it.
    """
    if channel is None or channel.readyState != "open" or close_message is None:
        return
    closed = asyncio.Event()
    channel.on("close", closed.set)
    channel.send(close_message)
    channel.close()
    with suppress(TimeoutError):
        async with asyncio.timeout(CLOSE_TIMEOUT_S):
            await closed.wait()
