"""The viewers of one session: WebRTC peers that receive an encoded stream and its reports, and send nothing.

A frame is packed once for all viewers of its stream.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Callable
from contextlib import suppress

from aiortc import RTCPeerConnection, RTCRtpSender

from whycam.stream.limits import LIMITS
from whycam.stream.video.codec import CodecName
from whycam.stream.webrtc import aiortc_patches
from whycam.stream.webrtc.answer import deactivate_audio, give_answer, new_connection, take_offer
from whycam.stream.webrtc.data_channel import Reports, close_with_message
from whycam.stream.webrtc.ice import aioice_patches
from whycam.stream.webrtc.ice.config import LOOPBACK, IceConfig
from whycam.stream.webrtc.rtp.packetizer import PackedFrame
from whycam.stream.webrtc.sdp import OfferError, accept_plain_h264, check_offer
from whycam.stream.webrtc.track import PacketTrack

logger = logging.getLogger(__name__)

CONNECT_S = LIMITS.max_connect_s
"""Seconds that a viewer has to connect after the answer; then its place becomes free."""


class Viewer:
    """An answered viewer: `viewer = await Viewer.answering(…)`, then `viewer.answer` is sent back.

    Its bit rate estimate is ignored: all viewers share one stream, whose bit rate follows the phone's network.
    """

    def __init__(
        self, pc: RTCPeerConnection, want_keyframe: Callable[[], None], on_end: Callable[[Viewer], None]
    ) -> None:
        self.id = secrets.token_urlsafe(12)
        self.pc = pc
        self._on_end = on_end
        self._closing: asyncio.Task[None] | None = None
        self._reports = Reports()
        self._sender: RTCRtpSender | None = None
        self._track = PacketTrack(want_keyframe, self._end, lambda: aioice_patches.unsent_bytes(pc))
        self._connect_timer = asyncio.get_running_loop().call_later(CONNECT_S, self._check_connection)

    @classmethod
    async def answering(
        cls,
        offer: str,
        codec: CodecName,
        media: IceConfig,
        want_keyframe: Callable[[], None],
        on_end: Callable[[Viewer], None],
        caller: str = LOOPBACK,
    ) -> Viewer:
        """Answer a receiver's offer from a caller's address.

        Raises `OfferError`, or `OSError` if no UDP port is free.

        `want_keyframe` is called when the viewer needs one to begin or to continue; `on_end` once, when it has left.
        """
        media = media.current()
        checked = check_offer(offer, media.reach(caller))
        if f" {codec}/90000" not in checked.upper():
            raise OfferError(f"This session's codec is {codec}, which the offer does not include.")
        viewer = cls(new_connection(media), want_keyframe, on_end)
        try:
            await viewer._answer(checked, codec, media, want_keyframe, len(offer.encode()))
        except BaseException:
            viewer._on_end = lambda _: None  # the caller does not know it yet
            with suppress(Exception):  # aiortc may fail to close a half-built connection
                await viewer.close()
            raise
        return viewer

    async def _answer(
        self, offer: str, codec: CodecName, media: IceConfig, want_keyframe: Callable[[], None], offered: int
    ) -> None:
        pc = self.pc
        pc.on("connectionstatechange", self._on_state)
        pc.on("datachannel", self._reports.take)  # messages from a viewer are ignored
        video = pc.addTransceiver(self._track, "sendonly")
        known = RTCRtpSender.getCapabilities("video").codecs
        video.setCodecPreferences([c for c in known if c.mimeType in (f"video/{codec}", "video/rtx")])
        self._sender = video.sender
        aiortc_patches.send_packed(video.sender, want_keyframe, lambda _: None)
        offer, formats = accept_plain_h264(offer)
        await take_offer(pc, offer)
        if [t.mid is not None for t in pc.getTransceivers() if t.kind == "video"] != [True]:
            raise OfferError("The offer should have one video section.")
        deactivate_audio(pc)
        aiortc_patches.set_format_parameters(video, formats)
        aiortc_patches.show_at_once(video, offer)
        await give_answer(pc, media, offered)
        if video.currentDirection != "sendonly":
            raise OfferError("The offer should receive the video (recvonly).")

    @property
    def answer(self) -> str:
        """The answer's SDP, with its candidates."""
        return self.pc.localDescription.sdp

    @property
    def dropped(self) -> int:
        """Frames that were dropped for this viewer."""
        return self._track.dropped

    def send(self, frame: PackedFrame) -> None:
        """Queue an encoded frame, or drop it; never blocks."""
        self._track.put(frame)

    def report(self, text: str, pts: int) -> None:
        """Send a report, if this viewer has a channel for it; never blocks.

        `text` ends where the RTP time stamp belongs with which this viewer gets the frame of this pts.
        """
        rtp = None if self._sender is None else aiortc_patches.rtp_timestamp(self._sender, pts)
        self._reports.send(f"{text}{'null' if rtp is None else rtp}}}")

    def interrupt(self) -> None:
        """Frames are missing in the stream: continue with a keyframe."""
        self._track.interrupt()

    def _on_state(self) -> None:
        if self.pc.connectionState in ("failed", "closed"):
            self._end()

    def _check_connection(self) -> None:
        if self.pc.connectionState != "connected":
            self._end()

    def _end(self, close_message: str | None = None) -> None:
        if self._closing is None:
            self._closing = asyncio.get_running_loop().create_task(self._close(close_message))

    async def _close(self, close_message: str | None) -> None:
        self._connect_timer.cancel()
        self._track.stop()
        try:
            await close_with_message(self._reports.channel, close_message)
            await self.pc.close()
        except Exception:
            logger.exception("A viewer's connection could not be closed.")
        finally:
            self._on_end(self)

    async def close(self, close_message: str | None = None) -> None:
        """End the connection; the viewer is sent the close message first, with a short timeout."""
        self._end(close_message)
        assert self._closing is not None
        await asyncio.shield(self._closing)


class Audience:
    """All viewers of one stream: `viewer = await audience.admit(offer, …)`; `send` reaches all; `close` ends all.

    `want_keyframe` is called for the requests of all viewers, so it should be a `RateLimitedRequest`.
    """

    def __init__(self, codec: CodecName, media: IceConfig, want_keyframe: Callable[[], None]) -> None:
        self._codec = codec
        self._media = media
        self._want_keyframe = want_keyframe
        self._viewers: set[Viewer] = set()
        self._closed = False

    def __len__(self) -> int:
        return len(self._viewers)

    async def admit(self, offer: str, on_end: Callable[[Viewer], None], caller: str = LOOPBACK) -> Viewer:
        """Answer the offer of a viewer at this address.

        Raises as `Viewer.answering` does, and `ConnectionError` if the stream has ended.

        `on_end` is called when the viewer has left.
        """

        def leave(viewer: Viewer) -> None:
            self._viewers.discard(viewer)
            on_end(viewer)

        viewer = await Viewer.answering(offer, self._codec, self._media, self._want_keyframe, leave, caller)
        self._viewers.add(viewer)
        if self._closed:
            await viewer.close()
            raise ConnectionError("This session has ended.")
        return viewer

    def send(self, frame: PackedFrame) -> None:
        """Send a frame to all; never blocks."""
        for viewer in self._viewers:
            viewer.send(frame)

    def report(self, text: str, pts: int) -> None:
        """Send a report to those who have a channel for it (see `Viewer.report`); never blocks."""
        for viewer in self._viewers:
            viewer.report(text, pts)

    def interrupt(self) -> None:
        """Frames are missing in the stream: all continue with a keyframe."""
        for viewer in self._viewers:
            viewer.interrupt()

    async def close(self, close_message: str | None = None) -> None:
        """End all connections, with this close message."""
        self._closed = True
        await asyncio.gather(*(viewer.close(close_message) for viewer in list(self._viewers)))
