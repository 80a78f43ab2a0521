"""A frozen picture: frozen for all viewers, on the camera's clock, and further classes can still be explained on it."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path

import av
import numpy as np
import pytest
from aiohttp import ClientSession

from tests.support.clients.camera_client import calling
from tests.support.clients.whep_client import watching
from tests.support.clients.whip_client import publishing
from tests.support.films import media_samples
from tests.support.films.moving_spot import Watched, pixels
from tests.support.models import tiny_models
from tests.support.models.engines import SlowEngine, fast
from tests.support.recordings.replays import drawn as drawn
from tests.support.recordings.replays import replay
from tests.support.servers.calls import file_pts, only_recording, only_session, served, session_of
from whycam.models.class_set import ClassSet
from whycam.stream.inference import process_engine
from whycam.stream.inference.engine import Engine, LocalEngine
from whycam.stream.inference.explainer import Explainer
from whycam.stream.inference.explanation import Explanation
from whycam.stream.inference.preprocess import Fit
from whycam.stream.inference.process_engine import ProcessEngine
from whycam.stream.inference.worker import Order
from whycam.stream.limits import Limits
from whycam.stream.live.heatmap_source import Policy
from whycam.stream.live.pipeline import Painted
from whycam.stream.overlay.painter import Painter
from whycam.stream.overlay.view import View
from whycam.stream.recording.sidecar import SidecarFrame, read_sidecar
from whycam.stream.recording.writer import Recording
from whycam.stream.sessions.registry import Sessions
from whycam.stream.sessions.session import Settings
from whycam.stream.video.codec import Decoder, EncodedFrame
from whycam.stream.video.planes import Bytes, fitted

SIZE = (160, 120)


@pytest.fixture(scope="module")
def frames() -> list[EncodedFrame]:
    return media_samples.encoded("H264", 60, SIZE)


class CountingEngine(LocalEngine):
    """Ten classes; keeps the images that it was asked to explain."""

    def __init__(self, folder: Path) -> None:
        self.pictures: list[Bytes] = []
        super().__init__(Explainer(tiny_models.model(folder / "ten.onnx"), threads=1))
        self.pictures.clear()

    @property
    def asked(self) -> int:
        return len(self.pictures)

    def explain(
        self, pictures: Bytes, targets: Sequence[int], class_set: ClassSet | None = None
    ) -> Future[Explanation]:
        self.pictures.append(pictures[0].copy())
        return super().explain(pictures, targets, class_set)


class AnsweringEngine(LocalEngine):
    """Has answered when it returns, so that a frame has its own heatmap on a busy computer too."""

    def __init__(self, folder: Path) -> None:
        super().__init__(Explainer(tiny_models.bright_spot(folder / "bright.onnx"), threads=1))

    def explain(
        self, pictures: Bytes, targets: Sequence[int], class_set: ClassSet | None = None
    ) -> Future[Explanation]:
        answer = super().explain(pictures, targets, class_set)
        answer.exception()
        return answer


@contextmanager
def watched(engine: Engine, policy: Policy = "newest") -> Iterator[Watched]:
    made = Watched(engine, policy)
    try:
        yield made
    finally:
        made.stream.close()
        engine.close()


def show(watched: Watched, frames: Sequence[EncodedFrame]) -> list[Painted]:
    return [watched.show(frame) for frame in frames]


@pytest.mark.parametrize("policy", ["newest", "every"])
def test_a_frozen_picture_stays_while_the_cameras_time_continues(
    tmp_path: Path, frames: list[EncodedFrame], drawn: list[av.VideoFrame], policy: Policy
) -> None:
    with watched(AnsweringEngine(tmp_path), policy) as camera:
        before = show(camera, frames[:5])
        camera.stream.freeze(True)
        during = show(camera, frames[5:25])
        camera.stream.freeze(False)
        after = show(camera, frames[25:30])
        counts = camera.stream.counts
    shown = [pixels(picture) for picture in drawn]
    assert set(shown[5:25]) == {shown[5]}
    assert len({*shown[:6], *shown[25:]}) == 11  # the others are all different
    assert [p.frame.pts for p in [*before, *during, *after]] == [f.pts for f in frames[:30]]
    assert [p.frozen for p in [*before, *during, *after]] == [False] * 5 + [True] * 20 + [False] * 5
    assert {(p.state, p.age_ms) for p in during} == {("exact", 0.0)}
    assert (counts.received, counts.decoded, counts.explained) == (30, 30, 30)
    assert after[0].state in ("exact", "carried")


def test_a_frozen_picture_is_not_explained_twice_for_one_class(tmp_path: Path, frames: list[EncodedFrame]) -> None:
    engine = CountingEngine(tmp_path)
    with watched(engine) as camera:
        show(camera, frames[:5])
        camera.stream.freeze(True)
        best = {each.class_id for each in show(camera, frames[5:15])[-1].maps}
        asked = engine.asked
        show(camera, frames[15:30])
        assert engine.asked == asked
        camera.stream.view = View((min(best),), scale="steady")  # already explained
        show(camera, frames[30:35])
        assert engine.asked == asked
        unknown = min({*range(10)} - best)
        camera.stream.view = View((unknown,), scale="steady")
        pinned = show(camera, frames[35:45])
        assert engine.asked == asked + 1
        assert pinned[-1].maps[-1].class_id == unknown
        camera.stream.view = View((), 0.2, "jet", "steady")
        show(camera, frames[45:55])
        assert engine.asked == asked + 1


def test_a_class_that_is_pinned_later_is_explained_on_the_frozen_picture(
    tmp_path: Path, frames: list[EncodedFrame], drawn: list[av.VideoFrame]
) -> None:
    with watched(fast(tmp_path), "every") as camera:
        show(camera, frames[:5])
        camera.stream.freeze(True)
        show(camera, frames[5:10])
        camera.stream.view = View((2,), 0.4, "viridis")
        (painted,) = show(camera, frames[10:11])
    still = decoded(frames[:6])[5]
    Painter(Fit("stretch", (tiny_models.SIZE, tiny_models.SIZE))).paint(still, painted.maps, View((2,), 0.4, "viridis"))
    assert pixels(drawn[10]) == pixels(still)
    assert pixels(drawn[10]) != pixels(drawn[9])


def decoded(frames: Sequence[EncodedFrame]) -> list[av.VideoFrame]:
    decoder = Decoder("H264")
    return [picture for frame in frames for picture in decoder.decode(frame)]


def test_with_a_slow_model_the_frozen_pictures_own_heatmap_comes_and_stays(
    tmp_path: Path, frames: list[EncodedFrame], drawn: list[av.VideoFrame]
) -> None:
    with watched(SlowEngine(tmp_path, 0.15)) as camera:
        for frame in frames[:20]:
            camera.show(frame)
            time.sleep(0.02)
        camera.stream.freeze(True)
        states = []
        for frame in frames[20:50]:
            states.append(camera.show(frame).state)
            time.sleep(0.02)
    assert set(states[20:]) == {"exact"}
    assert states == sorted(states)  # first carried, then exact
    assert len({pixels(picture) for picture in drawn[40:50]}) == 1


def test_freezing_again_keeps_a_new_picture(
    tmp_path: Path, frames: list[EncodedFrame], drawn: list[av.VideoFrame]
) -> None:
    with watched(fast(tmp_path)) as camera:
        camera.stream.freeze(True)
        show(camera, frames[:3])
        camera.stream.freeze(True)  # already frozen
        show(camera, frames[3:5])
        camera.stream.freeze(False)
        camera.stream.freeze(True)
        show(camera, frames[5:8])
    assert [pixels(picture) for picture in drawn] == [pixels(drawn[0])] * 5 + [pixels(drawn[5])] * 3
    assert pixels(drawn[0]) != pixels(drawn[5])


def test_when_the_phone_turns_the_frozen_picture_is_centred(
    tmp_path: Path, frames: list[EncodedFrame], drawn: list[av.VideoFrame]
) -> None:
    turned = media_samples.encoded("H264", 20, (SIZE[1], SIZE[0]), first=20 * media_samples.STEP)
    drawn.clear()
    with watched(fast(tmp_path)) as camera:
        show(camera, frames[:10])
        camera.stream.freeze(True)
        show(camera, frames[10:20])
        during = show(camera, turned[:10])
        camera.stream.freeze(False)
        after = show(camera, turned[10:])
    assert {(picture.width, picture.height) for picture in drawn[20:]} == {(SIZE[1], SIZE[0])}
    assert pixels(drawn[20]) == pixels(fitted(drawn[19], SIZE[1], SIZE[0]))
    assert {p.state for p in during} == {"exact"}
    assert during[0].frame.is_keyframe  # of another size
    assert not after[0].frame.is_keyframe
    assert after[-1].state == "exact"


def test_a_model_that_restarts_while_the_picture_is_frozen_removes_no_heat(
    tmp_path: Path, frames: list[EncodedFrame], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process_engine.Backoff, "after", lambda *_: 0.5)
    engine = ProcessEngine(Order(tiny_models.model(tmp_path / "ten.onnx"), threads=1))
    pts = iter(range(0, 10**9, media_samples.STEP))

    def until(camera: Watched, wanted: Callable[[Painted], bool]) -> list[Painted]:
        found: list[Painted] = []
        deadline = time.monotonic() + 20
        while not found or not wanted(found[-1]):
            assert time.monotonic() < deadline
            found.append(camera.show(EncodedFrame("H264", frames[0].data, next(pts))))
        return found

    def kill() -> None:
        assert engine.child_pid is not None
        os.kill(engine.child_pid, signal.SIGKILL)

    with watched(engine) as camera:
        until(camera, lambda painted: painted.state == "exact")
        camera.stream.freeze(True)
        until(camera, lambda painted: painted.frozen)
        best = {m.class_id for m in until(camera, lambda painted: painted.state == "exact")[-1].maps}
        unknown = min({*range(10)} - best)
        kill()
        camera.stream.view = View((unknown,), scale="steady")  # a request that fails
        during = until(camera, lambda painted: painted.engine == "restarting")
        back = until(camera, lambda painted: any(m.class_id == unknown for m in painted.maps))
        assert {p.state for p in [*during, *back]} == {"exact"}
        # Frozen while there is no model: the picture is shown plain, and explained when the model is back.
        camera.stream.freeze(False)
        kill()
        until(camera, lambda painted: painted.engine == "restarting" and painted.state == "none")
        camera.stream.freeze(True)
        assert until(camera, lambda painted: painted.frozen)[-1].state == "none"
        until(camera, lambda painted: painted.state == "exact" and painted.frozen)


@pytest.mark.parametrize("policy", ["newest", "every"])
def test_a_recording_contains_all_that_is_needed_to_redraw_its_frozen_pictures(
    tmp_path: Path, frames: list[EncodedFrame], drawn: list[av.VideoFrame], policy: Policy
) -> None:
    turned = media_samples.encoded("H264", 30, (SIZE[1], SIZE[0]), first=60 * media_samples.STEP)
    folder = tmp_path / "recording"
    folder.mkdir()
    with watched(fast(tmp_path), policy) as camera:
        show(camera, [EncodedFrame(f.codec, f.data, f.pts - 90_000) for f in frames[:15]])  # before it is recorded
        drawn.clear()
        about = {"model": "bright spot", "fit": "stretch"}
        recording = camera.stream.recording = Recording(folder, about, lambda _: None, min_free=0)

        def shown(some: Sequence[EncodedFrame]) -> None:
            for frame in some:
                camera.stream.request_keyframe()  # so that a file can begin at any frame
                deadline = time.monotonic() + 10
                camera.show(frame)
                while recording.explained_track.taken < len(drawn):
                    assert time.monotonic() < deadline
                    time.sleep(0.001)

        shown(frames[:10])
        camera.stream.freeze(True)
        shown(frames[10:20])
        camera.stream.view = View((2, 0), 0.3, "turbo", camera.stream.view.scale)
        shown(frames[20:30])
        camera.stream.freeze(False)
        shown(frames[30:40])
        camera.stream.freeze(True)
        shown([*frames[40:60], *turned[:15]])
        camera.stream.freeze(False)
        shown(turned[15:])
        camera.stream.recording = None
        recording.close()
    note = session_of(folder)
    assert [segment["size"] for segment in note["explained"]] == [segment["size"] for segment in note["camera"]]
    assert len(note["camera"]) == 2
    counts = note["counts"]
    assert counts["recorded"] == counts["explained_recorded"] == counts["sidecar_lines"] == 90
    for expected, found in zip(drawn, replay(folder), strict=True):
        assert pixels(found) == pixels(expected)
    _, lines = read_sidecar(folder / "predictions.jsonl")
    frozen = [line.frozen for line in lines]
    assert frozen == [None] * 10 + [10 * 3000] * 20 + [None] * 10 + [40 * 3000] * 35 + [None] * 15


def test_a_picture_frozen_before_the_recording_began_has_a_negative_time(tmp_path: Path) -> None:
    folder = tmp_path / "recording"
    folder.mkdir()
    frames = media_samples.encoded("H264", 10, SIZE, first=900_000)
    recording = Recording(folder, {"model": "tiny"}, lambda _: None, min_free=0)
    for frame in frames:
        recording.camera(frame)
        recording.explained(frame, SidecarFrame(frame.pts, 0.0, (), View(), 900_000 - 6000))
    recording.close()
    assert {line.frozen for line in read_sidecar(folder / "predictions.jsonl")[1]} == {-6000}


def test_all_clients_see_a_frozen_picture_and_the_camera_continues(tmp_path: Path, frames: list[EncodedFrame]) -> None:
    async def body(http: ClientSession, base: str, sessions: Sessions) -> None:
        async with (
            calling(http, base, frames) as phone,
            watching(http, base, only_session(sessions).id, reports=True) as watcher,
        ):
            await phone.until(lambda: len(phone.reports) >= 15)
            where = f"{base}/api/sessions/{phone.reports[-1]['session']}/command"
            assert (await http.post(where, json={"freeze": True})).status == 204
            await phone.until(lambda: phone.reports[-1]["frozen"])
            (session,) = await (await http.get(f"{base}/api/sessions")).json()
            assert session["frozen"] is True
            seen, received = len(phone.pictures), phone.reports[-1]["counts"]["received"]
            await phone.until(lambda: len(phone.pictures) >= seen + 30)
            first, last = (media_samples.pixels(picture)[0].astype(int) for picture in phone.pictures[-20::19])
            assert np.abs(first - last).mean() < 1
            assert phone.reports[-1]["counts"]["received"] >= received + 25
            assert watcher.reports[-1]["frozen"]
            phone.commands.send('{"freeze": false}')
            await phone.until(lambda: not phone.reports[-1]["frozen"])
            seen = len(phone.pictures)
            await phone.until(lambda: len(phone.pictures) >= seen + 20)
            moving = [media_samples.pixels(picture)[0].astype(int) for picture in phone.pictures[-10:]]
            assert np.abs(moving[0] - moving[-1]).max() > 50

    served(fast(tmp_path), Settings(recordings=tmp_path / "recordings"), body)
    recording = only_recording(tmp_path / "recordings")
    counts = session_of(recording)["counts"]
    assert counts["received"] == counts["recorded"] + counts["unrecorded"]
    assert counts["decoded"] == counts["explained"] + counts["passed"] + counts["dropped"]
    explained = file_pts(recording / "explained-000.mp4")
    assert set(explained) <= set(file_pts(recording / "camera-000.mp4"))
    _, lines = read_sidecar(recording / "predictions.jsonl")
    kept = [line for line in lines if line.frozen is not None]
    assert len(kept) >= 30
    assert {line.frozen for line in kept} == {kept[0].pts}
    assert kept[0].pts in explained


def test_a_camera_that_vanishes_under_a_frozen_picture_is_noticed(tmp_path: Path, frames: list[EncodedFrame]) -> None:
    async def body(http: ClientSession, base: str, sessions: Sessions) -> None:
        async with publishing(http, base, frames) as publisher:
            where = f"{base}/api/sessions/{publisher.session_id}/command"
            await asyncio.sleep(0.5)
            assert (await http.post(where, json={"freeze": True})).status == 204
            await asyncio.sleep(1.5)
            assert len(sessions) == 1  # it is only frozen
            publisher.camera.running.clear()
            for _ in range(100):
                await asyncio.sleep(0.05)
                if len(sessions) == 0:
                    break
            assert len(sessions) == 0

    served(fast(tmp_path), Settings(limits=Limits(max_silent_s=1.0)), body)


def test_all_requests_for_a_frozen_picture_use_the_same_image(tmp_path: Path) -> None:
    """The copies for painting lose the chroma sample location of the decoded frame."""
    size = (178, 134)
    frames = media_samples.encoded("H264", 20, size)
    engine = CountingEngine(tmp_path)
    with watched(engine) as camera:
        show(camera, frames[:3])
        camera.stream.freeze(True)
        scores: dict[int, set[float]] = {}
        for number, frame in enumerate(frames[3:]):
            camera.stream.view = View((number % 10,), scale="steady")
            for each in camera.show(frame).maps:
                scores.setdefault(each.class_id, set()).add(each.score)
        asked = {picture.tobytes() for picture in engine.pictures[3:]}
    assert len(engine.pictures) > 5
    assert len(asked) == 1
    assert all(len(each) == 1 for each in scores.values())
