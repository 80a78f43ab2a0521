"""Runs that are stopped or killed at a frame."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest

from whycam.stream.media.film_writer import FilmWriter


class Killed(BaseException):
    """A run ends at once, as by kill -9: nothing is cleaned up."""


def killed_at(count: int, monkeypatch: pytest.MonkeyPatch, run: Callable[[Any], object]) -> None:
    """Run until progress reports `count` frames, and leave on disk what kill -9 would leave."""

    def progress(done: int, _expected: int) -> None:
        if done == count:
            raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(FilmWriter, "discard", lambda writer: writer._journal.close())
        patch.setattr("whycam.stream.media.image_writer.FolderWriter.discard", lambda writer: None)
        patch.setattr("whycam.stream.offline.pipeline._Lines.__exit__", lambda lines, *_: lines.close())
        with pytest.raises(Killed):
            run(progress)


def stopped_at(count: int) -> dict[str, Any]:
    stop = threading.Event()
    return {"stop": stop, "progress": lambda done, _: stop.set() if done == count else None}
