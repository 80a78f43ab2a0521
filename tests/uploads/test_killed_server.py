"""A server that is killed while it explains a film: its child ends with it, and the next server continues."""

from __future__ import annotations

import json
import time
import urllib.request
from pathlib import Path
from typing import Any

import psutil

from tests.support.films.dropped_film import dropped_film
from tests.support.models import tiny_models
from tests.support.processes import family
from tests.support.servers.server_process import Server, serving
from whycam.stream.recording.sidecar import read_sidecar

COUNT = 450
"""Frames: enough that the server is killed in the middle."""


def films(server: Server) -> list[dict[str, Any]]:
    with urllib.request.urlopen(f"{server.url}/api/films") as answer:
        found: list[dict[str, Any]] = json.load(answer)["films"]
    return found


def until_frames(server: Server, count: int) -> dict[str, Any]:
    deadline = time.monotonic() + 60
    while (film := films(server)[0])["frames"] < count:
        assert film["state"] != "failed", film
        assert time.monotonic() < deadline, film
        time.sleep(0.05)
    return film


def test_a_film_whose_server_is_killed_is_continued_by_the_next(tmp_path: Path) -> None:
    film = dropped_film(tmp_path / "long.mp4", COUNT, (320, 240))
    arguments = ["--model", str(tiny_models.bright_spot(tmp_path / "bright.onnx"))]
    with serving(tmp_path, arguments=arguments) as server:
        url = f"{server.url}/api/films?name=long.mp4"
        request = urllib.request.Request(url, film.read_bytes(), {"Content-Type": "application/octet-stream"})
        with urllib.request.urlopen(request) as answer:
            assert answer.status == 201
        until_frames(server, 50)
        children = family(server.process.pid)
        server.process.kill()
        _, alive = psutil.wait_procs(children, 10)
        assert alive == []
    assert [path.name for path in server.recordings.iterdir()] == [".films"]
    with serving(tmp_path, arguments=arguments) as server:
        recording = until_frames(server, COUNT)
        deadline = time.monotonic() + 60
        while (recording := films(server)[0])["state"] != "done":
            assert recording["state"] != "failed", recording
            assert time.monotonic() < deadline, recording
            time.sleep(0.1)
        folder = server.recordings / recording["recording"]
        _, lines = read_sidecar(folder / "predictions.jsonl")
        times = [line.pts for line in lines]
        assert len(times) == len(set(times)) == COUNT
        assert not list((server.recordings / ".films").iterdir())
    # A server that ends leaves nothing behind.
    assert [path.name for path in server.recordings.iterdir()] == [folder.name]
