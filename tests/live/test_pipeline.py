"""`LiveStream` alone: encoded frames in, painted frames out, with fast, slow, failing and hanging engines."""

from __future__ import annotations

import gc
import itertools
import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import av
import numpy as np
import pytest

from tests.support.films import media_samples
from tests.support.models import tiny_models
from tests.support.models.engines import BrokenEngine, SlowEngine, fast
from whycam.stream.inference import process_engine
from whycam.stream.inference.engine import Engine
from whycam.stream.inference.explanation import Explanation
from whycam.stream.inference.process_engine import ProcessEngine
from whycam.stream.inference.worker import Order
from whycam.stream.live import pipeline as live_pipeline
from whycam.stream.live.heatmap_source import Policy
from whycam.stream.live.pipeline import LiveStream, Painted
from whycam.stream.live.wait_policy import WaitPolicy
from whycam.stream.media.film_writer import FilmWriter
from whycam.stream.offline import explain, pipeline
from whycam.stream.overlay.painter import Painter
from whycam.stream.overlay.view import View
from whycam.stream.recording.bitstream_file import BitstreamFile
from whycam.stream.video.codec import Decoder, EncodedFrame
from whycam.stream.video.encoder import X264, Encoder


@dataclass
class Outcome:
    """The frames that a stream sent, and its requests for keyframes."""

    painted: list[Painted] = field(default_factory=list)
    sent_at: list[float] = field(default_factory=list)
    keyframes_wanted: int = 0
    failures: int = 0
    came: threading.Condition = field(default_factory=threading.Condition)

    def send(self, painted: Painted) -> None:
        with self.came:
            self.painted.append(painted)
            self.sent_at.append(time.perf_counter())
            self.came.notify_all()

    def want_keyframe(self) -> None:
        self.keyframes_wanted += 1

    def fail(self) -> None:
        self.failures += 1

    def wait_for(self, count: int) -> None:
        with self.came:
            assert self.came.wait_for(lambda: len(self.painted) >= count, 20), f"only {len(self.painted)} frames came"


@contextmanager
def streaming(engine: Engine, policy: Policy = "newest") -> Iterator[tuple[LiveStream, Outcome]]:
    outcome = Outcome()
    stream = LiveStream(engine, X264, outcome.send, outcome.want_keyframe, outcome.fail, policy=policy)
    try:
        yield stream, outcome
    finally:
        stream.close()
        engine.close()


def feed(stream: LiveStream, frames: list[EncodedFrame], rate: float) -> None:
    """Feed frames at a camera's rate, on an absolute schedule."""
    start = time.perf_counter()
    for number, frame in enumerate(frames):
        time.sleep(max(0.0, start + number / rate - time.perf_counter()))
        stream.receive(frame)


def settled(stream: LiveStream) -> None:
    """Wait until every received frame has its outcome."""
    deadline = time.monotonic() + 20
    while (c := stream.counts).decoded < c.received or c.decoded != c.explained + c.passed + c.dropped:
        assert time.monotonic() < deadline, c
        time.sleep(0.01)


def pixels(picture: av.VideoFrame) -> bytes:
    return b"".join(plane.tobytes() for plane in media_samples.pixels(picture))


@pytest.fixture(scope="module")
def frames() -> list[EncodedFrame]:
    return media_samples.encoded("H264", 60)


def test_a_fast_model_explains_every_frame_exactly(tmp_path: Path, frames: list[EncodedFrame]) -> None:
    with streaming(fast(tmp_path)) as (stream, outcome):
        for number, frame in enumerate(frames[:20], 1):
            stream.receive(frame)
            outcome.wait_for(number)
        assert [p.state for p in outcome.painted] == ["exact"] * 20
        assert {p.age_ms for p in outcome.painted} == {0}
        assert [p.frame.pts for p in outcome.painted] == [f.pts for f in frames[:20]]
        assert stream.counts.explained == 20


def test_a_slow_model_never_delays_the_picture(tmp_path: Path, frames: list[EncodedFrame]) -> None:
    engine = SlowEngine(tmp_path, 0.3)
    with streaming(engine) as (stream, outcome):
        feed(stream, frames, 30)
        settled(stream)
        after_the_first_answer = [p for p in outcome.painted if p.age_ms is not None]
        assert len(outcome.painted) >= 50, stream.counts  # of 60; the machine may lose a few
        assert engine.asked <= 9  # seven requests of 0.3 s fit into two seconds: one at a time, no queue
        assert {p.state for p in after_the_first_answer} <= {"carried", "exact"}
        assert max(p.age_ms or 0 for p in after_the_first_answer) < 1000
        # Frames do not wait for the model: their median time is below 100 ms, although each request takes 300 ms.
        later = sorted(p.frame_ms for p in outcome.painted[5:])
        assert later[len(later) // 2] < 100


def test_the_age_of_a_carried_heatmap_is_from_timestamps(tmp_path: Path, frames: list[EncodedFrame]) -> None:
    with streaming(SlowEngine(tmp_path, 0.2)) as (stream, outcome):
        feed(stream, frames[:30], 30)
        settled(stream)
    pts = {f.pts for f in frames}
    for painted in outcome.painted:
        if painted.age_ms is not None:
            assert painted.frame.pts - round(painted.age_ms * 90) in pts


def test_every_waits_for_each_frames_own_heatmap(tmp_path: Path, frames: list[EncodedFrame]) -> None:
    with streaming(SlowEngine(tmp_path, 0.03), "every") as (stream, outcome):
        for frame in frames[:15]:
            stream.receive(frame)
        outcome.wait_for(15)
        assert [p.state for p in outcome.painted] == ["exact"] * 15
        assert stream.counts.dropped == 0


def test_only_the_newest_of_the_waiting_frames_is_shown(tmp_path: Path, frames: list[EncodedFrame]) -> None:
    with streaming(SlowEngine(tmp_path, 0.2)) as (stream, outcome):
        for frame in frames[:40]:  # all at once
            stream.receive(frame)
        settled(stream)
        counts = stream.counts
    assert counts.received == counts.decoded == 40
    assert counts.dropped >= 30
    assert outcome.painted[-1].frame.pts == frames[39].pts


def test_a_model_that_raises_lets_frames_pass_and_is_used_again(
    tmp_path: Path, frames: list[EncodedFrame], caplog: pytest.LogCaptureFixture
) -> None:
    engine = BrokenEngine(tmp_path)
    with streaming(engine) as (stream, outcome):
        for number, frame in enumerate(frames[:5], 1):
            stream.receive(frame)
            outcome.wait_for(number)
        assert [p.state for p in outcome.painted] == ["none"] * 5
        assert stream.counts.passed == 5
        engine.broken = False
        for number, frame in enumerate(frames[5:10], 6):
            stream.receive(frame)
            outcome.wait_for(number)
        assert outcome.painted[-1].state == "exact"
    assert "out of memory" in caplog.text
    assert outcome.failures == 0


def again(frames: list[EncodedFrame]) -> Iterator[EncodedFrame]:
    """The frames in an endless loop, as one stream."""
    length = frames[-1].pts - frames[0].pts + 3000
    for turn in itertools.count():
        for frame in frames:
            yield EncodedFrame(frame.codec, frame.data, frame.pts + turn * length)


def test_while_the_model_restarts_frames_pass_with_a_banner(
    tmp_path: Path, frames: list[EncodedFrame], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(process_engine.Backoff, "after", lambda *_: 0.5)
    engine = ProcessEngine(Order(tiny_models.bright_spot(tmp_path / "bright.onnx"), threads=1))
    with streaming(engine) as (stream, outcome):
        camera = again(frames)

        def show() -> Painted:
            stream.receive(next(camera))
            outcome.wait_for(len(outcome.painted) + 1)
            return outcome.painted[-1]

        def show_until(wanted: Callable[[Painted], bool]) -> Painted:
            deadline = time.monotonic() + 20
            while not wanted(painted := show()):
                assert time.monotonic() < deadline
            return painted

        before = show_until(lambda painted: painted.state == "exact")
        assert before.engine == "running"
        assert engine.child_pid is not None
        os.kill(engine.child_pid, signal.SIGKILL)
        during = show_until(lambda painted: painted.state == "none")
        assert during.engine == "restarting"
        assert (during.maps, during.age_ms) == ((), None)
        after = show_until(lambda painted: painted.state == "exact")
        assert after.engine == "running"
        counts = stream.counts
    assert counts.received == counts.decoded == counts.explained + counts.passed
    assert counts.passed > 0
    assert outcome.failures == 0
    assert "Traceback" not in caplog.text  # the engine logs one line, the stream none

    sent, shown = Decoder("H264"), Decoder("H264")
    cameras = again(frames)
    plain = {}
    for painted in outcome.painted:
        (picture,) = shown.decode(painted.frame)
        (camera_picture,) = sent.decode(next(cameras))
        plain[painted.frame.pts] = (media_samples.pixels(camera_picture)[0], media_samples.pixels(picture)[0])
    camera_luma, banner = plain[during.frame.pts]
    box = (slice(4, 12), slice(4, 60))  # the start of the sentence
    assert banner[box].max() > 180  # white letters
    assert banner[box].min() < camera_luma[box].min() - 20  # on a darkened ground
    lower = (slice(camera_luma.shape[0] // 2, None), slice(None))
    assert np.abs(banner[lower].astype(int) - camera_luma[lower]).mean() < 4  # the plain frame


def test_no_frame_waits_for_the_answer_of_an_earlier_one(
    tmp_path: Path, frames: list[EncodedFrame], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when the model hangs and answers none of them."""
    monkeypatch.setattr(WaitPolicy, "seconds", lambda *_: 1.0)
    engine = fast(tmp_path)
    monkeypatch.setattr(engine, "explain", lambda *_: Future[Explanation]())
    with streaming(engine) as (stream, outcome):
        stream.receive(frames[0])
        outcome.wait_for(1)
        start = time.monotonic()
        for number, frame in enumerate(frames[1:11], 2):
            stream.receive(frame)
            outcome.wait_for(number)
        assert time.monotonic() - start < 5  # ten frames, not ten seconds


def test_a_backlog_is_discarded_and_a_keyframe_requested(
    tmp_path: Path, frames: list[EncodedFrame], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live_pipeline, "MAX_WAITING", 10)
    keyframe = frames[0]
    with streaming(SlowEngine(tmp_path, 0.05), "every") as (stream, outcome):
        for frame in frames:
            stream.receive(frame)
        assert stream._queue.qsize() <= 10
        assert outcome.keyframes_wanted >= 1
        while stream._queue.qsize():
            time.sleep(0.01)
        stream.receive(EncodedFrame("H264", keyframe.data, frames[-1].pts + 3000))
        deadline = time.monotonic() + 20
        while not outcome.painted or outcome.painted[-1].frame.pts != frames[-1].pts + 3000:
            assert time.monotonic() < deadline
            time.sleep(0.01)


def test_a_machine_too_slow_to_decode_still_shows_frames_now_and_then(
    tmp_path: Path, frames: list[EncodedFrame], monkeypatch: pytest.MonkeyPatch
) -> None:
    real = Decoder.decode

    def slow(self: Decoder, frame: EncodedFrame) -> list[av.VideoFrame]:
        time.sleep(0.04)
        return real(self, frame)

    monkeypatch.setattr(Decoder, "decode", slow)
    with streaming(fast(tmp_path)) as (stream, outcome):
        feed(stream, frames, 60)  # the queue is never empty
        outcome.wait_for(3)


def test_after_lost_packets_nothing_is_shown_until_a_keyframe(tmp_path: Path) -> None:
    frames = media_samples.encoded("H264", 30, keyframes=(20,))
    with streaming(fast(tmp_path)) as (stream, outcome):
        for number, frame in enumerate(frames[:10], 1):
            stream.receive(frame)
            outcome.wait_for(number)
        stream.lost_packets()
        for frame in frames[12:20]:
            stream.receive(frame)
        assert outcome.keyframes_wanted >= 1
        for number, frame in enumerate(frames[20:], 11):
            stream.receive(frame)
            outcome.wait_for(number)
        assert [p.frame.pts for p in outcome.painted] == [f.pts for f in frames[:10] + frames[20:]]
        assert stream.counts.lost == 8
        assert stream.counts.received == stream.counts.decoded + stream.counts.lost


def test_a_frame_that_cannot_be_decoded_requests_a_keyframe(tmp_path: Path, frames: list[EncodedFrame]) -> None:
    with streaming(fast(tmp_path)) as (stream, outcome):
        stream.receive(EncodedFrame("H264", b"\0\0\0\1\x65garbage", 0))
        stream.receive(frames[0])
        outcome.wait_for(1)
        assert outcome.keyframes_wanted >= 1
        assert outcome.failures == 0


def test_a_requested_keyframe_is_the_next_frame(tmp_path: Path, frames: list[EncodedFrame]) -> None:
    with streaming(fast(tmp_path)) as (stream, outcome):
        for number, frame in enumerate(frames[:6], 1):
            if number == 4:
                stream.request_keyframe()
            stream.receive(frame)
            outcome.wait_for(number)
        assert [p.frame.is_keyframe for p in outcome.painted] == [True, False, False, True, False, False]


def test_a_frame_leaves_nothing_to_the_garbage_collector(tmp_path: Path, frames: list[EncodedFrame]) -> None:
    """A reference cycle keeps its frame until a collection: hundreds of frames with four cameras."""
    with streaming(ProcessEngine(Order(tiny_models.bright_spot(tmp_path / "bright.onnx"), threads=1))) as (
        stream,
        outcome,
    ):
        stream.view = View(pinned=(2,))
        try:
            for number, frame in enumerate(frames, 1):
                if number == 31:  # the first ones create what every stream needs, and may have no map on a busy machine
                    before = stream.counts.explained
                    gc.collect()
                    gc.set_debug(gc.DEBUG_SAVEALL)
                stream.receive(frame)
                outcome.wait_for(number)
            settled(stream)
            gc.collect()
            found = Counter(type(each).__qualname__ for each in gc.garbage)
        finally:
            gc.set_debug(0)
            gc.garbage.clear()
    assert stream.counts.explained - before == 30
    assert max(found.values(), default=0) < 10, found


def test_a_pinned_class_is_explained_beside_the_best(tmp_path: Path, frames: list[EncodedFrame]) -> None:
    with streaming(fast(tmp_path)) as (stream, outcome):
        stream.view = View(pinned=(2,))
        for number, frame in enumerate(frames, 1):
            stream.receive(frame)
            outcome.wait_for(number)
            painted = outcome.painted[-1]
            if painted.maps:  # on a busy machine the first frame does not wait long enough for its own
                break
        assert painted.view.pinned == (2,)
        assert 2 in [m.class_id for m in painted.maps]
        assert len({m.class_id for m in painted.maps}) == len(painted.maps)


def test_a_stream_that_fails_reports_it(
    tmp_path: Path, frames: list[EncodedFrame], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def explode(*_: object) -> None:
        raise ZeroDivisionError

    with streaming(fast(tmp_path)) as (stream, outcome):
        monkeypatch.setattr(Painter, "paint", explode)
        stream.receive(frames[0])
        deadline = time.monotonic() + 10
        while not outcome.failures:
            assert time.monotonic() < deadline
            time.sleep(0.01)


def test_the_same_frames_give_the_same_pixels_live_and_offline(
    tmp_path: Path, frames: list[EncodedFrame], monkeypatch: pytest.MonkeyPatch
) -> None:
    def noting(into: list[bytes], then: Callable[..., object]) -> Callable[..., object]:
        def encode(self: object, picture: av.VideoFrame, **options: object) -> object:
            into.append(pixels(picture))
            return then(self, picture, **options)

        return encode

    live_pixels: list[bytes] = []
    offline_pixels: list[bytes] = []
    monkeypatch.setattr(Encoder, "encode", noting(live_pixels, Encoder.encode))
    monkeypatch.setattr(FilmWriter, "write", noting(offline_pixels, FilmWriter.write))
    with streaming(fast(tmp_path), "every") as (stream, outcome):
        for frame in frames[:20]:
            stream.receive(frame)
        outcome.wait_for(20)
    camera = BitstreamFile(tmp_path / "camera.mp4", frames[0])
    for frame in frames[:20]:
        camera.write(frame, frame.pts)
    camera.close()
    engine = fast(tmp_path)
    explain.explain_film(tmp_path / "camera.mp4", tmp_path / "explained.mp4", pipeline.ProcessJob(engine))
    engine.close()
    decoder = Decoder("H264")
    plain = [pixels(p) for f in frames[:20] for p in decoder.decode(f)]
    assert len(live_pixels) == 20
    assert live_pixels == offline_pixels
    assert live_pixels != plain
