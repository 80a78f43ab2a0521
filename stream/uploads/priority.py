"""Lowers the priority of this process, so that live pictures are not late because of it."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from pathlib import Path

NICE = 19
OOM_SCORE = 900
"""When memory runs out, Linux ends this process before the live model (`stream.inference.worker`)."""
_IDLE_PRIORITY_CLASS = 0x40


def lower_priority() -> None:
    """Run only on processor time that others leave; disk access follows the same priority."""
    if sys.platform == "win32":
        import ctypes

        kernel = ctypes.windll.kernel32
        kernel.SetPriorityClass(kernel.GetCurrentProcess(), _IDLE_PRIORITY_CLASS)
        return
    if sys.platform != "linux":
        os.nice(NICE)
        return
    for thread in map(int, os.listdir("/proc/self/task")):  # libraries have started some; later ones inherit it
        with suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, thread, NICE)
        with suppress(OSError):  # a nice process still delays one that wakes up; an idle one does not
            os.sched_setscheduler(thread, os.SCHED_IDLE, os.sched_param(0))
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(str(OOM_SCORE))
