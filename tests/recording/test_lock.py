"""Locks that end with their process: exclusive, visible to all processes, and without leftover files."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path

import pytest

from whycam.stream.recording.lock import FolderLock, HeldFile, NoLocks, gate, is_held, is_held_file

pytestmark = pytest.mark.skipif(os.name == "nt", reason="looks at flock")


def test_an_exclusive_lock_is_refused_while_another_holds_it(tmp_path: Path) -> None:
    with FolderLock(tmp_path), FolderLock(tmp_path):
        with pytest.raises(BlockingIOError):
            FolderLock(tmp_path, alone=True)
        assert is_held(tmp_path)
    with FolderLock(tmp_path, alone=True):
        assert is_held(tmp_path)
    assert not is_held(tmp_path)


def test_a_held_file_is_locked_until_it_is_removed(tmp_path: Path) -> None:
    path = tmp_path / "a.lock"
    file = HeldFile(path)
    file.append(b"one")
    file.append(b"two")
    assert is_held_file(path)
    assert path.read_bytes() == b"onetwo"
    with pytest.raises(FileExistsError):
        HeldFile(path)
    file.remove()
    assert not path.exists()


def test_two_checks_of_a_file_do_not_mistake_each_other_for_its_holder(tmp_path: Path) -> None:
    path = tmp_path / "a.lock"
    path.touch()
    seen: list[bool] = []

    def look() -> None:
        seen.extend(is_held_file(path) for _ in range(500))

    threads = [threading.Thread(target=look) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(seen) == 2000
    assert not any(seen)


def test_a_check_does_not_lock_a_file_that_is_being_made(tmp_path: Path) -> None:
    path = tmp_path / "a.lock"
    done = threading.Event()

    def look() -> None:
        while not done.is_set():
            with suppress(FileNotFoundError):
                is_held_file(path)

    threads = [threading.Thread(target=look) for _ in range(4)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(1000):
            HeldFile(path).remove()
    finally:
        done.set()
        for thread in threads:
            thread.join()


COUNT = """
import sys
from pathlib import Path
from whycam.stream.recording.lock import gate
folder = Path(sys.argv[1])
for _ in range(300):
    with gate(folder / "gate"):
        number = folder / "number"
        number.write_text(str(int(number.read_text()) + 1))
"""


def test_a_gate_admits_one_process_at_a_time_although_each_removes_its_file(tmp_path: Path) -> None:
    (tmp_path / "number").write_text("0")
    counting = [subprocess.Popen([sys.executable, "-c", COUNT, str(tmp_path)]) for _ in range(4)]
    assert [process.wait(100) for process in counting] == [0] * 4
    assert (tmp_path / "number").read_text() == "1200"
    assert [path.name for path in tmp_path.iterdir()] == ["number"]


def test_missing_locks_are_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def flock(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("fcntl.flock", flock)
    with pytest.raises(NoLocks, match="No locks"), gate(tmp_path / "gate"):
        pass
    with pytest.raises(NoLocks):
        HeldFile(tmp_path / "a.lock")
    with pytest.raises(NoLocks):
        FolderLock(tmp_path)
    assert not list(tmp_path.iterdir())
