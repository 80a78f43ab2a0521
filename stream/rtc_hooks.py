"""Every reach into private parts of aiortc and aioice, which is why both are pinned; a test holds each of them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

import av
from aioice.ice import CandidatePair
from aiortc import RTCPeerConnection, RTCRtpReceiver, RTCRtpSender, RTCRtpTransceiver
from aiortc.codecs.h264 import H264Encoder
from aiortc.codecs.vpx import Vp8Encoder

from stream.allowance import Allowance
from stream.codec import TIME_BASE, CodecName, EncodedFrame
from stream.jitter import FrameAssembler, MediaPacket
from stream.limits import LIMITS
from stream.uplink import Uplink

_ABS_SEND_TIME_HZ, _ABS_SEND_TIME_WRAP_S = 1 << 18, 64.0
MOST_A_TURN = 64
"""Datagrams of one socket that a turn of the event loop takes."""
MAX_ADDRESSES = LIMITS.call_addresses
MAX_DATAGRAMS = 2048
"""That may wait for a busy event loop, about two seconds of 8 Mbit/s; UDP may lose the others."""


class NoFreePort(OSError):
    """All UDP ports that media may use are taken."""


def negotiated_codec(transceiver: RTCRtpTransceiver) -> CodecName:
    """The codec that both sides send: the first of those in common, in the offer's order."""
    name = transceiver._codecs[0].name
    return "H264" if name == "H264" else "VP8"


def payload_codecs(receiver: RTCRtpReceiver) -> dict[int, str]:
    """The codec's name for each payload type that may be received."""
    codecs = receiver._RTCRtpReceiver__codecs  # type: ignore[attr-defined]
    return {number: codec.name for number, codec in codecs.items()}


def tap_receiver(
    receiver: RTCRtpReceiver,
    deliver: Callable[[int, bytes, int], None],
    on_loss: Callable[[], None],
    on_bit_rate: Callable[[int], None] = lambda _: None,
) -> None:
    """Hand complete encoded frames to `deliver(payload_type, data, rtp_timestamp)`, on the event loop.

    `on_loss` is called before the first frame behind packets that are lost for good, `on_bit_rate` with what the sender
    is told that the network carries, in bit/s.

    aiortc then decodes nothing (its thread sleeps), and the sender is told what an `Uplink` finds.
    """
    receiver._RTCRtpReceiver__jitter_buffer = _Assembler(deliver, on_loss)  # type: ignore[attr-defined]
    streams = receiver._RTCRtpReceiver__remote_streams  # type: ignore[attr-defined]
    receiver._RTCRtpReceiver__remote_bitrate_estimator = _Estimator(streams, on_bit_rate)  # type: ignore[attr-defined]


class _Assembler(FrameAssembler):
    """Its wish for a keyframe ends here: aiortc would ask for one with each lost packet, a session has its own pace."""

    def add(self, packet: MediaPacket) -> tuple[bool, None]:
        super().add(packet)
        return False, None


class _Estimator:
    """Stands in for aiortc's RemoteBitrateEstimator."""

    def __init__(self, streams: Mapping[int, Any], on_bit_rate: Callable[[int], None]) -> None:
        self._streams = streams
        self._on_bit_rate = on_bit_rate
        self._uplink = Uplink()
        self._origin: float | None = None

    def add(
        self,
        *,
        arrival_time_ms: int,  # noqa: ARG002 - by a clock that somebody may set
        abs_send_time: int,
        payload_size: int,
        ssrc: int,
    ) -> tuple[int, list[int]] | None:
        arrival_s = time.monotonic()
        delay_s = arrival_s - abs_send_time / _ABS_SEND_TIME_HZ
        if self._origin is None:
            self._origin = delay_s
        half = _ABS_SEND_TIME_WRAP_S / 2
        delay_s = (delay_s - self._origin + half) % _ABS_SEND_TIME_WRAP_S - half
        if len(self._streams) > LIMITS.sources:  # the call is about to end for it
            return None
        expected = sum(stream.packets_expected for stream in self._streams.values())
        received = sum(stream.packets_received for stream in self._streams.values())
        told = self._uplink.add(arrival_s, delay_s, payload_size, expected, received)
        if told is None:
            return None
        self._on_bit_rate(told)
        return told, [ssrc]


def source_count(receiver: RTCRtpReceiver) -> int:
    """How many streams (SSRCs) have come so far; aiortc keeps something of each, for as long as it receives."""
    return len(receiver._RTCRtpReceiver__remote_streams)  # type: ignore[attr-defined]


async def request_keyframe(receiver: RTCRtpReceiver) -> None:
    """Ask the sender for a keyframe (a picture loss indication for each of its streams)."""
    for ssrc in list(receiver._RTCRtpReceiver__remote_streams):  # type: ignore[attr-defined]
        await receiver._send_rtcp_pli(ssrc)


@dataclass(frozen=True, slots=True)
class PackedFrame:
    """An encoded frame as RTP payloads; one such object serves all who receive the stream."""

    payloads: Sequence[bytes]
    pts: int
    """In 1/90000 s."""
    is_keyframe: bool


class Packer:
    """Cuts the frames of one stream into RTP payloads, as aiortc's encoders do."""

    def __init__(self, codec: CodecName) -> None:
        self._pack = (H264Encoder() if codec == "H264" else Vp8Encoder()).pack

    def __call__(self, frame: EncodedFrame) -> PackedFrame:
        """The frame's payloads."""
        packet: av.Packet[Any] = av.Packet(frame.data)
        packet.pts = packet.dts = frame.pts
        packet.time_base = TIME_BASE
        payloads, pts = self._pack(packet)
        return PackedFrame(payloads, pts, frame.is_keyframe)


class _Packed:
    """Stands in for aiortc's encoder where frames are packed already; what the viewer asks for is passed on."""

    def __init__(self, on_bit_rate: Callable[[int], None]) -> None:
        self._on_bit_rate = on_bit_rate
        self.last_pts = 0

    def pack(self, frame: PackedFrame) -> tuple[Sequence[bytes], int]:
        self.last_pts = frame.pts
        return frame.payloads, frame.pts

    @property
    def target_bitrate(self) -> int:
        return 0

    @target_bitrate.setter
    def target_bitrate(self, bit_rate: int) -> None:
        self._on_bit_rate(bit_rate)


def send_packed(
    sender: RTCRtpSender, on_keyframe_request: Callable[[], None], on_bit_rate: Callable[[int], None]
) -> None:
    """Let a sender's track give packed frames; its viewer's wishes for keyframes and bit rates go to the callbacks."""
    sender._RTCRtpSender__encoder = _Packed(on_bit_rate)  # type: ignore[attr-defined]
    sender._send_keyframe = on_keyframe_request  # type: ignore[method-assign]


def name_formats(transceiver: RTCRtpTransceiver, formats: Mapping[int, Mapping[str, str]]) -> None:
    """Before the answer is made: it names these payload types' format parameters, and not aiortc's."""
    for codec in transceiver._codecs:
        offered = formats.get(codec.payloadType or 0)
        if offered is not None:
            codec.parameters = dict(offered)


def rtp_timestamp(sender: RTCRtpSender, pts: int) -> int | None:
    """The RTP time stamp that a frame of this pts is sent with; None before the first packet left."""
    sent = sender._RTCRtpSender__rtp_timestamp  # type: ignore[attr-defined]
    packer: _Packed | None = sender._RTCRtpSender__encoder  # type: ignore[attr-defined]
    if packer is None or not sender._RTCRtpSender__packet_count:  # type: ignore[attr-defined]
        return None  # the first is taken away when the sender stops
    return int(sent + pts - packer.last_pts & 0xFFFFFFFF)


def unsent_bytes(pc: RTCPeerConnection) -> int:
    """What waits in the event loop for a socket that takes no more: there aiortc and aioice know no bound."""
    pair = pc.getTransceivers()[0].receiver.transport.transport._connection._nominated.get(1)
    # A TURN server's transport does not tell.
    tell: Callable[[], int] | None = getattr(pair and pair.protocol.transport, "get_write_buffer_size", None)
    return 0 if tell is None else tell()


def wait_for_hello(pc: RTCPeerConnection) -> None:
    """Before the answer is made: it leaves the other side to begin the DTLS handshake (`setup:passive`).

    aiortc's ciphers are for our own kind of certificate, ECDSA; GStreamer's is RSA, which can be a client's only.
    """
    for transceiver in pc.getTransceivers():
        transceiver.receiver.transport._set_role("server")
    if pc.sctp is not None:
        pc.sctp.transport._set_role("server")


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


def _admit(connection: Any, check: Callable[..., None], message: Any, address: tuple[str, int], protocol: Any) -> None:
    """Pass a check on, unless it is from one more address than a call has: aioice keeps something of each."""
    known = connection._remote_candidates
    if len(known) < MAX_ADDRESSES or any((each._network_host, each.port) == address for each in known):
        check(message, address, protocol)


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
    for _ in range(MOST_A_TURN):
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
