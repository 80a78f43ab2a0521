"""Recordings, sidecars, model files and data-channel clients of the last version still work."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from aiohttp import ClientSession

from tests.support import ROOT
from tests.support.clients.camera_client import calling
from tests.support.command import run
from tests.support.films import media_samples
from tests.support.models.engines import fast
from tests.support.servers.calls import served
from whycam.models.catalog import EFFICIENTNET_LITE0
from whycam.stream.inference.explainer import Explainer
from whycam.stream.recording.sidecar import read_sidecar
from whycam.stream.sessions.registry import Sessions
from whycam.stream.sessions.session import Settings
from whycam.stream.video.planes import rgb_of

KEPT = ROOT / "tests" / "data" / "version-0.1"
ID = "2026-11-25_09-43-01_b069c6136279"
FORMER = "63c720176345d835383bab543a43ffb44104e73c367057519fef81b73c78a48c"
"""Of the bundled model's file with one map."""
VP8 = "2026-11-25_09-50-00_5cfa3da27371"


@pytest.fixture
def recordings(tmp_path: Path) -> Path:
    shutil.copytree(KEPT / "recordings", tmp_path / "recordings")
    return tmp_path / "recordings"


def test_a_recording_of_the_last_version_is_listed_and_plays(tmp_path: Path, recordings: Path) -> None:
    async def body(http: ClientSession, base: str, sessions: Sessions) -> None:
        other, listed = await (await http.get(f"{base}/api/recordings")).json()
        assert (other["id"], other["state"], len(other["segments"])) == (VP8, "finished", 1)
        assert (listed["id"], listed["session"], listed["state"]) == (ID, "b069c6136279", "finished")
        assert (listed["model"], listed["labels"]) == ("bright spot", [{"label": "red", "share": 1.0}])
        assert listed["seconds"] == pytest.approx(23 / 30, abs=0.001)
        for each, kind in ((listed, "video/mp4"), (other, "video/webm")):
            where = f"{base}/api/recordings/{each['id']}"
            assert {file["name"].partition("-")[0] for file in each["files"]} > {"camera", "explained"}
            for file in each["files"]:
                answer = await http.get(f"{where}/files/{file['name']}", headers={"Range": "bytes=0-99"})
                assert (answer.status, len(await answer.read())) == (206, 100)
                assert not file["name"].startswith("camera") or answer.content_type == kind
            course = await (await http.get(f"{where}/timeline")).json()
            assert next(each["label"] for each in course["classes"]) == "red"
            still = await http.get(f"{where}/pictures/0.2.jpg")
            assert (await still.read()).startswith(b"\xff\xd8\xff")
            assert (await http.delete(where)).status == 204

    served(fast(tmp_path), Settings(recordings=recordings), body)


def test_a_sidecar_of_the_last_version_is_read_with_all_its_settings() -> None:
    header, lines = read_sidecar(KEPT / "recordings" / ID / "predictions.jsonl")
    assert (header["model"], header["size"], header["fit"]) == ("bright spot", [32, 32], "stretch")
    frames = list(lines)
    assert len(frames) == 23
    assert {frame.maps[0].label for frame in frames} == {"red"}
    pinned = [frame for frame in frames if frame.view.pinned]
    assert {(frame.view.pinned, frame.view.colormap, frame.view.opacity) for frame in pinned} == {
        ((2, 0), "viridis", 0.5)
    }
    occluded = [frame for frame in frames if frame.view.occlude]
    assert {frame.hidden.label for frame in occluded if frame.hidden is not None} == {"blue"}
    frozen = [frame for frame in frames if frame.frozen is not None]
    assert len(frozen) > 4
    assert len({frame.frozen for frame in frozen}) == 1
    assert not any(frame.view.difference or any(each.against for each in frame.maps) for frame in frames)
    assert (frames[-1].view.pinned, frames[-1].view.occlude, frames[-1].frozen) == ((), False, None)


@pytest.mark.parametrize("recording", [ID, VP8])
def test_a_recording_of_the_last_version_is_redrawn_as_it_was_seen(
    tmp_path: Path, recordings: Path, recording: str
) -> None:
    again = tmp_path / "again.mp4"
    done = run("replay", recordings / recording, recordings / recording, "--output", again, folder=tmp_path)
    assert done.returncode == 0, done.stderr
    seen, drawn = (media_samples.read(path) for path in (*(recordings / recording).glob("explained-000.*"), again))
    assert [round(shot.time * 90_000) for shot in drawn] == [round(shot.time * 90_000) for shot in seen]
    diff = [np.abs(rgb_of(a.frame).astype(int) - rgb_of(b.frame)).max(axis=2) for a, b in zip(seen, drawn, strict=True)]
    # Both are lossy. With another colormap or less opacity the difference is 70 and more.
    assert max(np.percentile(each, 99) for each in diff) < 20


def test_a_recording_by_another_file_of_a_model_is_redrawn_as_it_was_seen(tmp_path: Path, recordings: Path) -> None:
    """The maps are in the sidecar: neither a model's file nor its checksum is looked at."""
    drawn = []
    for number, sha256 in enumerate((FORMER, EFFICIENTNET_LITE0.sha256)):
        sidecar = recordings / ID / "predictions.jsonl"
        header, *lines = sidecar.read_text("utf-8").splitlines(keepends=True)
        sidecar.write_text(
            json.dumps(json.loads(header) | {"model": "efficientnet-lite0", "sha256": sha256}) + "\n" + "".join(lines)
        )
        again = tmp_path / f"{number}.mp4"
        done = run("replay", recordings / ID, recordings / ID, "--output", again, folder=tmp_path)
        assert done.returncode == 0, done.stderr
        drawn.append([rgb_of(shot.frame) for shot in media_samples.read(again)])
    assert len(drawn[0]) == len(drawn[1])
    assert all(np.array_equal(one, other) for one, other in zip(*drawn, strict=True))


def test_a_model_file_of_the_last_version_explains_as_it_did() -> None:
    path = KEPT / "bright-spot.onnx"
    explainer = Explainer(path)
    assert (explainer.contract.name, explainer.contract.labels) == ("bright spot", ("red", "green", "blue"))
    assert (explainer.contract.input_size, explainer.contract.map_size) == ((32, 32), (8, 8))
    image = np.full((1, 32, 32, 3), 90, np.uint8)
    image[0, 20:24, 4:8] = (30, 220, 40)
    found = explainer.explain(image, [-1, 0])
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    names = ["scores", "classes", "heatmaps", "evidence"]
    plain = session.run(names, {"image": image, "target": np.array([[-1, 0]], np.int64)})
    for name, value in zip(names, plain, strict=True):
        assert getattr(found, name).tobytes() == np.asarray(value).tobytes()
    assert found.classes.tolist() == [[1, 0]]
    assert np.unravel_index(found.heatmaps[0, 0].argmax(), (8, 8)) == (5, 1)


def test_a_client_of_the_last_version_sends_its_commands_and_reads_its_reports(tmp_path: Path) -> None:
    known = json.loads((KEPT / "report.json").read_text())
    sent = [
        {"hold": [2, 0], "opacity": 0.5, "colormap": "viridis"},
        {"hide": True},
        {"freeze": True},
        {"freeze": False, "hide": False, "hold": []},
    ]

    async def body(http: ClientSession, base: str, sessions: Sessions) -> None:
        async with calling(http, base, media_samples.encoded("H264", 60, (64, 48))) as phone:
            await phone.until(lambda: phone.reports)
            for command in sent[:3]:
                phone.commands.send(json.dumps(command))
            await phone.until(lambda: phone.reports[-1]["frozen"] and phone.reports[-1]["hidden"])
            report = phone.reports[-1]
            assert missing(known, report) == []
            assert report["view"] == known["view"]
            assert [each["label"] for each in report["held"]] == ["blue", "red"]
            phone.commands.send(json.dumps(sent[3]))
            await phone.until(lambda: not phone.reports[-1]["frozen"] and phone.reports[-1]["held"] == [])
            assert phone.replies == []

    served(fast(tmp_path), Settings(recordings=tmp_path / "recordings"), body)


def missing(old: dict[str, Any], new: dict[str, Any], inside: str = "") -> list[str]:
    """Fields of an old message that are missing in the new one or have another type; new fields are allowed."""
    wrong = []
    for name, value in old.items():
        if name not in new or (value is not None and type(new[name]) is not type(value)):
            wrong.append(inside + name)
        elif isinstance(value, dict):
            wrong += missing(value, new[name], f"{inside}{name}.")
    return wrong
