"""Who may talk to the server: under its own name only, and writes from its own pages only."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import TypeAlias

from aiohttp import web

logger = logging.getLogger(__name__)

Handler: TypeAlias = Callable[[web.Request], Awaitable[web.StreamResponse]]

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; "
        "media-src 'self' blob:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "Permissions-Policy": "camera=(self), microphone=(), geolocation=(), display-capture=()",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "[::1]"})


@web.middleware
async def headers_and_words(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Put the security headers on every answer; an error is one sentence of plain text."""
    try:
        response = await handler(request)
    except web.HTTPException as error:
        error.headers.update(HEADERS)
        raise
    except Exception as error:
        logger.exception("%s %s failed", request.method, request.path)
        raise web.HTTPInternalServerError(
            text="The server made a mistake; its log tells more.", headers=HEADERS
        ) from error
    response.headers.update(HEADERS)
    return response


@web.middleware
async def own_name_only(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Refuse other Host names (DNS rebinding) and writes from other web sites (cross-site request forgery)."""
    if _name(request.host) not in LOOPBACK_NAMES:
        raise web.HTTPMisdirectedRequest(text="This server answers to localhost only. Open http://localhost instead.")
    if request.method not in ("GET", "HEAD"):
        origin = request.headers.get("Origin")
        if origin not in (None, f"{request.scheme}://{request.host}"):
            raise web.HTTPForbidden(text="This request comes from another web site. Open whycam's own page.")
        if request.headers.get("Sec-Fetch-Site") == "cross-site":
            raise web.HTTPForbidden(text="This request comes from another web site. Open whycam's own page.")
    return await handler(request)


def _name(host: str) -> str:
    """The Host header's name without the port."""
    name, separator, port = host.rpartition(":")
    return name if separator and port.isdigit() else host
