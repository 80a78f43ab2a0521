"""Debian's WebKitGTK by WebDriver: `with webkit() as browser:` then `browser.open(url)` and `browser.run(script)`."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.browser.camera import needed
from tests.support.servers.server_process import free_port

DRIVER = shutil.which("WebKitWebDriver")
SCREEN = shutil.which("Xvfb")
BROWSER = next(Path("/usr/lib").glob("*/webkit2gtk-4.*/MiniBrowser"), None)


@dataclass(frozen=True)
class WebKit:
    """One window."""

    base: str
    """The URL of its WebDriver session."""

    def open(self, url: str) -> None:
        ask("POST", f"{self.base}/url", {"url": url})

    def run(self, script: str) -> Any:
        """The value of an expression in the page."""
        return ask("POST", f"{self.base}/execute/sync", {"script": f"return {script}", "args": []})

    def until(self, condition: str, seconds: float = 20) -> None:
        """Wait until an expression is true in the page."""
        deadline = time.monotonic() + seconds
        while not self.run(condition):
            assert time.monotonic() < deadline, f"{condition}; the page says: {self.run('document.body.innerText')}"
            time.sleep(0.1)


def ask(method: str, url: str, body: object = None) -> Any:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"}, method=method)
    with urllib.request.urlopen(request, timeout=30) as response:
        return json.loads(response.read())["value"]


@contextmanager
def webkit(**environment: str) -> Iterator[WebKit]:
    """A browser on a screen of its own; skips the test, or fails it in CI, where one is not installed.

    GStreamer, which plays its films, reads the environment too.
    """
    needed(DRIVER and SCREEN and str(BROWSER or ""), "WebKitGTK is not installed (Debian: webkit2gtk-driver xvfb)")
    assert DRIVER is not None
    assert SCREEN is not None
    with ExitStack() as running:
        command = [SCREEN, "-displayfd", "1", "-screen", "0", "1280x900x24", "-nolisten", "tcp"]
        screen = running.enter_context(_ended(command, stdout=subprocess.PIPE))
        assert screen.stdout is not None
        display = f":{screen.stdout.readline().strip()}"
        port = free_port()
        running.enter_context(_ended([DRIVER, f"--port={port}"], env=os.environ | {"DISPLAY": display} | environment))
        base = f"http://127.0.0.1:{port}"
        options = {"binary": str(BROWSER), "args": ["--automation"]}
        wanted = {"capabilities": {"alwaysMatch": {"webkitgtk:browserOptions": options}}}
        session = _when_ready(f"{base}/session", wanted)
        base = f"{base}/session/{session['sessionId']}"
        running.callback(ask, "DELETE", base)
        yield WebKit(base)


@contextmanager
def _ended(command: list[str], **options: Any) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(command, text=True, **options) as process:
        try:
            yield process
        finally:
            process.terminate()


def _when_ready(url: str, body: object) -> Any:
    deadline = time.monotonic() + 15
    while True:
        try:
            return ask("POST", url, body)
        except OSError:  # the driver does not listen yet
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)
