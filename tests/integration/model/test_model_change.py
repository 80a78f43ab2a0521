"""Another model during a call: the picture never stops, and each recorded frame is in the folder of its model."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession

from tests.support.clients.camera_client import Phone, calling
from tests.support.clients.whep_client import watching
from tests.support.clients.whip_client import publishing
from tests.support.films import media_samples
from tests.support.films.b_frames import with_b_frames
from tests.support.models import tiny_models
from tests.support.servers.calls import Body, file_pts, served, session_of
from tests.support.servers.lan_server import house
from whycam.stream.inference.engine import Engine, LocalEngine
from whycam.stream.inference.explainer import Explainer
from whycam.stream.inference.process_engine import ProcessEngine
from whycam.stream.inference.worker import Order
from whycam.stream.recording.paths import recordings
from whycam.stream.recording.sidecar import read_sidecar
from whycam.stream.sessions.model_choice import ModelShelf
from whycam.stream.sessions.registry import Sessions
from whycam.stream.sessions.session import Settings
from whycam.stream.webrtc.peer import Peer

FRAMES = media_samples.encoded("H264", 60, (160, 120))
JSON = {"Content-Type": "application/json"}
COARSE = {"method": "grad-cam", "layer": "feature", "grid": [8, 8]}
FINE = {"method": "hirescam", "layer": "fine", "grid": [16, 16]}
TEN = [f"class {number}" for number in range(9)] + ["red"]


@dataclass
class Models:
    """A server is started with the bright-spot model, `bright` by name.

    `ten` has ten classes, `maps` four maps and signed ones, and `broken` is no model.
    """

    folder: Path
    started: list[Engine] = field(default_factory=list)
    begun: threading.Event = field(default_factory=threading.Event)
    ready: threading.Event = field(default_factory=threading.Event)
    """Until it is set, no model gets ready."""

    def __post_init__(self) -> None:
        self.folder.mkdir()
        tiny_models.bright_spot(self.folder / "bright.onnx")
        tiny_models.model(self.folder / "ten.onnx", labels=TEN, name="ten", fit="crop")
        tiny_models.several_maps(self.folder / "maps.onnx", methods=("grad-cam", "hirescam", "signed"))
        (self.folder / "broken.onnx").write_bytes(b"no model")
        self.ready.set()

    def start(self, path: Path, output: str) -> Engine:
        engine = ProcessEngine(Order(path, threads=1, output=output, signed=True))
        self.started.append(engine)
        self.begun.set()
        assert self.ready.wait(20)
        return engine

    @property
    def shelf(self) -> ModelShelf:
        return ModelShelf(self.folder / "bright.onnx", self.start, self.folder)

    @property
    def children(self) -> list[int]:
        return [engine.child_pid for engine in self.started if isinstance(engine, ProcessEngine) and engine.child_pid]


@pytest.fixture
def models(tmp_path: Path) -> Models:
    return Models(tmp_path / "models")


def serve(models: Models, body: Body, library: Path | None = None) -> None:
    engine = LocalEngine(Explainer(models.folder / "bright.onnx", threads=1))
    served(engine, Settings(recordings=library), body, models.shelf)
    assert models.children == []


async def choose(http: ClientSession, base: str, name: str) -> tuple[int, str]:
    return await ask(http, base, {"name": name})


async def ask(http: ClientSession, base: str, body: dict[str, Any]) -> tuple[int, str]:
    async with http.post(f"{base}/api/model", json=body) as answer:
        return answer.status, await answer.text()


def chosen(spec: dict[str, Any]) -> dict[str, Any]:
    """The request for a map."""
    return {"map": {key: spec[key] for key in ("method", "layer")}}


async def names(http: ClientSession, base: str) -> dict[str, Any]:
    async with http.get(f"{base}/api/models") as answer:
        assert answer.status == 200
        listed = await answer.json()
        assert isinstance(listed, dict)
        return listed


def gaps(values: Iterable[int]) -> list[int]:
    ordered = sorted(values)
    return [after - before for before, after in pairwise(ordered)]


@pytest.mark.alone
@pytest.mark.parametrize("undisturbed", [False, pytest.param(True, marks=pytest.mark.long)])
def test_a_change_reaches_cameras_viewers_and_publishers_while_the_picture_continues(
    models: Models, undisturbed: bool
) -> None:
    """The gaps between frames are measured in the long tests: a browser beside it takes as long as a change may."""

    async def body(http: ClientSession, base: str, sessions: Sessions) -> None:
        async with calling(http, base, FRAMES) as phone, publishing(http, base, FRAMES[:30]):
            phone.camera.obeys = True
            first = phone.location.rpartition("/")[2]
            async with watching(http, base, first, reports=True) as watcher:
                await phone.until(lambda: len(phone.reports) >= 15)
                assert phone.reports[-1]["model"] == "bright"
                assert (await (await http.get(f"{base}/api/labels")).json()) == list(tiny_models.COLOURS)
                seen = len(phone.reports)
                status, text = await choose(http, base, "ten")
                assert status == 200, text
                known = {"name": "ten", "classes": 10, "task": "single-label", "sha256": sessions.engine.sha256}
                assert json.loads(text) == known | {"maps": [COARSE | {"current": True}], "signed": False}
                await phone.until(lambda: phone.reports[-1]["model"] == "ten" and phone.reports[-1]["labels"])
                after = len(phone.reports)
                await phone.until(lambda: len(phone.reports) >= after + 20)
                during = phone.reports[seen - 5 :]
                assert watcher.reports[-1]["model"] == "ten"
        assert (await (await http.get(f"{base}/api/labels")).json()) == TEN
        assert {session["model"] for session in sessions.describe()} <= {"ten"}
        # Old heat, then new heat: never a frame without, never a class of one model under the name of the other.
        assert {report["state"] for report in during} <= {"exact", "carried"}
        for report in during:
            labels = TEN if report["model"] == "ten" else tiny_models.COLOURS
            assert report["labels"] == [labels[number] for number in report["classes"]]
        switched = [report["model"] for report in during]
        assert switched == sorted(switched)  # 'bright' before 'ten', once
        # Reports may be lost on the way, frames are counted by the server: each was returned but those dropped.
        counts = during[-1]["counts"]
        assert counts["decoded"] == counts["explained"] + counts["passed"] + counts["dropped"]
        assert counts["passed"] <= 2  # before the first answer of all
        assert counts["lost"] == 0
        if undisturbed:
            assert max(gaps(report["pts"] for report in during)) <= 5 * media_samples.STEP

    serve(models, body)


def test_a_recording_continues_in_a_further_folder_and_loses_no_frame(models: Models, tmp_path: Path) -> None:
    library = tmp_path / "recordings"
    received: list[int] = []

    async def body(http: ClientSession, base: str, sessions: Sessions) -> None:
        async with calling(http, base, FRAMES) as phone:
            phone.camera.obeys = True
            await phone.until(lambda: len(phone.reports) >= 30)
            before = phone.reports[-1]["recording"]
            assert (await choose(http, base, "ten"))[0] == 200
            await phone.until(lambda: phone.reports[-1]["model"] == "ten")
            seen = len(phone.reports)
            await phone.until(lambda: len(phone.reports) >= seen + 30)
            after = phone.reports[-1]["recording"]
            assert (after["state"], after["id"]) == ("on", before["id"])
            assert after["folder"] != before["folder"]
            phone.camera.running.clear()
            await asyncio.sleep(0.5)
            received.append(phone.reports[-1]["counts"]["received"])
            (await http.delete(phone.location)).close()

    serve(models, body, library)
    first, second = recordings(library)
    both = []
    for folder, name, labels in ((first, "bright spot", list(tiny_models.COLOURS)), (second, "ten", TEN)):
        note = session_of(folder)
        header, lines = read_sidecar(folder / "predictions.jsonl")
        assert note["model"] == header["model"] == name
        assert (note["state"], note["status"]["state"]) == ("ended", "on")
        counts = note["counts"]
        assert counts["received"] == counts["recorded"] + counts["unrecorded"]
        assert counts["decoded"] == counts["explained"] + counts["passed"] + counts["dropped"]
        assert counts["recorded"] == counts["decoded"] + counts["lost"]
        camera, explained = file_pts(folder / "camera-000.mp4"), file_pts(folder / "explained-000.mp4")
        assert len(camera) == counts["recorded"]
        assert len(explained) == counts["sidecar_lines"] == counts["explained_recorded"]
        assert set(explained) <= set(camera)
        for line in lines:
            assert [m.label for m in line.maps] == [labels[m.class_id] for m in line.maps]
        both.append(counts)
    # The first folder ends where the second begins: between them no frame is missing, of neither film.
    assert [counts["unrecorded"] for counts in both] == [0, 0]
    assert [counts["explained_unrecorded"] for counts in both] == [0, 0]
    assert [counts["explained_recorded"] for counts in both] == [
        counts["explained"] + counts["passed"] for counts in both
    ]
    assert received == [sum(counts["received"] for counts in both)]


@pytest.mark.parametrize("kind", ["VP8", "B-frames"])
def test_a_publisher_is_changed_at_a_keyframe_of_its_own(models: Models, tmp_path: Path, kind: str) -> None:
    """One that sends a keyframe each second or two, and none on request."""
    frames = with_b_frames() if kind == "B-frames" else media_samples.encoded("VP8", 40, (160, 120))
    library = tmp_path / "recordings"

    async def body(http: ClientSession, base: str, sessions: Sessions) -> None:
        async with publishing(http, base, frames) as publisher:
            if kind == "B-frames":
                publisher.camera.keep_pts(60 * media_samples.STEP)
            async with watching(http, base, publisher.session_id, reports=True) as watcher:
                await watcher.tap.until(20)
                assert (await choose(http, base, "ten"))[0] == 200
                seen = len(watcher.tap.frames)
                await watcher.tap.until(seen + 30)
                assert watcher.reports[-1]["model"] == "ten"
                assert {report["state"] for report in watcher.reports} <= {"exact", "carried"}

    serve(models, body, library)
    before, after = recordings(library)
    for folder in (before, after):
        counts = session_of(folder)["counts"]
        assert counts["received"] == counts["recorded"] + counts["unrecorded"]
        assert counts["sidecar_lines"] == counts["explained_recorded"] > 20
        camera, explained = (file_pts(next(folder.glob(f"{film}-000.*"))) for film in ("camera", "explained"))
        assert set(explained) <= set(camera)
        # The last explained frame of a stream with B-frames comes before its camera frame is in order.
        missing = counts["decoded"] - counts["dropped"] - counts["explained_recorded"]
        assert 0 <= missing <= (1 if kind == "B-frames" else 0)
    assert session_of(after)["counts"]["unrecorded"] == 0


def test_a_publisher_without_keyframes_is_changed_without_one(
    models: Models, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("whycam.stream.sessions.model_change.KEYFRAME_S", 0.2)
    library = tmp_path / "recordings"

    async def body(http: ClientSession, base: str, sessions: Sessions) -> None:
        async with publishing(http, base, media_samples.encoded("VP8", 90, (160, 120))) as publisher:
            async with watching(http, base, publisher.session_id, reports=True) as watcher:
                await watcher.tap.until(20)
                assert (await choose(http, base, "ten"))[0] == 200
                seen = len(watcher.tap.frames)
                await watcher.tap.until(seen + 80)  # after its next keyframe
            assert watcher.reports[-1]["recording"]["state"] == "on"

    serve(models, body, library)
    before, after = (session_of(folder)["counts"] for folder in recordings(library))
    assert (before["unrecorded"], before["explained_unrecorded"]) == (0, 0)
    assert after["unrecorded"] > 10
    assert after["recorded"] > 10
    assert after["received"] == after["recorded"] + after["unrecorded"]


def test_a_pinned_class_stays_pinned_if_the_new_model_has_it_and_is_released_if_not(models: Models) -> None:
    async def body(http: ClientSession, base: str, sessions: Sessions) -> None:
        async with calling(http, base, FRAMES) as phone:
            await phone.until(lambda: phone.reports)
            phone.commands.send('{"hold": [0, 2], "model": "bright"}')  # red and blue
            await phone.until(lambda: phone.reports[-1]["view"]["hold"] == [0, 2])
            assert (await choose(http, base, "ten"))[0] == 200
            await phone.until(lambda: phone.reports[-1]["model"] == "ten" and phone.reports[-1]["held"])
            assert phone.reports[-1]["view"]["hold"] == [9]  # red
            assert phone.reports[-1]["held"][0]["label"] == "red"
            phone.commands.send('{"hold": [1], "model": "bright", "opacity": 0.25}')  # sent before the page knew
            await phone.until(lambda: phone.reports[-1]["view"]["opacity"] == 0.25)
            assert phone.reports[-1]["view"]["hold"] == [9]
            assert (await choose(http, base, "bright"))[0] == 200  # and back
            await phone.until(lambda: phone.reports[-1]["model"] == "bright")
            assert phone.reports[-1]["view"]["hold"] == [0]

    serve(models, body)


def test_a_frozen_picture_stays_frozen_and_is_explained_anew(models: Models) -> None:
    async def body(http: ClientSession, base: str, sessions: Sessions) -> None:
        async with calling(http, base, FRAMES) as phone:
            await phone.until(lambda: len(phone.reports) >= 10)
            phone.commands.send('{"freeze": true, "hide": true}')
            await phone.until(lambda: phone.reports[-1]["frozen"] and phone.reports[-1]["hidden"])
            seen = len(phone.reports)
            assert (await choose(http, base, "ten"))[0] == 200
            await phone.until(lambda: phone.reports[-1]["model"] == "ten" and phone.reports[-1]["hidden"])
            since = phone.reports[seen:]
            assert {(report["frozen"], report["state"]) for report in since} == {(True, "exact")}
            assert phone.reports[-1]["hidden"]["label"] in TEN
            phone.commands.send('{"freeze": false}')
            await phone.until(lambda: not phone.reports[-1]["frozen"])

    serve(models, body)


def refused(name: str) -> tuple[str, int, str]:
    return {
        "an unknown name": ("nothing", 404, "no model called 'nothing'"),
        "a path": ("../bright.onnx", 404, "no model called"),
        "a broken file": ("broken", 422, "broken.onnx"),
    }[name]


@pytest.mark.parametrize("what", ["an unknown name", "a path", "a broken file"])
def test_what_cannot_be_used_is_refused_and_the_former_model_stays(models: Models, what: str) -> None:
    name, expected, words = refused(what)

    async def body(http: ClientSession, base: str, sessions: Sessions) -> None:
        async with calling(http, base, FRAMES) as phone:
            await phone.until(lambda: len(phone.reports) >= 10)
            status, text = await choose(http, base, name)
            assert status == expected
            assert words in text
            assert "\n" not in text
            seen = len(phone.reports)
            await phone.until(lambda: len(phone.reports) >= seen + 10)
            assert {report["model"] for report in phone.reports} == {"bright"}
            assert {report["state"] for report in phone.reports[5:]} <= {"exact", "carried"}
            assert (await names(http, base))["changing"] is None
            assert (await choose(http, base, "ten"))[0] == 200  # the next choice is not affected

    serve(models, body)


def test_only_the_host_may_choose_and_only_with_a_readable_request(models: Models, tmp_path: Path) -> None:
    async def body() -> None:
        engine = LocalEngine(Explainer(models.folder / "bright.onnx", threads=1))
        async with house(tmp_path, engine, shelf=models.shelf) as home:
            for role in ("phone", "viewer"):
                async with home.joined(role) as http:
                    assert (await choose(http, home.remote, "ten"))[0] == 403
                    assert (await ask(http, home.remote, chosen(COARSE)))[0] == 403
                    assert (await http.get(f"{home.remote}/api/models")).status == 403
                    known = await (await http.get(f"{home.remote}/api/model")).json()
                    assert (known["name"], known["classes"]) == ("bright", 3)
                    assert known["maps"] == [COARSE | {"current": True}]
            async with home.device() as stranger:
                assert (await choose(stranger, home.remote, "ten"))[0] == 401
                assert (await stranger.get(f"{home.remote}/api/model")).status == 401
                for data, headers, expected in (
                    ('{"name": "ten"}', {"Content-Type": "text/plain"}, 415),
                    ('{"name": "ten"}', JSON | {"Origin": "https://evil.example"}, 403),
                    ('{"name": "ten"}', JSON | {"Sec-Fetch-Site": "cross-site"}, 403),
                    ('{"name": "' + 2000 * "t" + '"}', JSON, 413),
                    ('{"name": 1}', JSON, 400),
                    ("{}", JSON, 400),
                    ('{"name": "ten", "map": {}}', JSON, 400),
                    ('{"map": {"grid": [7, 7]}}', JSON, 400),
                    ('{"map": {"method": 1}}', JSON, 400),
                    ('{"map": "grad-cam"}', JSON, 400),
                    ('["ten"]', JSON, 400),
                    ("ten", JSON, 400),
                ):
                    answer = await stranger.post(f"{home.local}/api/model", data=data, headers=headers)
                    assert answer.status == expected, data
                    assert (await answer.text()).endswith((".", "}"))
            assert home.sessions.models.current.name == "bright"
        assert models.started == []

    asyncio.run(body())


def test_a_second_change_waits_for_the_first(models: Models) -> None:
    async def body(http: ClientSession, base: str, sessions: Sessions) -> None:
        models.ready.clear()
        first = asyncio.create_task(choose(http, base, "ten"))
        assert await asyncio.to_thread(models.begun.wait, 20)
        listed = await names(http, base)
        assert listed == {
            "models": [
                {"name": "efficientnet-lite0", "current": False, "classes": None},
                {"name": "bright", "current": True, "classes": 3},
                {"name": "broken", "current": False, "classes": None},
                {"name": "maps", "current": False, "classes": None},
                {"name": "ten", "current": False, "classes": None},
            ],
            "changing": "ten",
            "maps": [COARSE | {"current": True}],
        }
        for name in ("ten", "bright"):
            status, text = await choose(http, base, name)
            assert status == 409
            assert "changed to ten" in text
        models.ready.set()
        assert (await first)[0] == 200
        health = await (await http.get(f"{base}/healthz")).json()
        assert health["model"] == "ten"
        assert 'whycam_model{model="ten"} 1.0' in await (await http.get(f"{base}/metrics")).text()

    serve(models, body)


def test_a_server_that_ends_gives_the_change_up(models: Models) -> None:
    async def body(http: ClientSession, base: str, sessions: Sessions) -> None:
        models.ready.clear()
        change = asyncio.create_task(choose(http, base, "ten"))
        assert await asyncio.to_thread(models.begun.wait, 20)
        closing = asyncio.create_task(sessions.close())
        await asyncio.sleep(0.1)
        models.ready.set()
        await closing
        status, text = await change
        assert status == 503, text

    serve(models, body)


def test_a_camera_that_sends_nothing_delays_a_change_but_does_not_stop_it(
    models: Models, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("whycam.stream.sessions.model_change.REHEARSAL_S", 0.2)
    monkeypatch.setattr("whycam.stream.sessions.model_change.KEYFRAME_S", 0.2)

    async def body(http: ClientSession, base: str, sessions: Sessions) -> None:
        async with calling(http, base, FRAMES) as phone:
            await phone.until(lambda: len(phone.reports) >= 10)
            phone.camera.running.clear()
            await asyncio.sleep(0.3)
            assert (await choose(http, base, "ten"))[0] == 200
            phone.camera.running.set()
            await phone.until(lambda: phone.reports[-1]["model"] == "ten" and phone.reports[-1]["labels"])

    serve(models, body)


def test_a_call_that_begins_during_a_change_gets_the_new_model(models: Models) -> None:
    async def body(http: ClientSession, base: str, sessions: Sessions) -> None:
        models.ready.clear()
        change = asyncio.create_task(choose(http, base, "ten"))
        assert await asyncio.to_thread(models.begun.wait, 20)
        async with calling(http, base, FRAMES) as phone:
            await phone.until(lambda: phone.reports)
            assert phone.reports[-1]["model"] == "bright"
            models.ready.set()
            assert (await change)[0] == 200
            await phone.until(lambda: phone.reports[-1]["model"] == "ten")
        async with calling(http, base, FRAMES) as later:
            await later.until(lambda: later.reports)
            assert later.reports[0]["model"] == "ten"

    serve(models, body)


def test_a_call_that_is_answered_during_a_change_gets_the_new_model(
    models: Models, monkeypatch: pytest.MonkeyPatch
) -> None:
    answering, changed = asyncio.Event(), asyncio.Event()
    answer = Peer.answering

    async def slowly(*arguments: Any, **options: Any) -> Peer:
        answering.set()
        await changed.wait()
        return await answer(*arguments, **options)

    async def body(http: ClientSession, base: str, sessions: Sessions) -> None:
        monkeypatch.setattr(Peer, "answering", slowly)
        phone = Phone(FRAMES)
        call = asyncio.create_task(phone.call(http, base))
        await answering.wait()
        assert (await choose(http, base, "ten"))[0] == 200
        changed.set()
        assert (await call).status == 201
        await phone.until(lambda: phone.reports and phone.reports[-1]["labels"])
        assert {report["model"] for report in phone.reports} == {"ten"}
        await phone.close()

    serve(models, body)


def test_the_file_that_a_server_was_started_with_can_be_chosen_again(models: Models, tmp_path: Path) -> None:
    elsewhere = tiny_models.bright_spot(tmp_path / "elsewhere.onnx")
    shelf = ModelShelf(elsewhere, models.start, models.folder)
    assert shelf.names("bright spot") == ["efficientnet-lite0", "bright", "broken", "maps", "ten", "bright spot"]
    assert shelf.names("ten")[-1] == "elsewhere.onnx"  # the name in the file is taken

    async def body(http: ClientSession, base: str, sessions: Sessions) -> None:
        for name in ("ten", "bright spot"):
            assert (await choose(http, base, name))[0] == 200
            assert sessions.models.current.name == name

    served(LocalEngine(Explainer(elsewhere, threads=1)), Settings(), body, shelf)


def serve_maps(models: Models, body: Body, library: Path | None = None) -> None:
    engine = LocalEngine(Explainer(models.folder / "maps.onnx", threads=1, signed=True))
    served(engine, Settings(recordings=library), body, replace(models.shelf, given=models.folder / "maps.onnx"))
    assert models.children == []


def shown(report: dict[str, Any]) -> dict[str, Any]:
    assert isinstance(report["map"], dict)
    return report["map"]


def test_another_map_of_the_same_model_is_a_change_and_a_further_folder(models: Models, tmp_path: Path) -> None:
    library = tmp_path / "recordings"

    async def body(http: ClientSession, base: str, sessions: Sessions) -> None:
        async with calling(http, base, FRAMES) as phone:
            phone.camera.obeys = True
            await phone.until(lambda: len(phone.reports) >= 20)
            phone.commands.send('{"hold": [0], "hide": true}')
            await phone.until(lambda: phone.reports[-1]["view"]["hide"])
            described = await (await http.get(f"{base}/api/model")).json()
            assert [each["grid"] for each in described["maps"]] == [[8, 8], [16, 16], [8, 8], [16, 16]]
            assert described["signed"]
            seen = len(phone.reports)
            status, text = await ask(http, base, chosen(FINE))
            assert status == 200, text
            found = json.loads(text)
            assert (found["name"], found["sha256"]) == ("maps", described["sha256"])
            assert [each for each in found["maps"] if each["current"]] == [FINE | {"current": True}]
            assert (await names(http, base))["maps"] == found["maps"]
            await phone.until(lambda: shown(phone.reports[-1]) == FINE)
            after = len(phone.reports)
            await phone.until(lambda: len(phone.reports) >= after + 20)
            kinds = [shown(report) for report in phone.reports[seen:]]
            assert kinds == sorted(kinds, key=lambda each: each["method"])  # grad-cam before hirescam, once
            assert {report["model"] for report in phone.reports} == {"maps"}
            assert {report["state"] for report in phone.reports[seen:]} <= {"exact", "carried"}
            assert (phone.reports[-1]["view"]["hold"], phone.reports[-1]["view"]["hide"]) == ([0], True)
            again = len(models.started)
            assert (await ask(http, base, chosen(FINE)))[0] == 200  # it runs already
            assert len(models.started) == again == 1
            phone.camera.running.clear()
            await asyncio.sleep(0.5)

    serve_maps(models, body, library)
    first, second = recordings(library)
    for folder, spec, rows in ((first, COARSE, 8), (second, FINE, 16)):
        header, lines = read_sidecar(folder / "predictions.jsonl")
        assert {key: header["map"][key] for key in spec} == spec
        sizes = {each.grid.shape[0] for line in lines for each in line.maps}
        assert sizes <= {rows, 2 * rows}, "a carried map has twice as many cells"
        counts = session_of(folder)["counts"]
        assert (counts["unrecorded"], counts["explained_unrecorded"]) == (0, 0)


def test_a_map_of_another_model_can_be_chosen_with_it(models: Models) -> None:
    async def body(http: ClientSession, base: str, sessions: Sessions) -> None:
        status, text = await ask(http, base, {"name": "maps", **chosen(FINE)})
        assert status == 200, text
        assert sessions.engine.contract.drawn_map().layer == "fine"
        assert (await choose(http, base, "maps"))[0] == 200  # as it is drawn now
        assert sessions.engine.contract.drawn_map().layer == "fine"
        assert (await ask(http, base, {"map": {"method": "grad-cam"}}))[0] == 200
        assert sessions.engine.contract.drawn_map()[1:4] == ("feature", "grad-cam", (8, 8))

    serve(models, body)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"map": {"method": "layer-cam"}}, "no map by layer-cam"),
        ({"map": {"method": "signed"}}, "no map by signed"),
        ({"map": {"method": "grad-cam", "layer": "other"}}, "grad-cam of 'other'"),
        ({"name": "ten", "map": {"method": "hirescam"}}, "no map by hirescam"),
    ],
)
def test_a_map_that_the_file_lacks_is_refused_with_those_it_has(
    models: Models, body: dict[str, Any], words: str
) -> None:
    async def choosing(http: ClientSession, base: str, sessions: Sessions) -> None:
        status, text = await ask(http, base, body)
        assert status == 404
        assert words in text
        assert "It has grad-cam of 'feature'" in text
        assert (sessions.models.current.name, sessions.engine.contract.drawn) == ("maps", "heatmaps")
        assert (await ask(http, base, chosen(FINE)))[0] == 200  # the next choice is not affected

    serve_maps(models, choosing)


def test_a_difference_is_drawn_until_the_model_has_no_signed_map(models: Models) -> None:
    async def body(http: ClientSession, base: str, sessions: Sessions) -> None:
        async with calling(http, base, FRAMES) as phone:
            await phone.until(lambda: phone.reports)
            phone.commands.send('{"hold": [0, 2], "difference": true}')
            await phone.until(lambda: phone.reports[-1]["difference"])
            assert phone.reports[-1]["view"]["difference"]
            assert (await ask(http, base, chosen(FINE)))[0] == 200
            await phone.until(lambda: shown(phone.reports[-1]) == FINE)
            await phone.until(lambda: phone.reports[-1]["difference"])  # of the other layer
            assert (await choose(http, base, "bright"))[0] == 200
            await phone.until(lambda: phone.reports[-1]["model"] == "bright")
            assert phone.reports[-1]["view"]["hold"] == [0, 2]
            assert "difference" not in phone.reports[-1]["view"]
            assert not phone.reports[-1]["difference"]
            command = f"{base}/api/sessions/{phone.location.rpartition('/')[2]}/command"
            async with http.post(command, json={"difference": True}) as answer:
                assert answer.status == 400
                assert "whycam export … --method signed" in await answer.text()

    serve_maps(models, body)
