"""Work in a separate thread: in order, bounded, and errors are raised in the caller."""

from __future__ import annotations

import threading

import pytest

from whycam.stream.offline.write_behind import WriteBehind


def test_all_work_is_done_in_order() -> None:
    done: list[int] = []
    with WriteBehind("test", 3) as behind:
        for number in range(100):
            behind.do(lambda n=number: done.append(n))  # type: ignore[misc]
        behind.finish()
    assert done == list(range(100))


def test_no_more_work_waits_than_the_bound() -> None:
    go, handed_over = threading.Event(), threading.Semaphore(0)
    with WriteBehind("test", 3) as behind:

        def give() -> None:
            for _ in range(6):
                behind.do(lambda: go.wait(20))
                handed_over.release()

        giver = threading.Thread(target=give)
        giver.start()
        assert all(handed_over.acquire(timeout=10) for _ in range(4))  # one is being done, three wait
        assert not handed_over.acquire(timeout=0.3)
        go.set()
        giver.join(20)
        assert not giver.is_alive()
        behind.finish()


@pytest.mark.parametrize("bound", [1, 3])
def test_an_error_is_raised_in_the_caller_and_no_caller_blocks_for_ever(bound: int) -> None:
    done: list[int] = []

    def fail() -> None:
        raise OSError("full")

    def work(more: int) -> None:
        with WriteBehind("test", bound) as behind:
            behind.do(fail)
            for number in range(more):
                behind.do(lambda n=number: done.append(n))  # type: ignore[misc]
            behind.finish()

    for more in (50, 0):
        with pytest.raises(OSError, match="full"):
            work(more)
    assert done == []


def test_on_early_exit_work_that_was_not_begun_is_dropped() -> None:
    go, begun = threading.Event(), threading.Event()
    done: list[int] = []

    def first() -> None:
        begun.set()
        go.wait(20)
        done.append(0)

    def work() -> None:
        with WriteBehind("test", 5) as behind:
            behind.do(first)
            for number in range(1, 5):
                behind.do(lambda n=number: done.append(n))  # type: ignore[misc]
            assert begun.wait(10)
            threading.Timer(0.2, go.set).start()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        work()
    assert done == [0]
    assert not [thread for thread in threading.enumerate() if thread.name == "test"]
