"""The door for phones: the LAN's listeners, opened and closed while the server runs, and the access through them."""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager

from aiohttp import web

from whycam.stream.server.auth import Access
from whycam.stream.server.lan import NO_NETWORK, Lan
from whycam.stream.server.listener import Connections

logger = logging.getLogger(__name__)


class DoorStaysClosed(RuntimeError):
    """The door cannot be opened; says why, and what to do."""

    def __init__(self, text: str, *, no_network: bool = False) -> None:
        super().__init__(text)
        self.no_network = no_network


class LanDoor:
    """Closed at first. `prepare` makes what phones connect to; it may block, and raise `ValueError` and `OSError`."""

    def __init__(self, prepare: Callable[[], Lan] | None = None) -> None:
        self.lan: Lan | None = None
        """What phones connect to; None while the door is closed."""
        self._prepare = prepare
        self._access = Access()
        self._server: web.Server | None = None
        self._connections: Connections | None = None
        self._leave: Callable[[], Awaitable[None]] | None = None
        self._changing = asyncio.Lock()

    def addresses(self) -> Sequence[str]:
        """The addresses at which other computers are served now."""
        return () if self.lan is None else self.lan.addresses

    def hang(self, access: Access, leave: Callable[[], Awaitable[None]], lan: Lan | None) -> None:
        """Connect it to the application: whom it lets in, and how guests are sent away when it closes."""
        self._access, self._leave, self.lan = access, leave, lan
        if lan is not None:
            access.admit(lan.credentials, lan.names)

    def serve(self, server: web.Server) -> None:
        """Name the server whose requests come through it."""
        self._server = server

    async def open(self) -> Lan:
        """Open it; raises `DoorStaysClosed`. What is open already stays as it is."""
        async with self._changing:
            if self.lan is not None:
                return self.lan
            if self._prepare is None:
                raise DoorStaysClosed("Phones can join when whycam is started with `whycam serve --lan`.")
            try:
                lan = await asyncio.to_thread(self._prepare)
            except (OSError, ValueError) as error:
                raise DoorStaysClosed(str(error)) from error
            if not lan.addresses:
                raise DoorStaysClosed(NO_NETWORK, no_network=True)
            self._access.admit(lan.credentials, lan.names)
            try:
                await self.listen(lan)
            except OSError as error:
                self._access.close()
                raise DoorStaysClosed(str(error)) from error
            self.lan = lan
            logger.info("Phones may join at %s.", ", ".join(lan.bases()))
            return lan

    async def listen(self, lan: Lan) -> None:
        """Open the listeners; raises `OSError` if a port is in use."""
        if lan.certificate is None:
            return
        if self._server is None:
            raise OSError(errno.ENOTCONN, "the server does not run")
        self._connections = Connections(self._server)
        context = lan.certificate.context()
        try:
            for address in lan.addresses:
                with explained_bind_error(address, lan.port, "--lan-port"):
                    await self._connections.listen(address, lan.port, context)
        except OSError:
            self._connections.close()
            raise

    async def close(self) -> None:
        """Close it: nobody connects, cookies and tokens are refused, and calls of other devices are ended."""
        async with self._changing:
            if self.lan is None:
                return
            self.lan = None
            self._access.close()
            if self._connections is not None:
                self._connections.close()
                self._connections = None
            if self._leave is not None:
                await self._leave()
            logger.info("Phones may not join any more.")


def check_ports(port: int, addresses: Sequence[str], lan_port: int) -> None:
    """Raise `OSError` if a port that will be opened is in use."""
    listeners = [("127.0.0.1", port, "--port"), *((address, lan_port, "--lan-port") for address in addresses)]
    for address, number, option in listeners:
        with explained_bind_error(address, number, option):
            socket.create_server((address, number)).close()


@contextmanager
def explained_bind_error(address: str, port: int, option: str) -> Iterator[None]:
    """Re-raise `OSError` with a sentence that names the port and the option to change."""
    try:
        yield
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise OSError(
                f"Port {port} is in use. Stop the program that uses it, or choose another port with {option}."
            ) from error
        raise OSError(f"Port {port} of {address} cannot be opened ({error}). Try another {option}.") from error
