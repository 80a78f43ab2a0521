"""A publisher in code (RFC 9725): sends encoded frames, as OBS does; sound can be offered, too."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager

from aiohttp import ClientResponse, ClientSession
from aiortc import RTCConfiguration, RTCPeerConnection, RTCRtpSender, RTCSessionDescription

from tests.support.clients.camera_client import Camera
from whycam.stream.video.codec import EncodedFrame
from whycam.stream.webrtc import aiortc_patches
from whycam.stream.webrtc.ice import aioice_patches

SDP = {"Content-Type": "application/sdp"}


class Publisher:
    """One publisher: `async with publishing(http, base, frames) as publisher`."""

    def __init__(
        self, frames: Sequence[EncodedFrame], rate: float = 30, *, sound: bool = False, address: str = "127.0.0.1"
    ) -> None:
        self._address = address
        self.pc = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        self.camera = Camera(frames, rate)
        self.location = ""
        self.answer = ""
        self._profile: str | None = None
        if sound:
            self.pc.addTransceiver("audio", "sendonly")
        self._video = self.pc.addTransceiver(self.camera, "sendonly")
        known = RTCRtpSender.getCapabilities("video").codecs
        self._video.setCodecPreferences([c for c in known if c.mimeType == f"video/{frames[0].codec}"])
        self.keyframes_asked = 0
        aiortc_patches.send_packed(self._video.sender, self._on_keyframe_request, lambda _: None)

    def _on_keyframe_request(self) -> None:
        self.keyframes_asked += 1

    @property
    def session_id(self) -> str:
        return self.location.rpartition("/")[2]

    async def offer(self) -> str:
        aioice_patches.bind_media(self.pc, [self._address], None)
        await self.pc.setLocalDescription(await self.pc.createOffer())
        return self.pc.localDescription.sdp

    async def publish(
        self, http: ClientSession, base: str, *, headers: Mapping[str, str] = SDP, profile: str | None = None
    ) -> ClientResponse:
        """Send the offer and apply the answer; `profile`: an H.264 `profile-level-id` unknown to aiortc."""
        offer = await self.offer()
        if profile is not None:
            offer = offer.replace("42001f", profile).replace("42e01f", profile)
        response = await http.post(f"{base}/whip", data=offer, headers=headers)
        if response.status == 201:
            self.location = base + response.headers["Location"]
            self.answer = await response.text()
            answer = self.answer if profile is None else self.answer.replace(profile, "42e01f")
            await self.apply(answer)
        return response

    async def apply(self, answer: str) -> None:
        """Apply an answer."""
        await self.pc.setRemoteDescription(RTCSessionDescription(answer, "answer"))

    async def close(self) -> None:
        """Close the connection without informing the server."""
        self.camera.stop()
        self.camera.running.set()
        await self.pc.close()


@asynccontextmanager
async def publishing(
    http: ClientSession,
    base: str,
    frames: Sequence[EncodedFrame],
    rate: float = 30,
    *,
    sound: bool = False,
    profile: str | None = None,
) -> AsyncIterator[Publisher]:
    """A publisher that was answered."""
    publisher = Publisher(frames, rate, sound=sound)
    try:
        response = await publisher.publish(http, base, profile=profile)
        assert response.status == 201, await response.text()
        yield publisher
    finally:
        await publisher.close()
