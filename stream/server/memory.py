"""The C library's heap, given back to the system."""

from __future__ import annotations

import asyncio
import ctypes
import sys

EVERY_S = 10.0

# musl has none, and needs none.
_trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform == "linux" else None


def give_back() -> None:
    """Give memory that nobody uses any more back to the system; milliseconds, in any thread. Only glibc keeps it.

    FFmpeg, OpenCV and NumPy take and free pictures in threads that live as long as a call, and glibc keeps what lies
    between those that are left: 40 to 80 MiB after some cameras that came and went.
    """
    if _trim is not None:
        _trim(0)


async def keep_giving_back() -> None:
    """`give_back` now and then, until it is cancelled."""
    while True:
        await asyncio.sleep(EVERY_S)
        await asyncio.to_thread(give_back)
