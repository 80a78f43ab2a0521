"""`whycam process` compared with `ffmpeg -c:v libx264 -preset veryfast -crf 23`, and with the bare model.

`python -m tests.bench.process [FILM [MODEL]]` takes another film than the one made here (1080p, 5 s), and another model
for the second part (by the catalogue's name or a file), for which a film of 1280x720 is made.
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

import av
import numpy as np

from tests.support.films import media_samples
from whycam.models import catalog
from whycam.stream.inference.engine import LocalEngine
from whycam.stream.inference.explainer import BEST, Explainer
from whycam.stream.inference.preprocess import Fit
from whycam.stream.media.film_reader import open_film
from whycam.stream.offline.explain import explain_film
from whycam.stream.offline.pipeline import ProcessJob
from whycam.stream.offline.prefetch import BATCH
from whycam.stream.video.planes import Bytes

RUNS = 3
FRAMES = 60
"""Of the film for the second part."""
THREADS = 2


def main() -> None:
    """Print the medians of interleaved runs and their ratios."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        beside_ffmpeg(Path(sys.argv[1]) if len(sys.argv) > 1 else made(folder), folder)
        beside_the_model(sys.argv[2] if len(sys.argv) > 2 else None, folder)


def beside_ffmpeg(source: Path, folder: Path) -> None:
    """Compare the whole commands, including their start."""
    if shutil.which("ffmpeg") is None:
        print("ffmpeg is not installed (Debian: apt install ffmpeg)")
        return
    output = folder / "output.mp4"
    ours = [sys.executable, "-m", "whycam", "process", str(source), "-o", str(output), "--overwrite"]
    ours += ["--model", "efficientnet-lite0"]
    encode = ["-c:v", "libx264", "-preset", "veryfast", "-crf", "23"]
    plain = ["ffmpeg", "-v", "error", "-y", "-i", str(source), *encode, str(output)]
    figures = [(timed(ours), timed(plain)) for _ in range(RUNS)]
    count = len(media_samples.times(output))
    walls = [(a[0], b[0]) for a, b in figures]
    wall, cpu = (statistics.median(a[i] for a, _ in figures) for i in (0, 1))
    other_wall, other_cpu = (statistics.median(b[i] for _, b in figures) for i in (0, 1))
    print(f"{source.name}: {count} frames; medians of {RUNS} interleaved runs, start of the program included")
    print(f"whycam process  {wall:6.1f} s wall {cpu:6.1f} s CPU  {count / wall:5.1f} frames/s")
    print(f"ffmpeg          {other_wall:6.1f} s wall {other_cpu:6.1f} s CPU  {count / other_wall:5.1f} frames/s")
    print(f"ratio of wall times {statistics.median(a / b for a, b in walls):.2f} (goal: at most 1.5)")
    bare = inference_ms()
    print(f"CPU added a frame {(cpu - other_cpu) / count * 1000:.1f} ms (goal: at most {bare:.1f} of inference + 10)")


def beside_the_model(name: str | None, folder: Path) -> None:
    """Compare frames per second of a film with images per second of the bare model, both without loading it."""
    explainer = Explainer(catalog.find(name), device="cpu", threads=THREADS)
    count = FRAMES if explainer.path.stat().st_size > 1e8 else 10 * FRAMES
    source = media_samples.write(folder / "720p.mp4", count=count, size=(1280, 720))
    images = seen(source, explainer)
    engine = LocalEngine(explainer)
    bare, ours = [], []
    for _ in range(RUNS):
        start = time.perf_counter()
        for first in range(0, count, BATCH):
            explainer.explain(images[first : first + BATCH], BEST)
        bare.append(count / (time.perf_counter() - start))
        start = time.perf_counter()
        explain_film(source, folder / "out.mp4", ProcessJob(engine))
        ours.append(count / (time.perf_counter() - start))
    engine.close()
    print(f"{explainer.contract.name}, {THREADS} threads, batches of {BATCH}, {count} frames of 1280x720")
    print(f"bare model {statistics.median(bare):7.2f} images/s, whycam process {statistics.median(ours):7.2f} frames/s")
    ratios = [a / b for a, b in zip(ours, bare, strict=True)]
    print(
        f"ratio {statistics.median(ratios):.2f} of {', '.join(f'{ratio:.2f}' for ratio in ratios)} (goal: 0.9, VGG16)"
    )


def seen(source: Path, explainer: Explainer) -> Bytes:
    """The model inputs of a film."""
    fit = Fit(explainer.contract.fit, explainer.contract.input_size)
    with open_film(source) as opened:
        return np.stack([fit.image(item) for item in opened.read() if isinstance(item, av.VideoFrame)])


def made(folder: Path) -> Path:
    """Five seconds of 1080p with sound."""
    return media_samples.write(folder / "film.mp4", count=150, size=(1920, 1080), sound="aac")


def timed(command: list[str]) -> tuple[float, float]:
    """Wall and CPU seconds of a command."""
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    wall, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def inference_ms() -> float:
    """CPU milliseconds of the bare model for one image."""
    explainer = Explainer(catalog.find("efficientnet-lite0"))
    images = np.zeros((4, *explainer.contract.input_size, 3), np.uint8)
    explainer.explain(images, BEST)
    before = time.process_time()
    for _ in range(10):
        explainer.explain(images, BEST)
    return (time.process_time() - before) / 40 * 1000


if __name__ == "__main__":
    main()
