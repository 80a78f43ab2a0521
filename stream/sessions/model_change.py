"""A session's change to another model: which of the camera's frames is the first that the new model explains."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress

from whycam.stream.live.pipeline import Counts, LiveStream
from whycam.stream.sessions.model_choice import RunningModel
from whycam.stream.sessions.recorder import Recorder
from whycam.stream.video.codec import EncodedFrame

REHEARSAL_S = 5.0
"""For the new model's first answer. Until then, the former model's heatmaps are drawn."""
KEYFRAME_S = 10.0
"""From then on, for the camera's keyframe with which a recording can continue: browsers send one on request, other
publishers every few seconds."""
LAST_FRAME_S = 1.0
"""For a frame that is being processed with the former model."""


class ModelChange:
    """Changes one live stream, and its recording, to another model; its methods run on the event loop.

    The picture never waits: the new model explains frames beside the former one, and draws when it has explained one.
    A recording's further folder begins with a keyframe of the camera, and the former one ends with the frame before, so
    that no frame is lost. A camera that sends no frame, or no keyframe in time, is changed without waiting for it.
    """

    def __init__(
        self,
        model: RunningModel,
        live: LiveStream,
        recorder: Recorder,
        request_keyframe: Callable[[], None],
    ) -> None:
        self._live = live
        self._recorder = recorder
        self._request_keyframe = request_keyframe
        self._loop = asyncio.get_running_loop()
        self._began = time.monotonic()
        self._rehearsed: float | None = None
        self._left: Future[Counts] | None = None
        self._handed_over = asyncio.Event()
        self._abandoned = False
        live.rehearse(model.engine, model.name, model.class_set)

    def saw_frame(self, frame: EncodedFrame) -> None:
        """Hand over if this frame can be the new model's first; called before it is processed."""
        now = time.monotonic()
        if (
            self._left is not None
            or self._abandoned
            or not (self._live.is_rehearsed or now - self._began >= REHEARSAL_S)
        ):
            return
        self._rehearsed = self._rehearsed or now
        if self._recorder.is_on and not frame.is_keyframe and now - self._rehearsed < KEYFRAME_S:
            self._request_keyframe()
            return
        self._hand_over(frame.pts)

    async def finish(self) -> None:
        """Return when the former engine is not used any more."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._handed_over.wait(), REHEARSAL_S + KEYFRAME_S)
        if self._abandoned:
            return
        if self._left is None:
            self._hand_over(None)
        assert self._left is not None
        with suppress(TimeoutError):  # no frame comes, so none is being processed
            await asyncio.wait_for(asyncio.shield(asyncio.wrap_future(self._left)), LAST_FRAME_S)

    def abandon(self) -> None:
        """Give up, because the session has ended; `finish` returns."""
        self._abandoned = True
        self._handed_over.set()

    def _hand_over(self, first_pts: int | None) -> None:
        self._left = self._live.hand_over(first_pts)
        finish_former = self._recorder.change_model()
        # Called from the stream's thread.
        self._left.add_done_callback(lambda left: self._loop.call_soon_threadsafe(finish_former, left.result()))
        self._handed_over.set()
