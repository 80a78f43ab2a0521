"""The server on an event loop that cannot wait for a socket without reading it, as Windows' proactor loop."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any, NoReturn

import pytest

from tests.support.clients.camera_client import calling
from tests.support.films import media_samples
from tests.support.models.engines import fast
from tests.support.servers.lan_server import House, house


class WithoutReaders(asyncio.SelectorEventLoop):
    """Lacks what the proactor loop lacks, with its error; asyncio itself removes readers by these public names."""

    def _lacks(self, *_: object) -> NoReturn:
        raise NotImplementedError

    add_reader: Any = _lacks
    add_writer: Any = _lacks
    add_signal_handler: Any = _lacks


@pytest.fixture(autouse=True)
def is_no_selector_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    """The code that asks for the loop's class gets the proactor loop's answer."""
    monkeypatch.setattr(asyncio, "SelectorEventLoop", asyncio.Server)


def test_https_is_served_and_plain_http_is_sent_there(tmp_path: Path) -> None:
    async def ask(home: House) -> None:
        async with home.joined() as http:
            assert (await http.get(f"{home.remote}/")).status == 200
            async with calling(http, home.remote, media_samples.encoded("H264", 30, (160, 120))) as phone:
                await phone.until(lambda: len(phone.pictures) >= 5)
        host = home.remote.removeprefix("https://")
        reader, writer = await asyncio.open_connection(*host.split(":"))
        await asyncio.sleep(0.1)  # the server looks more than once
        writer.write(f"GET /watch HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
        answer = await asyncio.wait_for(reader.read(), 5)
        assert b" 308 " in answer.partition(b"\r\n")[0]
        assert f"Location: https://{host}/watch\r\n".encode() in answer
        writer.close()

    async def run() -> None:
        async with house(tmp_path, fast(tmp_path)) as home, asyncio.timeout(30):
            await ask(home)

    with asyncio.Runner(loop_factory=WithoutReaders) as runner:
        runner.run(run())
