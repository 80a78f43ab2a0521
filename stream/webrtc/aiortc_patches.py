"""Access to private parts of aiortc, which is pinned for this reason; a test checks each. Packets: `webrtc.rtp`."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Any

from aiortc import (
    RTCCertificate,
    RTCDtlsFingerprint,
    RTCPeerConnection,
    RTCRtpReceiver,
    RTCRtpSender,
    RTCRtpTransceiver,
)
from aiortc.rtp import RTP_HISTORY_SIZE, RtcpRrPacket, RtcpSrPacket, RtpPacket
from aiortc.sdp import SessionDescription
from OpenSSL import SSL

from whycam.stream.limits import LIMITS
from whycam.stream.video.codec import CodecName
from whycam.stream.webrtc.rtp.bandwidth_estimator import RetransmissionBudget, Uplink
from whycam.stream.webrtc.rtp.jitter_buffer import FrameAssembler, MediaPacket
from whycam.stream.webrtc.rtp.packetizer import PLAYOUT_DELAY, PackedFrame, SentExtensions
from whycam.stream.webrtc.rtp.reception import Reception
from whycam.stream.webrtc.rtp.source_choice import SourceChoice
from whycam.stream.webrtc.rtp.transmission import Transmission

_CIPHERS = b":".join(
    b"ECDHE-%b-%b" % (key, cipher)
    for key in (b"ECDSA", b"RSA")
    for cipher in (b"AES128-GCM-SHA256", b"CHACHA20-POLY1305", b"AES128-SHA", b"AES256-SHA")
)
_ABS_SEND_TIME_HZ, _ABS_SEND_TIME_WRAP_S = 1 << 18, 64.0


def negotiated_codec(transceiver: RTCRtpTransceiver) -> CodecName:
    """The codec that both sides send: the first common one in the offer's order."""
    name = transceiver._codecs[0].name
    return "H264" if name == "H264" else "VP8"


def payload_codecs(receiver: RTCRtpReceiver) -> dict[int, str]:
    """The codec name of each payload type that may be received."""
    codecs = receiver._RTCRtpReceiver__codecs  # type: ignore[attr-defined]
    return {number: codec.name for number, codec in codecs.items()}


def divert_encoded_frames(
    receiver: RTCRtpReceiver,
    deliver: Callable[[int, bytes, int], None],
    on_loss: Callable[[], None],
    on_bit_rate: Callable[[int], None] = lambda _: None,
) -> None:
    """Hand complete encoded frames to `deliver(payload_type, data, rtp_timestamp)`, on the event loop.

    `on_loss` is called before the first frame after packets that are lost for good, `on_bit_rate` with each estimate of
    the network's bit rate that is sent to the sender, in bit/s.

    aiortc then decodes nothing (its thread sleeps), and the sender receives the estimates of an `Uplink`.
    """
    receiver._RTCRtpReceiver__jitter_buffer = _Assembler(deliver, on_loss)  # type: ignore[attr-defined]
    streams = receiver._RTCRtpReceiver__remote_streams  # type: ignore[attr-defined]
    receiver._RTCRtpReceiver__remote_bitrate_estimator = _Estimator(streams, on_bit_rate)  # type: ignore[attr-defined]


class _Assembler(FrameAssembler):
    """Drops the keyframe requests: aiortc would send one for each lost packet, a session limits their rate."""

    def add(self, packet: MediaPacket) -> tuple[bool, None]:
        super().add(packet)
        return False, None


class _Estimator:
    """Replaces aiortc's RemoteBitrateEstimator."""

    def __init__(self, streams: Mapping[int, Any], on_bit_rate: Callable[[int], None]) -> None:
        self._streams = streams
        self._on_bit_rate = on_bit_rate
        self._uplink = Uplink()
        self._origin: float | None = None

    def add(
        self,
        *,
        arrival_time_ms: int,  # noqa: ARG002 - a wall clock, which may be set
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
        if len(self._streams) > LIMITS.max_sources:  # the call is about to be ended
            return None
        expected = sum(stream.packets_expected for stream in self._streams.values())
        received = sum(stream.packets_received for stream in self._streams.values())
        bit_rate = self._uplink.add(arrival_s, delay_s, payload_size, expected, received)
        if bit_rate is None:
            return None
        self._on_bit_rate(bit_rate)
        return bit_rate, [ssrc]


def choose_source(receiver: RTCRtpReceiver, choice: SourceChoice) -> None:
    """Hand the receiver only the packets of the chosen stream, and the retransmitted ones of that stream."""
    handle = receiver._handle_rtp_packet
    codecs = receiver._RTCRtpReceiver__codecs  # type: ignore[attr-defined]
    originals = receiver._RTCRtpReceiver__rtx_ssrc  # type: ignore[attr-defined]

    async def handle_chosen(packet: RtpPacket, arrival_time_ms: int) -> None:
        codec = codecs.get(packet.payload_type)
        is_repeated = codec is not None and codec.name.lower() == "rtx"
        if originals.get(packet.ssrc) == choice.chosen if is_repeated else choice.takes(packet.ssrc):
            await handle(packet, arrival_time_ms=arrival_time_ms)

    receiver._handle_rtp_packet = handle_chosen  # type: ignore[method-assign]


def receive_directly(receiver: RTCRtpReceiver, choice: SourceChoice) -> None:
    """Handle the chosen stream's packets where they arrive; call it when the answer is made."""
    Reception(receiver, choice)


def source_count(receiver: RTCRtpReceiver) -> int:
    """How many streams (SSRCs) were taken so far; aiortc keeps state for each until the receiver stops."""
    return len(receiver._RTCRtpReceiver__remote_streams)  # type: ignore[attr-defined]


async def request_keyframe(receiver: RTCRtpReceiver) -> None:
    """Ask the sender for a keyframe (a picture loss indication for each of its streams)."""
    for ssrc in list(receiver._RTCRtpReceiver__remote_streams):  # type: ignore[attr-defined]
        await receiver._send_rtcp_pli(ssrc)


class _Packed:
    """Replaces aiortc's encoder: frames are already packed. Passes on the bit rate that the receiver requests."""

    def __init__(self, on_bit_rate: Callable[[int], None], budget: RetransmissionBudget) -> None:
        self._on_bit_rate = on_bit_rate
        self._budget = budget
        self.last_pts = 0

    def pack(self, frame: PackedFrame) -> tuple[Sequence[bytes], int]:
        self.last_pts = frame.pts
        self._budget.sent(sum(map(len, frame.payloads)))
        return frame.payloads, frame.pts

    @property
    def target_bitrate(self) -> int:
        return 0

    @target_bitrate.setter
    def target_bitrate(self, bit_rate: int) -> None:
        self._on_bit_rate(bit_rate)


def send_packed(
    sender: RTCRtpSender,
    on_keyframe_request: Callable[[], None],
    on_bit_rate: Callable[[int], None],
    on_report: Callable[[float, float | None], None] = lambda _loss, _round_trip: None,
    on_gap: Callable[[], None] = lambda: None,
) -> None:
    """Let a sender's track supply packed frames; the receiver's keyframe and bit rate requests go to the callbacks.

    `on_report` gets each receiver report: the fraction of packets lost since the last one, and the round trip in
    seconds if the report says it. What is sent again for lost packets has a `RetransmissionBudget`; `on_gap` is called
    for each packet that is not.
    """
    budget, transmission = RetransmissionBudget(), Transmission(sender)
    sender._RTCRtpSender__encoder = _Packed(on_bit_rate, budget)  # type: ignore[attr-defined]
    sender._retransmit = partial(  # type: ignore[method-assign]
        _retransmit, sender, sender._retransmit, transmission, budget, on_gap
    )
    sender._RTCRtpSender__rtp_header_extensions_map = SentExtensions()  # type: ignore[attr-defined]
    sender._send_keyframe = on_keyframe_request  # type: ignore[method-assign]
    sender._handle_rtcp_packet = partial(  # type: ignore[method-assign]
        _take_reports, sender, sender._handle_rtcp_packet, on_report
    )


async def _retransmit(
    sender: RTCRtpSender,
    real: Callable[[int], Awaitable[None]],
    transmission: Transmission,
    budget: RetransmissionBudget,
    on_gap: Callable[[], None],
    number: int,
) -> None:
    """Send a packet again if it is one of the last and the budget admits it."""
    packet = transmission.find(number)
    if packet is None:
        return
    if budget.admits(len(packet.payload)):
        sender._RTCRtpSender__rtp_history[number % RTP_HISTORY_SIZE] = packet  # type: ignore[attr-defined]
        await real(number)
    else:
        on_gap()


async def _take_reports(
    sender: RTCRtpSender,
    real: Callable[[Any], Awaitable[None]],
    on_report: Callable[[float, float | None], None],
    packet: Any,
) -> None:
    if isinstance(packet, RtcpRrPacket | RtcpSrPacket):
        for report in packet.reports:
            if report.ssrc != sender._ssrc:
                continue
            answers = report.dlsr and report.lsr == sender._RTCRtpSender__lsr  # type: ignore[attr-defined]
            sent: float = sender._RTCRtpSender__lsr_time if answers else 0.0  # type: ignore[attr-defined]
            on_report(report.fraction_lost / 256, time.time() - sent - report.dlsr / 65536 if answers else None)
    await real(packet)


def show_at_once(transceiver: RTCRtpTransceiver, offer: str) -> None:
    """Let the receiver show each frame when it is complete, if the offer permits; call it before the answer is made."""
    section = next((part for part in SessionDescription.parse(offer).media if part.rtp.muxId == transceiver.mid), None)
    offered = [] if section is None else section.rtp.headerExtensions
    transceiver._headerExtensions += [each for each in offered if each.uri == PLAYOUT_DELAY][:1]


def set_format_parameters(transceiver: RTCRtpTransceiver, formats: Mapping[int, Mapping[str, str]]) -> None:
    """Replace aiortc's format parameters of these payload types; call it before the answer is made."""
    for codec in transceiver._codecs:
        offered = formats.get(codec.payloadType or 0)
        if offered is not None:
            codec.parameters = dict(offered)


def rtp_timestamp(sender: RTCRtpSender, pts: int) -> int | None:
    """The RTP time stamp with which a frame of this pts is sent; None before the first packet is sent."""
    sent = sender._RTCRtpSender__rtp_timestamp  # type: ignore[attr-defined]
    packer: _Packed | None = sender._RTCRtpSender__encoder  # type: ignore[attr-defined]
    if packer is None or not sender._RTCRtpSender__packet_count:  # type: ignore[attr-defined]
        return None  # aiortc sets the encoder to None when the sender stops
    return int(sent + pts - packer.last_pts & 0xFFFFFFFF)


class _Certificate(RTCCertificate):
    """aiortc's certificate with the one fingerprint that every client knows, and with ciphers for a server with RSA.

    libdatachannel compares one of several fingerprints, with the wrong hash. aiortc's ciphers are for ECDSA, as this
    certificate is; those for RSA count only where whycam is the DTLS client.
    """

    def getFingerprints(self) -> list[RTCDtlsFingerprint]:  # noqa: N802 - aiortc's name
        return [each for each in super().getFingerprints() if each.algorithm == "sha-256"]

    def _create_ssl_context(self, srtp_profiles: list[Any]) -> SSL.Context:
        context = super()._create_ssl_context(srtp_profiles)
        context.set_cipher_list(_CIPHERS)
        return context


def use_certificate(pc: RTCPeerConnection) -> None:
    """Give a new connection its certificate; call it before the offer is applied."""
    pc._RTCPeerConnection__certificates = [_Certificate.generateCertificate()]  # type: ignore[attr-defined]


def set_dtls_roles(pc: RTCPeerConnection) -> None:
    """Let the other side begin the DTLS handshake, unless it offers `setup:passive`; call it before the answer is made.

    The client that has the answer begins, so that it knows the fingerprint (RFC 8842, 5.3).
    """
    offered = pc._RTCPeerConnection__remoteDtls  # type: ignore[attr-defined]
    sections = [(transceiver, transceiver.receiver.transport) for transceiver in pc.getTransceivers()]
    for section, transport in [*sections, *([] if pc.sctp is None else [(pc.sctp, pc.sctp.transport)])]:
        is_passive = section in offered and offered[section].role == "server"
        transport._set_role("client" if is_passive else "server")
