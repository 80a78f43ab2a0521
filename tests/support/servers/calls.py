"""A server in this process, and readers for the recording of a call."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import av
from aiohttp import ClientSession
from aiohttp.test_utils import TestServer

from whycam.stream.inference.engine import Engine
from whycam.stream.server.app import SESSIONS, make_app
from whycam.stream.sessions.model_choice import ModelShelf
from whycam.stream.sessions.registry import Sessions
from whycam.stream.sessions.session import Session, Settings


def only_session(sessions: Sessions) -> Session:
    (session,) = sessions.open_sessions.values()
    return session


Body = Callable[[ClientSession, str, Sessions], Awaitable[None]]


def served(engine: Engine, settings: Settings, body: Body, shelf: ModelShelf | None = None) -> None:
    """Run `body` against a server on loopback; checks that no session or thread is left afterwards."""

    async def run() -> None:
        app = make_app(Sessions(engine, settings, shelf))
        async with TestServer(app) as server, ClientSession() as http:
            await body(http, str(server.make_url("")).rstrip("/"), app[SESSIONS])
        assert len(app[SESSIONS]) == 0

    try:
        asyncio.run(run())
        names = [thread.name for thread in threading.enumerate()]
        assert not {"live", "recording", "video-decoder"} & set(names), names
    finally:
        engine.close()


def only_recording(folder: Path) -> Path:
    (recording,) = folder.iterdir()
    return recording


def session_of(recording: Path) -> dict[str, Any]:
    session = json.loads((recording / "session.json").read_text())
    assert isinstance(session, dict)
    return session


def file_pts(path: Path) -> list[int]:
    """The pts of a film's frames, in 1/90000 s."""
    with av.open(path) as container:
        base = container.streams.video[0].time_base
        assert base is not None
        return [round(f.pts * base * 90_000) for f in container.decode(video=0) if f.pts is not None]
