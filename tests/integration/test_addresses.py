"""Addresses in a network: read only with --allow-network, and never left behind as folders."""

from __future__ import annotations

import functools
import http.server
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.command import run
from tests.support.films import media_samples
from tests.support.models import tiny_models

SIZE = (64, 48)


class Served(http.server.SimpleHTTPRequestHandler):
    """Serves a folder and notes what was asked for."""

    asked: list[str]

    def do_GET(self) -> None:
        self.asked.append(self.path)
        super().do_GET()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - as in the base class
        pass


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[str, list[str]]]:
    folder = tmp_path / "web"
    folder.mkdir()
    media_samples.write(folder / "door.mkv", count=9, size=SIZE)
    (folder / "notes.txt").write_text("no film")
    asked: list[str] = []
    handler = type("Handler", (Served,), {"asked": asked})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(handler, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", asked
    server.shutdown()
    thread.join()
    server.server_close()


def test_an_address_is_read_only_on_request(tmp_path: Path, served: tuple[str, list[str]]) -> None:
    url, asked = served
    model = tiny_models.bright_spot(tmp_path / "bright.onnx")
    before = sorted(tmp_path.iterdir())
    refused = run("process", f"{url}/door.mkv", "--model", model, folder=tmp_path)
    assert refused.returncode == 1
    assert "only with --allow-network" in refused.stderr
    assert sorted(tmp_path.iterdir()) == before
    assert asked == []
    done = run("process", f"{url}/door.mkv", "--allow-network", "--model", model, folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert len(media_samples.read(tmp_path / "door-output.mp4")) == 9


@pytest.mark.parametrize(
    ("address", "says"),
    [
        ("{url}/missing.mkv", "cannot be read as a video"),
        ("{url}/notes.txt", "cannot be read as a video"),
        ("gopher://host/film", "whycam reads http, https, rtsp"),
    ],
)
def test_an_address_that_cannot_be_read_is_said(
    tmp_path: Path, served: tuple[str, list[str]], address: str, says: str
) -> None:
    model = tiny_models.bright_spot(tmp_path / "bright.onnx")
    before = sorted(tmp_path.iterdir())
    done = run("process", address.format(url=served[0]), "--allow-network", "--model", model, folder=tmp_path)
    assert done.returncode == 1
    assert says in done.stderr
    assert "Traceback" not in done.stderr
    assert sorted(tmp_path.iterdir()) == before


def test_one_result_goes_into_a_folder_whose_name_ends_in_a_slash(tmp_path: Path) -> None:
    model = tiny_models.bright_spot(tmp_path / "bright.onnx")
    media_samples.write(tmp_path / "a.mov", count=3, size=SIZE)
    done = run("process", "a.mov", "-o", "results/", "--model", model, folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert {path.name for path in (tmp_path / "results").iterdir()} == {"a-output.mp4", "a-output.jsonl"}
    refused = run("process", "a.mov", "-o", "other", "--model", model, folder=tmp_path)
    assert "write 'other/'" in refused.stderr
