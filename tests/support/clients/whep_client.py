"""A viewer in code (WHEP): receives one stream of a session and keeps its RTP payloads and encoded frames."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, cast

from aiohttp import ClientResponse, ClientSession
from aiortc import RTCConfiguration, RTCPeerConnection, RTCRtpReceiver, RTCRtpSender, RTCSessionDescription

from whycam.stream.video.codec import CodecName, EncodedFrame
from whycam.stream.webrtc import aiortc_patches
from whycam.stream.webrtc.ice import aioice_patches
from whycam.stream.webrtc.rtp.jitter_buffer import FrameAssembler, MediaPacket

SDP = {"Content-Type": "application/sdp"}


class Tap:
    """What a receiver has received: its frames, and each packet's payload."""

    def __init__(self, receiver: RTCRtpReceiver, codec: CodecName) -> None:
        self.frames: list[EncodedFrame] = []
        self.payloads: list[bytes] = []
        self._codec = codec
        self._news = asyncio.Event()
        aiortc_patches.divert_encoded_frames(receiver, self._deliver, lambda: None)
        assembler: FrameAssembler = cast(Any, receiver)._RTCRtpReceiver__jitter_buffer
        add = assembler.add

        def received(packet: MediaPacket) -> tuple[bool, None]:
            self.payloads.append(cast(Any, packet).payload)
            return add(packet)

        assembler.add = received  # type: ignore[method-assign]

    def _deliver(self, _: int, data: bytes, timestamp: int) -> None:
        self.frames.append(EncodedFrame(self._codec, data, timestamp))
        self._news.set()

    async def until(self, frames: int, seconds: float = 20) -> None:
        """Wait until this number of frames has arrived."""
        async with asyncio.timeout(seconds):
            while len(self.frames) < frames:
                self._news.clear()
                await self._news.wait()


class Watcher:
    """One viewer: `async with watching(http, base, session_id) as watcher`."""

    def __init__(
        self, codecs: Sequence[CodecName] = ("H264", "VP8"), *, sound: bool = False, reports: bool = False
    ) -> None:
        self.pc = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        self.reports: list[dict[str, Any]] = []
        if reports:
            self.channel = self.pc.createDataChannel("reports", ordered=False, maxRetransmits=0)
            self.channel.on("message", lambda text: self.reports.append(json.loads(text)))
        if sound:
            self.pc.addTransceiver("audio", "sendrecv")
        self._video = self.pc.addTransceiver("video", "recvonly")
        known = RTCRtpSender.getCapabilities("video").codecs
        self._video.setCodecPreferences([c for c in known if c.mimeType.removeprefix("video/") in (*codecs, "rtx")])
        self.location = ""
        self.answer = ""
        self.ended = asyncio.Event()
        self.pc.on("connectionstatechange", self._on_state)

    def _on_state(self) -> None:
        if self.pc.connectionState in ("closed", "failed"):
            self.ended.set()

    async def offer(self) -> str:
        aioice_patches.bind_media(self.pc, ["127.0.0.1"], None)
        await self.pc.setLocalDescription(await self.pc.createOffer())
        return self.pc.localDescription.sdp

    async def watch(self, http: ClientSession, base: str, session_id: str, stream: str = "explained") -> ClientResponse:
        """Send the offer and apply the answer."""
        where = f"{base}/whep/{session_id}?stream={stream}"
        response = await http.post(where, data=await self.offer(), headers=SDP)
        if response.status == 201:
            self.location = base + response.headers["Location"]
            self.answer = await response.text()
            codec: CodecName = "H264" if "H264/90000" in self.answer else "VP8"
            self.tap = Tap(self._video.receiver, codec)
            await self.pc.setRemoteDescription(RTCSessionDescription(self.answer, "answer"))
        return response

    async def lose_picture(self) -> None:
        """Send a picture loss indication (PLI)."""
        await aiortc_patches.request_keyframe(self._video.receiver)

    async def close(self) -> None:
        """Close the connection without informing the server."""
        await self.pc.close()


@asynccontextmanager
async def watching(
    http: ClientSession,
    base: str,
    session_id: str,
    stream: str = "explained",
    *,
    sound: bool = False,
    reports: bool = False,
) -> AsyncIterator[Watcher]:
    """A viewer that was answered."""
    watcher = Watcher(sound=sound, reports=reports)
    try:
        response = await watcher.watch(http, base, session_id, stream)
        assert response.status == 201, await response.text()
        yield watcher
    finally:
        await watcher.close()
