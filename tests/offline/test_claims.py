"""A run's claims: no other run gets a claimed file by any of its names, and a dead run keeps none."""

from __future__ import annotations

import errno
import os
import re
import subprocess
import sys
import threading
import time
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from whycam.stream.offline.results import claims as module
from whycam.stream.offline.results.claim_file import Claim, OwnClaim, Worker, claims_in
from whycam.stream.offline.results.claims import Busy, Claims, Use
from whycam.stream.recording import lock as hold
from whycam.stream.recording.paths import new_folder

pytestmark = pytest.mark.skipif(os.name == "nt", reason="looks at flock, links and modes")


def one(*writes: Path, reads: tuple[Path, ...] = ()) -> Use:
    return Use(writes, reads)


def is_free(use: Use) -> bool:
    """Whether another run could begin now."""
    with Claims("process", [use]) as claims:
        try:
            claims.check(use)
        except Busy:
            return False
    return True


def test_the_error_names_the_other_run_and_its_start(tmp_path: Path) -> None:
    use = one(tmp_path / "a.mp4", tmp_path / "a.jsonl")
    with Claims("process", [use]) as first:
        first.check(use)
        with Claims("replay", [use]) as second:
            assert second.all_busy
            with pytest.raises(Busy) as error:
                second.check(use)
        sentence = (
            rf"{re.escape(str(tmp_path))}/a.mp4: whycam process \(process {os.getpid()}, since \d\d:\d\d:\d\d\) is at"
        )
        assert re.match(sentence, str(error.value))
        assert str(error.value).endswith("Wait until it ends, or give another name with -o.")
        assert not is_free(use)
    assert is_free(use)
    assert not list(tmp_path.iterdir())


def test_a_worker_on_another_computer_has_its_host_and_date() -> None:
    long_ago = datetime.now().astimezone() - timedelta(days=3)
    worker = Worker("whycam process", 17, "some-other-pi", long_ago)
    assert str(worker) == f"whycam process (process 17 on some-other-pi, since {long_ago:%Y-%m-%d %H:%M})"
    assert Worker.of(worker.as_json()).pid == 17
    assert str(Worker("whycam serve")) == "whycam serve"


def test_each_result_is_claimed_and_nothing_else(tmp_path: Path) -> None:
    work = one(tmp_path / "a.mp4", tmp_path / "a.jsonl", tmp_path / "a.png", tmp_path / "far" / "frames")
    with Claims("process", [work]):
        for taken in work.writes:
            assert not is_free(one(taken))
        for free in ("b.mp4", "a.jpg", "A.mp4", "frames"):
            assert is_free(one(tmp_path / free))
    assert not list(tmp_path.iterdir())


def test_a_result_that_is_done_is_released_unless_another_task_needs_it(tmp_path: Path) -> None:
    first, again, other = (one(tmp_path / "a.mp4", reads=(tmp_path / f"{name}.mov",)) for name in "xyz")
    other = one(tmp_path / "b.mp4")
    with Claims("process", [first, again, other]) as claims:
        claims.done(first)
        assert not is_free(one(tmp_path / "a.mp4"))
        claims.done(again)
        assert is_free(one(tmp_path / "a.mp4"))
        assert not is_free(one(tmp_path / "b.mp4"))
        claims.done(other)
        assert not list(tmp_path.iterdir())  # before the end


def test_a_batch_gets_what_no_other_run_has(tmp_path: Path) -> None:
    a, b = one(tmp_path / "a.mp4"), one(tmp_path / "b.mp4", tmp_path / "frames" / "b")
    with Claims("process", [one(tmp_path / "frames" / "b")]), Claims("process", [a, b]) as second:
        assert not second.all_busy
        second.check(a)
        with pytest.raises(Busy, match="frames/b: "):
            second.check(b)
        second.done(b)  # which it never had
        assert is_free(one(tmp_path / "b.mp4"))  # a use is claimed completely or not at all
        assert not is_free(a)


def test_links_and_relative_paths_lead_to_the_same_claim(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = tmp_path / "real"
    (real / "frames").mkdir(parents=True)
    (tmp_path / "link").symlink_to(real)
    (tmp_path / "other-frames").symlink_to(real / "frames")
    monkeypatch.chdir(real)
    with Claims("process", [one(Path("a.mp4"), Path("frames"))]):
        assert not is_free(one(tmp_path / "link" / "a.mp4"))
        assert not is_free(one(tmp_path / "real" / ".." / "link" / "a.mp4"))
        assert not is_free(one(tmp_path / "other-frames"))
    with Claims("process", [one(tmp_path / "other-frames")]):
        assert not is_free(one(real / "frames"))
        assert not is_free(one(tmp_path / "link" / ".." / "other-frames"))


def test_case_is_ignored_in_a_case_insensitive_folder(tmp_path: Path) -> None:
    for folds in (True, False):
        claim = Claim(Worker("whycam"), frozenset({"Küche.MP4"}), frozenset({"Tür.jsonl"}), folds)
        assert claim.conflicts("Küche.MP4", is_written=True)
        assert claim.conflicts("ku\N{COMBINING DIAERESIS}che.mp4", is_written=True) == folds
        assert claim.conflicts("tür.jsonl", is_written=True) == folds
        assert not claim.conflicts("Tür.jsonl", is_written=False)
    own = OwnClaim(tmp_path, Worker.this("whycam"), ["a"], [])
    (here,) = claims_in(tmp_path)
    own.remove()
    (tmp_path / "x").touch()
    assert here.folds == (tmp_path / "X").exists()


def test_a_file_is_not_read_while_it_is_written_and_not_written_while_it_is_read(tmp_path: Path) -> None:
    sidecar = tmp_path / "a.jsonl"
    reads = one(tmp_path / "replay.mp4", reads=(sidecar,))
    with Claims("process", [one(tmp_path / "a.mp4", sidecar)]), Claims("replay", [reads]) as second:
        with pytest.raises(Busy) as error:
            second.check(reads)
        assert str(error.value).endswith("is at work on it. Wait until it ends.")
        assert not is_free(one(tmp_path / "elsewhere" / "replay.mp4", reads=(sidecar,)))
    with Claims("replay", [reads]):
        assert not is_free(one(tmp_path / "a.mp4", sidecar))
        assert is_free(one(tmp_path / "other.mp4", reads=(sidecar,)))  # two may read


def test_a_folder_that_is_only_read_is_not_changed(tmp_path: Path) -> None:
    source = tmp_path / "card"
    source.mkdir()
    with Claims("process", [one(tmp_path / "a.mp4", reads=(source / "a.mov",))]):
        assert not list(source.iterdir())


def test_new_folders_that_stay_empty_are_removed(tmp_path: Path) -> None:
    with Claims("process", [one(tmp_path / "new" / "newer" / "a.mp4"), one(tmp_path / "kept" / "b.mp4")]):
        assert (tmp_path / "new" / "newer").is_dir()
        (tmp_path / "kept" / "b.mp4").touch()
    assert [path.name for path in tmp_path.iterdir()] == ["kept"]


HOLDER = """
import sys, time
from pathlib import Path
from whycam.stream.offline.results.claims import Claims, Use
claims = Claims("process", [Use((Path(sys.argv[1]),))])
print(1, flush=True)
time.sleep(60)
"""


def test_a_killed_run_keeps_no_claim(tmp_path: Path) -> None:
    use = one(tmp_path / "a.mp4")
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(use.writes[0])], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        with Claims("process", [use]) as claims, pytest.raises(Busy, match=rf"process {process.pid}, since"):
            claims.check(use)
        process.kill()
    assert len(list(tmp_path.iterdir())) == 1
    assert is_free(use)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("writes", [["a.mp4"], ["a.mp4", "a.jsonl", "frames/a"]])
def test_of_many_simultaneous_runs_one_has_the_claim(tmp_path: Path, writes: list[str]) -> None:
    (tmp_path / "frames").mkdir()
    use = one(*(tmp_path / name for name in writes))
    inside, highest, had = 0, 0, 0
    lock, deadline = threading.Lock(), time.monotonic() + 30

    def run() -> None:
        nonlocal inside, highest, had
        while had < 100 and time.monotonic() < deadline:
            with Claims("process", [use]) as claims:
                if claims.all_busy:
                    continue
                with lock:
                    inside, had = inside + 1, had + 1
                    highest = max(highest, inside)
                time.sleep(0.001)
                with lock:
                    inside -= 1

    threads = [threading.Thread(target=run) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert had >= 100
    assert highest == 1
    assert [path.name for path in tmp_path.rglob("*")] == ["frames"]


def test_without_locks_the_run_continues_with_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def flock(*_: object) -> None:
        raise OSError(errno.ENOTSUP, "Operation not supported")

    monkeypatch.setattr("fcntl.flock", flock)
    use = one(tmp_path / "a.mp4")
    with Claims("process", [use]) as claims:
        claims.check(use)
    assert f"{tmp_path} has no locks (Operation not supported)" in caplog.text
    assert not list(tmp_path.iterdir())


def test_where_nothing_can_be_written_the_run_continues(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").touch()
    use = one(tmp_path / "file" / "a.mp4")
    with Claims("process", [use]) as claims:
        claims.check(use)

    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    use = one(tmp_path / "a.mp4")
    with Claims("process", [use]) as claims:
        claims.check(use)
        assert [path.name for path in tmp_path.iterdir()] == ["file"]
    assert not caplog.records


def test_files_that_are_no_claims_are_ignored(tmp_path: Path) -> None:
    for name, content in ((".whycam-0123456789abcdef.lock.txt", "{"), (".whycam-x.lock", ""), ("a.lock", "")):
        (tmp_path / name).write_text(content)
    damaged = hold.HeldFile(tmp_path / ".whycam-0123456789abcdef.lock")
    for lines in (b"", b'{"whycam": 1', b"[]\n", b"17\n", b'{"pid": "x"}\n{"writes": 3}\n'):
        damaged.append(lines)
        assert is_free(one(tmp_path / "a.mp4"))
    damaged.remove()
    assert len(list(tmp_path.iterdir())) == 3


def test_of_many_folders_few_are_claimed_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FOLDERS", 3)
    uses = [one(tmp_path / f"{number}" / "a.mp4") for number in range(9)]
    with Claims("process", [uses[7]]), Claims("process", uses) as claims:
        for use in uses:
            if use is uses[7]:
                with pytest.raises(Busy):
                    claims.check(use)
                continue
            claims.check(use)
            assert len([*tmp_path.glob("*/.whycam-*")]) <= 4 + 1
            claims.done(use)
        assert len([*tmp_path.glob("*/.whycam-*")]) == 1


def test_a_running_recording_is_not_read(tmp_path: Path) -> None:
    folder = new_folder(tmp_path)
    (folder / "session.json").write_text("{}")
    uses = [one(tmp_path / f"{n}.mp4", reads=(path,)) for n, path in enumerate((folder, folder / "camera-000.mp4"))]
    with hold.FolderLock(folder), Claims("process", uses) as claims:
        assert claims.all_busy
        with pytest.raises(Busy, match=r"whycam serve \(since \d\d:\d\d:\d\d\) is at work on it"):
            claims.check(uses[0])
    assert all(map(is_free, uses))
