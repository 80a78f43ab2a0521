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
from tests.support.servers.film_servers import http_films, rtsp_films
from whycam.stream.media.image import write_image
from whycam.stream.server.certificate import own_certificate

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
    media_samples.write(
        folder / "index-at-its-end.mov", count=90, size=SIZE, sound="pcm_s16le"
    )  # more than is read ahead
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
        ("{url}/index-at-its-end.mov", "needs a server that sends parts of it"),
        ("{url}/door.jpg", "is an image"),
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


@pytest.mark.parametrize("name", ["index-at-its-end.mov", "door.mkv", "door.ts"])
@pytest.mark.parametrize("is_secure", [False, True])
def test_a_film_is_read_from_a_server_that_sends_parts(tmp_path: Path, name: str, is_secure: bool) -> None:
    model = tiny_models.bright_spot(tmp_path / "bright.onnx")
    media_samples.write(tmp_path / name, count=30, size=SIZE, sound="aac")
    certificate = own_certificate(tmp_path / "certificate", ["127.0.0.1"]) if is_secure else None
    pair = (certificate.chain, certificate.key) if certificate is not None else None
    with http_films(tmp_path, pair) as url:
        done = run("process", f"{url}/{name}", "--allow-network", "-o", "a.mp4", "--model", model, folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert len(media_samples.read(tmp_path / "a.mp4")) == 30


def test_a_cameras_stream_is_read_and_its_password_is_hidden(tmp_path: Path) -> None:
    model = tiny_models.bright_spot(tmp_path / "bright.onnx")
    with rtsp_films(media_samples.write(tmp_path / "door.ts", count=30, size=SIZE)) as url:
        address = url.replace("//", "//user:secret@")
        done = run("process", address, "--allow-network", "--json", "--model", model, folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert len(media_samples.read(tmp_path / "door-output.mp4")) >= 29  # the last one has no end
    shown = done.stdout + done.stderr + (tmp_path / "door-output.jsonl").read_text()
    assert url in shown
    assert "secret" not in shown


def test_one_result_goes_into_a_folder_whose_name_ends_in_a_slash(tmp_path: Path) -> None:
    model = tiny_models.bright_spot(tmp_path / "bright.onnx")
    media_samples.write(tmp_path / "a.mov", count=3, size=SIZE)
    done = run("process", "a.mov", "-o", "results/", "--model", model, folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert {path.name for path in (tmp_path / "results").iterdir()} == {"a-output.mp4", "a-output.jsonl"}
    again = run("replay", "results/a-output.jsonl", "a.mov", "-o", "again/", folder=tmp_path)
    assert again.returncode == 0, again.stderr
    assert [path.name for path in (tmp_path / "again").iterdir()] == ["a-replay.mp4"]
    write_image(tmp_path / "dog.jpg", media_samples.spot(SIZE))
    one = run("explain", "dog.jpg", "-o", "images/", "--model", model, folder=tmp_path)
    assert one.returncode == 0, one.stderr
    assert [path.name for path in (tmp_path / "images").iterdir()] == ["dog-output.jpg"]
    missing = run("explain", "cat.jpg", "-o", "none/", "--model", model, folder=tmp_path)
    assert "There is no file" in missing.stderr
    assert not (tmp_path / "none").exists()
    refused = run("process", "a.mov", "-o", "other", "--model", model, folder=tmp_path)
    assert "write 'other/'" in refused.stderr
