"""One WebRTC peer: an offer answered, the camera's encoded frames out of it, packets and reports into it."""

from __future__ import annotations

import asyncio
import logging
import re
import socket
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import av
from aiortc import (
    RTCConfiguration,
    RTCDataChannel,
    RTCIceServer,
    RTCPeerConnection,
    RTCSessionDescription,
)
from aiortc.mediastreams import MediaStreamError, MediaStreamTrack

from stream import rtc_hooks
from stream.codec import TIME_BASE, CodecName, EncodedFrame
from stream.offer import OfferError, check_offer

logger = logging.getLogger(__name__)

CAMERA_BIT_RATE = 3_000_000
"""What the camera is told that the way to us carries, in bit/s."""
LOOPBACK = "127.0.0.1"
KEYFRAME_EVERY_S = 0.5
"""A viewer's or a file's wish for a keyframe is passed on at most so often."""
MAX_UNSENT = 60
"""Packets that may wait for the network; then they are dropped up to a new keyframe."""
MAX_GAP = 60 * 90_000
"""The longest gap in the camera's time stamps, one minute; beyond, the camera began anew."""
MAX_COMMAND = 4096
"""Bytes of a command on the data channel."""


@dataclass(frozen=True, slots=True)
class Media:
    """Where media may flow: local addresses, UDP ports (None: any), STUN or TURN servers (none: nothing leaves)."""

    addresses: Sequence[str] = (LOOPBACK,)
    ports: range | None = None
    ice_servers: Sequence[str] = ()

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
    on_end: Callable[[str], None]
    """The connection is over, and why."""


class Peer:
    """An answered peer: `peer = await Peer.answering(offer, media, events)`, then `peer.answer` goes back to it."""

    def __init__(self, pc: RTCPeerConnection, events: PeerEvents) -> None:
        self._pc = pc
        self._events = events
        self._loop = asyncio.get_running_loop()
        self._clock = _Unwrap()
        self._track = _PacketTrack(events.on_keyframe_request, lambda: self._events.on_end("sending stopped"))
        self._reports: RTCDataChannel | None = None
        self._asked = -KEYFRAME_EVERY_S
        self._asking: asyncio.Task[None] | None = None
        self.codec: CodecName = "VP8"
        self.last_frame = time.monotonic()

    @classmethod
    async def answering(cls, offer: str, media: Media, events: PeerEvents) -> Peer:
        """Answer an offer; raises `OfferError`, or `OSError` where no UDP port is free."""
        checked = check_offer(offer)
        pc = RTCPeerConnection(RTCConfiguration(iceServers=[ice_server(url) for url in media.ice_servers]))
        peer = cls(pc, events)
        try:
            await peer._answer(checked, media)
        except BaseException:
            with suppress(Exception):  # aiortc stumbles over what the offer left half built
                await peer.close()
            raise
        return peer

    async def _answer(self, offer: str, media: Media) -> None:
        pc = self._pc
        pc.on("datachannel", self._on_channel)
        pc.on("connectionstatechange", self._on_state)
        try:
            await pc.setRemoteDescription(RTCSessionDescription(offer, "offer"))
            await pc.createAnswer()  # it too stumbles; made again below, with what we add
        except Exception as error:  # the parser raises whatever the text makes it stumble over
            raise OfferError(f"The offer cannot be read ({type(error).__name__}: {error}).") from error
        videos = [t for t in pc.getTransceivers() if t.kind == "video"]
        if len(videos) != 1 or len(pc.getTransceivers()) != 1:
            raise OfferError("The offer should have one video section, and no sound.")
        (video,) = videos
        self.codec = rtc_hooks.negotiated_codec(video)
        self._receiver = video.receiver
        self._sender = pc.addTrack(self._track)
        rtc_hooks.tap_receiver(self._receiver, self._deliver, lambda: self._events.on_loss(), CAMERA_BIT_RATE)
        rtc_hooks.send_packets(self._sender, self.codec, self._events.on_keyframe_request, self._events.on_bit_rate)
        rtc_hooks.bind_media(pc, media.addresses, media.ports)
        await pc.setLocalDescription(await pc.createAnswer())

    @property
    def answer(self) -> str:
        """The answer's SDP, with its candidates."""
        return self._pc.localDescription.sdp

    def send(self, frame: EncodedFrame) -> None:
        """Send an encoded frame; never blocks."""
        self._track.put(frame)

    def returned_rtp(self, pts: int) -> int | None:
        """The RTP time stamp that a frame of this pts goes back with; None before the first packet left."""
        return rtc_hooks.rtp_timestamp(self._sender, pts)

    def report(self, text: str) -> None:
        """Send a report, if there is somebody to read it and room for it."""
        channel = self._reports
        if channel is not None and channel.readyState == "open" and channel.bufferedAmount < 64 * 1024:
            channel.send(text)

    def request_keyframe(self) -> None:
        """Ask the camera for a keyframe; a wish within half a second of another waits for its turn."""
        if self._asking is None or self._asking.done():
            self._asking = self._loop.create_task(self._ask())

    async def _ask(self) -> None:
        await asyncio.sleep(max(0.0, self._asked + KEYFRAME_EVERY_S - time.monotonic()))
        self._asked = time.monotonic()
        await rtc_hooks.request_keyframe(self._receiver)

    async def close(self) -> None:
        """End the connection."""
        self._events = _SILENT
        if self._asking is not None:
            self._asking.cancel()
        self._track.stop()
        await self._pc.close()

    def _deliver(self, payload_type: int, data: bytes, timestamp: int) -> None:
        codec = rtc_hooks.payload_codecs(self._receiver).get(payload_type)
        if codec != self.codec:
            return  # the answer named it as a second choice; nobody switches in mid-stream
        self.last_frame = time.monotonic()
        self._events.on_frame(EncodedFrame(self.codec, data, self._clock(timestamp)), timestamp)

    def _on_channel(self, channel: RTCDataChannel) -> None:
        if channel.label == "reports":
            self._reports = channel

        def on_message(message: str | bytes) -> None:
            if isinstance(message, bytes) or len(message) > MAX_COMMAND:
                reply: str | None = '{"error": "A command is a JSON text of at most 4096 characters."}'
            else:
                reply = self._events.on_command(message)
            if reply is not None and channel.readyState == "open":
                channel.send(reply)

        channel.on("message", on_message)

    def _on_state(self) -> None:
        if self._pc.connectionState in ("failed", "closed"):
            self._events.on_end(f"the connection is {self._pc.connectionState}")


def ice_server(url: str) -> RTCIceServer:
    """A STUN or TURN server: `stun:HOST[:PORT]` or `turn:USER:SECRET@HOST[:PORT]`; raises `ValueError`."""
    parts = re.fullmatch(r"(?:(stun)|(turns?):([^:@]+):([^@]+)@)([^@]+)", url)
    if parts is None:
        raise ValueError(f"An ICE server is written stun:HOST:PORT or turn:USER:SECRET@HOST:PORT, not '{url}'.")
    stun, turn, user, secret, host = parts.groups()
    return RTCIceServer(urls=f"{stun or turn}:{host}", username=user, credential=secret)


def _ignore(*_: object) -> None:
    """What a peer that was closed still has to tell interests nobody."""


_SILENT = PeerEvents(_ignore, _ignore, _ignore, _ignore, _ignore, _ignore)


class _Unwrap:
    """RTP time stamps, 32 bits that wrap, as a count that starts at 0 and goes on where the sender begins anew."""

    def __init__(self) -> None:
        self._last: int | None = None
        self._pts = 0

    def __call__(self, timestamp: int) -> int:
        if self._last is not None:
            step = (timestamp - self._last + (1 << 31) & 0xFFFFFFFF) - (1 << 31)
            self._pts += step if 0 < step < MAX_GAP else 3000
        self._last = timestamp
        return self._pts


class _PacketTrack(MediaStreamTrack):
    """Gives aiortc's sender encoded packets."""

    kind = "video"

    def __init__(self, want_keyframe: Callable[[], None], on_stop: Callable[[], None]) -> None:
        super().__init__()
        self._queue: asyncio.Queue[EncodedFrame | None] = asyncio.Queue()
        self._want_keyframe = want_keyframe
        self._on_stop = on_stop
        self._gap = False

    def put(self, frame: EncodedFrame) -> None:
        if self._queue.qsize() >= MAX_UNSENT:
            while not self._queue.empty():
                self._queue.get_nowait()
            self._gap = True
            self._want_keyframe()
        if self._gap and not frame.is_keyframe:
            return
        self._gap = False
        self._queue.put_nowait(frame)

    def stop(self) -> None:  # by us, or by aiortc's sender when it gives up
        super().stop()
        self._queue.put_nowait(None)
        self._on_stop()

    async def recv(self) -> av.Packet[Any]:
        frame = await self._queue.get()
        if frame is None:
            raise MediaStreamError
        packet: av.Packet[Any] = av.Packet(frame.data)
        packet.pts = packet.dts = frame.pts
        packet.time_base = TIME_BASE
        return packet
