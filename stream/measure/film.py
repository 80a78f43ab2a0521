"""Measures the heatmaps of some frames of a film, beside noise."""

from __future__ import annotations

import importlib.util
import threading
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

from whycam.stream.inference.engine import Engine
from whycam.stream.inference.explainer import RuntimeMissing
from whycam.stream.inference.explanation import Explanation
from whycam.stream.inference.preprocess import Rectangle
from whycam.stream.measure.faithfulness import Faithfulness, Subject, mean, measure, random_heat
from whycam.stream.measure.network import ExplainedNetwork
from whycam.stream.report.measures import FilmMeasures
from whycam.stream.video.planes import Bytes


def check_scipy(command: str) -> None:
    """Raise `RuntimeMissing` without SciPy, which ROAD needs."""
    if importlib.util.find_spec("scipy") is None:
        raise RuntimeMissing(f'`{command}` needs SciPy: pip install "whycam[measure]".')


class _Waiting:
    """An engine that is asked one question at a time."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def explain(self, images: NDArray[np.uint8], targets: Sequence[int]) -> Explanation:
        return self._engine.explain(images, targets).result()


@dataclass(frozen=True, slots=True)
class FilmMeasuring:
    """Measures so many frames of each input; see `stream.offline.pipeline.Measuring`."""

    frames: int

    def of(
        self, engine: Engine, images: Sequence[Bytes], target: int, stop: threading.Event | None
    ) -> FilmMeasures | None:
        """The measures of `target` (−1: each image's best class) in the network's inputs (H, W, 3); None if stopped."""
        begun = time.perf_counter()
        network = ExplainedNetwork(_Waiting(engine))
        found: list[Faithfulness] = []
        noise: list[Faithfulness] = []
        for image in images:
            class_id = network.best(image) if target < 0 else target
            subject = Subject("", image, class_id, Rectangle(0, 0, image.shape[1], image.shape[0]))
            for way, values in ((network.heat, found), (random_heat, noise)):
                if stop is not None and stop.is_set():
                    return None
                values.append(measure(network, subject, way).values)
        if not found:
            return None
        seconds = time.perf_counter() - begun
        return FilmMeasures(len(found), engine.contract.score, seconds, _known(mean(found)), _known(mean(noise)))


def _known(values: Faithfulness) -> dict[str, float]:
    return {name: value for name, value in asdict(values).items() if value is not None}
