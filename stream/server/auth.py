"""Authentication and roles: the host, a device that joined, or an unauthenticated client; and what each may do."""

from __future__ import annotations

import ipaddress
import logging
import math
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import TypeAlias

from aiohttp import hdrs, web
from multidict import istr

from whycam.stream.limits import LIMITS
from whycam.stream.server.rate_limit import Throttle
from whycam.stream.server.tokens import CookieRefused, Credentials, Role

logger = logging.getLogger(__name__)

Handler: TypeAlias = Callable[[web.Request], Awaitable[web.StreamResponse]]

CSP = istr("Content-Security-Policy")
HEADERS = {
    CSP: (
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
MAX_HEADER = LIMITS.max_header_bytes
"""Bytes of all header fields of a request together."""
COOKIE = "__Host-whycam"
COOKIE_S = 30 * 86400
FORWARDED = ("forwarded", "x-forwarded-", "x-real-ip")
NOT_JOINED = "This device has not joined. Scan the code that the computer shows."
NO_SHELF = (
    "Recordings are for the device that made them. Join with POST /join, then send its cookie, not a bearer token."
)
CROSS_SITE = "This request comes from another web site. Open whycam's own page."


@dataclass(frozen=True, slots=True)
class Client:
    """The sender of a request. If it is not authenticated, `role` is None and `why` says what to do."""

    role: Role | None
    device: str
    """The owner of what the request creates; unique for each device that joined."""
    address: str
    why: str = ""
    by_cookie: bool = False
    """Whether a cookie says which device it is; several clients may share an address and a token."""


class Access:
    """Access control of one server. Without credentials there is no LAN, and only the host has access."""

    def __init__(
        self,
        credentials: Credentials | None = None,
        names: Iterable[str] = (),
        throttle: Throttle | None = None,
    ) -> None:
        self._credentials = credentials
        self._names = frozenset(name.lower() for name in names)
        self._throttle = throttle or Throttle()

    def admit(self, credentials: Credentials, names: Iterable[str]) -> None:
        """Let in devices with these credentials, by these names of the server."""
        self._credentials, self._names = credentials, frozenset(name.lower() for name in names)

    def close(self) -> None:
        """Let in only the host. Failed attempts are not forgotten."""
        self._credentials, self._names = None, frozenset()

    def join(self, token: str, request: web.Request) -> tuple[Role, str]:
        """The role that a token gives, and a cookie for it; raises 401 or 429 for a wrong token.

        A device that joined before stays the same device and keeps its calls and recordings.
        """
        role = self._role_of(token, request.remote or "")
        assert self._credentials is not None  # otherwise no token gives a role
        try:
            _, device = self._credentials.read_cookie(request.cookies.get(COOKIE, ""))
        except CookieRefused:
            return role, self._credentials.cookie(role)
        return role, self._credentials.cookie(role, device)

    def caller(self, request: web.Request) -> Client:
        """The sender of a request; raises 401 or 429 for a wrong bearer token."""
        address = request.remote or ""
        if _is_host(request):
            return Client("host", "host", address)
        scheme, _, token = request.headers.get(hdrs.AUTHORIZATION, "").partition(" ")
        if scheme.lower() == "bearer":
            return Client(self._role_of(token.strip(), address), f"bearer {address}", address)
        cookie = request.cookies.get(COOKIE)
        if cookie is None or self._credentials is None:
            return Client(None, "", address, NOT_JOINED)
        try:
            role, device = self._credentials.read_cookie(cookie)
        except CookieRefused as error:
            return Client(None, "", address, str(error))
        return Client(role, device, address, by_cookie=True)

    def key_of(self, caller: Client) -> str | None:
        """The key that marks a device's recordings as its own; None for the host, which owns all recordings."""
        if caller.role == "host" or self._credentials is None:
            return None
        return self._credentials.key_of(caller.device)

    def _role_of(self, token: str, address: str) -> Role:
        wait = self._throttle.wait(address)
        if wait:
            raise web.HTTPTooManyRequests(
                text=f"Too many wrong codes came from this device. Try again in {_span(wait)}.",
                headers={hdrs.RETRY_AFTER: str(math.ceil(wait))},
            )
        role = self._credentials.role_of(token) if self._credentials is not None else None
        if role is None:
            self._throttle.fail(address)
            raise _unauthorized("This code is not valid, or not any more. Scan the code that the computer shows now.")
        return role

    def check(self, request: web.Request) -> None:
        """Refuse other Host names (DNS rebinding), writes from other web sites (CSRF) and large headers.

        Also refuses dates that aiohttp cannot parse: it would log an error and send no answer.
        """
        name = _name(request)
        if request.secure and not self._is_ours(name):
            raise web.HTTPMisdirectedRequest(text="This server does not have that name. Scan its code again.")
        if not request.secure and name not in LOOPBACK_NAMES:
            raise web.HTTPMisdirectedRequest(
                text="This server answers to localhost only. Open http://localhost instead."
            )
        if sum(len(name) + len(value) + 4 for name, value in request.raw_headers) > MAX_HEADER:
            raise web.HTTPRequestHeaderFieldsTooLarge(text=f"The header is larger than {MAX_HEADER} bytes.")
        try:
            _ = request.if_modified_since, request.if_unmodified_since, request.if_range
        except OverflowError as error:
            raise web.HTTPBadRequest(text="A date in the header is out of range.") from error
        if request.method in ("GET", "HEAD") and not request.path.startswith("/api/"):
            return
        if request.headers.get("Origin") not in (None, f"{request.scheme}://{request.headers.get('Host')}"):
            raise web.HTTPForbidden(text=CROSS_SITE)
        if request.headers.get("Sec-Fetch-Site") == "cross-site":
            raise web.HTTPForbidden(text=CROSS_SITE)

    def _is_ours(self, name: str) -> bool:
        return name in self._names or f"*.{name.partition('.')[2]}" in self._names


ACCESS = web.AppKey("access", Access)
CALLER = web.RequestKey("caller", Client)


def shelf_key(request: web.Request) -> str | None:
    """The key of the device whose recordings and films a request may see; None for the host, which sees all.

    Raises 403 for a client without a cookie: its address and token do not say that it made a recording.
    """
    caller = request[CALLER]
    if caller.role != "host" and not caller.by_cookie:
        raise web.HTTPForbidden(text=NO_SHELF)
    return request.app[ACCESS].key_of(caller)


async def add_headers(_: web.Request, response: web.StreamResponse) -> None:
    """Add the security headers to every response; a film's report has brought its own policy."""
    policy = response.headers.get(CSP, HEADERS[CSP])
    response.headers.update(HEADERS | {CSP: policy})


@web.middleware
async def plain_text_errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer unknown addresses and internal errors with one sentence of plain text, as all other errors are."""
    try:
        return await handler(request)
    except web.HTTPException as error:
        if error.text == f"{error.status}: {error.reason}":  # aiohttp's default, such as '404: Not Found'
            error.text = _error_text(request, error)
        raise
    except Exception as error:
        logger.exception("%s %s failed", request.method, request.path)
        raise web.HTTPInternalServerError(text="The server failed; its log has the details.") from error


@web.middleware
async def check_request(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Apply `Access.check` before any handler sees a request."""
    request.app[ACCESS].check(request)
    return await handler(request)


def require_role(*roles: Role) -> Callable[[Handler], Handler]:
    """Admit only these roles to a handler, and set `request[CALLER]`; raises 401 without a role, 403 for others."""

    def around(handler: Handler) -> Handler:
        async def guarded(request: web.Request) -> web.StreamResponse:
            caller = request.app[ACCESS].caller(request)
            if caller.role is None:
                raise _unauthorized(caller.why)
            if caller.role not in roles:
                raise web.HTTPForbidden(text=f"This is not for a {caller.role}. {_ADVICE[roles[0]]}")
            request[CALLER] = caller
            return await handler(request)

        return guarded

    return around


_ADVICE: dict[Role, str] = {
    "host": "Open http://localhost on the computer that runs whycam.",
    "phone": "Scan the code for phones.",
    "viewer": "Use the code for viewers, which the computer's terminal shows.",
}


def _is_host(request: web.Request) -> bool:
    """Whether both ends are loopback, over http and without a proxy. A proxy or tunnel adds a header or uses https."""
    if request.secure or _name(request) not in LOOPBACK_NAMES or request.transport is None:
        return False
    if any(name.lower().startswith(FORWARDED) for name in request.headers):
        return False
    ends = (request.transport.get_extra_info(end) for end in ("peername", "sockname"))
    return all(end is not None and ipaddress.ip_address(end[0]).is_loopback for end in ends)


def _error_text(request: web.Request, error: web.HTTPException) -> str:
    if isinstance(error, web.HTTPMethodNotAllowed):
        return f"This address does not accept {request.method}. It accepts {', '.join(sorted(error.allowed_methods))}."
    home = f"{request.scheme}://{request.host}/"
    return f"There is nothing at this address. The camera's page is {home}, the projector's {home}watch."


def _unauthorized(text: str) -> web.HTTPUnauthorized:
    return web.HTTPUnauthorized(text=text, headers={hdrs.WWW_AUTHENTICATE: "Bearer"})


def _span(seconds: float) -> str:
    return f"{math.ceil(seconds)} s" if seconds < 120 else f"{math.ceil(seconds / 60)} minutes"


def _name(request: web.Request) -> str:
    """The Host header's name without the port, in lower case; for a missing one aiohttp would ask the DNS."""
    host = request.headers.get(hdrs.HOST, "")
    name, separator, port = host.rpartition(":")
    return (name if separator and port.isdigit() else host).lower()
