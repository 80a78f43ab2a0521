"""The routes for joining: a cookie for a token, the QR code for the host's page, the certificate, the help page."""

from __future__ import annotations

import logging
from pathlib import Path

from aiohttp import hdrs, web

from whycam.stream.server.auth import ACCESS, COOKIE, COOKIE_S, require_role
from whycam.stream.server.door import DoorStaysClosed, LanDoor
from whycam.stream.server.lan import IF_UNREACHABLE, NO_NETWORK
from whycam.stream.server.listener import json_object_of
from whycam.stream.server.qr import svg_qr

logger = logging.getLogger(__name__)

WEB = Path(__file__).resolve().parents[2] / "web"
DOOR = web.AppKey("door", LanDoor)
NO_LAN = "Phones cannot join: let them on the computer's page, or start whycam with `whycam serve --lan`."
AGAIN_S = "5"
MAX_BYTES = 1024


def add_routes(app: web.Application) -> None:
    """Add the routes for joining to `app`, which contains an `Access` and a `LanDoor`."""
    app.router.add_get("/help", _help)
    app.router.add_get("/certificate", _certificate)
    app.router.add_get("/join", _role)
    app.router.add_post("/join", _join)
    app.router.add_get("/api/join", require_role("host")(_invitation))
    app.router.add_post("/api/join", require_role("host")(_change))
    app.router.add_get("/api/join.svg", require_role("host")(_qr_code))


async def _help(_: web.Request) -> web.StreamResponse:
    return web.FileResponse(WEB / "help.html")


async def _certificate(request: web.Request) -> web.Response:
    lan = request.app[DOOR].lan
    if lan is None or lan.certificate is None or lan.certificate.authority is None:
        raise web.HTTPNotFound(text="There is no certificate to install: this server did not make its own.")
    return web.Response(
        body=lan.certificate.authority,
        content_type="application/x-x509-ca-cert",
        # Inline, because an iPhone only stores an attachment; it offers to install what it opens.
        headers={"Content-Disposition": 'inline; filename="whycam.crt"'},
    )


async def _role(request: web.Request) -> web.Response:
    caller = request.app[ACCESS].caller(request)
    return web.json_response({"role": caller.role, "says": caller.why})


async def _join(request: web.Request) -> web.Response:
    token = (await json_object_of(request, MAX_BYTES, '{"token": …}')).get("token")
    if not isinstance(token, str):
        raise web.HTTPBadRequest(text='The body should be a JSON object with the token as a string: {"token": …}.')
    role, cookie = request.app[ACCESS].join(token, request)
    logger.info("%s joined as a %s", request.remote, role)
    response = web.json_response({"role": role})
    response.set_cookie(COOKIE, cookie, path="/", max_age=COOKIE_S, secure=True, httponly=True, samesite="Strict")
    return response


async def _invitation(request: web.Request) -> web.Response:
    lan = request.app[DOOR].lan
    if lan is None:
        return web.json_response({"urls": [], "lan": False, "warns": False, "says": NO_LAN})
    says = IF_UNREACHABLE.format(port=lan.port) if lan.addresses else NO_NETWORK
    warns = lan.certificate is not None and lan.certificate.authority is not None
    return web.json_response({"urls": lan.invitations(), "lan": True, "warns": warns, "says": says})


async def _change(request: web.Request) -> web.Response:
    """Open or close the door for phones; answered when that is done."""
    wanted = (await json_object_of(request, MAX_BYTES, '{"lan": …}')).get("lan")
    if not isinstance(wanted, bool):
        raise web.HTTPBadRequest(text='The body should be a JSON object: {"lan": true} or {"lan": false}.')
    door = request.app[DOOR]
    try:
        await (door.open() if wanted else door.close())
    except DoorStaysClosed as error:
        if error.no_network:
            raise web.HTTPConflict(text=str(error)) from error
        raise web.HTTPServiceUnavailable(text=str(error), headers={hdrs.RETRY_AFTER: AGAIN_S}) from error
    return await _invitation(request)


async def _qr_code(request: web.Request) -> web.Response:
    lan = request.app[DOOR].lan
    if lan is None or not lan.addresses:
        raise web.HTTPNotFound(text=NO_LAN if lan is None else NO_NETWORK)
    return web.Response(body=svg_qr(lan.invitations()[0]), content_type="image/svg+xml")
