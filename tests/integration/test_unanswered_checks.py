"""Publishers that answer no checks: ffmpeg begins DTLS without where ours come 50 ms late, and answers none later."""

from __future__ import annotations

import asyncio
import re
import socket
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession
from aioice import ice
from OpenSSL import SSL

from tests.support.clients.camera_client import Phone
from tests.support.clients.stun_check import check
from tests.support.clients.whip_client import SDP, Publisher
from tests.support.films import media_samples
from tests.support.models.engines import fast
from tests.support.servers.calls import only_session, served
from whycam.stream.sessions.registry import Sessions
from whycam.stream.sessions.session import Settings
from whycam.stream.webrtc.ice import amplification_limit

FRAMES = media_samples.encoded("H264", 30, (160, 120))
HANDSHAKE = 22
"""The first byte of a DTLS handshake's records (RFC 9147, 4)."""


def client_hello() -> bytes:
    """A client's first datagram of DTLS, by OpenSSL."""
    client = SSL.Connection(SSL.Context(SSL.DTLS_METHOD))
    client.set_ciphertext_mtu(1200)
    client.set_connect_state()
    with pytest.raises(SSL.WantReadError):
        client.do_handshake()
    return client.bio_read(2048)


async def received(http: ClientSession, base: str, client: Publisher | Phone, *, checks: bool) -> list[bytes]:
    """What comes within half a second after a check, or without one, and the beginning of DTLS."""
    offer, path = await client.offer(), "/whip" if isinstance(client, Publisher) else "/call"
    response = await http.post(base + path, data=offer, headers=SDP)
    answer = await response.text()
    port = int(re.findall(r"a=candidate:\S+ 1 udp \d+ 127\.0\.0\.1 (\d+) typ host", answer)[0])
    got: list[bytes] = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.setblocking(False)
        sender.connect(("127.0.0.1", port))
        await asyncio.sleep(0.1)
        if checks:
            sender.send(check(offer, answer))
        sender.send(client_hello())
        try:
            async with asyncio.timeout(0.5):
                while True:
                    got.append(await asyncio.get_running_loop().sock_recv(sender, 2048))
        except TimeoutError:
            pass
    await http.delete(base + response.headers["Location"])
    await client.close()
    return got


@pytest.mark.parametrize(
    ("publishes", "checks", "is_answered"), [(True, True, True), (True, False, False), (False, True, False)]
)
def test_a_publishers_handshake_answers_our_check(
    tmp_path: Path, publishes: bool, checks: bool, is_answered: bool
) -> None:
    """Not without a check of its own, which proves that it knows the answer; a phone, which gets more, answers ours."""

    async def body(http: ClientSession, base: str, sessions: Sessions) -> None:
        client = Publisher(FRAMES) if publishes else Phone(FRAMES)
        kinds = {datagram[0] for datagram in await received(http, base, client, checks=checks)}
        assert (HANDSHAKE in kinds) == is_answered
        assert (min(kinds, default=HANDSHAKE) < 4) == checks  # our check and the answer to the client's

    served(fast(tmp_path), Settings(), body)


def test_its_handshake_is_limited_as_checks_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The address can be forged, until a check that was sent there is answered."""

    async def body(http: ClientSession, base: str, sessions: Sessions) -> None:
        monkeypatch.setattr(amplification_limit, "TIMES", 0)
        assert await received(http, base, Publisher(FRAMES), checks=True) == []

    served(fast(tmp_path), Settings(), body)


@pytest.mark.parametrize("publishes", [True, False])
def test_a_publisher_need_not_answer_later_checks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, publishes: bool
) -> None:
    """ffmpeg answers none, and was cut off after 33 s. Who gets video has to answer (RFC 7675)."""
    monkeypatch.setattr(ice, "CONSENT_INTERVAL", 0.1)
    monkeypatch.setattr(ice, "CONSENT_FAILURES", 2)

    async def body(http: ClientSession, base: str, sessions: Sessions) -> None:
        client = Publisher(FRAMES) if publishes else Phone(FRAMES)
        connected = asyncio.Event()
        client.pc.on(
            "connectionstatechange", lambda: connected.set() if client.pc.connectionState == "connected" else None
        )
        response = await (client.publish(http, base) if isinstance(client, Publisher) else client.call(http, base))
        assert response.status == 201
        session = only_session(sessions)
        await asyncio.wait_for(connected.wait(), 10)
        connection: Any = client.pc.getTransceivers()[0].sender.transport.transport._connection
        connection.request_received = lambda *_: None
        await asyncio.sleep(3)
        assert (session.end_reason is None) == publishes
        await client.close()

    served(fast(tmp_path), Settings(), body)
