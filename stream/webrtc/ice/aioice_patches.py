"""All access to private parts of aioice, which is pinned: local addresses, UDP ports, batched reads, limits."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import Any

from aioice.candidate import candidate_priority
from aioice.ice import CandidatePair
from aioice.stun import Class
from aiortc import RTCPeerConnection

from whycam.stream.limits import LIMITS
from whycam.stream.webrtc.ice.amplification_limit import Allowance
from whycam.stream.webrtc.ice.early_handshake import EarlyHandshake

MAX_ADDRESSES = LIMITS.max_addresses_per_call
MAX_PER_TURN = 64
"""Datagrams that one turn of the event loop reads from a socket."""
MAX_DATAGRAMS = 2048
"""That may wait for a busy event loop, about two seconds of 8 Mbit/s; further ones are dropped, as UDP allows."""


OWN_CHECKS_AFTER_S = 2.0
"""Seconds after the answer was made until the server checks the offer's candidates itself, if no check came."""


class NoFreePort(OSError):
    """All UDP ports that media may use are in use."""


def unsent_bytes(pc: RTCPeerConnection) -> int:
    """Bytes buffered in the event loop for a socket that is full; aiortc and aioice do not bound them."""
    pair = pc.getTransceivers()[0].receiver.transport.transport._connection._nominated.get(1)
    # A TURN server's transport has no such method.
    buffered: Callable[[], int] | None = getattr(pair and pair.protocol.transport, "get_write_buffer_size", None)
    return 0 if buffered is None else buffered()


def bind_media(
    pc: RTCPeerConnection,
    addresses: Sequence[str],
    ports: range | None,
    allowance: Allowance | None = None,
    admits: Callable[[str], bool] = lambda _: True,
    *,
    publishes: bool = False,
) -> None:
    """Let media use only these local addresses and UDP ports (None: any); call it before the answer is made.

    Harmful datagrams are dropped, and what is sent to an address that has not answered is limited by the allowance.
    With one, a datagram is read only if its sender's address is admitted. A client that only `publishes` may begin DTLS
    without an answer to our check (`EarlyHandshake`), and is not asked for its consent (RFC 7675) later: ffmpeg never
    answers, and it was cut off after 33 s. Its call ends soon after its last frame, which SRTP authenticates.

    Gathering raises `NoFreePort` if all ports are in use.
    """
    for gatherer in _gatherers(pc):
        connection = gatherer._connection
        gather, answers = connection.get_component_candidates, dict[bytes, Callable[[], None]]()
        connection.get_component_candidates = partial(
            _gather, connection, gather, list(addresses), ports, allowance, admits, answers, publishes
        )
        connection.data_received = partial(_data_received, connection, connection.data_received)
        if publishes:
            connection.query_consent = _need_no_consent
        connection.check_incoming = partial(_check_incoming, connection, connection.check_incoming, answers)


async def _need_no_consent() -> None:
    """Replaces aioice's checks every five seconds, six of which without answer end the call."""


def _gatherers(pc: RTCPeerConnection) -> set[Any]:
    gatherers = {t.receiver.transport.transport.iceGatherer for t in pc.getTransceivers()}
    if pc.sctp is not None:
        gatherers.add(pc.sctp.transport.transport.iceGatherer)
    return gatherers


def hold_checks_back(pc: RTCPeerConnection) -> None:
    """Leave the first checks to the client for `OWN_CHECKS_AFTER_S`; call it before the answer is made.

    Checks that arrive before the answer make libdatachannel, the stack of OBS, begin DTLS before it knows the answer's
    fingerprint, and fail. A client that has the answer sends checks at once, and those are answered. Our own remain for
    a client that can send none before it gets one (ICE lite, which is not held back, or a firewall on this computer).
    """
    for gatherer in _gatherers(pc):
        connection = gatherer._connection
        if not connection.ice_controlling:
            _hold_back(connection)


def _hold_back(connection: Any) -> None:
    candidates, is_all = connection._remote_candidates, connection._remote_candidates_end
    connection._remote_candidates, connection._remote_candidates_end = [], False

    def hand_over() -> None:
        if connection._closing or connection._nominated:
            return
        for candidate in candidates:
            connection._add_remote_candidate(candidate, candidate._network_host)
        connection._remote_candidates_end = is_all
        if is_all:
            connection._end_remote_candidates()

    asyncio.get_running_loop().call_later(OWN_CHECKS_AFTER_S, hand_over)


def _data_received(connection: Any, real: Callable[[bytes, int], None], data: bytes, component: int) -> None:
    """Pass a datagram on unless it is empty or the queue is full.

    An empty one, from any sender, ends aiortc's DTLS transport with an IndexError, and aioice's queue has no bound.
    """
    if data and connection._queue.qsize() < MAX_DATAGRAMS:
        real(data, component)


async def _gather(
    connection: Any,
    gather: Callable[..., Awaitable[list[Any]]],
    own_addresses: list[str],
    ports: range | None,
    allowance: Allowance | None,
    admits: Callable[[str], bool],
    answers: dict[bytes, Callable[[], None]],
    publishes: bool,
    component: int,
    addresses: list[str],  # noqa: ARG001 - aioice's choice: every address but loopback
    timeout: int = 5,  # noqa: ASYNC109 - aioice's signature
) -> list[Any]:
    if ports is not None:
        _limit_ports(asyncio.get_running_loop(), ports)
    candidates = await gather(component, own_addresses, timeout)
    if not candidates:  # aioice logs a failed bind and continues
        where = f"UDP ports {ports[0]}-{ports[-1]}" if ports else "UDP ports"
        raise NoFreePort(
            f"No free {where} on {' or '.join(own_addresses)}: too many calls, or not an address of this computer."
        )
    _read_in_batches(connection)
    if allowance is not None:
        early = EarlyHandshake(connection, allowance)
        for protocol in connection._protocols:
            if publishes:
                early.watch(protocol)
            media = None if publishes else partial(_media_received, connection, protocol)  # `EarlyHandshake` counts it
            protocol.datagram_received = partial(
                _datagram_received, protocol.datagram_received, media or protocol.datagram_received, allowance, admits
            )
            protocol.send_stun = partial(_send_stun, connection, protocol.send_stun, allowance, answers)
    return candidates


def _read_in_batches(connection: Any) -> None:
    """Let each turn of the event loop read all waiting datagrams; asyncio reads one per socket and turn.

    With many cameras turns are long. The kernel would then buffer a second of datagrams, which cannot be dropped there.
    """
    loop = asyncio.get_running_loop()
    if not isinstance(loop, asyncio.SelectorEventLoop):
        return  # Windows' proactor loop has no readers
    for protocol in connection._protocols:
        transport = protocol.transport
        if hasattr(transport, "_sock_fd"):  # a TURN server's has none
            loop._add_reader(transport._sock_fd, partial(_read_batch, transport))  # type: ignore[attr-defined]


def _read_batch(transport: Any) -> None:
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
    """Replaces a loop's `create_datagram_endpoint`: port 0 becomes a free port of a range."""

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
    """Open every later UDP socket of this loop in the range: aioice always asks for port 0."""
    opener: Any = loop.create_datagram_endpoint
    if isinstance(opener, _InRange):
        opener.ports = ports
    else:
        loop.create_datagram_endpoint = _InRange(opener, ports)  # type: ignore[method-assign, assignment]


def _check_incoming(
    connection: Any,
    real: Callable[..., None],
    answers: dict[bytes, Callable[[], None]],
    message: Any,
    address: tuple[str, int],
    protocol: Any,
) -> None:
    """Start our check of a check's address, then answer it.

    aioice answers first. ffmpeg, once it is answered, begins DTLS and answers no check any more: of 128 calls one
    failed.
    """
    _pass_check(connection, real, message, address, protocol)
    answer = answers.pop(message.transaction_id, None)
    if answer is not None:
        loop = asyncio.get_running_loop()
        loop.call_soon(loop.call_soon, answer)  # our check is sent by a task that begins in between


def _pass_check(
    connection: Any, real: Callable[..., None], message: Any, address: tuple[str, int], protocol: Any
) -> None:
    """Pass a check on unless its address is one too many for a call: aioice keeps state for each.

    ffmpeg's have no PRIORITY, which aioice reads of a new address. With one address it decides nothing.
    """
    message.attributes.setdefault("PRIORITY", candidate_priority(protocol.local_candidate.component, "prflx"))
    known = connection._remote_candidates
    if len(known) < MAX_ADDRESSES or any((each._network_host, each.port) == address for each in known):
        real(message, address, protocol)


def _media_received(connection: Any, protocol: Any, data: bytes, _address: tuple[Any, ...]) -> None:
    """Pass a packet of media on as aioice does, which first fails to read it as STUN."""
    connection.data_received(data, protocol.local_candidate.component)


def _datagram_received(
    real: Callable[[bytes, Any], None],
    media: Callable[[bytes, Any], None],
    allowance: Allowance,
    admits: Callable[[str], bool],
    data: bytes,
    address: tuple[Any, ...],
) -> None:
    """Pass an admitted sender's datagram on; one of STUN (first byte below 4, RFC 7983) increases its allowance.

    One of RTP or RTCP (128 to 191) goes to `media`.

    One of STUN with an attribute of the wrong length, for which aioice raises `struct.error`, is dropped.
    """
    if not admits(address[0]):
        return
    if data and data[0] < 4:
        allowance.receive(address[:2], len(data))
    if data and 128 <= data[0] < 192:
        media(data, address)
        return
    with suppress(struct.error):
        real(data, address)


def _send_stun(
    connection: Any,
    real: Callable[..., None],
    allowance: Allowance,
    answers: dict[bytes, Callable[[], None]],
    message: Any,
    address: tuple[str, int],
) -> None:
    """Send a check, or keep the answer to one until `_check_incoming` has it sent."""
    send = partial(_send_allowed, connection, real, allowance, message, address)
    if message.message_class is Class.RESPONSE:
        answers[message.transaction_id] = send
    else:
        send()


def _send_allowed(
    connection: Any, real: Callable[..., None], allowance: Allowance, message: Any, address: tuple[str, int]
) -> None:
    """Send a check, or the answer to one, if the allowance permits; otherwise drop it, as the network might.

    An answer to our check validates its address, because only a receiver of the check knows its transaction ID. Only a
    pair of addresses validated in this way is nominated, and is sent more than STUN, but for an `EarlyHandshake`.
    """
    if connection._closing:
        return
    answered = any(
        pair.state is CandidatePair.State.SUCCEEDED and pair.remote_addr == address for pair in connection._check_list
    )
    if answered or allowance.spend(address, len(bytes(message))):
        real(message, address)
