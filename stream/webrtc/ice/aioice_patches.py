"""Reaches into the private parts of aioice, which is pinned: own addresses, UDP ports, batches of datagrams, limits."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import Any

from aioice.ice import CandidatePair
from aiortc import RTCPeerConnection

from whycam.stream.limits import LIMITS
from whycam.stream.webrtc.ice.amplification_limit import Allowance

MAX_ADDRESSES = LIMITS.max_addresses_per_call
MAX_PER_TURN = 64
"""Datagrams of one socket that a turn of the event loop takes."""
MAX_DATAGRAMS = 2048
"""That may wait for a busy event loop, about two seconds of 8 Mbit/s; UDP may lose the others."""


class NoFreePort(OSError):
    """All UDP ports that media may use are taken."""


def unsent_bytes(pc: RTCPeerConnection) -> int:
    """What waits in the event loop for a socket that takes no more: there aiortc and aioice know no bound."""
    pair = pc.getTransceivers()[0].receiver.transport.transport._connection._nominated.get(1)
    # A TURN server's transport does not tell.
    tell: Callable[[], int] | None = getattr(pair and pair.protocol.transport, "get_write_buffer_size", None)
    return 0 if tell is None else tell()


def bind_media(
    pc: RTCPeerConnection, addresses: Sequence[str], ports: range | None, allowance: Allowance | None = None
) -> None:
    """Before the answer is made: media uses these local addresses only, and UDP ports of the range, if one is given.

    Datagrams that would do harm are kept away from it, and what leaves for who has not answered is in the allowance.

    Gathering raises `NoFreePort` where all of them are taken.
    """
    gatherers = {t.receiver.transport.transport.iceGatherer for t in pc.getTransceivers()}
    if pc.sctp is not None:
        gatherers.add(pc.sctp.transport.transport.iceGatherer)
    for gatherer in gatherers:
        connection = gatherer._connection
        gather = connection.get_component_candidates
        connection.get_component_candidates = partial(_gather, connection, gather, list(addresses), ports, allowance)
        connection.data_received = partial(_take, connection, connection.data_received)
        connection.check_incoming = partial(_admit, connection, connection.check_incoming)


def _take(connection: Any, take: Callable[[bytes, int], None], data: bytes, component: int) -> None:
    """Pass a datagram on, unless it is one that nobody can use.

    aiortc's DTLS transport ends with an IndexError on an empty one, whoever sent it, and aioice's queue has no bound.
    """
    if data and connection._queue.qsize() < MAX_DATAGRAMS:
        take(data, component)


async def _gather(
    connection: Any,
    gather: Callable[..., Awaitable[list[Any]]],
    own_addresses: list[str],
    ports: range | None,
    allowance: Allowance | None,
    component: int,
    addresses: list[str],  # noqa: ARG001 - aioice's choice: every address but loopback
    timeout: int = 5,  # noqa: ASYNC109 - aioice's signature
) -> list[Any]:
    if ports is not None:
        _limit_ports(asyncio.get_running_loop(), ports)
    candidates = await gather(component, own_addresses, timeout)
    if not candidates:  # aioice logs a failed bind and goes on
        where = f"UDP ports {ports[0]}-{ports[-1]}" if ports else "UDP ports"
        raise NoFreePort(f"No free {where} on {' or '.join(own_addresses)}: too many calls, or not an address of ours.")
    _take_all_at_once(connection)
    if allowance is not None:
        for protocol in connection._protocols:
            protocol.datagram_received = partial(_hear, protocol.datagram_received, allowance)
            protocol.send_stun = partial(_send_stun, connection, protocol.send_stun, allowance)
    return candidates


def _take_all_at_once(connection: Any) -> None:
    """From now on each turn of the event loop takes all datagrams there are, and not one a socket as asyncio does.

    Where turns are long, with many cameras, the kernel else keeps a second of them, and nobody could drop what is late.
    """
    loop = asyncio.get_running_loop()
    if not isinstance(loop, asyncio.SelectorEventLoop):
        return  # Windows' own loop has no turns of this kind
    for protocol in connection._protocols:
        transport = protocol.transport
        if hasattr(transport, "_sock_fd"):  # a TURN server's has none
            loop._add_reader(transport._sock_fd, partial(_take_all, transport))  # type: ignore[attr-defined]


def _take_all(transport: Any) -> None:
    for _ in range(MAX_PER_TURN):
        if transport._conn_lost:
            return
        try:
            data, address = transport._sock.recvfrom(transport.max_size)
        except (BlockingIOError, InterruptedError):
            return
        except OSError as error:
            transport._protocol.error_received(error)
            return
        transport._protocol.datagram_received(data, address)


class _InRange:
    """Stands in for a loop's `create_datagram_endpoint`: where any port would do, it takes one of a range."""

    def __init__(self, real: Callable[..., Awaitable[Any]], ports: range) -> None:
        self._real = real
        self.ports = ports

    async def __call__(self, factory: Any, local_addr: tuple[str, int] | None = None, **options: Any) -> Any:
        if local_addr is None or local_addr[1]:
            return await self._real(factory, local_addr=local_addr, **options)
        for port in self.ports:
            with suppress(OSError):
                return await self._real(factory, local_addr=(local_addr[0], port), **options)
        raise NoFreePort(f"All UDP ports {self.ports[0]}-{self.ports[-1]} of {local_addr[0]} are in use.")


def _limit_ports(loop: asyncio.AbstractEventLoop, ports: range) -> None:
    """From now on every UDP socket of this loop is opened in the range: aioice asks for port 0 and cannot be told."""
    opener: Any = loop.create_datagram_endpoint
    if isinstance(opener, _InRange):
        opener.ports = ports
    else:
        loop.create_datagram_endpoint = _InRange(opener, ports)  # type: ignore[method-assign, assignment]


def _admit(connection: Any, check: Callable[..., None], message: Any, address: tuple[str, int], protocol: Any) -> None:
    """Pass a check on, unless it is from one more address than a call has: aioice keeps something of each."""
    known = connection._remote_candidates
    if len(known) < MAX_ADDRESSES or any((each._network_host, each.port) == address for each in known):
        check(message, address, protocol)


def _hear(take: Callable[[bytes, Any], None], allowance: Allowance, data: bytes, address: tuple[Any, ...]) -> None:
    """Pass a datagram on; one of STUN (RFC 7983) may be answered."""
    if data and data[0] < 4:
        allowance.hear(address[:2], len(data))
    take(data, address)


def _send_stun(
    connection: Any, send: Callable[..., None], allowance: Allowance, message: Any, address: tuple[str, int]
) -> None:
    """Send a check, or the answer to one, if it may be; else it is as lost on its way.

    The answer to a check of ours comes from an address that it has reached: nobody else knows its transaction's id.
    Only a pair of addresses that was answered so is nominated, and gets more than STUN.
    """
    answered = any(
        pair.state is CandidatePair.State.SUCCEEDED and pair.remote_addr == address for pair in connection._check_list
    )
    if answered or allowance.taken(address, len(bytes(message))):
        send(message, address)
