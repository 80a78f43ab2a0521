"""`whycam process` beside `ffmpeg -c:v libx264 -preset veryfast -crf 23` on the same film: wall and CPU seconds.

`python -m tests.bench.process [FILM]` takes another film than the one made here (1080p, 5 s).
"""

from __future__ import annotations

import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from stream.explainer import BEST, Explainer
from tests import film

RUNS = 3


def main() -> None:
    """Print the medians of interleaved runs, their ratio, and what a bare inference costs."""
    if shutil.which("ffmpeg") is None:
        print("ffmpeg is not installed (Debian: apt install ffmpeg)")
        return
    with tempfile.TemporaryDirectory() as folder:
        source = Path(sys.argv[1]) if len(sys.argv) > 1 else made(Path(folder))
        output = Path(folder) / "output.mp4"
        ours = [sys.executable, "-m", "whycam", "process", str(source), "-o", str(output), "--overwrite"]
        encode = ["-c:v", "libx264", "-preset", "veryfast", "-crf", "23"]
        plain = ["ffmpeg", "-v", "error", "-y", "-i", str(source), *encode, str(output)]
        figures = [(timed(ours), timed(plain)) for _ in range(RUNS)]
        count = len(film.times(output))
    walls = [(a[0], b[0]) for a, b in figures]
    wall, cpu = (statistics.median(a[i] for a, _ in figures) for i in (0, 1))
    other_wall, other_cpu = (statistics.median(b[i] for _, b in figures) for i in (0, 1))
    print(f"{count} frames; medians of {RUNS} interleaved runs, start of the program included")
    print(f"whycam process  {wall:6.1f} s wall {cpu:6.1f} s CPU  {count / wall:5.1f} frames/s")
    print(f"ffmpeg          {other_wall:6.1f} s wall {other_cpu:6.1f} s CPU  {count / other_wall:5.1f} frames/s")
    print(f"ratio of wall times {statistics.median(a / b for a, b in walls):.2f}")
    print(f"CPU added a frame {(cpu - other_cpu) / count * 1000:.1f} ms, of which inference {inference_ms():.1f} ms")


def made(folder: Path) -> Path:
    """Five seconds of 1080p with sound."""
    return film.write(folder / "film.mp4", count=150, size=(1920, 1080), sound="aac")


def timed(command: list[str]) -> tuple[float, float]:
    """Wall and CPU seconds of a command."""
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    wall, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def inference_ms() -> float:
    """CPU milliseconds of one picture through the bare model."""
    from models import catalog

    explainer = Explainer(catalog.find())
    pictures = np.zeros((4, *explainer.contract.size, 3), np.uint8)
    explainer.explain(pictures, BEST)
    before = time.process_time()
    for _ in range(10):
        explainer.explain(pictures, BEST)
    return (time.process_time() - before) / 40 * 1000


if __name__ == "__main__":
    main()
