"""Live occlusion: both probabilities are of one image, and no frame waits for them."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path

import av
import pytest
from aiohttp import ClientSession

from tests.support.clients.camera_client import calling
from tests.support.films import media_samples
from tests.support.films.moving_spot import Watched, pixels
from tests.support.models import tiny_models
from tests.support.models.engines import fast
from tests.support.recordings.replays import drawn as drawn
from tests.support.recordings.replays import replay
from tests.support.servers.calls import only_recording, served
from whycam.models.class_set import ClassSet
from whycam.stream.inference.engine import Engine, EngineDown, LocalEngine
from whycam.stream.inference.explainer import Explainer
from whycam.stream.inference.explanation import Explanation
from whycam.stream.inference.preprocess import Fit
from whycam.stream.overlay.occlusion import occlude_image
from whycam.stream.overlay.painter import Painter
from whycam.stream.overlay.view import View
from whycam.stream.recording.sidecar import read_sidecar
from whycam.stream.recording.writer import Recording
from whycam.stream.sessions.registry import Sessions
from whycam.stream.sessions.session import Settings
from whycam.stream.video.codec import Decoder, EncodedFrame
from whycam.stream.video.planes import Bytes, copied

SIZE = (160, 120)
HIDE = View(occlude=True)


@pytest.fixture(scope="module")
def frames() -> list[EncodedFrame]:
    """Three seconds of a spot."""
    return media_samples.encoded("H264", 90, SIZE)


class RecordingEngine(LocalEngine):
    """Records ordinary requests, and those with covered images, which have no targets."""

    def __init__(self, folder: Path) -> None:
        self.ordinary: list[Bytes] = []
        self.covered: list[Bytes] = []
        super().__init__(Explainer(tiny_models.bright_spot(folder / "bright.onnx"), threads=1))
        self.ordinary.clear()

    def explain(self, images: Bytes, targets: Sequence[int], class_set: ClassSet | None = None) -> Future[Explanation]:
        (self.ordinary if len(targets) else self.covered).append(images[0].copy())
        return self.answer(images, targets, class_set)

    def answer(self, images: Bytes, targets: Sequence[int], class_set: ClassSet | None = None) -> Future[Explanation]:
        return super().explain(images, targets, class_set)


class Silent(RecordingEngine):
    """Never answers a request with a covered image."""

    def answer(self, images: Bytes, targets: Sequence[int], class_set: ClassSet | None = None) -> Future[Explanation]:
        return super().answer(images, targets, class_set) if len(targets) else Future()


class Failing(RecordingEngine):
    """Fails on covered images, with two errors by turns."""

    def answer(self, images: Bytes, targets: Sequence[int], class_set: ClassSet | None = None) -> Future[Explanation]:
        answer = super().answer(images, targets, class_set)
        if not len(targets):
            answer = Future()
            answer.set_exception(RuntimeError("odd") if len(self.covered) % 2 else EngineDown("down"))
        return answer


@contextmanager
def watched(engine: Engine, view: View = HIDE) -> Iterator[Watched]:
    made = Watched(engine, "every", view)
    try:
        yield made
    finally:
        made.stream.close()
        engine.close()


def test_about_once_a_second_both_probabilities_are_measured(tmp_path: Path, frames: list[EncodedFrame]) -> None:
    engine = RecordingEngine(tmp_path)
    with watched(engine) as camera:
        painted = [camera.show(frame) for frame in frames]
    assert len(engine.ordinary) == 90
    assert 2 <= len(engine.covered) <= 3  # in three seconds
    first = next(number for number, each in enumerate(painted) if each.hidden is not None)
    assert 1 <= first <= 10
    explainer = Explainer(tmp_path / "bright.onnx", threads=1)
    for number, each in enumerate(painted[first:], first):
        assert each.hidden is not None
        assert (each.hidden.class_id, each.hidden.label) == (0, "red")
        asked = number - round(each.hidden.age_ms * 90 / media_samples.STEP)
        assert asked in (0, 30, 60)
        plain = explainer.explain(engine.ordinary[asked][None], [0])
        grid = painted[asked].maps[0].grid
        covered = explainer.explain(occlude_image(engine.ordinary[asked], grid)[None], [])
        assert each.hidden.before == pytest.approx(float(plain.scores[0, 0]), abs=1e-6)
        assert each.hidden.after == pytest.approx(float(covered.scores[0, 0]), abs=1e-6)
        assert each.hidden.after < each.hidden.before - 0.2  # the spot is gone
        assert each.hidden.age_ms < 1400


def test_frames_and_ordinary_requests_never_wait_for_the_covered_one(
    tmp_path: Path, frames: list[EncodedFrame]
) -> None:
    engine = Silent(tmp_path)
    with watched(engine) as camera:
        painted = [camera.show(frame) for frame in frames]
    assert len(engine.covered) == 1
    assert {each.state for each in painted} == {"exact"}
    assert {each.hidden for each in painted} == {None}
    assert len(engine.ordinary) == 90


def test_a_model_that_fails_on_covered_images_does_not_affect_the_stream(
    tmp_path: Path, frames: list[EncodedFrame], caplog: pytest.LogCaptureFixture
) -> None:
    engine = Failing(tmp_path)
    with watched(engine) as camera:
        painted = [camera.show(frame) for frame in frames]
    assert len(engine.covered) == 3  # a new request after each second
    assert {each.state for each in painted} == {"exact"}
    assert {each.hidden for each in painted} == {None}
    assert caplog.text.count("partly covered") == 2  # errors that the engine logs are not logged again


def test_switched_off_nothing_is_requested_or_reported(
    tmp_path: Path, frames: list[EncodedFrame], drawn: list[av.VideoFrame]
) -> None:
    engine = RecordingEngine(tmp_path)
    with watched(engine, View()) as camera:
        off = [camera.show(frame) for frame in frames[:5]]
        camera.stream.view = HIDE
        on = [camera.show(frame) for frame in frames[5:15]]
        camera.stream.view = View()
        off += [camera.show(frame) for frame in frames[15:20]]
        asked = len(engine.covered)
        camera.stream.view = HIDE
        again = camera.show(frames[20])
    assert {each.hidden for each in off} == {None}
    assert on[-1].hidden is not None
    assert asked == 1
    assert again.hidden is None  # the earlier result is dropped
    for number, picture in zip((*range(5), *range(15, 20)), (*drawn[:5], *drawn[15:20]), strict=True):
        assert pixels(picture) == pixels(
            painted_plainly(frames, number, off[number if number < 5 else number - 10].maps)
        )


def painted_plainly(frames: Sequence[EncodedFrame], number: int, maps: Sequence[object]) -> av.VideoFrame:
    decoder = Decoder("H264")
    picture = copied([p for frame in frames[: number + 1] for p in decoder.decode(frame)][number])
    Painter(Fit("stretch", (tiny_models.SIZE, tiny_models.SIZE))).paint(picture, maps, View())  # type: ignore[arg-type]
    return picture


def test_of_a_frozen_frame_each_class_is_covered_once(tmp_path: Path, frames: list[EncodedFrame]) -> None:
    engine = RecordingEngine(tmp_path)
    with watched(engine) as camera:
        camera.stream.freeze(True)
        first = [camera.show(frame) for frame in frames[:60]]
        assert len(engine.covered) == 1
        assert first[-1].hidden is not None
        assert (first[-1].hidden.class_id, first[-1].hidden.age_ms) == (0, 0.0)
        camera.stream.view = View((2,), occlude=True)
        for frame in frames[60:]:
            hidden = camera.show(frame).hidden
            if hidden is not None and hidden.class_id == 2:
                break
            time.sleep(0.02)  # only this test waits for the answer
        assert len(engine.covered) == 2
        assert hidden is not None
        assert (hidden.class_id, hidden.label) == (2, "blue")


def test_a_recording_has_all_data_to_draw_its_covered_frames_again(
    tmp_path: Path, frames: list[EncodedFrame], drawn: list[av.VideoFrame]
) -> None:
    folder = tmp_path / "recording"
    folder.mkdir()
    with watched(fast(tmp_path), View()) as camera:
        recording = Recording(folder, {"model": "m", "fit": "stretch"}, lambda _: None, min_free=0)
        camera.stream.recording = recording
        for number, frame in enumerate(frames):
            if number == 10:
                camera.stream.view = HIDE
            if number == 60:
                camera.stream.freeze(True)
            if number == 70:
                camera.stream.view = View((1,), 0.4, "viridis", occlude=True)
            camera.show(frame)
        camera.stream.recording = None
        recording.close()
    _, lines = read_sidecar(folder / "predictions.jsonl")
    hidden = [line.hidden for line in lines]
    assert hidden[9] is None
    assert hidden[-1] is not None
    for expected, found in zip(drawn, replay(folder), strict=True):
        assert pixels(found) == pixels(expected)


def test_in_a_call_the_report_has_the_effect_of_hiding(tmp_path: Path) -> None:
    frames = media_samples.encoded("H264", 60, SIZE)

    async def body(http: ClientSession, base: str, sessions: Sessions) -> None:
        async with calling(http, base, frames) as phone:
            await phone.until(lambda: len(phone.reports) >= 5)
            assert not phone.reports[-1]["hidden"]
            phone.commands.send(json.dumps({"hide": True}))
            await phone.until(lambda: phone.reports[-1]["hidden"] is not None)
            hidden = phone.reports[-1]["hidden"]
            assert hidden["label"] == "red"
            assert hidden["after"] < hidden["before"] - 0.2
            phone.commands.send(json.dumps({"hide": False}))
            await phone.until(lambda: not phone.reports[-1]["view"]["hide"])
            assert not phone.reports[-1]["hidden"]

    served(fast(tmp_path), Settings(recordings=tmp_path / "recordings"), body)
    _, lines = read_sidecar(only_recording(tmp_path / "recordings") / "predictions.jsonl")
    assert any(line.hidden is not None and line.view.occlude for line in lines)
