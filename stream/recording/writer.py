"""Crash-safe recording of a live session: the camera's stream, the explained one and the sidecar, on one clock."""

from __future__ import annotations

import errno
import json
import logging
import queue
import shutil
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import av

from whycam.stream.limits import LIMITS
from whycam.stream.private_files import write_private
from whycam.stream.recording.bitstream_file import BitstreamFile
from whycam.stream.recording.containers import CONTAINERS
from whycam.stream.recording.lock import FolderLock
from whycam.stream.recording.ownership import FIELD as OWNER
from whycam.stream.recording.ownership import mark
from whycam.stream.recording.paths import SESSION, SIDECAR, session_of
from whycam.stream.recording.repair import count_frames
from whycam.stream.recording.sidecar import Scores, SidecarFrame, SidecarWriter
from whycam.stream.recording.summary import ClassStatistics
from whycam.stream.video.b_frames import DisplayOrder, is_b_picture
from whycam.stream.video.codec import TIME_BASE, DamagedKeyframe, EncodedFrame, read_keyframe

MIN_FREE = LIMITS.min_free_bytes
"""Bytes that must stay free on the disk; below, the recording stops and the stream continues."""
MAX_WAITING = 600
"""Most frames that wait for a slow disk, about ten seconds of both streams."""
HEADROOM = 64 << 20
"""Free bytes beyond `MIN_FREE` with which a recording that stopped on a full disk continues."""
_CHECK_DISK_S = 1.0
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT)

logger = logging.getLogger(__name__)

State = Literal["on", "off", "stopped"]
Code = Literal["disk-full", "folder", "failed", "cut-off"]
"""Why a recording stopped; the pages translate it."""


@dataclass(frozen=True, slots=True)
class RecordingStatus:
    """State of a recording: on, off (not requested), or stopped and why; after a full disk it may be on again."""

    state: State
    folder: str = ""
    id: str = ""
    """The random part of the folder's name."""
    reason: str = ""
    code: Code | None = None
    """The reason's code; None without a problem."""
    camera: Literal["copied", "encoded anew"] = "copied"
    """How the camera's frames are stored; a stream with B-frames is encoded anew, in presentation order."""


class _NoRoom(Exception):
    """The disk has less free space than required."""


@dataclass(slots=True)
class Track:
    """One of the two recorded streams: its open file, and the counts of its frames."""

    name: str
    file: BitstreamFile | None = None
    number: int = -1
    broken: bool = False
    """A frame was dropped, so later frames cannot be decoded until a keyframe."""
    taken: int = 0
    """Frames taken by the recording's thread."""
    recorded: int = 0
    refused: int = 0
    """Frames dropped before the queue, by the caller's thread."""
    segments: list[dict[str, Any]] = field(default_factory=list)

    @property
    def unrecorded(self) -> int:
        """Frames that are in no file."""
        return self.taken - self.recorded + self.refused

    def close_file(self) -> None:
        """Finish the file, if there is one; raises `OSError` if the disk is full."""
        if self.file is not None:
            file, self.file = self.file, None
            file.close()

    def give_up_file(self) -> None:
        """Close a file that could not be finished, and count only the frames that it contains."""
        file = self.file
        if file is not None:
            with suppress(OSError, av.FFmpegError):
                self.close_file()
                return
            self.recorded -= file.written - count_frames(file.path)


class Recording:
    """Writes a session's two streams and the sidecar in its own thread; the caller that passes frames never waits.

    The clock's zero is the first camera keyframe. A file's times start at the first camera frame of its segment. A new
    segment begins when the camera's size changes, or when the disk has room again. Explained frames are written only
    if the camera file has the frame. The camera's stream is copied, unless its decoding and presentation order differ.
    `want_keyframe("camera" | "explained")` is called, from any thread, when a file needs a keyframe to begin with.
    `about` goes into session.json and the sidecar's header; `owner`, a device's key, only as a mark into session.json.
    """

    def __init__(
        self,
        folder: Path,
        about: Mapping[str, Any],
        want_keyframe: Callable[[str], None],
        *,
        min_free: int = MIN_FREE,
        owner: str | None = None,
    ) -> None:
        self.folder = folder
        self._about = dict(about)
        self._want_keyframe = want_keyframe
        self._min_free = min_free
        self._status = RecordingStatus("on", str(folder), session_of(folder))
        self._owner = {} if owner is None else {OWNER: mark(owner, self._status.id)}
        self.camera_track = Track("camera")
        self.explained_track = Track("explained")
        """What was received and written of each stream so far; the recording's thread changes them."""
        self._received = 0
        self._sidecar_lines = 0
        self._statistics = ClassStatistics()
        self._zero: int | None = None
        self._starts: list[int] = []  # pts of each camera segment's first frame
        self._in_camera: deque[int] = deque(maxlen=MAX_WAITING)
        self._in_order: DisplayOrder | None = None  # for a stream that cannot be copied
        self._stream_counts: dict[str, int] = {}
        self._queue: queue.Queue[tuple[EncodedFrame, SidecarFrame | None] | None] = queue.Queue(MAX_WAITING)
        self._camera_gap = self._explained_gap = True  # until a keyframe
        self._checked = 0.0
        self._closing = False
        self._may_continue = True
        self._lock = FolderLock(folder)
        self._thread = threading.Thread(target=self._run, name="recording")
        self._thread.start()
        want_keyframe("camera")

    @property
    def status(self) -> RecordingStatus:
        """The current status."""
        return self._status

    def camera(self, frame: EncodedFrame) -> None:
        """Queue a frame as the camera sent it."""
        self._received += 1
        self._camera_gap = self._put(self.camera_track, (frame, None), self._camera_gap)

    def explained(self, frame: EncodedFrame, line: SidecarFrame) -> None:
        """Queue an explained frame and its line of the sidecar."""
        self._explained_gap = self._put(self.explained_track, (frame, line), self._explained_gap)

    def _put(self, track: Track, item: tuple[EncodedFrame, SidecarFrame | None], gap: bool) -> bool:
        """Queue a frame; returns whether the track now has a gap, after which only a keyframe can follow."""
        if self._status.state == "on" and (item[0].is_keyframe or not gap):
            with suppress(queue.Full):
                self._queue.put_nowait(item)
                return False
        track.refused += 1
        # The request to the camera is repeated, because it can be lost; that to our own encoder is sent once.
        if self._status.state == "on" and (track is self.camera_track or not gap):
            self._want_keyframe(track.name)
        return True

    def close(self, stream_counts: Mapping[str, int] | None = None) -> None:
        """Finish the files; blocks until all queued frames are written."""
        self._stream_counts = dict(stream_counts or {})
        self._queue.put(None)
        self._thread.join()

    def _run(self) -> None:
        while not self._closing:
            try:
                self._record()
            except _NoRoom as error:
                self._stop(str(error), "disk-full")
            except (OSError, av.FFmpegError) as error:  # usually a full disk
                self._stop(f"The recording stopped: {error}.", "disk-full" if error.errno in _NO_ROOM else "failed")
            except Exception as error:  # the stream continues in any case, and the status reports it
                logger.exception("The recording %s failed.", self.folder)
                self._stop(f"The recording stopped: {error!r}.", "failed")
            for track in (self.camera_track, self.explained_track):
                track.give_up_file()
            if not self._closing:
                self._wait_for_room()
        with suppress(OSError):  # a full disk was reported before; the file written at the start remains
            self._write_session(ended=True)
        self._lock.release()

    def _record(self) -> None:
        """Write queued items until the recording is closed; raises `_NoRoom` and write errors."""
        predictions = self.folder / SIDECAR
        predictions.touch(mode=0o600)
        header = {**self._about, "time_base": [TIME_BASE.numerator, TIME_BASE.denominator]}
        with SidecarWriter(predictions, header, append=True) as sidecar:
            self._write_session()
            if self._status.state == "stopped":
                logger.info("%s continues: the disk has room again.", self.folder)
                self._status = replace(self._status, state="on", reason="", code=None)
                self._want_keyframe("camera")
            while (item := self._queue.get()) is not None:
                self._write(sidecar, *item)
            self._closing = True
            if self._in_order is not None:
                for frame in self._in_order.rest():
                    self._write_camera(frame)
        for track in (self.camera_track, self.explained_track):
            track.close_file()

    def _wait_for_room(self) -> None:
        """Count and drop what arrives, until the disk has room again or the recording is closed."""
        self._in_order = None
        with suppress(OSError):
            self._write_session()
        while True:
            try:
                item = self._queue.get(timeout=_CHECK_DISK_S)
            except queue.Empty:
                with suppress(OSError):
                    if self._may_continue and shutil.disk_usage(self.folder).free >= self._min_free + HEADROOM:
                        return
                continue
            if item is None:
                self._closing = True
                return
            self._track_of(item[1]).taken += 1

    def _track_of(self, line: SidecarFrame | None) -> Track:
        return self.camera_track if line is None else self.explained_track

    def _stop(self, reason: str, code: Code) -> None:
        self._may_continue = code == "disk-full"
        if self._status.state == "on":
            self._status = replace(self._status, state="stopped", reason=reason, code=code)
            logger.warning("%s %s", self.folder, reason)

    def _write(self, sidecar: SidecarWriter, frame: EncodedFrame, line: SidecarFrame | None) -> None:
        self._track_of(line).taken += 1
        self._check_disk()
        if line is not None:
            self._write_explained(sidecar, frame, line)
            return
        for each in self._to_write(frame):
            self._write_camera(each)

    def _to_write(self, frame: EncodedFrame) -> list[EncodedFrame]:
        """The camera's frame unchanged; for a stream with B-frames, the next frames in presentation order."""
        if self._in_order is None and self._is_out_of_order(frame):
            self._in_order = DisplayOrder()
            self._status = replace(self._status, camera="encoded anew")
            logger.warning("%s: the camera sends B-frames, so its video is encoded anew.", self.folder)
            if not frame.is_keyframe:
                self.camera_track.broken = True  # the copied file ends here
                self._want_keyframe("camera")
        if self._in_order is None:
            return [frame]
        try:
            return self._in_order.take(frame)
        except av.FFmpegError as error:
            logger.debug("A frame could not be decoded: %s", error)
            self._want_keyframe("camera")
            return []

    def _is_out_of_order(self, frame: EncodedFrame) -> bool:
        if frame.codec == "VP8":
            return False
        if not frame.is_keyframe:
            return is_b_picture(frame.data)
        if self.camera_track.file is not None and self.camera_track.file.header == frame.header:
            return False
        try:
            return read_keyframe(frame).reorders
        except DamagedKeyframe:
            return False  # reported when a file would begin with it

    def _check_disk(self) -> None:
        now = time.monotonic()
        if now - self._checked < _CHECK_DISK_S:
            return
        self._checked = now
        free = shutil.disk_usage(self.folder).free
        if free < self._min_free:
            raise _NoRoom(
                f"The recording stopped: the disk has {free / 2**30:.1f} GiB left, "
                f"{self._min_free / 2**30:.1f} GiB must stay free. The files so far are complete, "
                "and it continues when there is room."
            )

    def _write_camera(self, frame: EncodedFrame) -> None:
        track = self.camera_track
        if frame.is_keyframe:
            try:
                self._begin_segment(frame)
            except DamagedKeyframe:
                track.broken = True
                self._want_keyframe("camera")
                return
            track.broken = False
        if track.file is None or track.broken:
            return
        track.file.write(frame, frame.pts - self._starts[-1])
        track.recorded += 1
        self._in_camera.append(frame.pts)

    def _begin_segment(self, first: EncodedFrame) -> None:
        """Open a new camera file, unless this keyframe can continue the open one."""
        track = self.camera_track
        if track.file is not None and track.file.header == first.header:
            return
        file = BitstreamFile(self._path(track, len(self._starts), first), first)
        if self._zero is None:
            self._zero = first.pts
        self._starts.append(first.pts)
        self._open(track, len(self._starts) - 1, file, first)
        self._want_keyframe("explained")

    def _write_explained(self, sidecar: SidecarWriter, frame: EncodedFrame, line: SidecarFrame) -> None:
        track = self.explained_track
        number = sum(start <= frame.pts for start in self._starts) - 1
        known = frame.pts in self._in_camera
        if not known:
            if track.file is not None and not track.broken:
                track.broken = True
                self._want_keyframe("explained")
            return
        if frame.is_keyframe and number >= track.number:
            if number > track.number:
                self._open(track, number, BitstreamFile(self._path(track, number, frame), frame), frame)
            track.broken = False
        if track.file is None or track.broken or number != track.number:
            return
        assert self._zero is not None
        track.file.write(frame, frame.pts - self._starts[number])
        track.recorded += 1
        frozen = None if line.frozen is None else line.frozen - self._zero
        sidecar.write(replace(line, pts=line.pts - self._zero, frozen=frozen))
        self._statistics.add(Scores.of(line, float((line.pts - self._zero) * TIME_BASE)))
        self._sidecar_lines += 1

    def _path(self, track: Track, number: int, first: EncodedFrame) -> Path:
        return self.folder / f"{track.name}-{number:03d}{CONTAINERS[first.codec].suffix}"

    def _open(self, track: Track, number: int, file: BitstreamFile, first: EncodedFrame) -> None:
        track.close_file()
        track.file, track.number = file, number
        assert self._zero is not None
        track.segments.append(
            {
                "file": file.path.name,
                "codec": first.codec,
                "size": list(file.size),
                "first_pts": self._starts[number] - self._zero,
            }
        )
        self._write_session()

    def _write_session(self, *, ended: bool = False) -> None:
        session = {
            "whycam": 1,
            **self._about,
            **self._owner,
            "state": "ended" if ended else "recording",
            "status": asdict(self._status),
            "counts": {
                "received": self._received,
                "recorded": self.camera_track.recorded,
                "unrecorded": self.camera_track.unrecorded,
                **self._stream_counts,
                "explained_recorded": self.explained_track.recorded,
                "explained_unrecorded": self.explained_track.unrecorded,
                "sidecar_lines": self._sidecar_lines,
            },
            "camera": self.camera_track.segments,
            "explained": self.explained_track.segments,
            **self._statistics.summary(),
        }
        path = self.folder / SESSION
        write_private(path, json.dumps(session, indent=1, ensure_ascii=False).encode())
