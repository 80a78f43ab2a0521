"""Answers to the offers of programs: who begins the handshake, who sends the first checks."""

from __future__ import annotations

import asyncio
import datetime
import socket
from typing import Any

import pytest
from aiortc import RTCCertificate, RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from OpenSSL import SSL

from tests.support.servers.stun_server import answering_stun
from whycam.stream.webrtc.answer import give_answer, new_connection, take_offer
from whycam.stream.webrtc.ice import aioice_patches
from whycam.stream.webrtc.ice.config import LOOPBACK, IceConfig

OFFERED = 2000
"""Bytes, more than those of any offer here."""


def offer(*more: str, setup: str = "actpass", kind: str = "video", mid: str = "0") -> str:
    """A publisher's offer; `more` are lines of the session."""
    lines = [
        *("v=0", "o=- 1 1 IN IP4 0.0.0.0", "s=-", "t=0 0", *more),
        *(f"m={kind} 9 UDP/TLS/RTP/SAVPF 96", "c=IN IP4 0.0.0.0", f"a=mid:{mid}", "a=rtpmap:96 VP8/90000"),
        *("a=sendonly", "a=rtcp-mux", f"a=setup:{setup}", "a=ice-ufrag:user", f"a=ice-pwd:{'p' * 22}"),
        f"a=fingerprint:sha-256 {':'.join(['00'] * 32)}",
    ]
    return "\r\n".join(lines) + "\r\n"


async def answered(sdp: str, media: IceConfig) -> RTCPeerConnection:
    pc = new_connection(media)
    await take_offer(pc, sdp)
    await give_answer(pc, media, OFFERED)
    return pc


def answer_to(sdp: str) -> list[str]:
    """The lines of the answer."""

    async def ask() -> list[str]:
        pc = await answered(sdp, IceConfig())
        try:
            return pc.localDescription.sdp.splitlines()
        finally:
            await pc.close()

    return asyncio.run(ask())


@pytest.mark.parametrize(
    ("offered", "expected"), [("actpass", "passive"), ("active", "passive"), ("passive", "active")]
)
def test_the_role_in_the_handshake_follows_the_offer(offered: str, expected: str) -> None:
    """RFC 8842, 5.3. ffmpeg offers `passive`. A client that leaves the choice begins, because it has the answer."""
    assert [line for line in answer_to(offer(setup=offered)) if "setup:" in line] == [f"a=setup:{expected}"]


def test_an_answer_has_one_fingerprint() -> None:
    """libdatachannel hashes the certificate as the first says, and compares that with the last."""
    (line,) = [line for line in answer_to(offer()) if "fingerprint:" in line]
    assert line.startswith("a=fingerprint:sha-256 ")


@pytest.mark.parametrize("names", ["0 1", "7 1"])
def test_a_bundle_may_name_a_section_that_the_offer_lacks(names: str) -> None:
    """As ffmpeg 8.0 writes it without sound."""
    assert "a=group:BUNDLE 1" in answer_to(offer(f"a=group:BUNDLE {names}", mid="1"))


class RsaCertificate(RTCCertificate):
    """A certificate such as GStreamer's, for an aiortc that is the DTLS server."""

    def __init__(self) -> None:
        key, now = rsa.generate_private_key(65537, 2048), datetime.datetime.now(datetime.UTC)
        name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "program")])
        builder = x509.CertificateBuilder(name, name, key.public_key(), 1, now, now + datetime.timedelta(days=1))
        super().__init__(key, builder.sign(key, hashes.SHA256()))  # type: ignore[arg-type] # aiortc makes EC keys

    def _create_ssl_context(self, srtp_profiles: list[Any]) -> SSL.Context:
        context = super()._create_ssl_context(srtp_profiles)
        context.set_cipher_list(b"ECDHE-RSA-AES128-GCM-SHA256")
        return context


def test_a_client_that_is_passive_with_an_rsa_certificate_connects() -> None:
    async def connect() -> str:
        caller = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        caller._RTCPeerConnection__certificates = [RsaCertificate()]  # type: ignore[attr-defined]
        caller.addTransceiver("video", "sendonly")
        aioice_patches.bind_media(caller, [LOOPBACK], None)
        await caller.setLocalDescription(await caller.createOffer())
        offered = caller.localDescription.sdp.replace("setup:actpass", "setup:passive")
        pc, ended = await answered(offered, IceConfig()), asyncio.Event()
        pc.on("connectionstatechange", lambda: ended.set() if pc.connectionState != "connecting" else None)
        try:
            await caller.setRemoteDescription(RTCSessionDescription(pc.localDescription.sdp, "answer"))
            async with asyncio.timeout(5):
                await ended.wait()
            return pc.connectionState
        finally:
            await caller.close()
            await pc.close()

    assert asyncio.run(connect()) == "connected"


async def checks(after_s: float, ice_servers: tuple[str, ...] = (), *more: str) -> bool:
    """Whether the offer's candidate gets a check within this time, although it sends none itself."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.bind((LOOPBACK, 0))
        client.setblocking(False)
        port = client.getsockname()[1]
        candidate = f"a=candidate:1 1 udp 1 {LOOPBACK} {port} typ host\r\na=end-of-candidates\r\n"
        pc = await answered(offer(*more) + candidate, IceConfig(ice_servers=ice_servers))
        try:
            async with asyncio.timeout(after_s):
                await asyncio.get_running_loop().sock_recv(client, 2048)
        except TimeoutError:
            return False
        finally:
            await pc.close()
        return True


def test_the_first_checks_are_the_clients(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ours made libdatachannel fail: they arrived before the answer. Later they open a firewall on this computer."""
    monkeypatch.setattr(aioice_patches, "OWN_CHECKS_AFTER_S", 0.5)
    assert not asyncio.run(checks(0.3))
    assert asyncio.run(checks(2.0))


def test_a_client_that_sends_no_checks_gets_ours_at_once() -> None:
    assert asyncio.run(checks(0.5, (), "a=ice-lite"))


def test_with_an_ice_server_our_checks_are_sent_at_once() -> None:
    """They open the way through routers."""

    async def ask() -> bool:
        async with answering_stun(LOOPBACK) as port:
            return await checks(0.5, (f"stun:{LOOPBACK}:{port}",))

    assert asyncio.run(ask())
