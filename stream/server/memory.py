"""Returns free memory of the C library's heap to the system."""

from __future__ import annotations

import asyncio
import ctypes
import sys

EVERY_S = 10.0

# musl has no malloc_trim and does not need it.
_trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform == "linux" else None


def trim_heap() -> None:
    """Return free heap memory to the system; takes milliseconds, in any thread. Only glibc keeps it.

    FFmpeg, OpenCV and NumPy allocate and free frames in threads that live as long as a call, and glibc keeps the free
    memory between the remaining allocations: 40 to 80 MiB after some calls.
    """
    if _trim is not None:
        _trim(0)


async def trim_heap_periodically() -> None:
    """Call `trim_heap` every `EVERY_S` seconds until cancelled."""
    while True:
        await asyncio.sleep(EVERY_S)
        await asyncio.to_thread(trim_heap)
