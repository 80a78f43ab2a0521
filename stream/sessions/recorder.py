"""The recordings of one session, one after the other: when they begin and end, and their folders."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from pathlib import Path

from whycam.stream.live.pipeline import Counts, LiveStream
from whycam.stream.recording.paths import new_folder, session_of
from whycam.stream.recording.sidecar import about_model
from whycam.stream.recording.writer import Recording, RecordingStatus
from whycam.stream.sessions.messages import CommandError
from whycam.stream.sessions.recording_mode import RecordingMode

logger = logging.getLogger(__name__)

SWITCH_EVERY_S = 0.5


class Recorder:
    """Records a live stream into subfolders of `library`, from its first frame on; None records nothing.

    The first one continues the recording with the id `continues`, if given. All belong to `owner`, a device's key, or
    to the host if None. Its methods run on the event loop, but `want_keyframe("camera" | "explained")` is called from
    any thread.
    """

    def __init__(
        self,
        library: Path | None,
        live: LiveStream,
        want_keyframe: Callable[[str], None],
        *,
        min_free: int,
        mode: RecordingMode = "on",
        owner: str | None = None,
        continues: str | None = None,
    ) -> None:
        self._library = library
        self._live = live
        self._want_keyframe = want_keyframe
        self._min_free = min_free
        # A recording begins with a frame, so a call that never connects leaves no folder behind.
        self._wanted = library is not None and mode == "on"
        self._mode = mode
        self._owner = owner
        self._continues = continues
        self._recording: Recording | None = None
        self._unrecorded = RecordingStatus("off")  # while there is no recording
        self._counted_from: dict[Recording, Counts] = {}
        """The stream's counts when each unfinished recording began."""
        self._followed: dict[Recording, Recording | None] = {}
        """Recordings with a former model, of which frames may still come, each with the one that follows it."""
        self._switched = -SWITCH_EVERY_S
        self._finishing: dict[asyncio.Task[None], Path] = {}

    @property
    def status(self) -> RecordingStatus:
        """Whether and where the session is being recorded."""
        return self._unrecorded if self._recording is None else self._recording.status

    @property
    def folders(self) -> set[Path]:
        """The folders with open files."""
        running = () if self._recording is None else (self._recording,)
        return {*(each.folder for each in (*running, *self._followed)), *self._finishing.values()}

    @property
    def is_on(self) -> bool:
        """Whether frames are being written now."""
        return self._recording is not None and self._recording.status.state == "on"

    def saw_frame(self) -> None:
        """Begin a recording if one is wanted; called before a camera frame is processed."""
        if self._wanted:
            self._wanted = False
            self._begin()

    def change_model(self) -> Callable[[Counts], None]:
        """Continue in a further folder of the same session, because the stream has another model from now on.

        The recording before it takes the frames that are still drawn with the former model, until the returned function
        is called: with the stream's counts at the last of these frames.
        """
        former, self._recording = self._recording, None
        if former is None:
            return lambda _: None
        self._continues = session_of(former.folder)
        self._begin()
        self._followed[former] = self._recording
        return partial(self._finish_former, former)

    def _finish_former(self, former: Recording, counts: Counts) -> None:
        following = self._followed.pop(former)
        if following in self._counted_from:
            self._counted_from[following] = counts
        self._finish(former, counts)

    def set_mode(self, mode: RecordingMode) -> None:
        """Record from the next frame on (`on`), end what runs (`off`), or leave it to the session's person (`ask`)."""
        self._mode = mode
        if self._library is None:
            return
        if mode == "off":
            self._stop()
        elif mode == "on" and self._recording is None:
            self._wanted = True

    def _stop(self) -> None:
        self._end()
        self._wanted = False
        self._unrecorded = RecordingStatus("off")

    def switch(self, wanted: bool) -> None:
        """Begin a recording with the next frame, or end the running one; raises `CommandError`."""
        if wanted and self._library is None:
            raise CommandError("This server does not record. Start it without --no-record.", "no-recordings")
        if wanted and self._mode == "off":
            raise CommandError("The computer has switched off recording.", "recording-off")
        running = self.is_on
        waits = self._recording is not None and not running  # usually for disk space
        if wanted == (running or self._wanted) and (wanted or not waits):
            return
        now = time.monotonic()
        if now - self._switched < SWITCH_EVERY_S:
            raise CommandError("The recording was switched a moment ago. Try again in a second.", "too-soon")
        self._switched = now
        self._stop()
        self._wanted = wanted

    def _begin(self) -> None:
        assert self._library is not None
        try:
            folder = new_folder(self._library, self._continues)
        except OSError as error:
            reason = f"No recording: {error.filename} cannot be created ({error.strerror})."
            self._unrecorded = RecordingStatus("stopped", reason=reason, code="folder")
            self._live.recording = None
            logger.warning(reason)
            return
        self._continues = None
        engine = self._live.engine
        about = {
            **about_model(engine.contract, engine.sha256),
            "fit": engine.contract.fit,
            "settings": self._live.view.settings(),
        }
        recording = Recording(folder, about, self._want_keyframe, min_free=self._min_free, owner=self._owner)
        self._counted_from[recording] = self._live.counts
        self._recording = self._live.recording = recording
        logger.info("Recording to %s", folder)

    def _end(self) -> None:
        """Detach the recording from the stream and finish its files."""
        recording, self._recording = self._recording, None
        self._live.recording = None
        if recording is not None:
            self._finish(recording, self._live.counts)

    def _finish(self, recording: Recording, counts: Counts) -> None:
        """Finish a recording's files in a thread; the stream passes it no more frames."""
        before = asdict(self._counted_from.pop(recording))
        since = {name: count - before[name] for name, count in asdict(counts).items()}
        del since["received"]  # the recording counts these itself
        task = asyncio.get_running_loop().create_task(asyncio.to_thread(recording.close, since))
        self._finishing[task] = recording.folder
        task.add_done_callback(self._finishing.pop)

    async def close(self) -> None:
        """End the recording and wait until all files are finished; the stream must have ended."""
        self._wanted = False
        self._end()
        await asyncio.gather(*self._finishing)
