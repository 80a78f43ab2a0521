"""The recordings of one session, one after the other: when they begin and end, and their folders."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from whycam.stream.inference.engine import Engine
from whycam.stream.live.pipeline import LiveStream
from whycam.stream.recording.paths import new_folder
from whycam.stream.recording.sidecar import about_model
from whycam.stream.recording.writer import Recording, RecordingStatus
from whycam.stream.sessions.messages import CommandError

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
        engine: Engine,
        live: LiveStream,
        want_keyframe: Callable[[str], None],
        *,
        min_free: int,
        owner: str | None = None,
        continues: str | None = None,
    ) -> None:
        self._library = library
        self._engine = engine
        self._live = live
        self._want_keyframe = want_keyframe
        self._min_free = min_free
        # A recording begins with a frame, so a call that never connects leaves no folder behind.
        self._wanted = library is not None
        self._owner = owner
        self._continues = continues
        self._recording: Recording | None = None
        self._unrecorded = RecordingStatus("off")  # while there is no recording
        self._counted_from: dict[str, int] = {}
        self._switched = -SWITCH_EVERY_S
        self._finishing: dict[asyncio.Task[None], Path] = {}

    @property
    def status(self) -> RecordingStatus:
        """Whether and where the session is being recorded."""
        return self._unrecorded if self._recording is None else self._recording.status

    @property
    def folders(self) -> set[Path]:
        """The folders with open files."""
        running = () if self._recording is None else (self._recording.folder,)
        return {*running, *self._finishing.values()}

    def saw_frame(self) -> None:
        """Begin a recording if one is wanted; called before a camera frame is processed."""
        if self._wanted:
            self._wanted = False
            self._begin()

    def switch(self, wanted: bool) -> None:
        """Begin a recording with the next frame, or end the running one; raises `CommandError`."""
        if wanted and self._library is None:
            raise CommandError("This server does not record. Start it without --no-record.", "no-recordings")
        running = self._recording is not None and self._recording.status.state == "on"
        waits = self._recording is not None and not running  # usually for disk space
        if wanted == (running or self._wanted) and (wanted or not waits):
            return
        now = time.monotonic()
        if now - self._switched < SWITCH_EVERY_S:
            raise CommandError("The recording was switched a moment ago. Try again in a second.", "too-soon")
        self._switched = now
        self._end()
        self._unrecorded = RecordingStatus("off")
        self._wanted = wanted

    def _begin(self) -> None:
        assert self._library is not None
        try:
            folder = new_folder(self._library, self._continues)
        except OSError as error:
            reason = f"No recording: {error.filename} cannot be created ({error.strerror})."
            self._unrecorded = RecordingStatus("stopped", reason=reason, code="folder")
            logger.warning(reason)
            return
        self._continues = None
        contract = self._engine.contract
        about = {
            **about_model(contract, self._engine.sha256),
            "fit": contract.fit,
            "settings": self._live.view.settings(),
        }
        self._counted_from = asdict(self._live.counts)
        self._recording = Recording(folder, about, self._want_keyframe, min_free=self._min_free, owner=self._owner)
        self._live.recording = self._recording
        logger.info("Recording to %s", folder)

    def _end(self) -> None:
        """Detach the recording from the stream and finish its files in a thread."""
        recording, self._recording = self._recording, None
        self._live.recording = None
        if recording is None:
            return
        counts = {name: n - self._counted_from[name] for name, n in asdict(self._live.counts).items()}
        del counts["received"]  # the recording counts these itself
        task = asyncio.get_running_loop().create_task(asyncio.to_thread(recording.close, counts))
        self._finishing[task] = recording.folder
        task.add_done_callback(self._finishing.pop)

    async def close(self) -> None:
        """End the recording and wait until all files are finished; the stream must have ended."""
        self._wanted = False
        self._end()
        await asyncio.gather(*self._finishing)
