"""The uploaded films of one server: a short queue, explained one at a time in a separate process.

Everything unfinished is stored in a hidden folder of the recordings folder; a result is moved beside the recordings
when it is complete. A film whose server ended is continued by the next one.
"""

from __future__ import annotations

import logging
import secrets
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import IO, Any

from whycam.models.contract import HEATMAPS
from whycam.stream.inference.providers import Device
from whycam.stream.limits import LIMITS, Limits
from whycam.stream.overlay.view import SURE
from whycam.stream.recording import ownership, paths
from whycam.stream.recording.lock import FolderLock
from whycam.stream.uploads.child import FilmOrder, FilmProcess
from whycam.stream.uploads.job import CODES, FILM, OPEN, RESULT, Code, FilmJob, kept_in

logger = logging.getLogger(__name__)

FOLDER = ".films"
MAX_ATTEMPTS = 3
"""A film that was begun this often when its server ended may be the reason for it."""
REMEMBERED = 20
"""Finished films that are still listed."""
ROOM = 2
"""An explained film is about as large as its original; with the original twice as large."""
INTERRUPTED = "whycam was ended while it received {}. Choose the film again."
GIVEN_UP = "whycam was ended several times while it explained {}. Try `whycam process` in a terminal, which says more."


class QueueFull(RuntimeError):
    """No more films can wait; says what to do."""


class NoRoom(RuntimeError):
    """The disk has too little space for a film; says how much there is."""


class Cancelled(RuntimeError):
    """The film was cancelled while it was received."""


class FilmQueue:
    """Thread-safe; the methods block for files, so call them in a thread. `start` begins the work, `close` ends it.

    `path_of` finds the file of the model with a name; it raises what `catalog.checked` raises.
    """

    def __init__(
        self,
        root: Path,
        path_of: Callable[[str], Path],
        device: Device = "auto",
        limits: Limits = LIMITS,
        sure: float = SURE,
    ) -> None:
        self._root = root
        self._folder = root / FOLDER
        self._path_of = path_of
        self._device: Device = device
        self.limits = limits
        self._sure = sure
        self._condition = threading.Condition(threading.RLock())  # guards the attributes below
        self._jobs: dict[str, FilmJob] = {}
        self._child: tuple[str, FilmProcess] | None = None
        self._closed = False
        self._lock: FolderLock | None = None
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Continue what an ended server left, and begin to work."""
        if self._folder.is_dir():
            with suppress(QueueFull):
                self._hold()
        self._thread = threading.Thread(target=self._run, name="films", daemon=True)
        self._thread.start()

    def _hold(self) -> None:
        """Make the folder and take it from other servers; raises `QueueFull` if one has it."""
        with self._condition:
            if self._lock is not None:
                return
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            try:
                self._lock = FolderLock(self._folder, alone=True)
            except BlockingIOError:
                logger.warning("%s is used by another whycam: this one accepts no films.", self._folder)
                raise QueueFull("Another whycam explains films for this folder. Send the film to that one.") from None
            for folder in sorted(self._folder.iterdir(), key=lambda each: each.stat().st_mtime):
                self._take_up(folder)
            self._condition.notify_all()

    def close(self) -> None:
        """End the work; unfinished films stay for the next server."""
        with self._condition:
            self._closed = True
            if self._child is not None:
                self._child[1].kill()  # it continues at the same frame after a kill as after a stop
            self._condition.notify_all()
        if self._thread is not None:
            self._thread.join(5)
        if self._lock is not None:
            with suppress(OSError):  # it contains what is not finished
                self._folder.rmdir()
            self._lock.release()

    def jobs(self, key: str | None) -> list[FilmJob]:
        """The films of the device with this key, or all for the host (None), the oldest first."""
        with self._condition:
            return [job for job in self._jobs.values() if job.is_of(key)]

    @contextmanager
    def receiving(self, name: str, size: int, key: str | None, model: str, output: str = HEATMAPS) -> Iterator[Upload]:
        """A film that is received now; at the end it waits, or is forgotten if it is not complete.

        It will be explained by the model of this name, drawing the maps of this output.

        Raises `QueueFull`, `NoRoom` and `OSError`.
        """
        job = self._admit(name, size, key, model, output)
        folder = self._folder / job.id
        try:
            folder.mkdir(mode=0o700)
            job.keep(folder)
            with (folder / FILM).open("xb") as file:
                yield Upload(self, job.id, file)
            self._received(job.id)
        except BaseException:
            with self._condition:
                self._jobs.pop(job.id, None)
            shutil.rmtree(folder, ignore_errors=True)
            raise

    def find(self, job_id: str, key: str | None) -> FilmJob | None:
        """The film of this id; None if there is none, or if another device sent it."""
        return next((job for job in self.jobs(key) if job.id == job_id), None)

    def cancel(self, job: FilmJob) -> None:
        """Forget a film: stop to receive or to explain it, and delete what there is of it; a recording stays."""
        with self._condition:
            gone = self._jobs.pop(job.id, None)
            if self._child is not None and self._child[0] == job.id:
                self._child[1].kill()  # its folder is deleted when it has ended
                return
        if gone is not None and gone.state == "waiting":
            shutil.rmtree(self._folder / job.id, ignore_errors=True)

    def count(self, job_id: str, received: int) -> None:
        """Note the bytes that arrived; raises `Cancelled`."""
        if self._change(job_id, received=received) is None or self._closed:
            raise Cancelled

    def _admit(self, name: str, size: int, key: str | None, model: str, output: str) -> FilmJob:
        self._hold()
        job_id = secrets.token_hex(6)
        mark = "" if key is None else ownership.mark(key, job_id)
        with self._condition:
            there = [job for job in self._jobs.values() if job.state in OPEN]
            own = [job for job in there if job.is_of(key)]
            if len(there) >= self.limits.max_films:
                raise QueueFull(f"{len(there)} films wait already. Try again when one of them is done.")
            if key is not None and len(own) >= self.limits.max_films_per_device:
                raise QueueFull("This device's film is still being explained. Try again when it is done.")
            self._check_room(sum((job.bytes - job.received) + job.bytes for job in there) + ROOM * size)
            job = self._jobs[job_id] = FilmJob(job_id, name, size, model, mark, output=output)
            return job

    def _check_room(self, needed: int) -> None:
        free = shutil.disk_usage(self._root).free
        if free - needed < self.limits.min_free_bytes:
            raise NoRoom(
                f"The film and its result need about {needed / 2**30:.1f} GiB; the disk has {free / 2**30:.1f} GiB "
                f"left, {self.limits.min_free_bytes / 2**30:.1f} GiB must stay free. Delete recordings, then try again."
            )

    def _received(self, job_id: str) -> None:
        job = self._change(job_id, state="waiting")
        if job is None:
            raise Cancelled
        job.keep(self._folder / job_id)
        with self._condition:
            self._condition.notify_all()

    def _take_up(self, folder: Path) -> None:
        """A film that an ended server left: it waits again, or the list says why it does not."""
        job = kept_in(folder)
        if job is None or job.id != folder.name or job.state not in OPEN:
            shutil.rmtree(folder, ignore_errors=True)
            return
        if job.state == "uploading":
            self._keep_failed(job, "upload-cut-off", INTERRUPTED.format(job.name))
        elif job.attempts >= MAX_ATTEMPTS:
            self._keep_failed(job, "crashed", GIVEN_UP.format(job.name))
        else:
            self._jobs[job.id] = replace(job, state="waiting")
            return
        shutil.rmtree(folder, ignore_errors=True)

    def _keep_failed(self, job: FilmJob, code: Code, problem: str) -> None:
        logger.warning("%s", problem)
        self._jobs[job.id] = replace(job, state="failed", code=code, problem=problem)

    def _change(self, job_id: str, **changes: object) -> FilmJob | None:
        """Change a film's entry; None if it was cancelled."""
        with self._condition:
            job = self._jobs.get(job_id)
            if job is None:
                return None
            job = self._jobs[job_id] = replace(job, **changes)  # type: ignore[arg-type]
            return job

    def _run(self) -> None:
        while (job := self._next()) is not None:
            try:
                self._explain(job)
            except Exception as error:  # one film must not end the others
                logger.exception("%s was not explained.", job.name)
                self._fail(job.id, "failed", str(error))
            with self._condition:
                closed, job_is_there = self._closed, self._jobs.get(job.id)
            if not closed or job_is_there is None or job_is_there.state not in OPEN:
                shutil.rmtree(self._folder / job.id, ignore_errors=True)
            self._forget_old()

    def _next(self) -> FilmJob | None:
        """The next film, when there is one; None when the queue is closed."""
        with self._condition:
            while not self._closed:
                waiting = next((job for job in self._jobs.values() if job.state == "waiting"), None)
                if waiting is not None:
                    job = self._jobs[waiting.id] = replace(waiting, state="explaining", attempts=waiting.attempts + 1)
                    return job
                self._condition.wait()
            return None

    def _explain(self, job: FilmJob) -> None:
        folder = self._folder / job.id
        job.keep(folder)
        order = FilmOrder(folder, job.name, self._path_of(job.model), self._device, job.mark, self._sure, job.output)
        child = FilmProcess(order)
        with self._condition:
            self._child = (job.id, child)
            if self._closed or job.id not in self._jobs:
                child.kill()
        ended: dict[str, Any] = {}
        is_full = False
        for answer in child.answers():
            if "ended" in answer:
                ended = answer
            else:
                self._change(job.id, frames=int(answer["frames"]), expected=int(answer["expected"]))
                is_full = is_full or self._stopped_for_room(child)
        how = child.end()
        with self._condition:
            self._child = None
            closed = self._closed and not ended
        if closed:
            job_there = self._change(job.id, state="waiting", attempts=job.attempts - 1)  # the film is not at fault
            if job_there is not None:
                job_there.keep(folder)
        elif is_full:
            self._fail(job.id, "disk-full", "The disk is full: the film was not explained. Delete recordings first.")
        elif not ended:
            self._fail(job.id, "crashed", f"The process that explained {job.name} was ended ({how}).")
        elif ended["problem"]:
            self._fail(job.id, ended["code"] if ended["code"] in CODES else "failed", str(ended["problem"]))
        else:
            self._finish(job.id, int(ended["frames"]))

    def _stopped_for_room(self, child: FilmProcess) -> bool:
        if shutil.disk_usage(self._root).free >= self.limits.min_free_bytes:
            return False
        child.kill()
        return True

    def _finish(self, job_id: str, frames: int) -> None:
        """Move the complete result beside the recordings."""
        with self._condition:
            if job_id not in self._jobs:
                return
        folder = paths.adopt(self._root, self._folder / job_id / RESULT, job_id)
        self._change(job_id, state="done", frames=frames, expected=frames, recording=folder.name)

    def _fail(self, job_id: str, code: Code, problem: str) -> None:
        job = self._change(job_id, state="failed", code=code, problem=problem)
        if job is not None:
            logger.warning("%s has no result: %s", job.name, problem)

    def _forget_old(self) -> None:
        with self._condition:
            over = [job.id for job in self._jobs.values() if job.state not in OPEN]
            for job_id in over[:-REMEMBERED]:
                del self._jobs[job_id]


class Upload:
    """The file of a film that is received."""

    def __init__(self, queue: FilmQueue, job_id: str, file: IO[bytes]) -> None:
        self.job_id = job_id
        self._queue = queue
        self._file = file
        self._received = 0

    def write(self, data: bytes) -> None:
        """Append to the file; raises `OSError`, and `Cancelled`."""
        self._file.write(data)
        self._received += len(data)
        self._queue.count(self.job_id, self._received)
