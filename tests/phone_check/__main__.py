"""Serves the page to phones nearby, with a panel that runs through it and writes a report: `make test-phone`.

python -m tests.phone_check [--host ADDRESS] [--port PORT] [--reports FOLDER]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import tempfile
import time
from pathlib import Path

from aiohttp import web

from whycam.models import catalog
from whycam.stream.inference.process_engine import ProcessEngine
from whycam.stream.inference.worker import Order
from whycam.stream.server.app import SESSIONS, make_app, running
from whycam.stream.server.auth import require_role
from whycam.stream.server.join import WEB
from whycam.stream.server.lan import Lan, lan_addresses
from whycam.stream.server.listener import json_object_of
from whycam.stream.server.qr import terminal_qr
from whycam.stream.sessions.registry import Sessions
from whycam.stream.sessions.session import Settings
from whycam.stream.webrtc.ice.config import IceConfig, own_addresses

HERE = Path(__file__).parent
MAX_REPORT = 100_000
PANEL = '<link rel="stylesheet" href="/check/check.css"><script src="/check/check.js"></script></head>'
REPORTS = web.AppKey("reports", Path)


def add_routes(app: web.Application, reports: Path) -> None:
    """The page with the panel at `/check`, the panel's files, and what it asks of the server."""
    app[REPORTS] = reports
    app.router.add_get("/check", _page)
    app.router.add_get("/check/{name:check\\.(?:js|css)}", _file)
    app.router.add_post("/check/break", require_role("phone", "host")(_break))
    app.router.add_post("/check/report", require_role("phone", "host")(_report))


async def _page(_: web.Request) -> web.Response:
    text = (WEB / "index.html").read_text(encoding="utf-8")
    return web.Response(text=text.replace("</head>", PANEL), content_type="text/html")


async def _file(request: web.Request) -> web.StreamResponse:
    return web.FileResponse(HERE / request.match_info["name"])


async def _break(request: web.Request) -> web.Response:
    """Break all connections, without a last message."""
    for session in request.app[SESSIONS].open_sessions.values():
        if session.peer is not None:
            await session.peer.pc.close()
    return web.Response(status=204)


async def _report(request: web.Request) -> web.Response:
    report = await json_object_of(request, MAX_REPORT, '{"steps": […]}')
    text = json.dumps(report, indent=1, ensure_ascii=False)
    folder = request.app[REPORTS]
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"phone-{time.strftime('%Y-%m-%d_%H-%M-%S')}.json"
    path.write_text(text + "\n", encoding="utf-8")
    print(text, f"\nThe report is in {path}. Send it back.", flush=True)
    return web.Response(status=204)


async def serve(host: str | None, port: int, reports: Path) -> None:
    addresses = [host] if host else [address.ip for address in lan_addresses()]
    with tempfile.TemporaryDirectory(prefix="whycam-") as folder:
        lan = Lan.prepared(addresses, port, Path(folder) / "config")
        if lan.certificate is None:
            raise SystemExit("This computer is in no network. Join one, such as the phone's hotspot.")
        engine = ProcessEngine(Order(catalog.find(), threads=1))
        settings = Settings(media=IceConfig(own_addresses()), recordings=Path(folder) / "recordings")
        app = make_app(Sessions(engine, settings), lan)
        add_routes(app, reports)
        try:
            async with running(app) as listeners:
                for address in lan.addresses:
                    await listeners.listen(address, port, lan.certificate.context())
                url = lan.invitations()[0].replace("#", "check#")
                print(terminal_qr(url), "Scan this code with the phone's camera, or open:", url, sep="\n", flush=True)
                await asyncio.Event().wait()
        finally:
            engine.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--host", help="only this address of the computer")
    parser.add_argument("--port", type=int, default=8443)
    parser.add_argument("--reports", type=Path, default=Path("build/phone-reports"))
    arguments = parser.parse_args()
    try:
        asyncio.run(serve(arguments.host, arguments.port, arguments.reports))
    except KeyboardInterrupt:
        print("Ended.")


if __name__ == "__main__":
    main()
