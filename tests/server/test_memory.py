"""Freed memory is returned to the system."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

FREED = """
import ctypes, psutil
from whycam.stream.server.memory import trim_heap
libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
blocks = [libc.malloc(ctypes.c_size_t(100_000)) for _ in range(1000)]
for block in blocks:
    ctypes.memset(block, 1, 100_000)
kept = blocks[::100]
for block in set(blocks) - set(kept):
    libc.free(ctypes.c_void_p(block))
print(psutil.Process().memory_info().rss)
trim_heap()
print(psutil.Process().memory_info().rss)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc keeps what is freed")
def test_free_memory_between_used_blocks_is_returned() -> None:
    printed = subprocess.run([sys.executable, "-c", FREED], check=True, capture_output=True, text=True).stdout
    before, after = map(int, printed.split())
    assert before - after > 80 << 20
