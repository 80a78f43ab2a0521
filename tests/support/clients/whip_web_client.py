"""@eyevinn/whip-web-client in Chromium, on a page of the server's origin: it refuses those of others on purpose."""

from __future__ import annotations

import subprocess
from typing import Any

from playwright.sync_api import Page, sync_playwright

from tests.support.clients import browsers
from tests.support.clients.npm import node
from tests.support.clients.tried import Tried
from tests.support.servers.server_process import Server

NAME = "@eyevinn/whip-web-client"
PAGE = "a-page-of-a-test"
_HTML = '<!doctype html><title>Publish</title><script src="publish.js"></script>'


def bundle() -> str:
    """The client and its dependencies as one script, which sets `whip.publish`."""
    options = ["--bundle", "--format=iife", "--global-name=whip", "--log-level=error"]
    command = node("node_modules/esbuild/bin/esbuild", node("whip_web_client.js")[-1], *options)
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout


def open_page(page: Page, origin: str) -> None:
    """Open a page with the client; Playwright answers for the server."""
    page.route(f"{origin}/{PAGE}/", lambda route: route.fulfill(body=_HTML, content_type="text/html"))
    script = bundle()
    page.route(f"{origin}/{PAGE}/publish.js", lambda route: route.fulfill(body=script, content_type="text/javascript"))
    page.goto(f"{origin}/{PAGE}/")


def publish_once(page: Page, frames: int, token: str | None = None) -> dict[str, Any]:
    """Publish so many frames, with a bearer token if one is given, and end the call: `connected`, `sent`, `codec`."""
    call = "([frames, token]) => whip.publish(`${location.origin}/whip`, frames, token ?? undefined)"
    done: dict[str, Any] = page.evaluate(call, [frames, token])
    return done


def publish(server: Server, tries: int, frames: int) -> Tried:
    """Publish again and again from one page."""
    with sync_playwright() as playwright:
        browser = browsers.chromium(playwright)
        page = browser.new_page()
        open_page(page, server.url)
        calls = [publish_once(page, frames) for _ in range(tries)]
        browser.close()
    assert {call["codec"] for call in calls if call["connected"]} == {"video/VP8"}
    return Tried(sum(call["connected"] for call in calls), tries, sum(call["sent"] for call in calls))
