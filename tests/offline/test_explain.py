"""A film explained end to end by tiny models: every frame, the heat on the spot, and the sidecar."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from errno import ENOSPC
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from tests.support.films import media_samples
from tests.support.models import tiny_models
from tests.support.models.engines import Engine
from whycam.models.class_set import ClassSet
from whycam.models.contract import Fitting
from whycam.stream.inference.engine import LocalEngine
from whycam.stream.inference.explainer import Explainer
from whycam.stream.inference.explanation import Explanation
from whycam.stream.inference.preprocess import Fit
from whycam.stream.media.film_reader import open_film, read_film
from whycam.stream.media.film_writer import FilmWriter
from whycam.stream.media.losses import MediaError
from whycam.stream.offline.explain import explain_film
from whycam.stream.offline.pipeline import ProcessJob, ProcessResult
from whycam.stream.offline.prefetch import AHEAD, BATCH
from whycam.stream.overlay.painter import Painter
from whycam.stream.overlay.renderer import Look
from whycam.stream.overlay.view import View
from whycam.stream.recording.sidecar import SidecarFrame, SidecarWriter, read_sidecar
from whycam.stream.video.planes import Bytes

SIZE = (160, 120)
COUNT = 22  # no multiple of a batch


@pytest.fixture(scope="module")
def spots(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalEngine]:
    engine = LocalEngine(Explainer(tiny_models.bright_spot(tmp_path_factory.mktemp("models") / "spot.onnx"), threads=1))
    yield engine
    engine.close()


@pytest.fixture(scope="module")
def ten_classes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalEngine]:
    engine = LocalEngine(Explainer(tiny_models.model(tmp_path_factory.mktemp("models") / "tiny.onnx"), threads=1))
    yield engine
    engine.close()


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return media_samples.write(tmp_path / "kitchen.mp4", count=COUNT, size=SIZE)


def explain(source: Path, engine: LocalEngine | Engine, view: View | None = None) -> ProcessResult:
    return explain_film(source, output_path(source), ProcessJob(engine, Look(view or View())))


def output_path(source: Path) -> Path:
    return source.with_name("kitchen-output.mp4" if source.stem == "kitchen" else f"{source.stem}-output.mp4")


def lines_of(explained: ProcessResult) -> tuple[dict[str, Any], Iterator[SidecarFrame]]:
    assert explained.sidecar is not None
    return read_sidecar(explained.sidecar)


def sidecar_bytes(explained: ProcessResult) -> bytes:
    assert explained.sidecar is not None
    return explained.sidecar.read_bytes()


def nothing_left(source: Path) -> bool:
    """Whether the folder contains only the source, and no reader thread runs."""
    return [path.name for path in source.parent.iterdir()] == [source.name] and not any(
        thread.name == "reader" for thread in threading.enumerate()
    )


def test_the_explained_film_is_beside_its_source(source: Path, spots: LocalEngine) -> None:
    explained = explain(source, spots)
    assert explained.output == source.with_name("kitchen-output.mp4")
    assert explained.sidecar == source.with_name("kitchen-output.jsonl")
    assert explained.frames == COUNT
    assert {path.name for path in source.parent.iterdir()} == {
        "kitchen.mp4",
        "kitchen-output.mp4",
        "kitchen-output.jsonl",
    }


def test_every_frame_has_its_time_and_size(source: Path, spots: LocalEngine) -> None:
    explained = explain(source, spots)
    assert media_samples.times(explained.output) == media_samples.times(source)
    assert {(shot.frame.width, shot.frame.height) for shot in media_samples.read(explained.output)} == {SIZE}


def test_the_heat_is_on_the_spot_in_every_frame(source: Path, spots: LocalEngine) -> None:
    explained = explain(source, spots, View(opacity=1, colormap="viridis"))
    for number, (before, after) in enumerate(
        zip(media_samples.read(source), media_samples.read(explained.output), strict=True)
    ):
        x, y = media_samples.place(SIZE, number).middle
        heat = media_samples.colour_at(after.frame, x, y)
        assert np.abs(media_samples.colour_at(before.frame, x, y) - media_samples.RED).max() < 50
        assert heat[0] > 130  # viridis is yellow where it is hot: red and green, no blue
        assert heat[1] > 180
        assert heat[2] < 110
        far = SIZE[0] - 1 - x if abs(SIZE[0] - 1 - 2 * x) > 80 else SIZE[0] - 4
        assert np.abs(media_samples.colour_at(after.frame, far, SIZE[1] // 2) - media_samples.GREY).max() < 15


def test_the_sidecar_describes_each_frame(source: Path, spots: LocalEngine) -> None:
    explained = explain(source, spots, View(opacity=0.4))
    header, lines = lines_of(explained)
    frames = list(lines)
    numerator, denominator = header["time_base"]
    assert (header["model"], header["sha256"]) == ("bright spot", spots.sha256)
    assert (header["fit"], header["score"], header["task"]) == ("stretch", "probability", "single-label")
    assert header["settings"] == View(opacity=0.4).settings() | {"hold": []}  # JSON has no tuples
    assert [Fraction(f.pts * numerator, denominator) for f in frames] == [
        s.time for s in media_samples.read(explained.output)
    ]
    for number, frame in enumerate(frames):
        assert frame.age_ms == 0
        assert frame.maps[0].label == "red"
        assert len(frame.maps) == 3  # all that the model has
        row, column = np.unravel_index(frame.maps[0].grid.argmax(), frame.maps[0].grid.shape)
        where = media_samples.place(SIZE, number)
        assert where.x - SIZE[0] / 8 <= int(column) * SIZE[0] / 8 <= where.x + where.side
        assert where.y - SIZE[1] / 8 <= int(row) * SIZE[1] / 8 <= where.y + where.side


def test_the_sidecar_has_the_five_best_classes_and_every_pinned_one_once(
    source: Path, ten_classes: LocalEngine
) -> None:
    plain = list(lines_of(explain(source, ten_classes))[1])
    best = [m.class_id for m in plain[0].maps]
    assert len(best) == 5
    scores = [m.score for m in plain[0].maps]
    assert scores == sorted(scores, reverse=True)
    absent = next(c for c in range(10) if all(c not in [m.class_id for m in f.maps] for f in plain[:1]))
    pinned = list(lines_of(explain(source, ten_classes, View(pinned=(absent, best[1]))))[1])
    assert [m.class_id for m in pinned[0].maps] == [*best, absent]
    assert all(len({m.class_id for m in frame.maps}) == len(frame.maps) for frame in pinned)


def test_a_pinned_class_is_drawn_instead_of_the_best(source: Path, spots: LocalEngine) -> None:
    """No place is blue, so pinning blue leaves the red spot uncovered."""
    explained = explain(source, spots, View(opacity=1, pinned=(2,)))
    for number, shot in enumerate(media_samples.read(explained.output)):
        assert (
            np.abs(
                media_samples.colour_at(shot.frame, *media_samples.place(SIZE, number).middle) - media_samples.RED
            ).max()
            < 60
        )


@pytest.mark.parametrize("fit", ["stretch", "crop"])
@pytest.mark.parametrize("hold", [(), (1, 7)])
@pytest.mark.parametrize("turn", [0, 90])
def test_a_film_and_its_sidecar_give_the_same_pixels_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fit: Fitting, hold: tuple[int, ...], turn: int
) -> None:
    source = media_samples.write(tmp_path / "kitchen.mov", count=COUNT, size=SIZE, turn=turn)
    engine = LocalEngine(Explainer(tiny_models.model(tmp_path / "tiny.onnx", fit=fit), threads=1))
    painted: list[tuple[Bytes, Bytes, Bytes]] = []
    write = FilmWriter.write

    def keep(writer: FilmWriter, frame: av.VideoFrame) -> None:
        painted.append(media_samples.pixels(frame))
        write(writer, frame)

    monkeypatch.setattr(FilmWriter, "write", keep)
    explained = explain_film(
        source, tmp_path / "out.mp4", ProcessJob(engine, Look(View(pinned=hold, colormap="turbo")))
    )
    engine.close()

    header, lines = lines_of(explained)
    settings = header["settings"]
    view = View(tuple(settings["hold"]), settings["opacity"], settings["colormap"])
    painter = Painter(Fit(header["fit"], (tiny_models.SIZE, tiny_models.SIZE)))
    with open_film(source) as opened:
        frames = [item for item in read_film(opened) if isinstance(item, av.VideoFrame)]
    for frame, line, expected in zip(frames, lines, painted, strict=True):
        assert frame.pts == line.pts
        before = media_samples.pixels(frame)
        painter.paint(frame, line.maps, view)
        assert not np.array_equal(media_samples.pixels(frame)[0], before[0])
        assert all(np.array_equal(now, then) for now, then in zip(media_samples.pixels(frame), expected, strict=True))


def test_sound_is_kept_and_a_turned_film_is_upright(tmp_path: Path, spots: LocalEngine) -> None:
    source = media_samples.write(tmp_path / "kitchen.mov", count=60, size=SIZE, turn=90, sound="aac")
    explained = explain(source, spots)
    assert media_samples.sound(explained.output) == pytest.approx(media_samples.sound(source), abs=0.03)
    shots = media_samples.read(explained.output)
    assert len(shots) == 60
    assert {(shot.frame.width, shot.frame.height) for shot in shots} == {SIZE[::-1]}


def test_the_model_sees_the_film_upright_and_in_batches(tmp_path: Path, spots: LocalEngine) -> None:
    source = media_samples.write(tmp_path / "kitchen.mov", count=COUNT, size=SIZE, turn=90)
    engine = Engine(spots)
    explain(source, engine)
    assert [len(pictures) for pictures, _ in engine.asked] == [BATCH] * (COUNT // BATCH) + [COUNT % BATCH]
    red = engine.asked[0][0][0].astype(int) @ [2, -1, -1]
    row, column = np.unravel_index(red.argmax(), red.shape)
    assert row < tiny_models.SIZE / 2
    assert column < tiny_models.SIZE / 2


def test_progress_is_reported_after_each_frame(source: Path, spots: LocalEngine) -> None:
    reported: list[tuple[int, int]] = []
    explain_film(source, output_path(source), ProcessJob(spots, progress=lambda *done: reported.append(done)))
    assert reported == [(number, COUNT) for number in range(1, COUNT + 1)]


def test_no_more_frames_are_decoded_ahead_than_fit_in_memory(tmp_path: Path, spots: LocalEngine) -> None:
    source = media_samples.write(tmp_path / "long.mp4", count=150, size=(32, 32))
    hold = threading.Event()
    engine = Engine(spots, hold=hold)
    worker = threading.Thread(target=lambda: explain(source, engine))
    worker.start()
    before = -1
    while before != len(engine.asked):
        before = len(engine.asked)
        time.sleep(0.3)
    assert AHEAD <= len(engine.asked) <= AHEAD + 3
    hold.set()
    worker.join(30)
    assert not worker.is_alive()
    assert len(media_samples.read(output_path(source))) == 150


@pytest.mark.parametrize("fail_at", [0, 3])
def test_a_model_that_fails_leaves_nothing_behind(source: Path, spots: LocalEngine, fail_at: int) -> None:
    with pytest.raises(RuntimeError, match="the model broke"):
        explain(source, Engine(spots, fail_at=fail_at))
    assert nothing_left(source)


def test_an_engine_that_refuses_leaves_nothing_behind(source: Path, spots: LocalEngine) -> None:
    class Closed(Engine):
        def explain(
            self, pictures: Bytes, targets: Sequence[int], class_set: ClassSet | None = None
        ) -> Future[Explanation]:
            raise RuntimeError("cannot schedule new futures after shutdown")

    with pytest.raises(RuntimeError, match="after shutdown"):
        explain(source, Closed(spots))
    assert nothing_left(source)


def test_an_interrupt_ends_the_run_early_and_leaves_nothing_behind(tmp_path: Path, spots: LocalEngine) -> None:
    def interrupt(done: int, expected: int) -> None:
        if done == 5:
            raise KeyboardInterrupt

    source = media_samples.write(tmp_path / "long.mp4", count=150, size=(32, 32))
    engine = Engine(spots)
    with pytest.raises(KeyboardInterrupt):
        explain_film(source, output_path(source), ProcessJob(engine, progress=interrupt))
    assert len(engine.asked) < 150 / BATCH / 2
    assert nothing_left(source)


def test_a_class_that_the_model_lacks_is_refused(source: Path, spots: LocalEngine) -> None:
    with pytest.raises(ValueError, match="has classes 0 to 2"):
        explain(source, spots, View(pinned=(3,)))
    assert nothing_left(source)


def test_an_older_result_stays_until_the_new_one_is_complete(source: Path, spots: LocalEngine) -> None:
    first = explain(source, spots)
    before = first.output.read_bytes(), sidecar_bytes(first)
    with pytest.raises(RuntimeError):
        explain(source, Engine(spots, fail_at=2))
    assert (first.output.read_bytes(), sidecar_bytes(first)) == before


def test_a_film_never_overwrites_itself(source: Path, spots: LocalEngine) -> None:
    before = source.read_bytes()
    with pytest.raises(MediaError, match="is the film itself"):
        explain_film(source, source.parent / "." / source.name, ProcessJob(spots))
    assert source.read_bytes() == before
    assert nothing_left(source)


def test_a_film_that_breaks_off_gives_what_it_has(tmp_path: Path, spots: LocalEngine) -> None:
    source = media_samples.write(tmp_path / "kitchen.mkv", count=60, size=SIZE)
    source.write_bytes(source.read_bytes()[: source.stat().st_size // 2])
    explained = explain(source, spots)
    assert 5 < explained.frames < 55
    assert explained.losses.missing > 0.2
    assert len(media_samples.read(explained.output)) == explained.frames == len(list(lines_of(explained)[1]))


def test_a_film_without_a_frame_is_an_error_and_leaves_nothing_behind(tmp_path: Path, spots: LocalEngine) -> None:
    source = media_samples.write(tmp_path / "kitchen.mp4", count=3, size=SIZE)
    data = source.read_bytes()
    start = data.index(b"mdat") + 4
    end = data.index(b"moov") - 4
    source.write_bytes(data[:start] + bytes(end - start) + data[end:])
    with pytest.raises(MediaError, match=r"kitchen\.mp4 (cannot be decoded|has no frame)"):
        explain(source, spots)
    assert nothing_left(source)


def test_a_stopped_run_leaves_what_is_done(tmp_path: Path, spots: LocalEngine) -> None:
    stop = threading.Event()
    source = media_samples.write(tmp_path / "kitchen.mp4", count=150, size=(32, 32), sound="aac")

    def report(done: int, expected: int) -> None:
        if done == 40:
            stop.set()

    explained = explain_film(
        source, output_path(source), ProcessJob(spots, progress=report, stop=stop), frames=tmp_path / "frames"
    )
    assert explained.stopped
    assert explained.frames == 40
    assert explained.seconds == pytest.approx(39 / 30, abs=0.001)
    assert len(media_samples.read(explained.output)) == 40 == len(list(lines_of(explained)[1]))
    assert len(list((tmp_path / "frames").iterdir())) == 40
    assert not list(tmp_path.glob("*.part"))


@pytest.mark.parametrize("writer", [FilmWriter, SidecarWriter])
def test_a_full_disk_is_an_error_and_leaves_nothing_behind(
    source: Path, spots: LocalEngine, monkeypatch: pytest.MonkeyPatch, writer: type[Any]
) -> None:
    write, written = writer.write, 0

    def full(self: Any, item: Any) -> None:
        nonlocal written
        written += 1
        if written > 5:
            raise OSError(ENOSPC, "No space left on device")
        write(self, item)

    monkeypatch.setattr(writer, "write", full)
    with pytest.raises(MediaError, match=r"kitchen-output\.mp4 cannot be written \(No space left"):
        explain(source, spots)
    assert nothing_left(source)


def test_a_missing_folder_is_an_error(source: Path, spots: LocalEngine) -> None:
    with pytest.raises(MediaError, match="cannot be written"):
        explain_film(source, source.parent / "missing" / "out.mp4", ProcessJob(spots))
    assert nothing_left(source)


def test_a_missing_film_is_an_error(tmp_path: Path, spots: LocalEngine) -> None:
    with pytest.raises(MediaError, match="There is no file"):
        explain(tmp_path / "kitchen.mov", spots)


def test_the_same_film_gives_the_same_result(source: Path, spots: LocalEngine) -> None:
    first = sidecar_bytes(explain(source, spots))
    again = source.with_name("again.mp4")
    shutil.copy(source, again)
    assert sidecar_bytes(explain(again, spots)) == first
