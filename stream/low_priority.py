"""Lowers the priority of a process, so that live pictures are not late because of it."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from pathlib import Path

_IDLE_PRIORITY_CLASS = 0x40


def lower_priority(nice: int, oom_score: int, *, idle: bool = False) -> None:
    """Raise this process's niceness by `nice`, and say how early Linux ends it when memory runs out.

    `idle` leaves it the processor time only that nobody wants. Call it in a process that leads a session of its own
    (`start_new_session`): Linux shares its cores out to sessions (autogroups) before it looks at niceness.
    """
    if sys.platform == "win32":
        if idle:
            import ctypes

            kernel = ctypes.windll.kernel32
            kernel.SetPriorityClass(kernel.GetCurrentProcess(), _IDLE_PRIORITY_CLASS)
        return
    if sys.platform != "linux":
        os.nice(nice)
        return
    for thread in map(int, os.listdir("/proc/self/task")):  # niceness is per thread, and libraries have started some
        with suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, thread, os.getpriority(os.PRIO_PROCESS, thread) + nice)
        if idle:
            with suppress(OSError):  # a nice process still delays one that wakes up; an idle one does not
                os.sched_setscheduler(thread, os.SCHED_IDLE, os.sched_param(0))
    if os.getsid(0) == os.getpid():
        with suppress(OSError):  # not every kernel has it
            Path("/proc/self/autogroup").write_text(str(os.getpriority(os.PRIO_PROCESS, 0)))
    _set_oom_score(oom_score)


def _set_oom_score(score: int) -> None:
    """Tell Linux how much sooner than others this process is to be ended when there is no memory left: 0 to 1000."""
    if sys.platform == "linux":
        with suppress(OSError):
            Path("/proc/self/oom_score_adj").write_text(str(score))
