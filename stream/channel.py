"""The data channel on which reports go to one who watches."""

from __future__ import annotations

from aiortc import RTCDataChannel

MAX_UNSENT_BYTES = 64 * 1024
"""Of reports that wait for the network: beyond, they are left out, for a late one is worth nothing."""


class Reports:
    """Sends reports to one client, from when it has opened a channel for them, if it ever does."""

    def __init__(self) -> None:
        self._channel: RTCDataChannel | None = None

    def take(self, channel: RTCDataChannel) -> None:
        """Look at a channel that the client opened: `reports` is the one."""
        if channel.label == "reports":
            self._channel = channel

    def send(self, text: str) -> None:
        """Send a report, if there is somebody to read it and room for it; never blocks."""
        channel = self._channel
        if channel is not None and channel.readyState == "open" and channel.bufferedAmount < MAX_UNSENT_BYTES:
            channel.send(text)
