"""Network namespaces for tests. The only route out is a TUN device, whose packets this process reads.

`with namespace(address) as there:` then `there.run(function)` works inside, `there.prefix` starts a program inside.
Needs Linux, root and iproute2; if one is missing, a test that needs a namespace is skipped with the reason.
"""

from __future__ import annotations

import ctypes
import os
import secrets
import shutil
import struct
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import pytest

if sys.platform != "win32":
    import fcntl

T = TypeVar("T")
_NEW_NET = 0x40000000
_TUN = struct.pack("16sH", b"out", 0x1001)  # IFF_TUN | IFF_NO_PI
_SET_TUN = 0x400454CA
NOWHERE = "198.51.100.53"
"""An address for documentation (RFC 5737), which no host has."""


@dataclass(frozen=True)
class Namespace:
    """A network namespace, used as one host."""

    name: str
    address: str
    tun: int
    """The descriptor of its TUN device: each read or write is one whole packet."""

    @property
    def prefix(self) -> list[str]:
        """The beginning of a command that runs inside."""
        return ["ip", "netns", "exec", self.name]

    def run(self, function: Callable[[], T]) -> T:
        """Call a function in a thread whose sockets are inside."""
        with ThreadPoolExecutor(1, f"in {self.name}", initializer=_enter, initargs=(self.name,)) as thread:
            return thread.submit(function).result()


def _enter(name: str) -> None:
    with open(f"/run/netns/{name}", "rb") as space:
        if ctypes.CDLL(None, use_errno=True).setns(space.fileno(), _NEW_NET):
            raise OSError(ctypes.get_errno(), "setns")


def _open_tun() -> int:
    device = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(device, _SET_TUN, _TUN)
    return device


@contextmanager
def namespace(address: str) -> Iterator[Namespace]:
    """A host with this address; packets to all other addresses leave by the TUN device."""
    if sys.platform != "linux" or shutil.which("ip") is None:
        pytest.skip("needs Linux and iproute2, for network namespaces")
    name = f"whycam-{secrets.token_hex(4)}"
    made = subprocess.run(["ip", "netns", "add", name], capture_output=True, text=True)
    if made.returncode:
        pytest.skip(f"this machine refuses network namespaces: {made.stderr.strip()}")
    names = Path("/etc/netns") / name
    try:
        names.mkdir(parents=True)
        (names / "resolv.conf").write_text(f"nameserver {NOWHERE}\n")
        with ThreadPoolExecutor(1, initializer=_enter, initargs=(name,)) as thread:
            try:
                device = thread.submit(_open_tun).result()
            except OSError as error:
                pytest.skip(f"this machine refuses TUN devices: {error}")
        there = Namespace(name, address, device)
        for command in (
            *("link set lo up", f"addr add {address}/32 dev out", "link set out up"),
            *("route add default dev out", "route add 224.0.0.0/4 dev out"),
        ):
            subprocess.run([*there.prefix, "ip", *command.split()], check=True, capture_output=True)
        try:
            yield there
        finally:
            os.close(device)
    finally:
        shutil.rmtree(names, ignore_errors=True)
        with suppress(OSError):
            names.parent.rmdir()  # unless it is in use
        subprocess.run(["ip", "netns", "del", name], check=True)


class Listener:
    """Reads the packets that leave a namespace, and forwards none."""

    def __init__(self, there: Namespace) -> None:
        self._there = there
        self.packets: list[bytes] = []
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        is_last = False
        while not is_last:
            is_last = self._closed.wait(0.01)
            with suppress(BlockingIOError):
                while True:
                    self.packets.append(os.read(self._there.tun, 65536))

    def close(self) -> list[bytes]:
        """The packets that programs sent, without the kernel's own (ICMPv6)."""
        self._closed.set()
        self._thread.join()
        return [packet for packet in self.packets if packet[0] >> 4 == 4 or packet[6] not in (0, 58)]
