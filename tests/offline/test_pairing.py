"""A reader that pairs a film's frames with the sidecar's lines by their nearest times loses none, in any time base."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from tests.support.films import media_samples
from tests.support.models.engines import fast
from whycam.stream.inference.engine import LocalEngine
from whycam.stream.offline.explain import explain_film
from whycam.stream.offline.pipeline import ProcessJob
from whycam.stream.offline.replay import Changes, replay_once
from whycam.stream.recording.sidecar import read_scores, read_sidecar

SIZE = (64, 48)
COUNT = 90


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalEngine]:
    made = fast(tmp_path_factory.mktemp("models"))
    yield made
    made.close()


@pytest.mark.parametrize("suffix", [".mov", ".mkv"])
@pytest.mark.parametrize("start", [0, 7])
@pytest.mark.parametrize(
    "time_base", [Fraction(1, 90_000), Fraction(1, 1000), Fraction(1001, 30_000), Fraction(1, 12_800)], ids=str
)
def test_film_and_sidecar_are_paired_by_nearest_time(
    tmp_path: Path, engine: LocalEngine, time_base: Fraction, start: int, suffix: str
) -> None:
    if suffix == ".mkv" and time_base != Fraction(1, 1000):
        time_base_of_file, codec = Fraction(1, 1000), "mpeg4"  # Matroska counts milliseconds
    else:
        time_base_of_file, codec = time_base, "libx264"
    pts = [start + round(number * Fraction(1001, 30_000) / time_base_of_file) for number in range(COUNT)]
    film = media_samples.write(tmp_path / f"kitchen{suffix}", pts=pts, time_base=time_base_of_file, codec=codec)
    done = explain_film(film, tmp_path / "out.mp4", ProcessJob(engine))
    assert done.sidecar is not None
    header, lines = read_sidecar(done.sidecar)
    unit = Fraction(*header["time_base"])
    noted = [line.pts * unit for line in lines]
    shown = [shot.time for shot in media_samples.read(tmp_path / "out.mp4")]
    assert len(noted) == len(shown) == COUNT
    # The nearest line of each frame is its own, and the distance is far below half a frame.
    distances = np.abs(np.subtract.outer(np.array(shown, float), np.array(noted, float)))
    assert list(distances.argmin(axis=1)) == list(range(COUNT))
    assert distances.min(axis=1).max() <= float(unit) / 2
    seconds = [scores.time for _, scores in read_scores(done.sidecar) if scores is not None]
    assert seconds == pytest.approx([float(at) for at in noted], abs=1e-6)
    again = replay_once(done.sidecar, film, tmp_path / "replay.mp4", Changes())
    assert (again.explained.frames, again.unknown, again.without) == (COUNT, 0, 0)
