"""Decodes ahead in a separate thread and sends requests to the engine, so that the model never waits for a frame."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Protocol, TypeAlias

import av
import numpy as np

from whycam.stream.inference.engine import Engine
from whycam.stream.inference.explanation import Explanation
from whycam.stream.media.frames.preparation import LARGE_PIXELS
from whycam.stream.media.losses import Losses
from whycam.stream.overlay.renderer import Renderer
from whycam.stream.video.planes import Bytes

BATCH = 4
"""Images that are explained together."""
MAX_ITEMS = 256
"""Most frames and sound packets in a batch: sound may continue while the video does not."""
AHEAD = 4
"""Most batches decoded before the first is painted: 16 frames, 50 MB at 1080p."""
MAX_PIXELS = LARGE_PIXELS
"""Pixels with which a batch is full: one frame if they are large, of which one batch at most is decoded ahead."""

Item: TypeAlias = "av.VideoFrame | av.Packet[Any]"


class Source(Protocol):
    """Frames to explain, from a film, a folder or an image."""

    @property
    def name(self) -> str:
        """Its name in messages."""

    @property
    def time_base(self) -> Fraction:
        """Unit of the frames' pts, in seconds."""

    @property
    def frames(self) -> int:
        """Expected number of frames; 0 if unknown."""

    @property
    def losses(self) -> Losses:
        """What could not be read so far."""

    def read(self) -> Iterator[Item]:
        """The frames in order, and sound between them."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Frames with a pending explanation, and the sound before, between and after them."""

    items: list[tuple[Item, bool]]  # whether the frame is in the request to the engine
    answer: Future[Explanation] | None


class FrameSample:
    """The network's inputs of some frames, spread over a film of any length."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._step = 1
        self._kept: list[Bytes] = []

    def wants(self, number: int) -> bool:
        """Whether to `keep` the input of explained frame `number`, counted from 0 without gaps."""
        return self._count > 0 and number % self._step == 0

    def keep(self, image: Bytes) -> None:
        """Keep a frame's input, of every one that is wanted; at most four times as many as asked for are stored."""
        self._kept.append(image)
        if len(self._kept) == 4 * self._count:
            self._kept, self._step = self._kept[::2], 2 * self._step

    @property
    def images(self) -> list[Bytes]:
        """The inputs of as many frames as asked for, or of all if there are fewer."""
        kept = len(self._kept)
        count = min(self._count, kept)
        return [self._kept[(2 * place + 1) * kept // (2 * count)] for place in range(count)]


class Reader:
    """Gives a source's batches; one of `every` frames is sent to the engine, and none of the first `known`.

    The `sample` is of all explained frames, known or not.
    """

    def __init__(
        self,
        source: Source,
        engine: Engine,
        renderer: Renderer,
        *,
        every: int,
        known: int = 0,
        sample: FrameSample | None = None,
    ) -> None:
        self._source = source
        self._engine = engine
        self._renderer = renderer
        self._every = every
        self._known = known
        self._sample = sample or FrameSample(0)
        self._queue: queue.Queue[Batch | BaseException | None] = queue.Queue(AHEAD)
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="reader")

    def __enter__(self) -> Iterator[Batch]:
        self._thread.start()
        return self._batches()

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        while self._thread.is_alive():  # it may be waiting for room in the queue
            try:
                self._queue.get(timeout=0.05)
            except queue.Empty:
                continue
        self._thread.join()

    def _batches(self) -> Iterator[Batch]:
        while (item := self._queue.get()) is not None:
            if isinstance(item, BaseException):
                raise item
            yield item

    def _run(self) -> None:
        try:
            items: list[tuple[Item, bool]] = []
            pictures: list[Bytes] = []
            pixels, count = 0, 0
            for item in self._source.read():
                if self._stopped.is_set():
                    return
                asked = False
                if isinstance(item, av.VideoFrame):
                    if item.width * item.height >= LARGE_PIXELS:
                        self._queue.maxsize = 1  # each batch has one frame
                    explained = count % self._every == 0
                    asked = explained and count >= self._known
                    wanted = explained and self._sample.wants(count // self._every)
                    pixels, count = pixels + item.width * item.height, count + 1
                    if asked or wanted:
                        image = self._renderer.input_image(item)
                        if asked:
                            pictures.append(image)
                        if wanted:
                            self._sample.keep(image)
                items.append((item, asked))
                if len(pictures) == BATCH or len(items) >= MAX_ITEMS or pixels >= MAX_PIXELS:
                    self._put(items, pictures)
                    items, pictures, pixels = [], [], 0
            self._put(items, pictures)
        except Exception as error:  # noqa: BLE001 - raised again in the consuming thread
            self._queue.put(error)
        self._queue.put(None)

    def _put(self, items: list[tuple[Item, bool]], pictures: list[Bytes]) -> None:
        answer = self._engine.explain(np.stack(pictures), self._renderer.targets) if pictures else None
        self._queue.put(Batch(items, answer))
