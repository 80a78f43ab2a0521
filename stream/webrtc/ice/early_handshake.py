"""Takes a publisher's DTLS handshake as the answer to our check of its address, as an ICE-lite server would."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

from aioice.ice import CandidatePair

from whycam.stream.webrtc.ice.amplification_limit import Allowance

_HANDSHAKE = 22
"""The first byte of a DTLS record of a handshake (RFC 7983)."""
_UNANSWERED = (CandidatePair.State.WAITING, CandidatePair.State.IN_PROGRESS)


class EarlyHandshake:
    """Watches the sockets of one connection: `early.watch(protocol)` for each.

    ffmpeg with `dtls_active` waits 50 ms for the answer to its check, then begins DTLS without it and reads no check
    any more. Where this computer is busy for that long, ours comes too late to be answered: 1 of 2246 calls failed.
    So the address of a check that was authenticated and nominates is used once a handshake comes from there. Nobody
    has proved yet to receive what is sent to it: for as long as the connection lasts, it is sent no more than the
    allowance, which grows with each byte that comes from it. That suffices for a publisher, and for no viewer.
    """

    def __init__(self, connection: Any, allowance: Allowance) -> None:
        self._connection = connection
        self._allowance = allowance
        self._address: tuple[str, int] | None = None

    def watch(self, protocol: Any) -> None:
        """Read what this socket receives, before aioice does."""
        protocol.datagram_received = partial(self._received, protocol, protocol.datagram_received)

    def _received(
        self, protocol: Any, real: Callable[[bytes, Any], None], data: bytes, address: tuple[Any, ...]
    ) -> None:
        if not self._connection._nominated and data[:1] == bytes([_HANDSHAKE]):
            self._nominate(protocol, address[:2])
        if address[:2] == self._address and data and data[0] > 3:  # STUN is counted already
            self._allowance.receive(self._address, len(data))
        real(data, address)

    def _nominate(self, protocol: Any, address: tuple[str, int]) -> None:
        connection = self._connection
        for pair in connection._check_list:
            if pair.protocol is protocol and pair.remote_addr == address and pair.remote_nominated:
                if pair.state not in _UNANSWERED:
                    return
                self._address = address
                protocol.send_data = partial(self._send, protocol.send_data)
                pair.nominated = True
                connection._nominated[pair.component] = pair
                connection._check_list_maybe_complete()
                return

    async def _send(
        self, real: Callable[[bytes, tuple[str, int]], Awaitable[None]], data: bytes, address: tuple[str, int]
    ) -> None:
        """Send a datagram if the allowance permits; otherwise drop it, as the network might."""
        if self._allowance.spend(address, len(data)):
            await real(data, address)
