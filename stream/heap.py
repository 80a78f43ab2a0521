"""The C library's heap, given back to the system."""

from __future__ import annotations

import ctypes
import sys


def give_back() -> None:
    """Give memory that nobody uses any more back to the system; milliseconds, in any thread. Only glibc keeps it.

    FFmpeg, OpenCV and NumPy take and free pictures in threads that live as long as a call, and glibc keeps what lies
    between those that are left: 60 to 80 MiB after some cameras that came and went.
    """
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # musl has none, and needs none
        if trim is not None:
            trim(0)
