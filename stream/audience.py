"""All who watch one stream of a session: each frame is packed once and goes to every one of them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from stream.codec import CodecName
from stream.rtc import LOOPBACK, Media
from stream.rtc_hooks import PackedFrame
from stream.viewer import Viewer


class Audience:
    """`viewer = await audience.admit(offer, …)`; `send` reaches all; it ends by `close`.

    `want_keyframe` is what a viewer's wish for one comes to; it should be a `Wish`, for they come from all viewers.
    """

    def __init__(self, codec: CodecName, media: Media, want_keyframe: Callable[[], None]) -> None:
        self._codec = codec
        self._media = media
        self._want_keyframe = want_keyframe
        self._viewers: set[Viewer] = set()
        self._closed = False

    def __len__(self) -> int:
        return len(self._viewers)

    async def admit(self, offer: str, on_end: Callable[[Viewer], None], caller: str = LOOPBACK) -> Viewer:
        """Answer the offer of a viewer at this address.

        Raises as `Viewer.answering` does, and `ConnectionError` where the stream is over.

        `on_end` is called when the viewer is gone.
        """

        def leave(viewer: Viewer) -> None:
            self._viewers.discard(viewer)
            on_end(viewer)

        viewer = await Viewer.answering(offer, self._codec, self._media, self._want_keyframe, leave, caller)
        self._viewers.add(viewer)
        if self._closed:
            await viewer.close()
            raise ConnectionError("This session is over.")
        return viewer

    def send(self, frame: PackedFrame) -> None:
        """Send a frame to all; never blocks."""
        for viewer in self._viewers:
            viewer.send(frame)

    def report(self, text: str) -> None:
        """Send a report to those who have a channel for it; never blocks."""
        for viewer in self._viewers:
            viewer.report(text)

    def interrupt(self) -> None:
        """Frames are missing in the stream: all go on with a keyframe."""
        for viewer in self._viewers:
            viewer.interrupt()

    async def close(self, last_words: str | None = None) -> None:
        """The stream is over: end all connections, with these words."""
        self._closed = True
        await asyncio.gather(*(viewer.close(last_words) for viewer in list(self._viewers)))
