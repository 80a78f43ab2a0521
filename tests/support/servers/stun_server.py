"""A STUN server (RFC 8489): tells each client the address that its request came from.

`async with answering_stun(address) as port:` in this process; as a program in a network namespace:
python -m tests.support.servers.stun_server ADDRESS PORT
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import cast

from aioice import stun


class _Answering(asyncio.DatagramProtocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        request = stun.parse_message(data)
        answer = stun.Message(request.message_method, stun.Class.RESPONSE, request.transaction_id)
        answer.attributes["XOR-MAPPED-ADDRESS"] = addr
        self._transport.sendto(bytes(answer), addr)
        print(f"asked by {addr[0]}", flush=True)


@asynccontextmanager
async def answering_stun(address: str, port: int = 0) -> AsyncIterator[int]:
    """The port of a server that answers until the block ends."""
    transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(_Answering, local_addr=(address, port))
    try:
        yield transport.get_extra_info("sockname")[1]
    finally:
        transport.close()


async def main(address: str, port: int) -> None:
    async with answering_stun(address, port):
        print("ready", flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2])))
