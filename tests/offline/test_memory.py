"""Few large frames are in memory at once: the reader and the painter wait for the encoder."""

from __future__ import annotations

import time
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import pytest

from tests.support.films import media_samples
from tests.support.models.engines import fast
from whycam.stream.inference.engine import LocalEngine
from whycam.stream.media.losses import Losses
from whycam.stream.offline import pipeline, prefetch
from whycam.stream.offline.pipeline import ProcessJob, explain
from whycam.stream.video.planes import rgb_frame

SIZE = (64, 48)
COUNT = 40


class Counted:
    """A source that notes how many frames were read and not yet written."""

    name = "counted"
    time_base = Fraction(1, 25)
    frames = COUNT

    def __init__(self) -> None:
        self.losses = Losses()
        self.written = 0
        self.most = 0

    def read(self) -> Iterator[av.VideoFrame]:
        for number in range(COUNT):
            self.most = max(self.most, number + 1 - self.written)
            yield rgb_frame(media_samples.spot(SIZE, number), number, self.time_base)


class Slow:
    """A writer that is slower than the reader."""

    def __init__(self, source: Counted) -> None:
        self._source = source

    def write(self, frame: av.VideoFrame) -> None:
        time.sleep(0.02)
        self._source.written += 1

    def skip(self, frame: av.VideoFrame) -> None:
        pass

    def close(self) -> None:
        pass

    def discard(self) -> None:
        pass


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[LocalEngine]:
    made = fast(tmp_path)
    yield made
    made.close()


def test_at_most_six_large_frames_are_in_flight(
    tmp_path: Path, engine: LocalEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (prefetch, pipeline):
        monkeypatch.setattr(module, "LARGE_PIXELS", SIZE[0] * SIZE[1])
    monkeypatch.setattr(prefetch, "MAX_PIXELS", SIZE[0] * SIZE[1])
    source = Counted()
    done = explain(source, ProcessJob(engine), [Slow(source)], tmp_path / "out.mp4", None)
    assert done.frames == source.written == COUNT
    assert source.most <= 6


def test_small_frames_are_decoded_ahead(tmp_path: Path, engine: LocalEngine) -> None:
    source = Counted()
    explain(source, ProcessJob(engine), [Slow(source)], tmp_path / "out.mp4", None)
    assert source.most > 12
