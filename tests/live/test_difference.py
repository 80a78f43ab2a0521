"""The difference of two pinned classes in a live stream: what is drawn, stored and reported is of one kind."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from tests.support.films import media_samples
from tests.support.films.moving_spot import Watched, encoded, moving_spot, pixels
from tests.support.models import tiny_models
from tests.support.recordings.replays import drawn as drawn
from tests.support.recordings.replays import replay
from whycam.models.class_set import ClassSet
from whycam.stream.inference.engine import LocalEngine
from whycam.stream.inference.explainer import Explainer
from whycam.stream.inference.explanation import Explanation
from whycam.stream.live.heatmap_source import Policy
from whycam.stream.live.pipeline import Painted
from whycam.stream.overlay.heatmap import DrawnMap
from whycam.stream.overlay.view import View
from whycam.stream.recording.sidecar import read_sidecar
from whycam.stream.recording.writer import Recording, RecordingStatus
from whycam.stream.sessions.messages import report
from whycam.stream.video.codec import EncodedFrame
from whycam.stream.video.planes import Bytes

SIZE = (160, 120)
PAIR = View((8, 9))
COMPARED = replace(PAIR, difference=True)
CELLS = tiny_models.CELLS


class Signing(LocalEngine):
    """A model of ten classes whose answers have signed maps; while not `free`, each waits for `answer`."""

    def __init__(self, folder: Path) -> None:
        self.free, self.signs = True, True
        self.waiting: list[tuple[Future[Explanation], Explanation]] = []
        super().__init__(Explainer(tiny_models.model(folder / "signing.onnx"), threads=1))

    def explain(self, images: Bytes, targets: Sequence[int], class_set: ClassSet | None = None) -> Future[Explanation]:
        found = self._explainer.explain(images, targets, class_set)
        future: Future[Explanation] = Future()
        self.waiting.append((future, replace(found, signed=signed_maps(found.classes)) if self.signs else found))
        if self.free:
            self.answer()
        return future

    def answer(self) -> None:
        """Answer the last request."""
        future, found = self.waiting[-1]
        future.set_result(found)


def signed_maps(classes: NDArray[np.int64]) -> NDArray[np.float32]:
    """Maps (N, K, h, w) that depend on the class alone."""
    maps = [np.random.default_rng(int(c)).normal(0, 2, (CELLS, CELLS)) for c in classes.reshape(-1)]
    return np.array(maps, np.float32).reshape(*classes.shape, CELLS, CELLS)


def halves(first: int, second: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """What is to be drawn for each of two classes, 0…255."""
    one, other = (signed_maps(np.array([[c]]))[0, 0].astype(np.float64) for c in (first, second))
    most = np.abs(one - other).max()
    return np.clip(255 * (one - other) / most, 0, None), np.clip(255 * (other - one) / most, 0, None)


@contextmanager
def watched(engine: LocalEngine, view: View = PAIR, policy: Policy = "newest") -> Iterator[Watched]:
    made = Watched(engine, policy, view)
    try:
        yield made
    finally:
        made.stream.close()
        engine.close()


def kinds(painted: Painted) -> tuple[str, str]:
    """What each of the two classes is against; '' for its own map."""
    found = {each.class_id: each.against for each in painted.maps}
    said = report(painted, session="", rtp_in=0, rtp_out=None, recording=RecordingStatus("off"), sure=0.0)
    first, second = (found.get(c, "none") for c in painted.view.pinned)
    assert said["difference"] == (first not in ("", "none"))
    return first, second


@pytest.fixture(scope="module")
def frames() -> list[EncodedFrame]:
    return media_samples.encoded("H264", 90, SIZE)


def test_a_difference_is_drawn_from_answers_that_have_both_classes(tmp_path: Path, frames: list[EncodedFrame]) -> None:
    engine, coming = Signing(tmp_path), iter(frames)
    of_both, of_single = ("class 9", "class 8"), ("", "")
    with watched(engine, View()) as camera:
        camera.stream.freeze(True)  # so that no map is carried
        best = {each.class_id for each in camera.show(next(coming)).maps}
        assert not {8, 9} <= best
        engine.free = False
        camera.stream.view = COMPARED
        assert not {*kinds(camera.show(next(coming)))} & {*of_both}  # the answer was made before
        engine.answer()
        shown = camera.show(next(coming))
        assert kinds(shown) == of_both
        for each, expected in zip(by_class(shown, 8, 9), halves(8, 9), strict=True):
            assert np.abs(each.grid - expected).max() <= 0.51
        asked, turned = len(engine.waiting), replace(COMPARED, pinned=(9, 8))
        for view, kind in ((PAIR, of_single), (COMPARED, of_both), (turned, of_both[::-1])):
            camera.stream.view = view
            assert kinds(camera.show(next(coming))) == kind
        assert len(engine.waiting) == asked  # the answer has all of it
        camera.stream.view = replace(COMPARED, pinned=(8, next(c for c in range(8) if c not in best)))
        assert kinds(camera.show(next(coming))) == ("", "none")
        engine.answer()
        assert "" not in kinds(camera.show(next(coming)))


def by_class(painted: Painted, *classes: int) -> list[DrawnMap]:
    found = {each.class_id: each for each in painted.maps}
    return [found[c] for c in classes]


def test_without_signed_maps_the_classes_are_drawn_by_themselves(tmp_path: Path, frames: list[EncodedFrame]) -> None:
    engine = Signing(tmp_path)
    engine.signs = False
    with watched(engine, COMPARED) as camera:
        assert kinds(camera.show(frames[0])) == ("", "")


def test_both_halves_of_a_difference_are_carried(tmp_path: Path) -> None:
    engine = Signing(tmp_path)
    with watched(engine, COMPARED) as camera:
        moving = encoded(moving_spot(9))
        camera.show(moving[0])
        engine.free = False
        for frame in moving[1:]:
            shown = camera.show(frame)
            assert (shown.state, kinds(shown)) == ("carried", ("class 9", "class 8"))
            first, second = by_class(shown, 8, 9)
            assert first.grid.shape == second.grid.shape == (2 * CELLS, 2 * CELLS)
            assert not np.array_equal(first.grid, np.kron(halves(8, 9)[0], np.ones((2, 2))))
        engine.answer()


def test_the_covered_region_is_of_what_is_drawn(tmp_path: Path, frames: list[EncodedFrame]) -> None:
    with watched(Signing(tmp_path), replace(PAIR, occlude=True)) as camera:
        camera.stream.freeze(True)
        for number, view in enumerate((PAIR, COMPARED, PAIR)):
            camera.stream.view = replace(view, occlude=True)
            seen = [camera.show(frame).hidden for frame in frames[30 * number : 30 * (number + 1)]]
            assert seen[0] is None  # the result of the other kind
            assert seen[-1] is not None


def test_a_recording_has_all_data_to_draw_its_differences_again(
    tmp_path: Path, frames: list[EncodedFrame], drawn: list[av.VideoFrame]
) -> None:
    folder = tmp_path / "recording"
    folder.mkdir()
    changes = {10: COMPARED, 30: PAIR, 40: replace(COMPARED, opacity=0.4, occlude=True), 80: View()}
    with watched(Signing(tmp_path), PAIR, "every") as camera:
        recording = Recording(folder, {"model": "m", "fit": "stretch"}, lambda _: None, min_free=0)
        camera.stream.recording = recording
        for number, frame in enumerate(frames):
            camera.stream.view = changes.get(number, camera.stream.view)
            camera.show(frame)
        camera.stream.recording = None
        recording.close()
    _, lines = read_sidecar(folder / "predictions.jsonl")
    stored = [any(each.against for each in line.maps) for line in lines]
    assert stored == [10 <= n < 30 or 40 <= n < 80 for n in range(len(frames))]
    for expected, found in zip(drawn, replay(folder), strict=True):
        assert pixels(found) == pixels(expected)
