"""Emulates a bad network between two namespaces in this process: loss, delay, jitter, reordering, rate, outage.

`with bad_network(Weather(loss=0.05, delay_s=0.05)) as network:` then a server is started with `network.server.prefix`
and clients run in `network.client.run(…)`. `network.weather` can be changed at any time.
"""

from __future__ import annotations

import heapq
import os
import random
import select
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass

from tests.support.network_namespaces import Namespace, namespace

CLIENT, SERVER = "10.77.0.1", "10.77.0.2"
MAX_WAITING_S = 0.25
"""The queue of a slow link's router, in seconds of its rate; further packets are dropped."""


@dataclass(frozen=True)
class Weather:
    """The network's conditions, in both directions where not said otherwise."""

    loss: float = 0.0
    delay_s: float = 0.0
    """In one direction."""
    jitter_s: float = 0.0
    """Random additional delay, so packets are reordered."""
    bytes_a_second: float | None = None
    back_bytes_a_second: float | None = None
    """From the server to the client, if that is less."""


class Network:
    """Forwards the packets in a thread."""

    def __init__(self, client: Namespace, server: Namespace, weather: Weather, seed: int) -> None:
        self.client, self.server, self.weather = client, server, weather
        self.carried = self.lost = 0
        self.watch: Callable[[bytes], None] = lambda _: None
        """Called with each packet that the server sends, to any address."""
        self._chance = random.Random(seed)
        self._free_at = {client.tun: 0.0, server.tun: 0.0}  # when a link has sent its queue
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._run, name="netem")
        self._thread.start()

    def close(self) -> None:
        self._closed.set()
        self._thread.join()

    def _run(self) -> None:
        ends = {self.client.tun: self.server.tun, self.server.tun: self.client.tun}
        waiting: list[tuple[float, int, int, bytes]] = []
        number = 0
        while not self._closed.is_set():
            pause = 0.05 if not waiting else min(0.05, max(0.0, waiting[0][0] - time.monotonic()))
            for source in select.select(list(ends), [], [], pause)[0]:
                with suppress(BlockingIOError):
                    while True:
                        packet = os.read(source, 65536)
                        if source == self.server.tun:
                            self.watch(packet)
                        due = self._due(source, len(packet))
                        if due is None:
                            self.lost += 1
                            continue
                        number += 1
                        heapq.heappush(waiting, (due, number, ends[source], packet))
            while waiting and waiting[0][0] <= time.monotonic():
                _, _, to, packet = heapq.heappop(waiting)
                with suppress(OSError):  # the device's queue is full, as a router's may be
                    os.write(to, packet)
                    self.carried += 1

    def _due(self, link: int, size: int) -> float | None:
        """When a packet arrives; None: never."""
        weather, now = self.weather, time.monotonic()
        if self._chance.random() < weather.loss:
            return None
        back = weather.back_bytes_a_second if link == self.server.tun else None
        rate = weather.bytes_a_second if back is None else back
        if rate is not None:
            free_at = max(now, self._free_at[link])
            if free_at - now > MAX_WAITING_S:
                return None
            now = self._free_at[link] = free_at + size / rate
        return now + weather.delay_s + self._chance.uniform(0, weather.jitter_s)


@contextmanager
def bad_network(weather: Weather, seed: int = 1) -> Iterator[Network]:
    """Two hosts with these conditions between them; skips the test if the machine refuses them."""
    with ExitStack() as stack:
        client, server = (stack.enter_context(namespace(address)) for address in (CLIENT, SERVER))
        network = Network(client, server, weather, seed)
        stack.callback(network.close)
        yield network
