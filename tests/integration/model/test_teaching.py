"""Teaching during a call: examples by a command, classes learned at once, and all of it true in the recording."""

from __future__ import annotations

import asyncio
import errno
import json
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnxruntime
import pytest
from aiohttp import ClientSession

from tests.support.clients.camera_client import Phone, calling
from tests.support.films import media_samples
from tests.support.films.media_samples import BLUE, GREEN, RED
from tests.support.models import tiny_models
from tests.support.servers.calls import served
from tests.support.servers.lan_server import house
from whycam.models import catalog
from whycam.models.class_set import FIRST_NUMBER
from whycam.models.model_file import contract_of
from whycam.stream.inference.engine import Engine, LocalEngine
from whycam.stream.inference.explainer import Explainer
from whycam.stream.inference.process_engine import ProcessEngine
from whycam.stream.inference.worker import Order
from whycam.stream.offline.replay import Changes, replay_once
from whycam.stream.overlay.heatmap import DrawnMap
from whycam.stream.recording.paths import recordings
from whycam.stream.recording.sidecar import read_sidecar
from whycam.stream.recording.summary import ClassStatistics
from whycam.stream.report.statistics import Findings
from whycam.stream.sessions.model_choice import ModelShelf
from whycam.stream.sessions.registry import Sessions
from whycam.stream.sessions.session import Settings
from whycam.stream.teaching.examples import Example, TaughtClass
from whycam.stream.teaching.kept_examples import KeptFor, write_kept
from whycam.stream.video.codec import EncodedFrame
from whycam.stream.video.encoder import SOFTWARE, Encoder
from whycam.stream.video.jpeg import jpeg_of_rgb

SIZE = (160, 120)
Body = Callable[["Lesson"], Awaitable[None]]


def spots(colour: tuple[int, int, int]) -> list[EncodedFrame]:
    """A second of a spot of this colour."""
    encoder = Encoder(SOFTWARE["H264"])
    pictures = [media_samples.frame(media_samples.spot(SIZE, n, colour), n * media_samples.STEP) for n in range(30)]
    return [frame for each in pictures if (frame := encoder.encode(each, keyframe=False)) is not None]


SPOTS = {"red": spots(RED), "green": spots(GREEN), "blue": spots(BLUE)}


class Lesson:
    """A call by the host in which classes are taught."""

    def __init__(self, http: ClientSession, base: str, sessions: Sessions, phone: Phone) -> None:
        self.http, self.base, self.sessions, self.phone = http, base, sessions, phone

    async def ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> tuple[int, Any]:
        async with self.http.request(method, f"{self.base}/api/{path}", json=body) as answer:
            text = await answer.text()
            return answer.status, json.loads(text) if answer.content_type == "application/json" else text

    async def state(self) -> dict[str, Any]:
        status, state = await self.ask("GET", "teaching")
        assert status == 200
        assert isinstance(state, dict)
        return state

    async def add(self, name: str) -> int:
        status, answer = await self.ask("POST", "teaching/classes", {"name": name})
        assert status == 201, answer
        return int(answer["class"])

    def show(self, colour: str) -> None:
        """Hold something of this colour before the camera."""
        self.phone.camera._frames = SPOTS[colour]
        self.phone.camera.ask_for_keyframe()

    async def hold(self, number: int, colour: str, examples: int) -> None:
        """Hold the button of a class until it has this number of examples."""
        self.show(colour)
        await self.seen(colour)
        self.phone.commands.send(json.dumps({"teach": number}))
        await self.phone.until(lambda: (self.report["teaching"] or {}).get("examples", 0) >= examples)
        self.phone.commands.send(json.dumps({"teach": None}))
        await self.phone.until(lambda: self.report["teaching"] is None)

    async def seen(self, colour: str) -> None:
        """Wait until the picture of a colour has come back explained."""
        assert self.phone.pictures
        await asyncio.sleep(0.3)
        await self.until(lambda report: report["state"] == "exact")

    async def until(self, condition: Callable[[dict[str, Any]], Any]) -> None:
        await self.phone.until(lambda: condition(self.report))

    @property
    def report(self) -> dict[str, Any]:
        return self.phone.reports[-1]

    async def learned(self, *, other_than: str | None = "") -> str:
        """Wait until the classes of reports are another set."""
        await self.until(lambda report: report["class_set"] != (other_than or ""))
        return str(self.report["class_set"])


def files_in(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def no_room(*_: object) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def teach(
    folder: Path, body: Body, *, library: Path | None = None, child: bool = False, model: Path | None = None
) -> None:
    """Run `body` during a call to a server whose model can be taught."""
    path = model or tiny_models.bright_spot(folder / "bright.onnx", replaceable=True)
    engine: Engine = ProcessEngine(Order(path, threads=1)) if child else LocalEngine(Explainer(path, threads=1))
    shelf = ModelShelf(path, lambda path, output: ProcessEngine(Order(path, threads=1, output=output)), folder)

    async def call(http: ClientSession, base: str, sessions: Sessions) -> None:
        async with calling(http, base, SPOTS["red"]) as phone:
            phone.camera.obeys = True
            await phone.until(lambda: len(phone.reports) >= 5 and phone.pictures)
            await body(Lesson(http, base, sessions, phone))
            (await http.delete(phone.location)).close()

    served(engine, Settings(recordings=library), call, shelf)


async def two_classes(lesson: Lesson, examples: int = 4) -> tuple[int, int]:
    mug, table = await lesson.add("mug"), await lesson.add("<b>table</b>")
    await lesson.hold(mug, "red", examples)
    assert lesson.report["class_set"] == ""
    await lesson.hold(table, "green", examples)
    await lesson.learned()
    return mug, table


@pytest.mark.parametrize("child", [False, True])
def test_two_classes_are_known_as_soon_as_the_second_has_examples(tmp_path: Path, child: bool) -> None:
    async def body(lesson: Lesson) -> None:
        state = await lesson.state()
        assert (state["possible"], state["shows"], state["class_set"], state["classes"]) == (True, "own", None, [])
        mug, table = await two_classes(lesson)
        assert (mug, table) == (FIRST_NUMBER, FIRST_NUMBER + 1)
        await lesson.until(lambda report: report["labels"][:1] == ["<b>table</b>"])  # green is on screen
        assert lesson.report["classes"][0] == table
        assert sum(lesson.report["scores"]) == pytest.approx(1, abs=1e-4)
        lesson.show("red")
        await lesson.until(lambda report: report["labels"][:1] == ["mug"] and report["scores"][0] > 0.6)
        await lesson.until(lambda report: report["drawn"][0]["heat"] > 0.9)  # what is red speaks for it
        state = await lesson.state()
        assert (state["shows"], state["class_set"]) == ("taught", lesson.report["class_set"])
        assert [(each["name"], each["givers"]) for each in state["classes"]] == [
            ("mug", {"host": state["classes"][0]["examples"]}),
            ("<b>table</b>", {"host": state["classes"][1]["examples"]}),
        ]
        listed = [{"class": mug, "label": "mug"}, {"class": table, "label": "<b>table</b>"}]
        assert await lesson.ask("GET", "classes") == (200, listed)
        assert (await lesson.ask("GET", "labels"))[1] == ["red", "green", "blue"]  # the model's own, for old clients

    teach(tmp_path, body, child=child)


def test_one_tap_changes_between_what_it_knew_and_what_it_was_taught(tmp_path: Path) -> None:
    async def body(lesson: Lesson) -> None:
        mug, _ = await two_classes(lesson)
        lesson.phone.commands.send(json.dumps({"hold": [mug], "model": lesson.report["model"]}))
        await lesson.until(lambda report: report["view"]["hold"] == [mug])
        assert [each["label"] for each in lesson.report["held"]] == ["mug"]
        # It stays pinned while more is taught.
        before = lesson.report["class_set"]
        await lesson.hold(await lesson.add("blue thing"), "blue", 4)
        await lesson.until(lambda report: report["class_set"] not in ("", before))
        assert lesson.report["view"]["hold"] == [mug]
        assert [each["label"] for each in lesson.report["held"]] == ["mug"]
        assert (await lesson.ask("POST", "teaching", {"shows": "own"}))[0] == 200
        await lesson.until(lambda report: report["class_set"] == "")
        assert set(lesson.report["labels"]) == {"red", "green", "blue"}
        assert lesson.report["view"]["hold"] == []
        assert (await lesson.ask("GET", "classes"))[1][0] == {"class": 0, "label": "red"}
        assert (await lesson.ask("POST", "teaching", {"shows": "taught"}))[0] == 200
        await lesson.until(lambda report: report["class_set"])
        assert set(lesson.report["labels"]) == {"mug", "<b>table</b>", "blue thing"}

    teach(tmp_path, body)


def test_a_class_that_is_removed_or_taken_back_is_not_known_any_more(tmp_path: Path) -> None:
    async def body(lesson: Lesson) -> None:
        mug, table = await two_classes(lesson)
        third = await lesson.add("third")
        await lesson.hold(third, "blue", 3)
        await lesson.until(lambda report: "third" in report["labels"])
        assert (await lesson.ask("POST", "teaching", {"undo": True}))[0] == 200  # the examples of the third
        await lesson.until(lambda report: set(report["labels"]) == {"mug", "<b>table</b>"})
        assert (await lesson.ask("DELETE", f"teaching/classes/{table}"))[0] == 204
        await lesson.until(lambda report: report["class_set"] == "")  # one class is none
        assert (await lesson.state())["shows"] == "own"
        assert (await lesson.ask("DELETE", f"teaching/classes/{table}"))[0] == 404
        assert (await lesson.ask("POST", "teaching", {"clear": True}))[0] == 200
        assert (await lesson.state())["classes"] == []
        assert mug == FIRST_NUMBER

    teach(tmp_path, body)


def test_a_class_has_pictures_and_a_place_where_its_heat_lies(tmp_path: Path) -> None:
    async def body(lesson: Lesson) -> None:
        mug, table = await two_classes(lesson)
        shown = (await lesson.state())["classes"][0]["latest"][-1]
        for path in (f"examples/{shown}.jpg", f"examples/{shown}/heat.jpg?class={mug}"):
            async with lesson.http.get(f"{lesson.base}/api/teaching/{path}") as answer:
                assert (answer.status, answer.content_type) == (200, "image/jpeg")
                image = cv2.imdecode(np.frombuffer(await answer.read(), np.uint8), cv2.IMREAD_COLOR)
            assert image is not None
            assert image.shape == (tiny_models.SIZE, tiny_models.SIZE, 3)
        status, places = await lesson.ask("GET", "teaching/places")
        assert status == 200
        assert [each["class"] for each in places] == [mug, table]
        for each in places:
            assert np.shape(each["grid"]) == (tiny_models.CELLS, tiny_models.CELLS)
            assert 0 <= each["border"] <= 1
            # The spot moves in the lower half, and there is the heat.
            heat = np.array(each["grid"])
            assert heat[tiny_models.CELLS // 2 :].sum() > 0.9 * heat.sum() > 0
        assert (await lesson.ask("GET", "teaching/wrong")) == (200, [])
        assert (await lesson.ask("GET", "teaching/examples/9999.jpg"))[0] == 404
        assert (await lesson.ask("GET", f"teaching/examples/{shown}/heat.jpg?class=1000099"))[0] == 404
        assert (await lesson.ask("GET", f"teaching/examples/{shown}/heat.jpg?class=x"))[0] == 400
        count = (await lesson.state())["classes"][0]["examples"]
        assert (await lesson.ask("DELETE", f"teaching/examples/{shown}"))[0] == 204
        assert (await lesson.state())["classes"][0]["examples"] == count - 1

    teach(tmp_path, body)


def test_a_recording_has_the_classes_of_each_frame(tmp_path: Path) -> None:
    library = tmp_path / "recordings"

    async def body(lesson: Lesson) -> None:
        mug, _ = await two_classes(lesson)
        lesson.show("red")
        await lesson.until(lambda report: report["labels"][:1] == ["mug"])
        await lesson.ask("POST", f"teaching/classes/{mug}", {"name": "cup"})
        await lesson.until(lambda report: report["labels"][:1] == ["cup"])
        await lesson.ask("POST", "teaching", {"shows": "own"})
        await lesson.until(lambda report: report["class_set"] == "")
        await asyncio.sleep(0.3)

    teach(tmp_path, body, library=library)
    (folder,) = recordings(library)  # all of it is one recording
    lines = list(read_sidecar(folder / "predictions.jsonl")[1])
    for line in lines:
        known = dict(line.class_set.labels) if line.class_set else dict(enumerate(tiny_models.COLOURS))
        assert all(known[each.class_id] == each.label for each in line.maps)

    def best(maps: tuple[DrawnMap, ...]) -> str:
        return maps[0].label if maps else ""

    order = [best(line.maps) for line in lines if line.maps]
    changes = [label for label, before in zip(order, ["", *order], strict=False) if label != before]
    assert changes[0] == "red"
    assert changes[-1] == "red"
    assert changes.index("mug") < changes.index("cup")
    statistics = ClassStatistics()
    statistics.catch_up(folder / "predictions.jsonl")
    shares = {each["label"]: each["share"] for each in statistics.shares(9)}
    assert shares["red"] == pytest.approx(order.count("red") / len(lines), abs=0.01)  # not mixed with class 0 taught
    # A class that was renamed is one class, with its last name, on the shelf and in a report.
    best_now = {"mug": "cup"}
    expected = Counter(best_now.get(label, label) for label in order)
    found = Findings.of(folder / "predictions.jsonl").classes
    assert {each.label: each.best for each in found if each.best} == expected
    assert "mug" not in shares
    replayed = replay_once(folder / "predictions.jsonl", folder, tmp_path / "cup.mp4", Changes(targets=("cup",)))
    assert replayed.targets == f"cup ({FIRST_NUMBER})"
    drawn = [line.maps for line in lines if line.maps]
    assert replayed.without == sum(all(each.class_id != FIRST_NUMBER for each in maps) for maps in drawn)


def test_a_saved_model_knows_the_classes_wherever_it_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("whycam.models.catalog.user_models", lambda: tmp_path / "models")

    async def body(lesson: Lesson) -> None:
        assert (await lesson.ask("POST", "teaching/save", {"name": "kitchen"}))[0] == 409  # nothing is taught yet
        await two_classes(lesson)
        assert await lesson.ask("POST", "teaching/save", {"name": "kitchen"}) == (201, {"name": "kitchen"})
        assert (await lesson.ask("POST", "teaching/save", {"name": "kitchen"}))[0] == 409
        for name, refused in (("../kitchen", 400), ("vgg16", 409), ("", 400), ("Kitchen sink", 400)):
            status, said = await lesson.ask("POST", "teaching/save", {"name": name})
            assert (status, "name" in said) == (refused, True), name
        async with lesson.http.get(f"{lesson.base}/api/teaching/model.onnx") as answer:
            assert "attachment" in answer.headers["Content-Disposition"]
            (tmp_path / "downloaded.onnx").write_bytes(await answer.read())

    teach(tmp_path, body)
    for path in (tmp_path / "models" / "kitchen.onnx", tmp_path / "downloaded.onnx"):
        explainer = Explainer(path, threads=1)
        assert explainer.contract.labels == ("mug", "<b>table</b>")
        images = np.stack([media_samples.spot((32, 32), 0, colour) for colour in (RED, GREEN)])
        assert explainer.explain(images, [-1]).classes[:, 0].tolist() == [0, 1]
        bare = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
        scores, _ = bare.run(["scores", "classes"], {"image": images, "target": np.array([[-1], [-1]])})
        assert scores.argmax(axis=1).tolist() == [0, 1]


def test_classes_are_not_put_behind_another_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("whycam.models.catalog.user_models", lambda: tmp_path / "models")

    async def body(lesson: Lesson) -> None:
        await two_classes(lesson)
        source = tmp_path / "bright.onnx"
        source.write_bytes(tiny_models.with_other_weights(source.read_bytes()))
        status, said = await lesson.ask("POST", "teaching/save", {"name": "kitchen"})
        assert (status, "not the file any more" in said) == (409, True), said
        assert (await lesson.ask("GET", "teaching/model.onnx"))[0] == 409
        assert not (tmp_path / "models").exists()

    teach(tmp_path, body)


def test_kept_examples_are_taught_further_on_another_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("whycam.models.catalog.user_models", lambda: tmp_path)
    first: dict[str, Any] = {}

    async def teach_two(lesson: Lesson) -> None:
        assert (await lesson.ask("GET", "teaching/classes.json"))[0] == 409  # nothing is taught yet
        await two_classes(lesson)
        first.update(await lesson.state())
        assert (await lesson.ask("POST", "teaching/save", {"name": "plain"}))[0] == 201
        assert files_in(tmp_path) == {"bright.onnx", "plain.onnx", "plain.classes.json"}
        assert (await lesson.ask("POST", "teaching/save", {"name": "kitchen", "keep": "yes"}))[0] == 400
        with monkeypatch.context() as full_disk:
            full_disk.setattr("whycam.stream.sessions.taught_files.write_kept", no_room)
            assert (await lesson.ask("POST", "teaching/save", {"name": "kitchen", "keep": True}))[0] == 507
        assert files_in(tmp_path) == {"bright.onnx", "plain.onnx", "plain.classes.json"}
        asked = [lesson.ask("POST", "teaching/save", {"name": "kitchen", "keep": True}) for _ in range(2)]
        answers = await asyncio.gather(*asked)
        assert sorted(status for status, _ in answers) == [201, 409]  # of two at once, neither takes the other's place
        downloaded = (await lesson.ask("GET", "teaching/classes.json"))[1]
        assert downloaded | {"date": ""} == json.loads((tmp_path / "kitchen.classes.json").read_text()) | {"date": ""}

    async def teach_a_third(lesson: Lesson) -> None:
        state = await lesson.state()
        for each, before in zip(state["classes"], first["classes"], strict=True):
            assert {key: each[key] for key in ("name", "examples", "holdings", "givers")} == {
                key: before[key] for key in ("name", "examples", "holdings", "givers")
            }
        assert (state["shows"], state["undo"], state["warning"]) == ("own", None, "")
        assert lesson.report["class_set"] == ""
        assert set(lesson.report["labels"]) == {"mug", "<b>table</b>"}  # its own
        await lesson.hold(await lesson.add("blue thing"), "blue", 4)
        await lesson.until(lambda report: report["labels"][:1] == ["blue thing"])
        lesson.show("red")
        await lesson.until(lambda report: report["labels"][:1] == ["mug"])
        state = await lesson.state()
        assert state["shows"] == "taught"
        assert [each["examples"] for each in state["classes"]][:2] == [each["examples"] for each in first["classes"]]
        # Another model forgets them, and when this one is chosen again they are there again.
        assert (await lesson.ask("POST", "model", {"name": "plain"}))[0] == 200
        assert (await lesson.state())["classes"] == []
        assert (await lesson.ask("POST", "model", {"name": "kitchen"}))[0] == 200
        assert [each["name"] for each in (await lesson.state())["classes"]] == ["mug", "<b>table</b>"]

    teach(tmp_path, teach_two)
    about = json.loads((tmp_path / "kitchen.classes.json").read_text("utf-8"))
    assert about["network"] == "bright spot"
    assert about["classes"] == [
        {key: each[key] for key in ("name", "examples", "holdings")} for each in first["classes"]
    ]
    assert (about["accuracy"], about["tested"]) == (None, 0)
    assert about["why"].startswith("Too few")
    teach(tmp_path, teach_a_third, model=tmp_path / "kitchen.onnx")


def test_kept_examples_that_cannot_be_used_keep_no_server_from_starting(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tiny_models.bright_spot(tmp_path / "mugs.onnx", replaceable=True)
    model = KeptFor.of(contract_of(path), catalog.sha256(path))
    picture = jpeg_of_rgb(media_samples.spot((32, 32), 0, RED), 85)
    vector = np.ones(model.width, np.float32)
    given = {number: Example(vector, picture, "first", giver) for number, giver in enumerate(("host", "phone 1"), 1)}
    write_kept(tmp_path / "mugs.examples.zip", model, [TaughtClass("mug", given), TaughtClass("table", {})])

    def state() -> dict[str, Any]:
        found: dict[str, Any] = {}

        async def ask(http: ClientSession, base: str, _: Sessions) -> None:
            found.update(await (await http.get(f"{base}/api/teaching")).json())

        engine = LocalEngine(Explainer(path, threads=1))
        served(engine, Settings(), ask, ModelShelf(path, lambda *_: engine, tmp_path))
        return found

    # The device that is called phone 1 now is another one, and may not remove them.
    assert [each["givers"] for each in state()["classes"]] == [{"host": 1, "former phone 1": 1}, {}]
    write_kept(tmp_path / "mugs.examples.zip", model, [TaughtClass("mug", given), TaughtClass("MUG", {})])
    assert "There is a class 'MUG' already." in state()["warning"]
    whole = (tmp_path / "mugs.examples.zip").read_bytes()
    (tmp_path / "mugs.examples.zip").write_bytes(whole[: len(whole) // 2])
    refused = state()
    assert (refused["possible"], refused["classes"]) == (True, [])
    assert refused["warning"].startswith("mugs.examples.zip is not used, so teaching begins without examples: it is ")
    assert refused["warning"] in caplog.text


def test_commands_and_requests_that_mean_nothing_are_refused_in_words(tmp_path: Path) -> None:
    async def body(lesson: Lesson) -> None:
        for number in (3, "mug", True, 2_000_000):
            before = len(lesson.phone.replies)
            lesson.phone.commands.send(json.dumps({"teach": number}))
            await lesson.phone.until(lambda before=before: len(lesson.phone.replies) > before)
            assert lesson.phone.replies[-1]["code"] == "wrong-value"
        for path, body in (
            ("teaching", {}),
            ("teaching", {"shows": "mine"}),
            ("teaching", {"phones": 1}),
            ("teaching", {"undo": False}),
            ("teaching", {"zoom": True}),
            ("teaching/classes", {}),
            ("teaching/classes", {"name": 7}),
            ("teaching/classes", {"name": "x" * 41}),
            ("teaching/classes", {"name": "\n"}),
        ):
            status, said = await lesson.ask("POST", path, body)
            assert (status, said[-1]) == (400, "."), (path, body)
        assert (await lesson.ask("POST", "teaching", {"shows": "taught"}))[0] == 409
        assert (await lesson.ask("POST", "teaching", {"undo": True}))[0] == 409
        assert (await lesson.ask("GET", "teaching/places"))[0] == 409
        await lesson.add("mug")
        assert (await lesson.ask("POST", "teaching/classes", {"name": "MUG"}))[0] == 409

    teach(tmp_path, body)


def test_a_model_whose_last_layer_is_fixed_says_that_it_cannot_be_taught(tmp_path: Path) -> None:
    engine = LocalEngine(Explainer(tiny_models.bright_spot(tmp_path / "fixed.onnx"), threads=1))

    async def body(http: ClientSession, base: str, _: Sessions) -> None:
        state = await (await http.get(f"{base}/api/teaching")).json()
        assert not state["possible"]
        assert "cannot be taught" in state["says"]
        refused = await http.post(f"{base}/api/teaching/classes", json={"name": "mug"})
        assert refused.status == 403
        assert "cannot be taught" in await refused.text()
        async with calling(http, base, SPOTS["red"]) as phone:
            await phone.until(lambda: phone.reports)
            phone.commands.send(json.dumps({"teach": FIRST_NUMBER}))
            await phone.until(lambda: phone.replies)
            assert phone.replies[-1]["code"] == "no-teaching"
            (await http.delete(phone.location)).close()

    served(engine, Settings(), body)


def test_phones_teach_only_while_the_host_lets_them(tmp_path: Path) -> None:
    engine = LocalEngine(Explainer(tiny_models.bright_spot(tmp_path / "bright.onnx", replaceable=True), threads=1))

    async def run() -> None:
        async with (
            house(tmp_path, engine) as home,
            ClientSession() as host,
            home.joined() as http,
            home.joined() as another,
            home.joined("viewer") as viewer,
            calling(http, home.remote, SPOTS["red"]) as phone,
        ):
            await phone.until(lambda: phone.reports)
            made = await host.post(f"{home.local}/api/teaching/classes", json={"name": "mug"})
            number = (await made.json())["class"]

            async def teach() -> dict[str, Any]:
                """What the phone's attempt leads to: its next report, or the refusal."""
                before = len(phone.replies), len(phone.reports)
                phone.commands.send(json.dumps({"teach": number}))
                await phone.until(lambda: len(phone.replies) > before[0] or phone.reports[-1]["teaching"])
                return phone.replies[-1] if len(phone.replies) > before[0] else phone.reports[-1]

            assert (await teach())["code"] == "no-teaching"
            refused = await http.post(f"{home.remote}/api/teaching/classes", json={"name": "cup"})
            assert refused.status == 403
            assert (await host.post(f"{home.local}/api/teaching", json={"phones": True})).status == 200
            assert (await teach())["teaching"]["class"] == number
            await phone.until(lambda: phone.reports[-1]["teaching"]["examples"] >= 3)
            phone.commands.send(json.dumps({"teach": None}))
            assert (await http.post(f"{home.remote}/api/teaching/classes", json={"name": "cup"})).status == 201
            (session,) = await (await host.get(f"{home.local}/api/sessions")).json()
            assert session["giver"] == "phone 1"
            state = await (await viewer.get(f"{home.remote}/api/teaching")).json()
            assert list(state["classes"][0]["givers"]) == ["phone 1"]
            assert state["classes"][0]["removable"] == []
            for client, base, removable in (
                (host, home.local, True),
                (http, home.remote, True),
                (another, home.remote, False),
            ):
                (listed, _) = (await (await client.get(f"{base}/api/teaching")).json())["classes"]
                assert listed["removable"] == (listed["latest"] if removable else [])
            given = state["classes"][0]["latest"][0]
            # What others gave, and what is for the host, is not for a phone; nothing but looking is for a viewer.
            example = f"{home.remote}/api/teaching/examples/{given}"
            assert (await another.delete(example)).status == 403
            assert (await viewer.get(f"{example}.jpg")).status == 403
            assert (await another.get(f"{example}.jpg")).status == 200
            assert (await http.delete(example)).status == 204
            for method, path in (
                ("POST", "teaching"),
                ("POST", f"teaching/classes/{number}"),
                ("DELETE", f"teaching/classes/{number}"),
                ("POST", "teaching/save"),
                ("GET", "teaching/model.onnx"),
            ):
                answer = await http.request(method, f"{home.remote}/api/{path}", json={"name": "x"})
                assert answer.status == 403, path
            # A holding ends with the permission.
            assert (await teach())["teaching"]["class"] == number
            assert (await host.post(f"{home.local}/api/teaching", json={"phones": False})).status == 200
            before = (await (await host.get(f"{home.local}/api/teaching")).json())["classes"][0]["examples"]
            await phone.until(lambda: phone.reports[-1]["teaching"] is None)
            assert (await (await host.get(f"{home.local}/api/teaching")).json())["classes"][0]["examples"] == before
            (await http.delete(phone.location)).close()

    asyncio.run(run())


def test_a_holding_ends_by_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As that of a phone whose button was held while it vanished, or whose class is full or gone."""
    monkeypatch.setattr("whycam.stream.sessions.teacher.LONGEST_S", 1.0)

    async def body(lesson: Lesson) -> None:
        mug = await lesson.add("mug")
        lesson.phone.commands.send(json.dumps({"teach": mug}))
        await lesson.until(lambda report: report["teaching"])
        await lesson.until(lambda report: report["teaching"] is None)
        assert 1 <= (await lesson.state())["classes"][0]["examples"] <= 11
        lesson.phone.commands.send(json.dumps({"teach": mug}))
        await lesson.until(lambda report: report["teaching"])
        assert (await lesson.ask("DELETE", f"teaching/classes/{mug}"))[0] == 204
        await lesson.until(lambda report: report["teaching"] is None)

    teach(tmp_path, body)


def test_a_class_that_is_removed_while_it_is_held_costs_no_frame(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def body(lesson: Lesson) -> None:
        mug = await lesson.add("mug")
        lesson.phone.commands.send(json.dumps({"teach": mug}))
        await lesson.until(lambda report: report["teaching"])
        assert (await lesson.ask("DELETE", f"teaching/classes/{mug}"))[0] == 204
        await lesson.until(lambda report: report["teaching"] is None)
        await asyncio.sleep(0.5)

    teach(tmp_path, body)
    assert "KeyError" not in caplog.text  # of a frame that was not sent


def test_another_map_keeps_what_was_taught_and_another_model_forgets_it(tmp_path: Path) -> None:
    tiny_models.bright_spot(tmp_path / "other.onnx", fit="crop", replaceable=True)

    async def body(lesson: Lesson) -> None:
        await two_classes(lesson)
        assert (await lesson.ask("POST", "model", {"name": "other"}))[0] == 200
        await lesson.until(lambda report: report["model"] == "other" and report["class_set"] == "")
        assert set(lesson.report["labels"]) == {"red", "green", "blue"}
        state = await lesson.state()
        assert (state["shows"], state["classes"], state["class_set"]) == ("own", [], None)

    teach(tmp_path, body)
