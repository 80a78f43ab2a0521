"""The queue of uploaded films: explained one after the other, in a process that may be ended at any time."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from tests.support.films.dropped_film import dropped_film
from tests.support.models import tiny_models
from whycam.stream.limits import LIMITS
from whycam.stream.recording.library import RecordingLibrary
from whycam.stream.recording.sidecar import read_sidecar
from whycam.stream.uploads.job import FilmJob
from whycam.stream.uploads.queue import FOLDER, Cancelled, FilmQueue, NoRoom, QueueFull

LIMITS_HERE = replace(LIMITS, min_free_bytes=0)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "recordings").mkdir()
    return tmp_path / "recordings"


Start = Callable[[], FilmQueue]


@pytest.fixture
def start(root: Path, tmp_path: Path) -> Iterator[Start]:
    model = tiny_models.bright_spot(tmp_path / "bright.onnx")
    made: list[FilmQueue] = []

    def begin() -> FilmQueue:
        queue = FilmQueue(root, lambda _: model, "cpu", LIMITS_HERE)
        made.append(queue)
        queue.start()
        return queue

    yield begin
    for queue in made:
        queue.close()


def send(queue: FilmQueue, film: Path, key: str | None = None, name: str = "") -> str:
    data = film.read_bytes()
    with queue.receiving(name or film.name, len(data), key, "bright") as upload:
        upload.write(data)
    return upload.job_id


def until(queue: FilmQueue, job_id: str, condition: Callable[[FilmJob], object], seconds: float = 120) -> FilmJob:
    deadline = time.monotonic() + seconds
    while True:
        job = queue.find(job_id, None)
        assert job is not None
        if condition(job):
            return job
        assert time.monotonic() < deadline, job
        time.sleep(0.02)


def ended(job: FilmJob) -> bool:
    return job.state in ("done", "failed")


def test_a_film_becomes_a_recording_with_every_frame_and_a_report(root: Path, start: Start, tmp_path: Path) -> None:
    queue = start()
    job = until(queue, send(queue, dropped_film(tmp_path / "küche.mp4")), ended)
    assert (job.state, job.frames, job.problem) == ("done", 12, "")
    (recorded,) = RecordingLibrary(root).recordings()
    assert (recorded.id, recorded.film, recorded.ended) == (job.recording, "küche.mp4", True)
    assert set(recorded.files) == {
        "explained-000.mp4",
        "predictions.jsonl",
        "report.html",
        "report.png",
        "session.json",
    }
    assert recorded.seconds == pytest.approx(12 / 30, abs=0.01)
    assert recorded.segments[0]["camera"] is None
    header, lines = read_sidecar(root / recorded.id / "predictions.jsonl")
    assert len(list(lines)) == 12
    assert header["sure"] == 0.2  # as on the pages
    assert "küche.mp4" in (root / recorded.id / "report.html").read_text()
    assert list((root / FOLDER).iterdir()) == []


def test_a_film_is_explained_by_the_map_that_was_drawn_when_it_was_sent(root: Path, tmp_path: Path) -> None:
    model = tiny_models.several_maps(tmp_path / "maps.onnx")
    film = dropped_film(tmp_path / "film.mp4")
    queue = FilmQueue(root, lambda _: model, "cpu", LIMITS_HERE)
    queue.start()
    with queue.receiving("film.mp4", film.stat().st_size, None, "maps", "heatmaps_4") as upload:
        upload.write(film.read_bytes())
    job = until(queue, upload.job_id, ended)
    queue.close()
    assert job.state == "done", job
    (recorded,) = RecordingLibrary(root).recordings()
    header, lines = read_sidecar(root / recorded.id / "predictions.jsonl")
    assert (header["map"]["method"], header["map"]["layer"]) == ("hirescam", "fine")
    assert {each.grid.shape for line in lines for each in line.maps} == {(16, 16)}


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"no film at all" * 100, "not-a-film"),
        (b"#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n#EXT-X-ENDLIST\n", "not-a-film"),
        (b"ffconcat version 1.0\nfile /etc/passwd\n", "not-a-film"),
        (b"\x89PNG\r\n\x1a\n" + bytes(64), "image"),
    ],
    ids=["text", "playlist", "concat", "image"],
)
def test_what_is_no_film_by_its_content_is_refused_whatever_its_name(
    root: Path, start: Start, tmp_path: Path, content: bytes, code: str
) -> None:
    (tmp_path / "kitchen.mp4").write_bytes(content)
    queue = start()
    job = until(queue, send(queue, tmp_path / "kitchen.mp4"), ended)
    assert (job.state, job.code) == ("failed", code)
    assert job.problem.startswith("kitchen.mp4 ")
    assert str(root) not in job.problem
    assert RecordingLibrary(root).recordings() == []
    deadline = time.monotonic() + 5
    while list((root / FOLDER).iterdir()):
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_queue_that_is_closed_is_continued_by_the_next(root: Path, start: Start, tmp_path: Path) -> None:
    queue = start()
    first = send(queue, dropped_film(tmp_path / "long.mp4", 400))
    second = send(queue, dropped_film(tmp_path / "short.mp4", 5))
    until(queue, first, lambda job: job.frames > 0)
    queue.close()
    assert RecordingLibrary(root).recordings() == []  # nothing unfinished among the recordings
    later = start()
    assert until(later, first, ended).frames == 400
    assert until(later, second, ended).frames == 5
    assert {each.film for each in RecordingLibrary(root).recordings()} == {"long.mp4", "short.mp4"}


def test_a_film_whose_process_dies_fails_and_the_next_one_is_explained(
    root: Path, start: Start, tmp_path: Path
) -> None:
    queue = start()
    first = send(queue, dropped_film(tmp_path / "long.mp4", 400))
    second = send(queue, dropped_film(tmp_path / "short.mp4", 5))
    until(queue, first, lambda job: job.frames > 0)
    assert queue._child is not None
    queue._child[1].kill()
    job = until(queue, first, ended)
    assert (job.state, job.code, "SIGKILL" in job.problem) == ("failed", "crashed", os.name == "posix")
    assert until(queue, second, ended).state == "done"


def test_a_cancelled_film_leaves_nothing(root: Path, start: Start, tmp_path: Path) -> None:
    queue = start()
    running = send(queue, dropped_film(tmp_path / "long.mp4", 400))
    waiting = send(queue, tmp_path / "long.mp4")
    last = send(queue, dropped_film(tmp_path / "short.mp4", 5))
    for job_id in (waiting, running):
        job = until(queue, job_id, lambda job: job.state in ("waiting", "explaining"))
        queue.cancel(job)
        assert queue.find(job_id, None) is None
    assert until(queue, last, ended).state == "done"
    assert [each.film for each in RecordingLibrary(root).recordings()] == ["short.mp4"]
    assert [path.name for path in (root / FOLDER).iterdir() if path.name != last] == []


def test_a_film_that_is_cancelled_or_breaks_off_on_its_way_is_forgotten(root: Path, start: Start) -> None:
    queue = start()

    def cancelled() -> None:
        with queue.receiving("a.mp4", 100, None, "bright") as upload:
            upload.write(b"x" * 50)
            (job,) = queue.jobs(None)
            assert (job.state, job.received) == ("uploading", 50)
            queue.cancel(job)
            upload.write(b"x" * 50)

    with pytest.raises(Cancelled):
        cancelled()
    with pytest.raises(ConnectionError), queue.receiving("a.mp4", 100, None, "bright"):
        raise ConnectionError
    assert queue.jobs(None) == []
    assert list((root / FOLDER).iterdir()) == []


def test_few_films_wait_and_one_of_each_device(start: Start) -> None:
    queue = start()
    with queue.receiving("a", 1, "phone one", "bright"):
        with pytest.raises(QueueFull, match="This device's film"), queue.receiving("b", 1, "phone one", "bright"):
            pass
        with ExitStack() as others:
            for number in range(LIMITS.max_films - 1):
                others.enter_context(queue.receiving(f"{number}", 1, None, "bright"))
            with pytest.raises(QueueFull, match="films wait already"):
                others.enter_context(queue.receiving("more", 1, None, "bright"))
        assert [job.name for job in queue.jobs("phone one")] == ["a"]
        assert queue.jobs("phone two") == []


def test_a_film_for_which_there_is_no_room_is_refused(root: Path) -> None:
    queue = FilmQueue(root, Path, limits=replace(LIMITS, min_free_bytes=1 << 60))
    with pytest.raises(NoRoom, match="must stay free"), queue.receiving("a", 1, None, "bright"):
        pass
    assert queue.jobs(None) == []


def test_a_disk_that_fills_up_stops_the_film_and_says_so(root: Path, start: Start, tmp_path: Path) -> None:
    queue = start()
    job_id = send(queue, dropped_film(tmp_path / "long.mp4", 400))
    until(queue, job_id, lambda job: job.frames > 0)
    queue.limits = replace(LIMITS, min_free_bytes=1 << 60)
    job = until(queue, job_id, ended)
    assert (job.state, job.code) == ("failed", "disk-full")


def left(root: Path, **changes: object) -> FilmJob:
    """What a server that was killed left in its folder."""
    job = replace(FilmJob("aabbccddeeff", "kitchen.mov", 10, "bright", state="explaining"), **changes)  # type: ignore[arg-type]
    (root / FOLDER / job.id).mkdir(parents=True)
    (root / FOLDER / job.id / "film").write_bytes(b"0123456789")
    job.keep(root / FOLDER / job.id)
    return job


@pytest.mark.parametrize(
    ("changes", "code", "says"),
    [
        ({"state": "uploading"}, "upload-cut-off", "Choose the film again"),
        ({"attempts": 3}, "crashed", "ended several times"),
    ],
)
def test_what_a_killed_server_cannot_continue_is_said(
    root: Path, start: Start, changes: dict[str, object], code: str, says: str
) -> None:
    job = left(root, **changes)
    found = start().find(job.id, None)
    assert found is not None
    assert (found.state, found.code, says in found.problem) == ("failed", code, True)
    assert not (root / FOLDER / job.id).exists()


@pytest.mark.parametrize("note", ["", "[]", '{"id": "other"}', '{"id": 1, "folder": "/etc"}'])
def test_a_damaged_note_is_deleted_with_its_folder(root: Path, start: Start, note: str) -> None:
    job = left(root)
    (root / FOLDER / job.id / "job.json").write_text(note)
    assert start().jobs(None) == []
    assert not (root / FOLDER / job.id).exists()


@pytest.mark.skipif(sys.platform == "win32", reason="folders are not locked on Windows")
def test_a_second_server_leaves_the_films_to_the_first(root: Path, start: Start) -> None:
    first = start()
    second = FilmQueue(root, Path, limits=LIMITS_HERE)
    with first.receiving("a", 1, None, "bright"):
        with pytest.raises(QueueFull, match="Another whycam"), second.receiving("b", 1, None, "bright"):
            pass
        assert first.jobs(None)


def test_no_folder_is_made_without_a_film(root: Path, start: Start) -> None:
    queue = start()
    queue.close()
    assert list(root.iterdir()) == []


@pytest.mark.skipif(sys.platform != "linux", reason="priorities are read from /proc")
def test_the_process_takes_only_idle_time_in_all_its_threads(root: Path, start: Start, tmp_path: Path) -> None:
    queue = start()
    job_id = send(queue, dropped_film(tmp_path / "long.mp4", 400))
    until(queue, job_id, lambda job: job.frames > 0)
    assert queue._child is not None
    pid = queue._child[1].pid
    threads = [int(each) for each in os.listdir(f"/proc/{pid}/task")]
    assert len(threads) > 3
    assert {os.sched_getscheduler(each) for each in threads} == {os.SCHED_IDLE}
    assert Path(f"/proc/{pid}/oom_score_adj").read_text().strip() == "900"


def test_the_note_of_a_recording_names_its_owner(root: Path, start: Start, tmp_path: Path) -> None:
    queue = start()
    job = until(queue, send(queue, dropped_film(tmp_path / "a.mp4", 5), "a key"), ended)
    recorded = RecordingLibrary(root).find(job.recording)
    assert recorded is not None
    assert recorded.is_of("a key")
    assert not recorded.is_of("another key")
    assert json.loads((root / job.recording / "session.json").read_text())["film"] == "a.mp4"
