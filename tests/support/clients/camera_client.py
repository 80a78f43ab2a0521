"""A phone in code: an aiortc client that sends encoded frames and collects what it receives."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Coroutine, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import av
from aiohttp import ClientResponse, ClientSession
from aiortc import RTCConfiguration, RTCPeerConnection, RTCRtpSender, RTCSessionDescription
from aiortc.mediastreams import MediaStreamError, MediaStreamTrack

from whycam.stream.video.codec import CodecName, EncodedFrame
from whycam.stream.webrtc import aiortc_patches
from whycam.stream.webrtc.ice import aioice_patches
from whycam.stream.webrtc.rtp.packetizer import PackedFrame, Packer


class Camera(MediaStreamTrack):
    """Sends encoded frames at a camera's frame rate, repeatedly."""

    kind = "video"

    def __init__(self, frames: Sequence[EncodedFrame], rate: float) -> None:
        super().__init__()
        self._frames = frames
        self._packer = Packer(frames[0].codec)
        self._rate = rate
        self._sent = 0
        self._lap: int | None = None
        self._first = 0
        self.keyframes_asked = 0
        self.obeys = False
        """Whether it restarts with a keyframe on request, as a browser's encoder does."""
        self._start: float | None = None
        self.running = asyncio.Event()
        self.running.set()

    def ask_for_keyframe(self) -> None:
        """Handle a PLI."""
        self.keyframes_asked += 1
        if self.obeys:
            self._first = self._sent

    @property
    def sent(self) -> int:
        """Frames sent so far."""
        return self._sent

    def keep_pts(self, lap: int) -> None:
        """Send the frames with their own pts plus `lap` per repetition, and not with pts of the frame rate."""
        self._lap = lap

    async def recv(self) -> PackedFrame:  # type: ignore[override] # aiortc's sender passes it to the encoder
        loop = asyncio.get_running_loop()
        if self._start is None:
            self._start = loop.time()
        await asyncio.sleep(self._start + self._sent / self._rate - loop.time())
        await self.running.wait()
        if self.readyState != "live":
            raise MediaStreamError
        lap, place = divmod(self._sent - self._first, len(self._frames))
        frame = self._frames[place]
        pts = round(self._sent * 90_000 / self._rate) if self._lap is None else lap * self._lap + frame.pts
        self._sent += 1
        return self._packer(replace(frame, pts=pts))


class Phone:
    """One call: `async with calling(http, frames) as phone`."""

    def __init__(
        self, frames: Sequence[EncodedFrame], rate: float = 30, *, channels: bool = True, address: str = "127.0.0.1"
    ) -> None:
        self._address = address
        self.pc = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        self.camera = Camera(frames, rate)
        self.pictures: list[av.VideoFrame] = []
        self.reports: list[dict[str, Any]] = []
        self.replies: list[dict[str, Any]] = []
        self.location = ""
        self._news = asyncio.Condition()
        self._tasks: set[asyncio.Task[None]] = set()
        self._codec = frames[0].codec
        self._transceiver = self.pc.addTransceiver(self.camera, "sendrecv")
        aiortc_patches.send_packed(self._transceiver.sender, self.camera.ask_for_keyframe, lambda _: None)
        if channels:
            reports = self.pc.createDataChannel("reports", ordered=False, maxRetransmits=0)
            reports.on("message", lambda text: self._received(self.reports, text))
            self.commands = self.pc.createDataChannel("commands")
            self.commands.on("message", lambda text: self._received(self.replies, text))

    async def offer(self, first: CodecName | None = None) -> str:
        """The offer, with this codec first (default: the camera's)."""
        codecs = RTCRtpSender.getCapabilities("video").codecs
        wanted = first or self._codec
        self._transceiver.setCodecPreferences(
            sorted(codecs, key=lambda c: (not c.mimeType.endswith(wanted), c.mimeType.endswith("rtx")))
        )
        aioice_patches.bind_media(self.pc, [self._address], None)
        await self.pc.setLocalDescription(await self.pc.createOffer())
        return self.pc.localDescription.sdp

    async def call(self, http: ClientSession, base: str, continues: str = "") -> ClientResponse:
        """Send the offer and apply the answer; `continues` is a recording's id."""
        query = {"continues": continues} if continues else {}
        headers = {"Content-Type": "application/sdp"}
        response = await http.post(f"{base}/call", params=query, data=await self.offer(), headers=headers)
        if response.status == 201:
            self.location = base + response.headers["Location"]
            await self.pc.setRemoteDescription(RTCSessionDescription(await response.text(), "answer"))
            self._start(self._look())
        return response

    async def _look(self) -> None:
        track = self._transceiver.receiver.track
        while True:
            try:
                picture = await track.recv()
            except MediaStreamError:
                return
            assert isinstance(picture, av.VideoFrame)
            self.pictures.append(picture)
            await self._notify()

    def _received(self, messages: list[dict[str, Any]], text: str) -> None:
        messages.append(json.loads(text))
        self._start(self._notify())

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _notify(self) -> None:
        async with self._news:
            self._news.notify_all()

    async def until(self, condition: Any, seconds: float = 20) -> None:
        """Wait until a condition on this phone is true."""
        async with self._news:
            await asyncio.wait_for(self._news.wait_for(condition), seconds)

    async def close(self) -> None:
        """Close the connection without informing the server."""
        self.camera.stop()
        self.camera.running.set()
        for task in self._tasks:
            task.cancel()
        await self.pc.close()


@asynccontextmanager
async def calling(
    http: ClientSession,
    base: str,
    frames: Sequence[EncodedFrame],
    rate: float = 30,
    *,
    channels: bool = True,
    continues: str = "",
) -> AsyncIterator[Phone]:
    """A phone in a call."""
    phone = Phone(frames, rate, channels=channels)
    try:
        response = await phone.call(http, base, continues)
        assert response.status == 201, await response.text()
        yield phone
    finally:
        await phone.close()


def cut(phone: Phone) -> None:
    """Disconnect a client's network: it sends no more packets."""
    for transceiver in phone.pc.getTransceivers():
        for protocol in transceiver.sender.transport.transport._connection._protocols:
            protocol.transport.abort()
