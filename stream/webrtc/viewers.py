"""The viewers of one session: each is a WebRTC peer that is sent an encoded stream and its reports, and sends nothing.

A frame is packed once and goes to all who watch its stream.
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
from whycam.stream.webrtc.data_channel import Reports, close_with_message
from whycam.stream.webrtc.ice import aioice_patches
from whycam.stream.webrtc.packetizer import PackedFrame
from whycam.stream.webrtc.peer import LOOPBACK, IceConfig, give_answer, new_connection, silence, take_offer
from whycam.stream.webrtc.sdp import OfferError, check_offer
from whycam.stream.webrtc.track import PacketTrack

logger = logging.getLogger(__name__)

CONNECT_S = LIMITS.max_connect_s
"""Seconds that a viewer has to take the answer up; then its place is free again."""


class Viewer:
    """An answered viewer: `viewer = await Viewer.answering(…)`, then `viewer.answer` goes back to it.

    Its receiver's estimate of the bit rate is not listened to: one stream serves all, and the phone steers it.
    """

    def __init__(
        self, pc: RTCPeerConnection, want_keyframe: Callable[[], None], on_end: Callable[[Viewer], None]
    ) -> None:
        self.id = secrets.token_urlsafe(12)
        self._pc = pc
        self._on_end = on_end
        self._closing: asyncio.Task[None] | None = None
        self._reports = Reports()
        self._track = PacketTrack(want_keyframe, self._end, lambda: aioice_patches.unsent_bytes(pc))
        self._wait_policy = asyncio.get_running_loop().call_later(CONNECT_S, self._check_connection)

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
        """Answer an offer of who wants to receive, at a caller's address.

        Raises `OfferError`, or `OSError` where no UDP port is free.

        `want_keyframe` is called where the viewer needs one to begin or to go on; `on_end` once, when it is gone.
        """
        checked = check_offer(offer, media.reach(caller))
        if f" {codec}/90000" not in checked.upper():
            raise OfferError(f"This session's codec is {codec}, which the offer does not take.")
        viewer = cls(new_connection(media), want_keyframe, on_end)
        try:
            await viewer._answer(checked, codec, media, want_keyframe, len(offer.encode()))
        except BaseException:
            viewer._on_end = lambda _: None  # nobody has heard of it
            with suppress(Exception):  # aiortc stumbles over what the offer left half built
                await viewer.close()
            raise
        return viewer

    async def _answer(
        self, offer: str, codec: CodecName, media: IceConfig, want_keyframe: Callable[[], None], offered: int
    ) -> None:
        pc = self._pc
        pc.on("connectionstatechange", self._on_state)
        pc.on("datachannel", self._reports.take)  # what a viewer says on it is heard by nobody
        video = pc.addTransceiver(self._track, "sendonly")
        known = RTCRtpSender.getCapabilities("video").codecs
        video.setCodecPreferences([c for c in known if c.mimeType in (f"video/{codec}", "video/rtx")])
        aiortc_patches.send_packed(video.sender, want_keyframe, lambda _: None)
        await take_offer(pc, offer)
        if [t.mid is not None for t in pc.getTransceivers() if t.kind == "video"] != [True]:
            raise OfferError("The offer should have one video section.")
        silence(pc)
        await give_answer(pc, media, offered)
        if video.currentDirection != "sendonly":
            raise OfferError("The offer should receive the video (recvonly).")

    @property
    def answer(self) -> str:
        """The answer's SDP, with its candidates."""
        return self._pc.localDescription.sdp

    @property
    def dropped(self) -> int:
        """Frames that were left out for this viewer."""
        return self._track.dropped

    def send(self, frame: PackedFrame) -> None:
        """Send an encoded frame; never blocks."""
        self._track.put(frame)

    def report(self, text: str) -> None:
        """Send a report, if this viewer has a channel for it; never blocks."""
        self._reports.send(text)

    def interrupt(self) -> None:
        """Frames are missing in the stream: go on with a keyframe."""
        self._track.interrupt()

    def _on_state(self) -> None:
        if self._pc.connectionState in ("failed", "closed"):
            self._end()

    def _check_connection(self) -> None:
        if self._pc.connectionState != "connected":
            self._end()

    def _end(self, close_message: str | None = None) -> None:
        if self._closing is None:
            self._closing = asyncio.get_running_loop().create_task(self._close(close_message))

    async def _close(self, close_message: str | None) -> None:
        self._wait_policy.cancel()
        self._track.stop()
        try:
            await close_with_message(self._reports.channel, close_message)
            await self._pc.close()
        except Exception:
            logger.exception("The connection of a viewer did not close.")
        finally:
            self._on_end(self)

    async def close(self, close_message: str | None = None) -> None:
        """End the connection; the viewer gets the last words first, if it takes them soon."""
        self._end(close_message)
        assert self._closing is not None
        await asyncio.shield(self._closing)


class Audience:
    """`viewer = await audience.admit(offer, …)`; `send` reaches all; it ends by `close`.

    `want_keyframe` is what a viewer's wish for one comes to; it should be a `Wish`, for they come from all viewers.
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

        Raises as `Viewer.answering` does, and `ConnectionError` where the stream is over.

        `on_end` is called when the viewer is gone.
        """

        def leave(viewer: Viewer) -> None:
            self._viewers.discard(viewer)
            on_end(viewer)

        viewer = await Viewer.answering(offer, self._codec, self._media, self._want_keyframe, leave, caller)
        self._viewers.add(viewer)
        if self._closed:
            await viewer.close()
            raise ConnectionError("This session is over.")
        return viewer

    def send(self, frame: PackedFrame) -> None:
        """Send a frame to all; never blocks."""
        for viewer in self._viewers:
            viewer.send(frame)

    def report(self, text: str) -> None:
        """Send a report to those who have a channel for it; never blocks."""
        for viewer in self._viewers:
            viewer.report(text)

    def interrupt(self) -> None:
        """Frames are missing in the stream: all go on with a keyframe."""
        for viewer in self._viewers:
            viewer.interrupt()

    async def close(self, close_message: str | None = None) -> None:
        """The stream is over: end all connections, with these words."""
        self._closed = True
        await asyncio.gather(*(viewer.close(close_message) for viewer in list(self._viewers)))
