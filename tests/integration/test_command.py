"""The command line and the library's public functions, run as a user runs them."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import os
import re
import signal
import socket
import subprocess
import sys
import textwrap
import urllib.request
from pathlib import Path
from typing import Any

import cv2
import psutil
import pytest
import skimage.data
from aiohttp import ClientSession

import whycam
from tests.support import ROOT
from tests.support.clients.camera_client import calling
from tests.support.command import run
from tests.support.films import media_samples
from tests.support.models import tiny_models
from tests.support.qr_codes import as_shown, decoded
from tests.support.servers.server_process import READY, Server, free_port, lan_arguments, serving
from whycam.export.requirements import ExportMissing, check_needs
from whycam.stream.cli import serve
from whycam.stream.server.lan import Lan
from whycam.stream.server.tokens import Credentials


def test_models_lists_the_bundled_one_as_ready(tmp_path: Path) -> None:
    done = run("models", folder=tmp_path)
    assert done.returncode == 0
    assert re.search(r"efficientnet-lite0\s+yes\s+Apache-2.0", done.stdout)


def test_process_explains_a_film_and_names_its_results(tmp_path: Path) -> None:
    media_samples.write(tmp_path / "kitchen.mov", count=12)
    model = tiny_models.bright_spot(tmp_path / "bright.onnx")
    done = run("process", "kitchen.mov", "--model", model, folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "12 frames" in done.stdout
    assert "metadata" in done.stdout
    assert len(media_samples.read(tmp_path / "kitchen-output.mp4")) == 12
    header, *lines = (tmp_path / "kitchen-output.jsonl").read_text().splitlines()
    assert json.loads(header)["model"] == "bright spot"
    assert [json.loads(line)["labels"][0] for line in lines] == ["red"] * 12

    again = run("process", "kitchen.mov", "--model", model, folder=tmp_path)
    assert again.returncode == 1
    assert "--overwrite" in again.stderr
    assert run("process", "kitchen.mov", "--model", model, "--overwrite", folder=tmp_path).returncode == 0


BAD_CALLS: dict[str, tuple[list[str], str]] = {
    "no such film": (["process", "none.mov"], "There is no file none.mov"),
    "not a film": (["process", "text.mov"], "text.mov cannot be read as a video"),
    "another ending": (["process", "text.mov", "-o", "out.avi"], "ends in .mp4"),
    "a model by a wrong name": (["process", "text.mov", "--model", "eficientnet"], "efficientnet-lite0"),
    "a model that is no model": (["serve", "--model", "text.onnx"], "text.onnx"),
    "a model that is not there": (["serve", "--model", "none.onnx"], "none.onnx"),
    "an ICE server that is none": (["serve", "--ice-server", "foo"], "stun:HOST:PORT"),
    "an ICE server out of reach": (["serve", "--ice-server", "stun:192.0.2.1:3478"], "--ice-address"),
    "an address that is not ours": (["serve", "--ice-address", "203.0.113.5"], "203.0.113.5"),
    "a folder without images": (["process", "."], "is a folder without images"),
    "recordings in a file": (["serve", "--recordings", "text.mov"], "Recordings cannot be stored in text.mov"),
    "odd ports": (["serve", "--udp-ports", "9-1"], "LO-HI"),
    "a new code without a LAN": (["serve", "--new-token"], "Add --lan"),
    "a host that is not ours": (["serve", "--lan", "--host", "203.0.113.77"], "not an address of this computer"),
    "a certificate without its key": (["serve", "--lan", "--cert", "text.mov"], "belong together"),
    "a certificate that is none": (
        ["serve", "--lan", "--host", "127.0.0.1", "--config", "../config", "--cert", "text.mov", "--key", "text.mov"],
        "no PEM certificate",
    ),
    "an unknown colormap": (["process", "text.mov", "--colormap", "pink"], "inferno"),
    "an unknown layout": (
        ["process", "text.mov", "--layout", "mosaic"],
        "'overlay', 'side-by-side', 'heatmap', 'grid'",
    ),
    "an unknown style": (["process", "text.mov", "--style", "film"], "'blend', 'book'"),
    "an unknown fit": (["process", "text.mov", "--fit", "squash"], "'stretch', 'crop'"),
    "an unknown class": (["process", "text.mov", "--target", "retriever"], "golden retriever (207)"),
    "a pattern without a match": (["process", "*.mp4"], "No file matches '*.mp4'"),
    "a film for several": (["process", "text.mov", "text.onnx", "-o", "out.mp4"], "the output is a folder"),
    "an assignment of a folder": (["process", ".", "--assignment", "out"], "--assignment takes one film"),
    "a film that is none, as an assignment": (["process", "text.mov", "--assignment", "out"], "cannot be read as a"),
    # These two are reported before TensorFlow is imported, which is slow; here it is not installed.
    "weights that are not there": (["export", "vgg16", "--weights", "none.h5"], "There is no file none.h5"),
    "no images to verify with": (["export", "vgg16", "--verify-with", "none"], "There is no folder none"),
}


@pytest.mark.parametrize("name", BAD_CALLS)
def test_a_bad_call_ends_with_a_sentence(tmp_path: Path, name: str) -> None:
    arguments, words = BAD_CALLS[name]
    (tmp_path / "text.mov").write_text("not a film")
    (tmp_path / "text.onnx").write_text("not a model")
    done = run(*arguments, folder=tmp_path)
    assert done.returncode != 0
    assert words in done.stderr
    assert "Traceback" not in done.stderr
    assert {p.name for p in tmp_path.iterdir()} == {"text.mov", "text.onnx"}


@pytest.mark.parametrize(
    "arguments",
    [
        ["process", "a.mov", "--overwrit"],
        ["process", "a.mov", "--opacity", "3"],
        ["process"],
        ["serve", "--udp-ports", "9-1"],
        ["explain"],
        [],
    ],
)
def test_an_invalid_command_line_ends_with_1(tmp_path: Path, arguments: list[str]) -> None:
    """2 means that a film broke off (docs/process.md)."""
    done = run(*arguments, folder=tmp_path)
    assert done.returncode == 1
    assert "Usage" in done.stdout + done.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["serve", "--port", "70000"], "Invalid value for '--port': Input should be less than or equal to 65535"),
        (["doctor", "--lan-port", "https"], "'--lan-port': Input should be a valid integer"),
        (["process", "a.mov", "--opacity", "3"], "'--opacity': Input should be less than or equal to 1"),
        (["process", "a.mov", "--sure", "nan"], "'--sure': Input should be less than or equal to 1"),
        (["process", "a.mov", "--every", "0"], "'--every': Input should be greater than or equal to 1"),
    ],
)
def test_a_number_out_of_range_is_reported_with_the_range(tmp_path: Path, arguments: list[str], words: str) -> None:
    done = run(*arguments, folder=tmp_path)
    assert done.returncode == 1
    assert words in done.stderr


@pytest.mark.skipif(importlib.util.find_spec("keras") is not None, reason="Keras is installed here")
def test_an_export_without_its_packages_says_which_to_install(tmp_path: Path) -> None:
    done = run("export", "vgg16", "--weights", "random", "-o", "out.onnx", folder=tmp_path)
    assert done.returncode == 1
    assert "pip install 'whycam[export]'" in done.stderr
    assert "Traceback" not in done.stderr


def test_missing_export_packages_are_reported_before_any_import() -> None:
    with pytest.raises(ExportMissing, match=r"needs no-such-package. Install it with: pip install 'whycam\[export\]'"):
        check_needs("onnx", "no-such-package")


def test_a_port_in_use_is_reported(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = run("serve", "--port", str(port), folder=tmp_path)
    assert done.returncode == 1
    assert f"Port {port} is in use" in done.stderr
    assert not (tmp_path / "recordings").exists()


def test_a_new_token_is_not_made_where_the_server_cannot_start(tmp_path: Path) -> None:
    """The process that uses the port may be whycam, whose phones still use the old token."""
    before = Credentials.kept(tmp_path / "config")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        arguments = [*lan_arguments(tmp_path, taken.getsockname()[1]), "--port", str(free_port()), "--new-token"]
        done = run("serve", *arguments, folder=tmp_path)
    assert done.returncode == 1
    assert "is in use. Stop the program that uses it, or choose another port with --lan-port" in done.stderr
    assert Credentials.kept(tmp_path / "config").tokens == before.tokens


def test_one_port_for_both_listeners_is_reported(tmp_path: Path) -> None:
    port = free_port()
    done = run("serve", *lan_arguments(tmp_path, port), "--port", str(port), folder=tmp_path)
    assert done.returncode == 1
    assert f"--port and --lan-port are both {port}. Give two ports." in done.stderr
    assert not (tmp_path / "config").exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_serve_answers_on_loopback_only_and_ends_when_asked(tmp_path: Path, number: signal.Signals) -> None:
    with serving(tmp_path) as server:
        with urllib.request.urlopen(server.url + "/healthz") as answer:
            assert json.load(answer)["status"] == "ok"
        sockets = psutil.Process(server.process.pid).net_connections()
        assert {s.laddr.ip for s in sockets if s.status == psutil.CONN_LISTEN} == {"127.0.0.1"}
        server.process.send_signal(number)
        assert server.process.wait(5) == 0


def test_the_model_is_loaded_from_any_working_directory(tmp_path: Path) -> None:
    """The child process gets the packages' location; a script in the current folder does not shadow them."""
    (tmp_path / "pickle.py").write_text("raise SystemExit('another module')")
    port = free_port()
    script = tmp_path / "bin" / "whycam"  # as pip writes it
    script.parent.mkdir()
    script.write_text("import sys\nfrom whycam.__main__ import main\nsys.exit(main())\n")
    with subprocess.Popen(
        [sys.executable, str(script), "serve", "--port", str(port), "--no-record"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        lines = list(iter(process.stdout.readline, f"{READY}\n"))
        process.terminate()
        assert process.wait(5) == 0
    assert lines[0].startswith("Model: efficientnet-lite0 on CPU")


def only_child(server: Server) -> psutil.Process:
    (child,) = psutil.Process(server.process.pid).children(recursive=True)
    return child


async def health(http: ClientSession, server: Server) -> dict[str, Any]:
    async with http.get(server.url + "/healthz") as answer:
        value = await answer.json()
    assert isinstance(value, dict)
    return value


def test_a_model_that_dies_ends_no_call(tmp_path: Path) -> None:
    frames = media_samples.encoded("H264", 60, (160, 120))
    model = tiny_models.bright_spot(tmp_path / "bright.onnx")

    async def look(server: Server) -> None:
        async with ClientSession() as http, calling(http, server.url, frames) as phone:

            def heat_returned() -> bool:
                return bool(phone.reports) and phone.reports[-1]["labels"] != []

            await phone.until(heat_returned)
            assert (await health(http, server))["engine_restarts"] == 0
            only_child(server).kill()
            shown = len(phone.pictures)
            await phone.until(lambda: any(report["engine"] == "restarting" for report in phone.reports))
            await phone.until(heat_returned)
            await phone.until(lambda: len(phone.pictures) > shown)
            now = await health(http, server)
            assert (now["engine"], now["engine_restarts"], now["sessions"]) == ("running", 1, 1)
        states = {(report["engine"], report["state"]) for report in phone.reports}
        assert ("restarting", "none") in states
        assert ("restarting", "exact") not in states
        log = server.log.read_text()
        assert "ended by SIGKILL" in log
        assert "The model is back" in log
        assert "Traceback" not in log

    with serving(tmp_path, arguments=["--model", str(model)]) as server:
        asyncio.run(look(server))


def test_ctrl_c_in_a_terminal_finishes_the_files_first(tmp_path: Path) -> None:
    """The signal goes to the server and to the model's process."""
    frames = media_samples.encoded("H264", 60, (160, 120))
    model = tiny_models.bright_spot(tmp_path / "bright.onnx")

    async def record(server: Server) -> None:
        child = only_child(server)
        async with ClientSession() as http, calling(http, server.url, frames) as phone:
            await phone.until(lambda: len(phone.pictures) >= 30)
            for process in (child, psutil.Process(server.process.pid)):
                process.send_signal(signal.SIGINT)
            code = await asyncio.to_thread(server.process.wait, 5)
        assert code == 0
        assert not child.is_running()
        said = server.log.read_text().partition(READY)[2]
        assert "model" not in said  # it did not end before the streams
        assert "Ending: calls are closed, recordings are finished. Ctrl-C again ends it at once." in said

    with serving(tmp_path, arguments=["--model", str(model)]) as server:
        asyncio.run(record(server))
    (recording,) = server.recordings.iterdir()
    assert server.log.read_text().endswith(f"Ended. Recordings made: 1; the newest is {recording}.\n")
    session = json.loads((recording / "session.json").read_text())
    assert session["state"] == "ended"
    assert len(media_samples.times(recording / "explained-000.mp4")) == session["counts"]["explained_recorded"] > 0
    assert len(media_samples.times(recording / "camera-000.mp4")) == session["counts"]["recorded"] > 0


def test_a_model_that_kills_its_process_while_loading_is_reported(tmp_path: Path) -> None:
    (tmp_path / "sick").mkdir()
    (tmp_path / "sick" / "onnxruntime.py").write_text("import os, signal\nos.kill(os.getpid(), signal.SIGSEGV)\n")
    environment = os.environ | {"PYTHONPATH": f"{ROOT}:{tmp_path / 'sick'}"}
    done = subprocess.run(
        [sys.executable, "-m", "whycam", "serve", "--port", str(free_port())],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 1
    assert "The model's process was ended by SIGSEGV." in done.stderr
    assert not (tmp_path / "recordings").exists()


def test_with_a_lan_it_listens_only_on_the_printed_addresses(tmp_path: Path) -> None:
    port = free_port()
    with serving(tmp_path, arguments=lan_arguments(tmp_path, port)) as server:
        sockets = psutil.Process(server.process.pid).net_connections()
        listening = {f"{s.laddr.ip}:{s.laddr.port}" for s in sockets if s.status == psutil.CONN_LISTEN}
        printed = server.log.read_text().replace("localhost", "127.0.0.1")
        assert listening == set(re.findall(r"https?://([\d.]+:\d+)", printed))
        assert listening == {server.url.partition("//")[2].replace("localhost", "127.0.0.1"), f"127.0.0.1:{port}"}


def test_the_terminals_code_is_the_printed_invitation(tmp_path: Path) -> None:
    with serving(tmp_path, arguments=lan_arguments(tmp_path, free_port())) as server:
        lines = [line for line in server.log.read_text().splitlines() if line and not set(line) - set(" ▀▄█")]
        assert decoded(as_shown("\n".join(lines))) == server.invitation


def test_without_a_network_it_says_what_to_try(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    serve.invite(Lan.prepared([], 8443, tmp_path))
    assert "hotspot" in capsys.readouterr().out


def test_the_last_lan_option_counts(tmp_path: Path) -> None:
    """So that `make serve ARGS=--no-lan` stays on this computer."""
    with serving(tmp_path, arguments=["--lan", "--no-lan", "--config", str(tmp_path / "config")]) as server:
        assert "Phone: " not in server.log.read_text()
    assert not (tmp_path / "config").exists()


def test_files_named_like_its_packages_are_not_imported(tmp_path: Path) -> None:
    for name in ("models", "stream", "export", "web"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('another module')")
    done = run("models", folder=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")


def test_explain_names_a_photograph(tmp_path: Path) -> None:
    explained = whycam.explain(skimage.data.coffee())
    assert explained.labels[0] == "espresso"
    assert explained.scores[0] > 0.5
    assert explained.heatmaps.shape == (5, 7, 7)
    assert explained.overlay.shape == explained.picture.shape == (400, 600, 3)
    by_number = whycam.explain(skimage.data.coffee(), targets=(explained.classes[1], -2))
    assert by_number.classes[0] == by_number.classes[1] == explained.classes[1]
    with pytest.raises(ValueError, match="classes 0 to 999"):
        whycam.explain(skimage.data.coffee(), targets=(1000,))


def test_explain_says_which_input_it_accepts(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="There is no target"):
        whycam.explain(skimage.data.coffee(), targets=())
    with pytest.raises(ValueError, match=r"is a folder\. Give an image file"):
        whycam.explain(tmp_path)
    with pytest.raises(ValueError, match=r"a file's name, bytes, .* not NoneType"):
        whycam.explain(None)  # type: ignore[call-overload]


def test_the_readmes_python_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cv2.imwrite(str(tmp_path / "dog.jpg"), skimage.data.chelsea()[:, :, ::-1])
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    assert blocks
    for block in blocks:
        exec(textwrap.dedent(block), {})
