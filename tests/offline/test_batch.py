"""Several inputs: each has a result or a sentence, and one that fails does not stop the others."""

from __future__ import annotations

import io
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
import pytest

from tests.support.films import media_samples
from tests.support.models.engines import fast
from whycam.stream.inference.engine import LocalEngine
from whycam.stream.media.image import read_image, write_image
from whycam.stream.media.losses import Losses, MediaError
from whycam.stream.offline.batch import Outcome, carry_out, describe_losses, exit_code, plan
from whycam.stream.offline.exit_code import ExitCode
from whycam.stream.offline.inputs import find_inputs
from whycam.stream.offline.pipeline import ProcessJob
from whycam.stream.offline.results.claims import Claims
from whycam.stream.overlay.renderer import Look
from whycam.stream.overlay.styles import usual_view
from whycam.stream.overlay.view import View
from whycam.stream.recording.sidecar import read_sidecar

SIZE = (64, 48)


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalEngine]:
    made = fast(tmp_path_factory.mktemp("models"))
    yield made
    made.close()


def all_of(
    engine: LocalEngine,
    *names: Path,
    output: Path | None = None,
    frames: Path | None = None,
    overwrite: bool = False,
    stdin: bytes = b"",
    look: Look | None = None,
    stop: threading.Event | None = None,
    keep_metadata: bool = False,
    resume: bool = False,
) -> list[Outcome]:
    tasks = plan(find_inputs([str(name) for name in names]), output, frames)
    work = ProcessJob(engine, look or Look(), stop=stop, keep_metadata=keep_metadata, resume=resume)
    with Claims("process", [task.use for task in tasks]) as claims:
        return list(carry_out(tasks, work, claims, overwrite=overwrite, stdin=io.BytesIO(stdin)))


def test_films_images_and_folders_are_explained_in_one_run(tmp_path: Path, engine: LocalEngine) -> None:
    movie = media_samples.write(tmp_path / "kitchen-input.MOV", count=9, size=SIZE)
    write_image(tmp_path / "dog.JPG", media_samples.spot(SIZE, colour=media_samples.GREEN))
    folder = tmp_path / "frames"
    folder.mkdir()
    for number in range(1, 6):
        write_image(folder / f"thumb{number}.jpg", media_samples.spot(SIZE, number))
    outcomes = all_of(engine, movie, tmp_path / "dog.JPG", folder)
    assert [outcome.status for outcome in outcomes] == ["done"] * 3
    assert exit_code(outcomes) == 0
    assert len(media_samples.read(tmp_path / "kitchen-output.mp4")) == 9
    assert read_image(tmp_path / "dog-output.jpg").shape == (48, 64, 3)
    results = sorted(path.name for path in (tmp_path / "frames-output").iterdir())
    assert results == ["predictions.jsonl", *(f"result-{n:04d}.jpg" for n in range(1, 6))]
    header, lines = read_sidecar(tmp_path / "frames-output" / "predictions.jsonl")
    assert [line.maps[0].label for line in lines] == ["red"] * 5
    assert header["time_base"] == [1, 25]
    picture = outcomes[1].explained
    assert picture is not None
    assert picture.best[0].label == "green"
    assert not list(tmp_path.glob("**/*.part"))


def test_an_input_that_fails_is_noted_and_the_next_begins(tmp_path: Path, engine: LocalEngine) -> None:
    (tmp_path / "a.mov").write_text("no film")
    (tmp_path / "b.jpg").write_text("no image")
    (tmp_path / "c").mkdir()
    good = media_samples.write(tmp_path / "d.mp4", count=3, size=SIZE)
    outcomes = all_of(engine, *(tmp_path / name for name in ("a.mov", "b.jpg", "c", "none.mov")), good)
    assert [outcome.status for outcome in outcomes] == ["failed"] * 4 + ["done"]
    words = ("cannot be read as a video", "not an image", "without images", "There is no file")
    assert all(word in outcome.problem for word, outcome in zip(words, outcomes, strict=False))
    assert exit_code(outcomes) == 1
    assert {path.name for path in tmp_path.iterdir()} == {
        "a.mov",
        "b.jpg",
        "c",
        "d.mp4",
        "d-output.mp4",
        "d-output.jsonl",
    }


def test_a_film_that_breaks_off_counts_as_damaged(tmp_path: Path, engine: LocalEngine) -> None:
    path = media_samples.write(tmp_path / "cut.mkv", count=90, size=SIZE)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    outcomes = all_of(engine, path)
    assert [outcome.status for outcome in outcomes] == ["damaged"]
    assert exit_code(outcomes) == 2
    assert len(media_samples.read(tmp_path / "cut-output.mp4")) > 10


def test_results_are_not_replaced_unless_asked(tmp_path: Path, engine: LocalEngine) -> None:
    movie = media_samples.write(tmp_path / "a.mp4", count=3, size=SIZE)
    write_image(tmp_path / "b.png", media_samples.spot(SIZE))
    folder = tmp_path / "c"
    folder.mkdir()
    write_image(folder / "1.jpg", media_samples.spot(SIZE))
    inputs = (movie, tmp_path / "b.png", folder)
    assert exit_code(all_of(engine, *inputs)) == 0
    again = all_of(engine, *inputs)
    assert all("already exists" in outcome.problem for outcome in again)
    assert exit_code(again) == 1
    assert exit_code(all_of(engine, *inputs, overwrite=True)) == 0
    (tmp_path / "a-output.mp4").unlink()  # the sidecar still exists
    assert "a-output.jsonl already exists" in all_of(engine, movie)[0].problem


def test_a_finished_result_of_other_settings_is_not_taken_for_the_wanted_one(
    tmp_path: Path, engine: LocalEngine
) -> None:
    film = media_samples.write(tmp_path / "a.mov", count=3, size=SIZE)
    (tmp_path / "frames").mkdir()
    write_image(tmp_path / "frames" / "1.jpg", media_samples.spot(SIZE))
    inputs = (film, tmp_path / "frames")
    assert [each.status for each in all_of(engine, *inputs, resume=True)] == ["done"] * 2
    for outcome in all_of(engine, *inputs, resume=True):
        assert outcome.explained is not None
        assert outcome.explained.earlier == outcome.explained.frames
    for outcome in all_of(engine, *inputs, resume=True, look=Look(View(colormap="magma"), top=3)):
        assert outcome.status == "failed"
        assert "top: 1 before, 3 now; colormap: inferno before, magma now" in outcome.problem


def test_results_that_would_have_the_same_name_have_their_inputs_suffixes(tmp_path: Path, engine: LocalEngine) -> None:
    media_samples.write(tmp_path / "kitchen.mp4", count=3, size=SIZE)
    media_samples.write(tmp_path / "kitchen.mov", count=5, size=SIZE)
    for name in ("IMG_1.PNG", "img_1.jpg", "dog.jpg"):
        write_image(tmp_path / name, media_samples.spot(SIZE))
    inputs = [path for path in sorted(tmp_path.iterdir()) if path.suffix != ".onnx"]
    assert exit_code(all_of(engine, *inputs)) == 0
    assert len(media_samples.read(tmp_path / "kitchen-mp4-output.mp4")) == 3
    assert len(media_samples.read(tmp_path / "kitchen-mov-output.mp4")) == 5
    images = {path.name for path in tmp_path.glob("*-output.jpg")}
    assert images == {"IMG_1-PNG-output.jpg", "img_1-jpg-output.jpg", "dog-output.jpg"}


def test_two_inputs_with_the_same_result_do_not_replace_each_other(tmp_path: Path, engine: LocalEngine) -> None:
    for number, folder in enumerate(("a", "b"), 3):
        (tmp_path / folder).mkdir()
        media_samples.write(tmp_path / folder / "kitchen.mp4", count=number, size=SIZE)
    inputs, results = [tmp_path / folder / "kitchen.mp4" for folder in ("a", "b")], tmp_path / "results"
    outcomes = all_of(engine, *inputs, output=results, overwrite=True)
    assert [outcome.status for outcome in outcomes] == ["done", "failed"]
    assert "already the result of" in outcomes[1].problem
    assert len(media_samples.read(results / "kitchen-mp4-output.mp4")) == 3


def test_an_input_that_failed_does_not_reserve_the_name_of_its_result(tmp_path: Path, engine: LocalEngine) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
    (tmp_path / "a" / "kitchen.mp4").write_text("no film")
    media_samples.write(tmp_path / "b" / "kitchen.mp4", count=3, size=SIZE)
    inputs = [tmp_path / folder / "kitchen.mp4" for folder in ("a", "b")]
    outcomes = all_of(engine, *inputs, output=tmp_path / "results")
    assert [outcome.status for outcome in outcomes] == ["failed", "done"]


@pytest.mark.parametrize("name", ["typo/kitchen.mov", "typo/deep/dog.jpg"])
def test_a_mistyped_path_leaves_no_folder(tmp_path: Path, engine: LocalEngine, name: str) -> None:
    write_image(tmp_path / "dog.jpg", media_samples.spot(SIZE))
    before = sorted(tmp_path.rglob("*"))
    for output in (None, tmp_path / "results" / ("out" + {".mov": ".mp4"}.get(Path(name).suffix, ".jpg"))):
        (outcome,) = all_of(engine, tmp_path / name, output=output)
        assert outcome.problem == f"There is no file {tmp_path / name}."
        assert sorted(tmp_path.rglob("*")) == before
    assert [each.status for each in all_of(engine, tmp_path / name, tmp_path / "dog.jpg")] == ["failed", "done"]


@pytest.mark.parametrize("name", ["k" * 240 + ".mov", "\N{GREEK SMALL LETTER OMEGA}" * 125 + ".mov"])
def test_a_long_name_is_shortened_in_the_result(tmp_path: Path, engine: LocalEngine, name: str) -> None:
    movie = media_samples.write(tmp_path / "k.mov", count=3, size=SIZE).rename(tmp_path / name)
    (outcome,) = all_of(engine, movie)
    assert outcome.status == "done", outcome.problem
    assert outcome.task.output.name.endswith("-output.mp4")
    assert len(media_samples.read(outcome.task.output)) == 3


@pytest.mark.skipif(os.name == "nt", reason="Windows has no FIFO in a folder")
def test_a_fifo_is_read_as_standard_input_is(tmp_path: Path, engine: LocalEngine) -> None:
    data = media_samples.write(tmp_path / "kitchen.mkv", count=12, size=SIZE).read_bytes()
    fifo = tmp_path / "door"
    os.mkfifo(fifo)
    writer = threading.Thread(target=fifo.write_bytes, args=(data,))
    writer.start()
    (outcome,) = all_of(engine, fifo)
    writer.join()
    assert outcome.task.given.kind == "pipe"
    assert outcome.status == "done", outcome.problem
    assert len(media_samples.read(tmp_path / "door-output.mp4")) == 12


@pytest.mark.parametrize(
    ("name", "coding", "status", "says"),
    [("a.mkv", b"V_MPEG4/ISO/AVC", "failed", "Convert it"), ("b.mkv", b"A_FLAC", "done", "the result has none")],
)
def test_an_unknown_codec_is_reported_in_a_sentence(
    tmp_path: Path, engine: LocalEngine, name: str, coding: bytes, status: str, says: str
) -> None:
    movie = media_samples.write(tmp_path / name, count=9, size=SIZE, sound="flac")
    assert movie.read_bytes().count(coding) == 1
    movie.write_bytes(movie.read_bytes().replace(coding, coding[:2] + b"Z" * len(coding[2:])))
    (outcome,) = all_of(engine, movie)
    assert outcome.status == status
    sentences = [outcome.problem] if outcome.explained is None else describe_losses(outcome.explained.losses)
    assert says in sentences[0]


def test_a_folder_that_cannot_be_created_is_reported_in_a_sentence(tmp_path: Path, engine: LocalEngine) -> None:
    movie = media_samples.write(tmp_path / "a.mp4", count=3, size=SIZE)
    (tmp_path / "file").touch()
    (outcome,) = all_of(engine, movie, output=tmp_path / "file" / "b.mp4")
    assert outcome.problem.startswith(f"{tmp_path / 'file' / 'b.mp4'} cannot be written")


def test_results_of_several_inputs_may_be_put_into_a_folder(tmp_path: Path, engine: LocalEngine) -> None:
    results = tmp_path / "results" / "today"
    movies = [media_samples.write(tmp_path / f"{name}.mp4", count=3, size=SIZE) for name in "ab"]
    assert exit_code(all_of(engine, *movies, output=results, frames=tmp_path / "frames")) == 0
    assert {path.name for path in results.iterdir()} == {
        f"{name}-output.{ending}" for name in "ab" for ending in ("mp4", "jsonl")
    }
    assert {path.name for path in (tmp_path / "frames").iterdir()} == {"a-output", "b-output"}
    with pytest.raises(MediaError, match="the output is a folder"):
        plan(find_inputs([str(movie) for movie in movies]), tmp_path / "out.mp4", None)


def test_a_films_painted_frames_are_written_as_images_too(tmp_path: Path, engine: LocalEngine) -> None:
    movie = media_samples.write(tmp_path / "a.mp4", count=7, size=SIZE)
    all_of(engine, movie, frames=tmp_path / "frames")
    assert len(list((tmp_path / "frames").iterdir())) == 7
    shot = media_samples.read(tmp_path / "a-output.mp4")[3].frame
    picture = read_image(tmp_path / "frames" / "result-0004.jpg")
    x, y = media_samples.place(SIZE, 3).middle
    assert np.abs(picture[y, x].astype(int) - media_samples.colour_at(shot, x, y)).max() < 40
    assert "result-0001.jpg already exists" not in all_of(engine, movie, frames=tmp_path / "frames")[0].problem
    (tmp_path / "a-output.mp4").unlink()
    (tmp_path / "a-output.jsonl").unlink()
    assert "already exists" in all_of(engine, movie, frames=tmp_path / "frames")[0].problem


def test_a_stream_on_standard_input_is_explained(
    tmp_path: Path, engine: LocalEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = media_samples.write(tmp_path / "kitchen.mkv", count=12, size=SIZE)
    monkeypatch.chdir(tmp_path)
    (outcome,) = all_of(engine, Path("-"), stdin=source.read_bytes())
    assert outcome.status == "done", outcome.problem
    assert len(media_samples.read(tmp_path / "stdin-output.mp4")) == 12


def test_after_a_stop_there_are_no_further_results(tmp_path: Path, engine: LocalEngine) -> None:
    stop = threading.Event()
    stop.set()
    movies = [media_samples.write(tmp_path / f"{name}.mp4", count=9, size=SIZE) for name in "ab"]
    assert all_of(engine, *movies, stop=stop) == []


def test_the_books_image_is_lossless_if_the_format_is(tmp_path: Path, engine: LocalEngine) -> None:
    write_image(tmp_path / "dog.png", media_samples.spot(SIZE))
    look = Look(usual_view("book", (), None, None), style="book", label=False)
    (outcome,) = all_of(engine, tmp_path / "dog.png", output=tmp_path / "out.png", look=look)
    assert outcome.status == "done"
    x, y = media_samples.place(SIZE).middle
    painted = read_image(tmp_path / "out.png")
    assert painted[y, x, 0] > painted[2, 2, 0]  # red where it is hot
    assert painted[2, 2, 2] > painted[2, 2, 0]  # jet's coldest is blue
    plain = all_of(engine, tmp_path / "dog.png", output=tmp_path / "plain.png", look=Look(View(pinned=(2,))))
    assert plain[0].status == "done"


def test_an_input_is_never_written_over_itself(tmp_path: Path, engine: LocalEngine) -> None:
    movie = media_samples.write(tmp_path / "a.mp4", count=3, size=SIZE)
    write_image(tmp_path / "b.jpg", media_samples.spot(SIZE))
    folder = tmp_path / "c"
    folder.mkdir()
    write_image(folder / "result-0001.jpg", media_samples.spot(SIZE))
    before = {path: path.read_bytes() for path in tmp_path.rglob("*.*")}
    for given in (movie, tmp_path / "b.jpg", folder):
        (outcome,) = all_of(engine, given, output=given, overwrite=True)
        assert "itself" in outcome.problem
    assert {path: path.read_bytes() for path in tmp_path.rglob("*.*")} == before


@pytest.mark.parametrize("keep", [False, True])
def test_metadata_is_kept_only_on_request(tmp_path: Path, engine: LocalEngine, keep: bool) -> None:
    movie = media_samples.write(tmp_path / "a.mov", count=3, size=SIZE, metadata={"location": "+52.0116+004.3571/"})
    all_of(engine, movie, keep_metadata=keep)
    with av.open(tmp_path / "a-output.mp4") as file:
        assert ("+52.0116+004.3571/" in file.metadata.values()) == keep


def test_an_input_that_another_run_works_on_is_skipped(tmp_path: Path, engine: LocalEngine) -> None:
    movies = [media_samples.write(tmp_path / f"{name}.mp4", count=3, size=SIZE) for name in "ab"]
    (tmp_path / "c.mov").write_text("no film")
    (busy,) = plan(find_inputs([str(movies[0])]), None)
    for overwrite in (False, True):
        with Claims("process", [busy.use]):
            outcomes = all_of(engine, *movies, tmp_path / "c.mov", overwrite=overwrite)
        assert [outcome.status for outcome in outcomes] == ["busy", "done", "failed"]
        assert exit_code(outcomes) == ExitCode.BUSY
        assert outcomes[0].at_work is not None
        assert not (tmp_path / "a-output.mp4").exists()
    assert exit_code(all_of(engine, movies[0])) == ExitCode.OK


def test_a_result_is_released_as_soon_as_it_is_finished_or_has_failed(tmp_path: Path, engine: LocalEngine) -> None:
    movies = [media_samples.write(tmp_path / f"{name}.mp4", count=3, size=SIZE) for name in "ab"]
    (tmp_path / "c.mov").write_text("no film")
    tasks = plan(find_inputs([str(path) for path in (*movies, tmp_path / "c.mov")]), None)

    def others() -> list[bool]:
        found = []
        for task in tasks:
            with Claims("process", [task.use]) as claims:
                found.append(not claims.all_busy)
        return found

    with Claims("process", [task.use for task in tasks]) as claims:
        seen = [others()]
        for _ in carry_out(tasks, ProcessJob(engine), claims, overwrite=False, stdin=io.BytesIO()):
            seen.append(others())  # noqa: PERF401 - checked during the run
    assert seen == [[n < done for n in range(3)] for done in range(4)]


def test_losses_are_described_in_sentences() -> None:
    assert describe_losses(Losses()) == []
    assert describe_losses(Losses(concealed=1))[0].startswith("1 frame could not be read")
    assert describe_losses(Losses(lost=2))[0].startswith("2 frames could not be read")
    many = Losses(lost=7, unread=[f"{number}.jpg" for number in range(7)])
    assert describe_losses(many)[1] == "Not read: 0.jpg, 1.jpg, 2.jpg, 3.jpg, 4.jpg and 2 more."
    assert "4.2 s" in describe_losses(Losses(missing=4.2, error="bad"))[0]
    assert "(bad)" in describe_losses(Losses(error="bad"))[0]
