"""A bright spot that moves, and an engine whose answers wait for a test."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import Future
from pathlib import Path

import av
import numpy as np
import skimage.data

from tests.support.films import media_samples
from tests.support.models import tiny_models
from whycam.models.class_set import ClassSet
from whycam.stream.inference.engine import Engine, LocalEngine
from whycam.stream.inference.explainer import Explainer
from whycam.stream.inference.explanation import Explanation
from whycam.stream.live.heatmap_source import Policy
from whycam.stream.live.inference_pace import InferencePace
from whycam.stream.live.pipeline import LiveStream, Painted
from whycam.stream.overlay.view import View
from whycam.stream.video.codec import EncodedFrame
from whycam.stream.video.encoder import X264, Encoder
from whycam.stream.video.planes import Bytes


class HeldEngine(LocalEngine):
    """Answers only when a test calls `answer`."""

    def __init__(self, folder: Path) -> None:
        self.requests: list[tuple[Future[Explanation], Explanation]] = []
        self._warm = False
        super().__init__(Explainer(tiny_models.bright_spot(folder / "held.onnx"), threads=1))
        self._warm = True

    def explain(
        self, pictures: Bytes, targets: Sequence[int], class_set: ClassSet | None = None
    ) -> Future[Explanation]:
        if not self._warm:
            return super().explain(pictures, targets, class_set)
        answer: Future[Explanation] = Future()
        self.requests.append((answer, self._explainer.explain(pictures, targets, class_set)))
        return answer

    def answer(self) -> None:
        """Answer the last request."""
        answer, explanation = self.requests[-1]
        answer.set_result(explanation)


class Watched:
    """A live stream that gets frames one by one; each is painted before the next one."""

    def __init__(
        self,
        engine: Engine,
        policy: Policy = "newest",
        view: View | None = None,
        pace: InferencePace | None = None,
    ) -> None:
        self._came = threading.Semaphore(0)
        self.painted: list[Painted] = []
        self.stream = LiveStream(
            engine, X264, self._take, lambda: None, lambda: None, view=view, policy=policy, pace=pace
        )

    def _take(self, painted: Painted) -> None:
        self.painted.append(painted)
        self._came.release()

    def show(self, frame: EncodedFrame) -> Painted:
        self.stream.receive(frame)
        assert self._came.acquire(timeout=20)
        return self.painted[-1]


def encoded(pictures: Sequence[Bytes], step: int = media_samples.STEP) -> list[EncodedFrame]:
    encoder = Encoder(X264)
    frames = [encoder.encode(media_samples.frame(rgb, number * step)) for number, rgb in enumerate(pictures)]
    assert None not in frames
    return [frame for frame in frames if frame is not None]


def moving_spot(count: int) -> list[Bytes]:
    """A photograph with a red spot, over which the camera moves: the spot moves from left to right."""
    scene = np.repeat(skimage.data.gravel()[..., None], 3, axis=2)
    scene[200:250, 250:300] = media_samples.RED
    return [np.ascontiguousarray(scene[120:360, 190 - 8 * n : 510 - 8 * n]) for n in range(count)]


def pixels(picture: av.VideoFrame) -> bytes:
    return b"".join(plane.tobytes() for plane in media_samples.pixels(picture))
