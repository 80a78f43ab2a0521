"""The WebRTC peer that a camera is: its offer answered, encoded frames out of it, packets and reports into it."""

from __future__ import annotations

import asyncio
import json
import re
import socket
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass

from aiortc import (
    RTCConfiguration,
    RTCDataChannel,
    RTCIceServer,
    RTCPeerConnection,
    RTCSessionDescription,
)
from aiortc.exceptions import OperationError
from aiortc.sdp import SessionDescription

from whycam.stream.limits import LIMITS
from whycam.stream.video.b_frames import is_b_picture
from whycam.stream.video.codec import CodecName, EncodedFrame
from whycam.stream.webrtc import aiortc_patches
from whycam.stream.webrtc.data_channel import Reports, close_with_message
from whycam.stream.webrtc.end_reason import GONE, EndReason
from whycam.stream.webrtc.ice import aioice_patches
from whycam.stream.webrtc.ice.amplification_limit import Allowance
from whycam.stream.webrtc.ice.candidates import Reach
from whycam.stream.webrtc.keyframe_requests import RateLimitedRequest
from whycam.stream.webrtc.packetizer import PackedFrame
from whycam.stream.webrtc.sdp import OfferError, check_offer, take_any_h264
from whycam.stream.webrtc.track import PacketTrack

LOOPBACK = "127.0.0.1"
MAX_GAP = 60 * 90_000
"""The longest gap in the camera's time stamps, one minute; beyond, the camera began anew."""
MAX_BACK = 90_000
"""How far a frame may be shown before the one that came before it, one second."""
MAX_COMMAND = LIMITS.max_command_length
"""Letters of a command on the data channel."""


@dataclass(frozen=True, slots=True)
class IceConfig:
    """Where media may flow: local addresses, UDP ports (None: any), STUN or TURN servers (none: nothing leaves)."""

    addresses: Sequence[str] = (LOOPBACK,)
    ports: range | None = None
    ice_servers: Sequence[str] = ()

    def reach(self, caller: str) -> Reach:
        """Where checks may go for who calls from this address."""
        return Reach.of(self.addresses, caller, anywhere=bool(self.ice_servers))

    def check(self) -> None:
        """Raises `ValueError` for what no call could use; without a port yet, so before anybody calls."""
        for url in self.ice_servers:
            ice_server(url)
        if self.ice_servers and set(self.addresses) <= {LOOPBACK}:
            raise ValueError(
                "A STUN or TURN server cannot be reached from 127.0.0.1. "
                "Give the address of this computer's network as well: --ice-address ADDR."
            )
        for address in self.addresses:
            with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM) as probe:
                try:
                    probe.bind((address, 0))
                except OSError as error:
                    raise ValueError(
                        f"Media cannot use the address {address} ({error.strerror}). Give one of this computer's own."
                    ) from error


@dataclass(frozen=True, slots=True)
class PeerEvents:
    """What a peer tells its session; all are called on the event loop."""

    on_frame: Callable[[EncodedFrame, int], None]
    """A camera frame and its RTP time stamp."""
    on_loss: Callable[[], None]
    """Packets were lost for good; frames up to the next keyframe are damaged."""
    on_command: Callable[[str], str | None]
    """A command; what is returned is sent back."""
    on_keyframe_request: Callable[[], None]
    on_bit_rate: Callable[[int], None]
    on_end: Callable[[EndReason], None]
    """The connection is over, and why."""


def new_connection(media: IceConfig) -> RTCPeerConnection:
    """A connection that nobody has offered anything to."""
    return RTCPeerConnection(RTCConfiguration(iceServers=[ice_server(url) for url in media.ice_servers]))


async def take_offer(pc: RTCPeerConnection, offer: str) -> None:
    """Let a connection read an offer; raises `OfferError`."""
    try:
        _check_bundle(SessionDescription.parse(offer))
        await pc.setRemoteDescription(RTCSessionDescription(offer, "offer"))
        await pc.createAnswer()  # it too stumbles; made again by `give_answer`, with what is added
    except OfferError:
        raise
    except OperationError as error:
        raise OfferError("The offer has a section in no codec that the server speaks.") from error
    except Exception as error:  # the parser raises whatever the text makes it stumble over
        raise OfferError(f"The offer cannot be read ({type(error).__name__}: {error}).") from error


def _check_bundle(offer: SessionDescription) -> None:
    """Refuse a bundle whose leader is missing: aiortc leaves its other sections without a transport."""
    names = {media.rtp.muxId for media in offer.media if media.kind in ("audio", "video", "application")}
    for group in offer.group:
        if group.semantic == "BUNDLE" and group.items and group.items[0] not in names:
            raise OfferError(f"The offer's bundle is led by a section that it does not have ('{group.items[0]}').")


async def give_answer(pc: RTCPeerConnection, media: IceConfig, offered: int) -> None:
    """Make the answer to so many bytes, with its candidates.

    Raises `OfferError`, or `OSError` where no UDP port is free.
    """
    aiortc_patches.force_dtls_server(pc)
    aioice_patches.bind_media(pc, media.addresses, media.ports, Allowance(offered))
    try:
        await pc.setLocalDescription(await pc.createAnswer())
    except ValueError as error:  # aiortc holds its answer against the offer, whose sections may share a name
        raise OfferError(f"The offer's sections cannot be answered ({error}).") from error


class Peer:
    """An answered camera: `peer = await Peer.answering(offer, media, events)`, then `peer.answer` goes back to it."""

    def __init__(self, pc: RTCPeerConnection, events: PeerEvents) -> None:
        self._pc = pc
        self._events = events
        self._clock = _Unwrap()
        self._carried = 0  # by the way to us, in bit/s
        self._remb_received = False  # what the way back carries
        self._track: PacketTrack | None = None
        self._reports = Reports()
        self._commands: RTCDataChannel | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._returned: Callable[[int], int | None] = lambda _: None
        self.request_keyframe = RateLimitedRequest(self._ask)
        """Asks the camera for a keyframe."""
        self.codec: CodecName = "VP8"
        self.last_frame = time.monotonic()

    @classmethod
    async def answering(
        cls, offer: str, media: IceConfig, events: PeerEvents, *, returns: bool = True, caller: str = LOOPBACK
    ) -> Peer:
        """Answer an offer from a caller's address; raises `OfferError`, or `OSError` where no UDP port is free.

        Where the picture `returns`, the offer has one section for video and none for sound. Else it is a publisher's
        (RFC 9725), whose sound is answered as inactive.
        """
        checked = check_offer(offer, media.reach(caller))
        peer = cls(new_connection(media), events)
        try:
            await peer._answer(checked, media, returns, len(offer.encode()))
        except BaseException:
            with suppress(Exception):  # aiortc stumbles over what the offer left half built
                await peer.close()
            raise
        return peer

    async def _answer(self, offer: str, media: IceConfig, returns: bool, offered: int) -> None:
        pc = self._pc
        pc.on("datachannel", self._on_channel)
        pc.on("connectionstatechange", self._on_state)
        formats: dict[int, dict[str, str]] = {}
        if not returns:
            offer, formats = take_any_h264(offer)
        await take_offer(pc, offer)
        videos = [t for t in pc.getTransceivers() if t.kind == "video"]
        if len(videos) != 1:
            raise OfferError(f"The offer should have one video section; it has {len(videos)}.")
        (video,) = videos
        self.codec = aiortc_patches.negotiated_codec(video)
        self._receiver = video.receiver
        aiortc_patches.divert_encoded_frames(self._receiver, self._deliver, self._lose, self._on_uplink_estimate)
        if returns:
            if len(pc.getTransceivers()) != 1:
                raise OfferError("The offer should have one video section, and no sound.")
            self._return(pc)
        else:
            aiortc_patches.name_formats(video, formats)
            silence(pc)
        await give_answer(pc, media, offered)
        if video.currentDirection not in ("recvonly", "sendrecv"):
            raise OfferError("The offer should send its video (sendonly or sendrecv).")

    def _return(self, pc: RTCPeerConnection) -> None:
        """Send the explained picture back."""
        events = self._events
        self._track = PacketTrack(
            events.on_keyframe_request,
            lambda: self._events.on_end(GONE),
            lambda: aioice_patches.unsent_bytes(pc),
        )
        sender = pc.addTrack(self._track)
        aiortc_patches.send_packed(sender, events.on_keyframe_request, self._on_remb)
        self._returned = lambda pts: aiortc_patches.rtp_timestamp(sender, pts)

    @property
    def answer(self) -> str:
        """The answer's SDP, with its candidates."""
        return self._pc.localDescription.sdp

    def send(self, frame: PackedFrame) -> None:
        """Send an encoded frame back, if the picture returns; never blocks."""
        if self._track is not None:
            self._track.put(frame)

    @property
    def sources(self) -> int:
        """How many streams (SSRCs) the camera has sent."""
        return aiortc_patches.source_count(self._receiver)

    def returned_rtp(self, pts: int) -> int | None:
        """The RTP time stamp that a frame of this pts goes back with; None before the first packet left."""
        return self._returned(pts)

    def report(self, text: str) -> None:
        """Send a report, if there is somebody to read it and room for it."""
        self._reports.send(text)

    def _ask(self) -> None:
        task = asyncio.get_running_loop().create_task(aiortc_patches.request_keyframe(self._receiver))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self, close_message: str | None = None) -> None:
        """End the connection; the client gets the last words first, if it takes them soon."""
        self._events = _SILENT
        self.request_keyframe.satisfied()
        if self._track is not None:
            self._track.stop()
        await close_with_message(self._commands or self._reports.channel, close_message)
        await self._pc.close()

    def _on_uplink_estimate(self, bit_rate: int) -> None:
        """The way to us carries that: where it turns out to be full, the way back is supposed to carry no more, until
        the camera tells of it, which takes a browser five seconds."""
        full, self._carried = bit_rate < self._carried, bit_rate
        if full and not self._remb_received and self._track is not None:
            self._events.on_bit_rate(bit_rate)

    def _on_remb(self, bit_rate: int) -> None:
        self._remb_received = True
        self._events.on_bit_rate(bit_rate)

    def _lose(self) -> None:
        self.request_keyframe()
        self._events.on_loss()

    def _deliver(self, payload_type: int, data: bytes, timestamp: int) -> None:
        codec = aiortc_patches.payload_codecs(self._receiver).get(payload_type)
        if codec != self.codec:
            return  # the answer named it as a second choice; nobody switches in mid-stream
        self.last_frame = time.monotonic()
        pts = self._clock(timestamp, back=self.codec == "H264" and is_b_picture(data))
        frame = EncodedFrame(self.codec, data, pts)
        if frame.is_keyframe:
            self.request_keyframe.satisfied()
        self._events.on_frame(frame, timestamp)

    def _on_channel(self, channel: RTCDataChannel) -> None:
        self._reports.take(channel)
        if channel.label == "commands":
            self._commands = channel

        def on_message(message: str | bytes) -> None:
            if isinstance(message, bytes) or len(message) > MAX_COMMAND:
                reply: str | None = _NO_COMMAND
            else:
                reply = self._events.on_command(message)
            if reply is not None and channel.readyState == "open":
                channel.send(reply)

        channel.on("message", on_message)

    def _on_state(self) -> None:
        if self._pc.connectionState in ("failed", "closed"):
            self._events.on_end(GONE)


def silence(pc: RTCPeerConnection) -> None:
    """Let the answer take no sound: its sections stay in the bundle, and nothing flows in them."""
    for transceiver in pc.getTransceivers():
        if transceiver.kind == "audio":
            transceiver.direction = "inactive"


def ice_server(url: str) -> RTCIceServer:
    """A STUN or TURN server: `stun:HOST[:PORT]` or `turn:USER:SECRET@HOST[:PORT]`; raises `ValueError`."""
    parts = re.fullmatch(r"(?:(stun):|(turns?):([^:@]+):([^@]+)@)([^@]+)", url)
    if parts is None:
        raise ValueError(f"An ICE server is written stun:HOST:PORT or turn:USER:SECRET@HOST:PORT, not '{url}'.")
    stun, turn, user, secret, host = parts.groups()
    return RTCIceServer(urls=f"{stun or turn}:{host}", username=user, credential=secret)


_NO_COMMAND = json.dumps(
    {"error": f"A command is a JSON text of at most {MAX_COMMAND} characters.", "code": "not-a-command"}
)


def _ignore(*_: object) -> None:
    """What a peer that was closed still has to tell interests nobody."""


_SILENT = PeerEvents(_ignore, _ignore, _ignore, _ignore, _ignore, _ignore)


class _Unwrap:
    """RTP time stamps, 32 bits that wrap, as a count that starts at 0 and goes on where the sender begins anew."""

    def __init__(self) -> None:
        self._last: int | None = None
        self._pts = self._newest = 0

    def __call__(self, timestamp: int, *, back: bool = False) -> int:
        """The pts of a time stamp; `back`: it may be of a frame that is shown before the one that came before it."""
        if self._last is not None:
            step = (timestamp - self._last + (1 << 31) & 0xFFFFFFFF) - (1 << 31)
            if 0 < step < MAX_GAP or (back and -MAX_BACK < step < 0):
                self._pts += step
            else:
                self._pts = self._newest + 3000
        self._last = timestamp
        self._newest = max(self._newest, self._pts)
        return self._pts
