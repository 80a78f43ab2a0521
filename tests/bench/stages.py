"""CPU milliseconds of each step of the stream's thread for a frame, with a model that answers at once.

    python -m tests.bench.stages [SECONDS]

The model's answers are those of the bundled one, moved about, so that each frame's map is new and drawn anew. What the
steps take is the thread's own time, so another program's load counts only where it takes the caches.
"""

from __future__ import annotations

import os
import sys
import time
from collections import defaultdict
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import replace
from typing import Any
from unittest.mock import patch

import numpy as np
from numpy.typing import NDArray

from tests.bench.server_cost import SIZES, camera_frames
from whycam.models import catalog
from whycam.models.class_set import ClassSet
from whycam.stream.inference.engine import LocalEngine
from whycam.stream.inference.explainer import BEST, Explainer
from whycam.stream.inference.explanation import Explanation
from whycam.stream.inference.preprocess import Fit
from whycam.stream.live.heatmap_source import HeatmapSource
from whycam.stream.live.pipeline import LiveStream, Painted
from whycam.stream.live.tracker import HeatTracker
from whycam.stream.overlay.painter import Painter
from whycam.stream.video.encoder import X264, Encoder

STEPS: tuple[tuple[str, type, str], ...] = (
    ("decode", LiveStream, "_decode"),
    ("motion", HeatTracker, "see"),
    ("input image", Fit, "image"),
    ("maps", HeatmapSource, "maps"),
    ("paint", Painter, "paint"),
    ("encode", Encoder, "encode"),
)


class AtOnce(LocalEngine):
    """Answers at once with the maps of one image, a cell further with each tenth request."""

    def __init__(self) -> None:
        super().__init__(Explainer(catalog.find(), threads=1))
        height, width = self.contract.input_size
        image = np.full((1, height, width, 3), 128, np.uint8)
        self._one = super().explain(image, list(BEST)).result()
        self._asked = 0

    def explain(
        self, images: NDArray[np.uint8], targets: Any, class_set: ClassSet | None = None
    ) -> Future[Explanation]:
        answer: Future[Explanation] = Future()
        if not hasattr(self, "_asked"):
            return super().explain(images, targets, class_set)
        self._asked += 1
        answer.set_result(replace(self._one, heatmaps=np.roll(self._one.heatmaps, self._asked // 10, axis=-1)))
        return answer


def main() -> None:
    """Print a row for each size."""
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 10.0
    print(f"{'':10}" + "".join(f"{name:>13}" for name, _, _ in STEPS) + f"{'others':>13}{'sum':>13}   load")
    for size in SIZES:
        took, frames = measured(size, seconds)
        steps = [took[name] for name, _, _ in STEPS]
        others = took["all"] - sum(steps)
        cells = "".join(f"{1000 * each / frames:13.2f}" for each in (*steps, others, took["all"]))
        print(f"{size[0]}x{size[1]:<6}{cells} {os.getloadavg()[0]:6.1f}", flush=True)


def measured(size: tuple[int, int], seconds: float) -> tuple[dict[str, float], int]:
    """CPU seconds of each step, and the number of frames."""
    took: dict[str, float] = defaultdict(float)
    frames, painted = camera_frames(size), list[Painted]()

    def timed(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def run(*args: Any, **options: Any) -> Any:
            start = time.thread_time()
            try:
                return function(*args, **options)
            finally:
                took[name] += time.thread_time() - start

        return run

    patches = [patch.object(owner, name, timed(step, getattr(owner, name))) for step, owner, name in STEPS]
    patches.append(patch.object(LiveStream, "_loop", timed("all", LiveStream._loop)))
    for each in patches:
        each.start()
    engine = AtOnce()
    stream = LiveStream(engine, X264, painted.append, lambda: None, lambda: None)
    for number in range(round(30 * seconds)):
        stream.receive(replace(frames[number % len(frames)], pts=number * 3000))
        time.sleep(1 / 30)
    stream.close()
    engine.close()
    for each in patches:
        each.stop()
    return took, len(painted)


if __name__ == "__main__":
    main()
