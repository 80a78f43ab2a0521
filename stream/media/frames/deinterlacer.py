"""Makes one progressive frame of each interlaced one, with FFmpeg's `bwdif`."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import av
import av.filter


class Deinterlacer:
    """Deinterlaces the frames of one film; progressive frames pass unchanged, and none is added or lost.

    From the first interlaced frame on it keeps one frame back, because `bwdif` looks at the frame after.
    """

    def __init__(self) -> None:
        self._graph: av.filter.Graph | None = None
        self._form: object = None
        self.used = False
        """Whether the film has had an interlaced frame."""

    def __call__(self, frame: av.VideoFrame) -> Iterator[av.VideoFrame]:
        """The frames that are ready."""
        self.used = self.used or frame.interlaced_frame
        if not self.used or frame.time_base is None:
            yield frame
            return
        form = (frame.width, frame.height, frame.format.name, frame.colorspace, frame.color_range, frame.time_base)
        if form != self._form:
            yield from self.flush()
            self._graph, self._form = _graph(frame), form
        assert self._graph is not None
        self._graph.push(frame)
        yield from self._ready()

    def flush(self) -> Iterator[av.VideoFrame]:
        """The remaining frame, at the end or before a piece that is decoded separately."""
        if self._graph is not None:
            self._graph.push(None)
            yield from self._ready()
        self._graph, self._form = None, None

    def _ready(self) -> Iterator[av.VideoFrame]:
        assert self._graph is not None
        while True:
            try:
                frame = self._graph.pull()
            except (av.BlockingIOError, av.EOFError):
                return
            assert isinstance(frame, av.VideoFrame)
            if frame.pts is not None and frame.time_base is not None:
                # The filter counts in half units, for two frames from each.
                frame.pts, frame.duration, frame.time_base = frame.pts // 2, frame.duration // 2, frame.time_base * 2
            yield frame


def _graph(frame: av.VideoFrame) -> av.filter.Graph:
    graph = av.filter.Graph()
    chain = [
        graph.add_buffer(width=frame.width, height=frame.height, format=frame.format, time_base=frame.time_base),
        graph.add("bwdif", mode="send_frame", parity="auto", deint="interlaced"),
        graph.add("buffersink"),
    ]
    for one, next_one in itertools.pairwise(chain):
        one.link_to(next_one)
    graph.configure()
    return graph
