"""A live stream gets another model at one frame: each frame, map, class number and recording is of one of the two."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import cast

import cv2
import pytest
import skimage.data

from tests.support.films import media_samples
from tests.support.films.moving_spot import HeldEngine, Watched, encoded, moving_spot
from tests.support.models import tiny_models
from tests.support.models.engines import SlowEngine, fast
from whycam.stream.inference.engine import Engine, LocalEngine
from whycam.stream.inference.explainer import Explainer
from whycam.stream.live.pipeline import LiveStream, Painted
from whycam.stream.overlay.view import View
from whycam.stream.recording.sidecar import SidecarFrame
from whycam.stream.recording.writer import Recording
from whycam.stream.video.codec import EncodedFrame
from whycam.stream.video.encoder import X264
from whycam.stream.video.planes import as_bytes

TEN = [f"class {number}" for number in range(10)]


@pytest.fixture(scope="module")
def frames() -> list[EncodedFrame]:
    return media_samples.encoded("H264", 90, (160, 120))


class Noted:
    """In place of a recording: the pts of the frames that it gets."""

    def __init__(self) -> None:
        self.seen: list[int] = []
        self.explained_ones: list[int] = []

    def camera(self, frame: EncodedFrame) -> None:
        self.seen.append(frame.pts)

    def explained(self, frame: EncodedFrame, line: SidecarFrame) -> None:
        self.explained_ones.append(line.pts)


def ten(folder: Path) -> LocalEngine:
    return LocalEngine(Explainer(tiny_models.model(folder / "ten.onnx", name="ten", fit="crop"), threads=1))


@contextmanager
def watched(engine: Engine, *others: Engine) -> Iterator[Watched]:
    made = Watched(engine)
    try:
        yield made
    finally:
        made.stream.close()
        for each in (engine, *others):
            each.close()


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_the_former_heat_is_drawn_until_a_slow_model_has_explained_a_frame(
    tmp_path: Path, frames: list[EncodedFrame]
) -> None:
    (tmp_path / "slow").mkdir()
    slow = SlowEngine(tmp_path / "slow", 0.3)
    with watched(fast(tmp_path), slow) as camera:
        show: list[Painted] = [camera.show(frame) for frame in frames[:5]]
        camera.stream.rehearse(slow, "slow")
        spent: list[float] = []
        for frame in frames[5:60]:
            if camera.stream.is_rehearsed:
                left = camera.stream.hand_over(frame.pts)
                break
            begun = time.perf_counter()
            show.append(camera.show(frame))
            spent.append(time.perf_counter() - begun)
            time.sleep(0.02)
        number = len(show)
        assert number > 10
        assert slow.asked == 2  # its start, and one rehearsal
        after = [camera.show(frame) for frame in frames[number : number + 10]]
        assert left.result(5).decoded == number
    assert {painted.model for painted in show} == {"bright spot"}
    assert {painted.model for painted in after} == {"slow"}
    assert {painted.state for painted in [*show[1:], *after]} <= {"exact", "carried"}
    assert max(spent) < 0.2  # no frame waits for the rehearsed model
    assert [p.frame.pts for p in [*show, *after]] == [frame.pts for frame in frames[: number + 10]]


def test_the_first_frame_of_a_model_is_a_keyframe(tmp_path: Path, frames: list[EncodedFrame]) -> None:
    other = ten(tmp_path)
    with watched(fast(tmp_path), other) as camera:
        before = [camera.show(frame) for frame in frames[:10]]
        camera.stream.rehearse(other)
        camera.stream.hand_over(frames[12].pts)
        during = [camera.show(frame) for frame in frames[10:20]]
    assert [painted.model for painted in during] == ["bright spot"] * 2 + ["ten"] * 8
    assert [painted.frame.is_keyframe for painted in [*before, *during]] == [True] + [False] * 11 + [True] + [False] * 7


def test_frames_that_wait_belong_to_the_former_model_and_recording(tmp_path: Path, frames: list[EncodedFrame]) -> None:
    (tmp_path / "held").mkdir()
    held, other = HeldEngine(tmp_path / "held"), ten(tmp_path)
    painted: list[Painted] = []
    stream = LiveStream(held, X264, painted.append, lambda: None, lambda: None, policy="every")
    former, following = Noted(), Noted()
    stream.view = View((0, 2))
    stream.recording = cast(Recording, former)
    try:
        for frame in frames[:3]:
            stream.receive(frame)
        stream.rehearse(other)
        left = stream.hand_over(frames[3].pts)
        stream.recording = cast(Recording, following)
        assert stream.view.pinned == ()  # the view is the next model's from now on
        stream.view = View((7,))
        for frame in frames[3:6]:
            stream.receive(frame)
        assert not left.done()
        for number in range(1, 4):
            until(lambda number=number: len(held.requests) == number)  # type: ignore[misc]
            held.answer()
        until(lambda: len(painted) == 6)
        counts = left.result(5)
    finally:
        stream.close()
        held.close()
        other.close()
    pts = [frame.pts for frame in frames]
    assert (former.seen, following.seen) == (pts[:3], pts[3:6])
    assert (former.explained_ones, following.explained_ones) == (pts[:3], pts[3:6])
    assert [(each.model, each.view.pinned) for each in painted] == [("bright spot", (0, 2))] * 3 + [("ten", (7,))] * 3
    assert {m.label for each in painted[3:] for m in each.maps} <= set(TEN)
    assert (counts.decoded, counts.explained) == (3, 3)


def test_a_stream_that_ends_before_the_handover_says_so(tmp_path: Path, frames: list[EncodedFrame]) -> None:
    other = ten(tmp_path)
    with watched(fast(tmp_path), other) as camera:
        camera.show(frames[0])
        camera.stream.rehearse(other)
        left = camera.stream.hand_over(frames[5].pts)
        camera.stream.close()
        assert left.result(1).decoded == 1


def test_a_handover_that_waits_for_a_frame_is_replaced_by_the_next_one(
    tmp_path: Path, frames: list[EncodedFrame]
) -> None:
    other = ten(tmp_path)
    with watched(fast(tmp_path), other) as camera:
        camera.stream.view = View((0,))
        camera.show(frames[0])
        recordings = [cast(Recording, Noted()) for _ in range(3)]
        camera.stream.recording = recordings[0]
        camera.stream.rehearse(other, "second")
        first = camera.stream.hand_over(frames[50].pts)  # no such frame comes
        camera.stream.recording = recordings[1]
        camera.stream.rehearse(other, "third")
        second = camera.stream.hand_over(frames[2].pts)
        camera.stream.recording = recordings[2]
        assert first.result(1).decoded == 1
        painted = [camera.show(frame) for frame in frames[1:4]]
        assert second.result(1).decoded == 2
    assert [(each.model, each.view.pinned) for each in painted] == [("bright spot", (0,)), ("third", ()), ("third", ())]
    explained = [cast(Noted, each).explained_ones for each in recordings]
    assert explained == [[frames[1].pts], [], [frames[2].pts, frames[3].pts]]


def test_the_heat_of_a_frozen_picture_is_not_drawn_on_another_scene(tmp_path: Path) -> None:
    """The new model has explained the frozen picture only, and compares the next one with it."""
    (tmp_path / "held").mkdir()
    held = HeldEngine(tmp_path / "held")
    gravel = encoded(moving_spot(9))
    face = cv2.resize(skimage.data.astronaut(), (320, 240))
    (cut,) = encoded([as_bytes(face)])
    with watched(fast(tmp_path), held) as camera:
        for frame in gravel[:5]:
            camera.show(frame)
        camera.stream.freeze(True)
        camera.show(gravel[5])
        camera.stream.rehearse(held, "held")
        camera.show(gravel[6])
        held.answer()
        camera.show(gravel[7])
        assert camera.stream.is_rehearsed
        camera.stream.hand_over(gravel[8].pts)
        frozen = camera.show(gravel[8])
        assert (frozen.model, frozen.state, frozen.frozen) == ("held", "exact", True)
        camera.stream.freeze(False)
        another = camera.show(replace(cut, pts=9 * media_samples.STEP))
        assert (another.model, another.state, another.maps) == ("held", "none", ())
