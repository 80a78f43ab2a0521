"""The routes that start, end and control streams: our page, publishers (WHIP, RFC 9725) and viewers (WHEP)."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable
from typing import TypeAlias

from aiohttp import hdrs, web

from whycam.stream.recording.ownership import continued
from whycam.stream.server.auth import ACCESS, CALLER, Handler, require_role
from whycam.stream.server.listener import body_of
from whycam.stream.server.rate_limit import Throttle
from whycam.stream.sessions.messages import CommandError
from whycam.stream.sessions.registry import Owner, ServerFull, Sessions
from whycam.stream.sessions.session import STREAMS, Session
from whycam.stream.webrtc.peer import MAX_COMMAND
from whycam.stream.webrtc.sdp import MAX_BYTES, OfferError, OfferTooLarge
from whycam.stream.webrtc.viewers import Viewer

SESSIONS = web.AppKey("sessions", Sessions)
CALLS = web.AppKey("calls", Throttle)
CALL_AGAIN_S = "5"
SDP = "application/sdp"
Begin: TypeAlias = Callable[[web.Request, str], Awaitable[Session | Viewer]]


def add_routes(app: web.Application) -> None:
    """Add the routes for cameras and viewers to `app`, which contains an `Access` and the `Sessions`."""
    app[CALLS] = Throttle(limits=((60.0, app[SESSIONS].settings.limits.max_calls_per_minute),))
    senders, viewers = require_role("phone", "host"), require_role("viewer", "phone", "host")
    # WHIP ends with 200 (RFC 9725), and its clients check that.
    for path, guard, begin, ended in (
        ("/call", senders, _call, 204),
        ("/whip", senders, _publish, 200),
        ("/whep/{session}", viewers, _watch, 200),
    ):
        app.router.add_post(path, guard(_answering(begin)))
        app.router.add_get(path, guard(_no_content), allow_head=False)
        app.router.add_options(path, _options)
        app.router.add_delete(path + "/{id}", guard(_ending(ended)))
        app.router.add_get(path + "/{id}", guard(_known), allow_head=False)
        app.router.add_patch(path + "/{id}", guard(_no_trickle))
    app.router.add_get("/api/sessions", require_role("viewer", "host")(_sessions))
    app.router.add_get("/api/sessions/ended", require_role("viewer", "host")(_ended))
    app.router.add_post("/api/sessions/{id}/command", senders(_command))
    app.router.add_get(r"/api/sessions/{id}/frozen/{pts:-?[0-9]{1,18}}.jpg", viewers(_frozen))


def _answering(begin: Begin) -> Handler:
    """A handler that has `begin` answer an offer; `Location` is the URL to end what began."""

    async def handle(request: web.Request) -> web.Response:
        if request.content_type != SDP:
            raise web.HTTPUnsupportedMediaType(text=f"Send the offer as {SDP}.")
        _count_call(request)
        try:
            offer = (await body_of(request)).decode()
            begun = await begin(request, offer)
        except UnicodeDecodeError as error:
            raise web.HTTPBadRequest(text="The offer is not UTF-8 text.") from error
        except OfferTooLarge as error:
            raise web.HTTPRequestEntityTooLarge(MAX_BYTES, len(offer), text=str(error)) from error
        except web.HTTPRequestEntityTooLarge as error:  # from aiohttp, before the whole body was read
            error.text = f"The offer is too large; at most {MAX_BYTES} bytes are accepted."
            raise
        except OfferError as error:
            raise web.HTTPBadRequest(text=str(error)) from error
        except (ServerFull, OSError) as error:
            raise web.HTTPServiceUnavailable(text=str(error), headers={hdrs.RETRY_AFTER: CALL_AGAIN_S}) from error
        return web.Response(
            status=201,
            text=begun.answer,
            content_type=SDP,
            # The tag identifies the ICE session (RFC 9725, 4.3.1); there are no ICE restarts here.
            headers={hdrs.LOCATION: f"{request.path}/{begun.id}", hdrs.ETAG: f'"{begun.id}"'},
        )

    return handle


def _count_call(request: web.Request) -> None:
    """Limit calls per minute, because each answer costs new keys and a signed certificate; raises 429."""
    address = owner_of(request).address
    if address is None:
        return
    wait = request.app[CALLS].wait(address)
    if wait:
        raise web.HTTPTooManyRequests(
            text=f"This device calls too often. Call again in {math.ceil(wait)} s.",
            headers={hdrs.RETRY_AFTER: str(math.ceil(wait))},
        )
    request.app[CALLS].fail(address)


async def _call(request: web.Request, offer: str) -> Session:
    sessions, owner = request.app[SESSIONS], owner_of(request)
    wanted, folder = request.query.get("continues"), sessions.settings.recordings
    # Only an id found on the disk is used there, never the client's text.
    known = None if wanted is None or folder is None else await asyncio.to_thread(continued, folder, wanted, owner.key)
    return await sessions.start(offer, owner, continues=known)


async def _publish(request: web.Request, offer: str) -> Session:
    return await request.app[SESSIONS].start(offer, owner_of(request), returns=False)


async def _watch(request: web.Request, offer: str) -> Viewer:
    wanted = request.query.get("stream", STREAMS[0])
    stream = next((name for name in STREAMS if name == wanted), None)
    if stream is None:
        raise web.HTTPBadRequest(text=f"A session's streams are {' and '.join(STREAMS)}.")
    try:
        return await request.app[SESSIONS].watch(request.match_info["session"], stream, offer, owner_of(request))
    except KeyError as error:
        raise web.HTTPNotFound(text="There is no such session, or not any more.") from error


def owner_of(request: web.Request) -> Owner:
    """The device that sends a request, as the owner of what it makes."""
    caller = request[CALLER]
    address = None if caller.role == "host" else caller.address
    return Owner(caller.device, address, request.app[ACCESS].key_of(caller))


def _ending(status: int) -> Handler:
    """A handler that ends a session or a viewer and answers with this status."""

    async def handle(request: web.Request) -> web.Response:
        try:
            _check_owner(request)
            await request.app[SESSIONS].end(request.match_info["id"])
        except KeyError as error:
            raise web.HTTPNotFound(text="There is no such call.") from error
        return web.Response(status=status)

    return handle


def _check_owner(request: web.Request) -> None:
    """Raise 403 for another device, `KeyError` for an unknown id."""
    owner = request.app[SESSIONS].owner(request.match_info["id"])
    if request[CALLER].role != "host" and owner.device != request[CALLER].device:
        raise web.HTTPForbidden(text="This is for the device that made the call, and for the computer itself.")


async def _command(request: web.Request) -> web.Response:
    if request.content_type != "application/json":
        raise web.HTTPUnsupportedMediaType(text="Send the command as application/json.")
    body = await body_of(request)
    if len(body) > MAX_COMMAND:
        raise web.HTTPRequestEntityTooLarge(
            MAX_COMMAND, len(body), text=f"The command is too large; at most {MAX_COMMAND} bytes are accepted."
        )
    try:
        _check_owner(request)
        request.app[SESSIONS].command(request.match_info["id"], body.decode())
    except UnicodeDecodeError as error:
        raise web.HTTPBadRequest(text="The command is not UTF-8 text.") from error
    except CommandError as error:
        raise web.HTTPBadRequest(text=str(error)) from error
    except KeyError as error:
        raise web.HTTPNotFound(text="There is no such session, or not any more.") from error
    return web.Response(status=204)


async def _no_content(_: web.Request) -> web.Response:
    """The answer to GET (RFC 9725, 4.1)."""
    return web.Response(status=204)


async def _known(request: web.Request) -> web.Response:
    """Nothing either, while there is such a call: a page that gets no reports asks whether its own is over."""
    try:
        request.app[SESSIONS].owner(request.match_info["id"])
    except KeyError as error:
        raise web.HTTPNotFound(text="There is no such call.") from error
    return web.Response(status=204)


async def _options(_: web.Request) -> web.Response:
    return web.Response(headers={"Accept-Post": SDP, hdrs.ALLOW: "GET, OPTIONS, POST"})


async def _no_trickle(request: web.Request) -> web.Response:
    raise web.HTTPMethodNotAllowed(
        request.method,
        ["DELETE", "GET"],
        text="Trickle ICE and ICE restarts are not supported. Send an offer with all ICE candidates.",
    )


async def _ended(request: web.Request) -> web.Response:
    return web.json_response(request.app[SESSIONS].describe_ended())


async def _sessions(request: web.Request) -> web.Response:
    return web.json_response(request.app[SESSIONS].describe())


async def _frozen(request: web.Request) -> web.Response:
    """The frozen frame as the camera sent it, for viewers and for the phone whose session it is."""
    session, pts = request.match_info["id"], int(request.match_info["pts"])
    try:
        if request[CALLER].role == "phone":
            _check_owner(request)
        picture = await request.app[SESSIONS].frozen_picture(session, pts)
    except KeyError as error:
        raise web.HTTPNotFound(text="There is no such session, or not any more.") from error
    if picture is None:
        raise web.HTTPNotFound(text="This frame is not the frozen one, or not any more.")
    return web.Response(body=picture, content_type="image/jpeg")
