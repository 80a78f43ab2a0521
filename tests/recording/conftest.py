"""What holds for tests of recordings."""

from __future__ import annotations

import threading
from typing import Any

import pytest


class _Daemon(threading.Thread):
    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named | {"daemon": True})


@pytest.fixture(autouse=True)
def threads_end_with_the_tests(monkeypatch: pytest.MonkeyPatch) -> None:
    """A test that fails before it closes its recording must not keep the process alive."""
    monkeypatch.setattr(threading, "Thread", _Daemon)
