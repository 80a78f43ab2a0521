"""The WebRTC peer of a camera: answers its offer, receives its frames, and sends it packets and reports."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from aiortc import RTCDataChannel, RTCPeerConnection

from whycam.stream.limits import LIMITS
from whycam.stream.video.b_frames import is_b_picture
from whycam.stream.video.codec import CodecName, EncodedFrame
from whycam.stream.video.parameter_sets import ParameterSets
from whycam.stream.webrtc import aiortc_patches
from whycam.stream.webrtc.answer import deactivate_audio, give_answer, new_connection, take_offer
from whycam.stream.webrtc.data_channel import Reports, close_with_message
from whycam.stream.webrtc.end_reason import GONE, EndReason
from whycam.stream.webrtc.ice import aioice_patches
from whycam.stream.webrtc.ice.config import LOOPBACK, IceConfig
from whycam.stream.webrtc.ingress_limits import CommandBudget
from whycam.stream.webrtc.keyframe_requests import RateLimitedRequest
from whycam.stream.webrtc.rtp.bandwidth_estimator import Downlink
from whycam.stream.webrtc.rtp.packetizer import PackedFrame
from whycam.stream.webrtc.rtp.source_choice import SourceChoice
from whycam.stream.webrtc.sdp import OfferError, accept_any_h264, accept_plain_h264, check_offer, parameter_sets
from whycam.stream.webrtc.track import PacketTrack

logger = logging.getLogger(__name__)

MAX_GAP = 60 * 90_000
"""The longest gap in the camera's time stamps, one minute; a longer one means that the camera restarted."""
MAX_BACK = 90_000
"""By how much a frame's display time may precede that of the frame received before it, one second."""
FRAME = 3000
"""The time from one frame to the next of a camera whose time stamps do not say it, in 1/90000 s."""
GAP_S, GAP_EVERY_S = 1.0, 3.0
"""From packets that are not sent again to the keyframe in their place, and to the next."""
MAX_COMMAND = LIMITS.max_command_length
"""Characters of a command on the data channel."""


@dataclass(frozen=True, slots=True)
class PeerEvents:
    """Callbacks from a peer to its session; all are called on the event loop."""

    on_frame: Callable[[EncodedFrame, int], None]
    """A camera frame and its RTP time stamp."""
    on_loss: Callable[[], None]
    """Packets were lost for good; frames up to the next keyframe are damaged."""
    on_command: Callable[[str], str | None]
    """A command; the return value is sent back."""
    on_keyframe_request: Callable[[], None]
    on_bit_rate: Callable[[int], None]
    on_end: Callable[[EndReason], None]
    """The connection has ended, with the reason."""


class Peer:
    """An answered camera: `peer = await Peer.answering(offer, media, events)`, then `peer.answer` is sent back."""

    def __init__(self, pc: RTCPeerConnection, events: PeerEvents) -> None:
        self.pc = pc
        """aiortc's connection; closed by `close`."""
        self._events = events
        self._clock = _Unwrap()
        self._parameter_sets: dict[int, ParameterSets] = {}  # by payload type
        self.source = SourceChoice(self._on_source_change)
        """The stream that is taken, and the packets of others."""
        self._uplink_bit_rate = 0  # bit/s
        self._remb_received = False  # the camera's estimate for the downlink
        self._downlink = Downlink()
        self._next_gap = 0.0
        self._track: PacketTrack | None = None
        self._reports = Reports()
        self._commands: RTCDataChannel | None = None
        self._budget = CommandBudget()
        self._tasks: set[asyncio.Task[None]] = set()
        self._return_timestamp: Callable[[int], int | None] = lambda _: None
        self.request_keyframe = RateLimitedRequest(self._send_keyframe_request)
        """Asks the camera for a keyframe."""
        self.codec: CodecName = "VP8"
        self.last_frame = time.monotonic()

    @classmethod
    async def answering(
        cls, offer: str, media: IceConfig, events: PeerEvents, *, returns: bool = True, caller: str = LOOPBACK
    ) -> Peer:
        """Answer an offer from a caller's address; raises `OfferError`, or `OSError` if no UDP port is free.

        If the explained video `returns`, the offer has one section for video and none for sound. Otherwise it is a
        publisher's (RFC 9725), whose sound is answered as inactive.
        """
        media = media.current()
        checked = check_offer(offer, media.reach(caller))
        peer = cls(new_connection(media), events)
        try:
            await peer._answer(checked, media, returns, len(offer.encode()))
        except BaseException:
            with suppress(Exception):  # aiortc may fail to close a half-built connection
                await peer.close()
            raise
        return peer

    async def _answer(self, offer: str, media: IceConfig, returns: bool, offered: int) -> None:
        pc = self.pc
        pc.on("datachannel", self._on_channel)
        pc.on("connectionstatechange", self._on_state)
        self._parameter_sets = parameter_sets(offer)
        offer, formats = accept_plain_h264(offer) if returns else accept_any_h264(offer)
        await take_offer(pc, offer)
        videos = [t for t in pc.getTransceivers() if t.kind == "video"]
        if len(videos) != 1:
            raise OfferError(f"The offer should have one video section; it has {len(videos)}.")
        (video,) = videos
        self.codec = aiortc_patches.negotiated_codec(video)
        self._receiver = video.receiver
        aiortc_patches.divert_encoded_frames(self._receiver, self._deliver, self._on_loss, self._on_uplink_estimate)
        aiortc_patches.choose_source(self._receiver, self.source)
        if returns:
            if len(pc.getTransceivers()) != 1:
                raise OfferError("The offer should have one video section, and no sound.")
            self._add_return_track(pc)
            aiortc_patches.show_at_once(video, offer)
        else:
            deactivate_audio(pc)
        aiortc_patches.set_format_parameters(video, formats)
        await give_answer(pc, media, offered)
        aiortc_patches.receive_directly(self._receiver, self.source)
        if video.currentDirection not in ("recvonly", "sendrecv"):
            raise OfferError("The offer should send its video (sendonly or sendrecv).")

    def _add_return_track(self, pc: RTCPeerConnection) -> None:
        """Add the track that sends the explained video back."""
        events = self._events
        self._track = PacketTrack(
            events.on_keyframe_request,
            lambda: self._events.on_end(GONE),
            lambda: aioice_patches.unsent_bytes(pc),
        )
        sender = pc.addTrack(self._track)
        aiortc_patches.send_packed(sender, events.on_keyframe_request, self._on_remb, self._on_report, self._on_gap)
        self._return_timestamp = lambda pts: aiortc_patches.rtp_timestamp(sender, pts)

    @property
    def answer(self) -> str:
        """The answer's SDP, with its candidates."""
        return self.pc.localDescription.sdp

    def send(self, frame: PackedFrame) -> None:
        """Send an encoded frame back, if there is a return track; never blocks."""
        if self._track is not None:
            self._track.put(frame)

    @property
    def sources(self) -> int:
        """How many streams (SSRCs) the camera has sent."""
        return aiortc_patches.source_count(self._receiver) + len(self.source.ignored)

    def returned_rtp(self, pts: int) -> int | None:
        """The RTP time stamp with which a frame of this pts is sent back; None before the first packet is sent."""
        return self._return_timestamp(pts)

    def report(self, text: str) -> None:
        """Send a report if its channel is open and has room; never blocks."""
        self._reports.send(text)

    def _send_keyframe_request(self) -> None:
        task = asyncio.get_running_loop().create_task(aiortc_patches.request_keyframe(self._receiver))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self, close_message: str | None = None) -> None:
        """End the connection; the client is sent the close message first, with a short timeout."""
        self._events = _NO_EVENTS
        self.request_keyframe.satisfied()
        if self._track is not None:
            self._track.stop()
        await close_with_message(self._commands or self._reports.channel, close_message)
        await self.pc.close()

    def _on_uplink_estimate(self, bit_rate: int) -> None:
        """Take the uplink's bit rate. When it falls, the downlink is assumed to carry no more, until the camera sends
        its own estimate, for which a browser needs five seconds."""
        fell, self._uplink_bit_rate = bit_rate < self._uplink_bit_rate, bit_rate
        if fell and not self._remb_received and self._track is not None:
            self._events.on_bit_rate(bit_rate)

    def _on_remb(self, bit_rate: int) -> None:
        self._remb_received = True
        self._downlink.estimate(bit_rate)
        self._events.on_bit_rate(self._downlink.bit_rate)

    def _on_report(self, loss: float, round_trip_s: float | None) -> None:
        self._downlink.report(loss, round_trip_s)
        if self._remb_received:
            self._events.on_bit_rate(self._downlink.bit_rate)

    def _on_gap(self) -> None:
        """Send a keyframe in place of packets that are not sent again, once the bit rate has fallen.

        A browser asks for one only when it has decoded nothing for three seconds.
        """
        loop = asyncio.get_running_loop()
        if loop.time() >= self._next_gap:
            self._next_gap = loop.time() + GAP_EVERY_S
            loop.call_later(GAP_S, lambda: self._events.on_keyframe_request())

    def _on_source_change(self) -> None:
        self._clock.restart()
        self._on_loss()

    def _on_loss(self) -> None:
        self.request_keyframe()
        self._events.on_loss()

    def _deliver(self, payload_type: int, data: bytes, timestamp: int) -> None:
        codec = aiortc_patches.payload_codecs(self._receiver).get(payload_type)
        if codec != self.codec:
            return  # the answer lists it as a second choice; clients do not switch during a call
        self.last_frame = time.monotonic()
        pts = self._clock(timestamp, back=self.codec == "H264" and is_b_picture(data))
        sets = self._parameter_sets.setdefault(payload_type, ParameterSets())
        frame = sets.complete(EncodedFrame(self.codec, data, pts))
        if frame.is_keyframe:
            self.request_keyframe.satisfied()
        self._events.on_frame(frame, timestamp)

    def _on_channel(self, channel: RTCDataChannel) -> None:
        self._reports.take(channel)
        if self._budget.is_exceeded:
            channel.close()
            return
        if channel.label == "commands":
            self._commands = channel
        channel.on("message", lambda message: self._on_message(channel, message))

    def _on_message(self, channel: RTCDataChannel, message: str | bytes) -> None:
        """Handle a command; too many of them close the channel, because each takes the event loop's time."""
        if self._budget.is_exceeded:
            return
        if isinstance(message, bytes) or len(message) > MAX_COMMAND:
            reply: str | None = _NOT_A_COMMAND
        else:
            reply = self._events.on_command(message)
        is_exceeded = self._budget.spend(refused=reply is not None)
        if is_exceeded:
            logger.warning("A camera sent too many commands; its data channel is closed.")
            reply = _TOO_MANY
        if reply is not None and channel.readyState == "open":
            channel.send(reply)
        if is_exceeded:
            channel.close()

    def _on_state(self) -> None:
        if self.pc.connectionState in ("failed", "closed"):
            self._events.on_end(GONE)


_NOT_A_COMMAND = json.dumps(
    {"error": f"A command is a JSON text of at most {MAX_COMMAND} characters.", "code": "not-a-command"}
)

_TOO_MANY = json.dumps(
    {
        "error": f"More than {LIMITS.max_commands_per_second} commands a second came, or a tenth of that many wrong "
        "ones. The data channel is closed; the call continues.",
        "code": "too-many-commands",
    }
)


def _ignore(*_: object) -> None:
    """Drop the events of a closed peer."""


_NO_EVENTS = PeerEvents(_ignore, _ignore, _ignore, _ignore, _ignore, _ignore)


class _Unwrap:
    """Unwraps 32-bit RTP time stamps into a count that starts at 0 and continues when the sender restarts."""

    def __init__(self) -> None:
        self._last: int | None = None
        self._pts = self._newest = 0

    def restart(self) -> None:
        """The next time stamp is another sender's: it continues one frame after the newest."""
        if self._last is not None:
            self._pts = self._newest + FRAME
            self._last = None

    def __call__(self, timestamp: int, *, back: bool = False) -> int:
        """The pts of a time stamp; `back`: the frame may be shown before the one received before it."""
        if self._last is not None:
            step = (timestamp - self._last + (1 << 31) & 0xFFFFFFFF) - (1 << 31)
            if 0 < step < MAX_GAP or (back and -MAX_BACK < step < 0):
                self._pts += step
            else:
                self._pts = self._newest + FRAME
        self._last = timestamp
        self._newest = max(self._newest, self._pts)
        return self._pts
