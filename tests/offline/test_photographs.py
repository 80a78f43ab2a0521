"""A folder of photographs: each result has its photograph's name, and none shows another's explanation."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.support.films import media_samples
from tests.support.models.engines import fast
from whycam.stream.inference.engine import LocalEngine
from whycam.stream.media import image
from whycam.stream.media.image import read_image, write_image
from whycam.stream.media.image_folder import is_sequence
from whycam.stream.offline.batch import Outcome, carry_out, describe_losses, exit_code, plan
from whycam.stream.offline.exit_code import ExitCode
from whycam.stream.offline.inputs import find_inputs
from whycam.stream.offline.pipeline import ProcessJob
from whycam.stream.offline.replay import Changes, replay_once
from whycam.stream.offline.results.claims import Claims
from whycam.stream.recording.sidecar import read_sidecar

SIZE = (64, 48)
COLOURS = {"IMG_0042.jpg": media_samples.RED, "IMG_0043.png": media_samples.GREEN, "IMG_0050.jpg": media_samples.BLUE}


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalEngine]:
    made = fast(tmp_path_factory.mktemp("models"))
    yield made
    made.close()


@pytest.fixture
def album(tmp_path: Path) -> Path:
    folder = tmp_path / "album"
    folder.mkdir()
    for name, colour in COLOURS.items():
        write_image(folder / name, media_samples.spot(SIZE, colour=colour))
    return folder


def explained(engine: LocalEngine, folder: Path, *, report: bool = False, resume: bool = False) -> Outcome:
    tasks = plan(find_inputs([str(folder)]), None, report=report)
    work = ProcessJob(engine, resume=resume)
    with Claims("process", [task.use for task in tasks]) as claims:
        (outcome,) = carry_out(tasks, work, claims, overwrite=False, stdin=io.BytesIO())
    return outcome


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["thumb0001.jpg", "thumb0002.jpg"], True),
        (["0.png", "1.png", "2.png"], True),
        (["frame 9.jpg", "frame 10.jpg"], False),
        (["IMG_0042.jpg", "IMG_0043.jpg"], False),
        (["a1.jpg", "b2.jpg"], False),
        (["a1.jpg", "a2.png"], False),
        (["a1.jpg", "a3.jpg"], False),
        (["dog.jpg"], False),
        (["1.jpg"], True),
        (["2026-11-22 1.jpg", "2026-11-22 2.jpg"], True),
    ],
)
def test_frames_count_from_0_or_1_without_a_gap(names: list[str], expected: bool) -> None:
    assert is_sequence([Path(name) for name in names]) == expected


def test_each_result_has_its_photographs_name_and_explanation(engine: LocalEngine, album: Path) -> None:
    outcome = explained(engine, album)
    assert outcome.status == "done"
    result = album.with_name("album-output")
    assert names_in(result) == [*(f"IMG_00{n}-output.jpg" for n in (42, 43, 50)), "predictions.jsonl"]
    lines = list(read_sidecar(result / "predictions.jsonl")[1])
    assert [line.file for line in lines] == list(COLOURS)
    assert [line.maps[0].label for line in lines] == ["red", "green", "blue"]
    for name, colour in COLOURS.items():
        shown = read_image(result / f"{Path(name).stem}-output.jpg")
        assert np.abs(shown[-2, -2].astype(int) - media_samples.GREY).max() < 30
        assert colour


def test_an_unreadable_photograph_is_a_gap_that_is_told(engine: LocalEngine, album: Path) -> None:
    (album / "IMG_0043.png").write_bytes(b"no image")
    outcome = explained(engine, album, report=True)
    assert outcome.status == "damaged"
    assert exit_code([outcome]) == ExitCode.DAMAGED
    assert outcome.explained is not None
    said = " ".join(describe_losses(outcome.explained.losses))
    assert "Not read: IMG_0043.png." in said
    assert "the result lacks it" in said
    result = album.with_name("album-output")
    assert "IMG_0043-output.jpg" not in names_in(result)
    assert [line.file for line in read_sidecar(result / "predictions.jsonl")[1]] == ["IMG_0042.jpg", "IMG_0050.jpg"]
    page = (result / "report.html").read_text(encoding="utf-8")
    assert "IMG_0042.jpg" in page
    assert "IMG_0050.jpg" in page


def test_photographs_that_differ_only_in_their_suffix_have_it_in_their_results(
    engine: LocalEngine, album: Path
) -> None:
    write_image(album / "img_0042.PNG", media_samples.spot(SIZE))
    explained(engine, album)
    names = names_in(album.with_name("album-output"))
    assert {"IMG_0042-jpg-output.jpg", "img_0042-PNG-output.jpg", "IMG_0043-output.jpg"} <= set(names)


def test_a_heic_without_its_reader_says_what_to_install(
    engine: LocalEngine, album: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (album / "IMG_0044.HEIC").write_bytes(b"\0\0\0\x18ftypheic" + bytes(40))
    monkeypatch.setattr(image, "_take_heic", lambda: False)
    outcome = explained(engine, album)
    assert outcome.explained is not None
    assert any("pip install 'whycam[heic]'" in note for note in describe_losses(outcome.explained.losses))


def test_a_finished_album_is_resumed_and_drawn_again(engine: LocalEngine, album: Path) -> None:
    explained(engine, album)
    again = explained(engine, album, resume=True)
    assert again.explained is not None
    assert (again.explained.frames, again.explained.earlier) == (3, 3)
    replayed = replay_once(album.with_name("album-output"), album, None, Changes(colormap="jet"))
    assert names_in(replayed.explained.output) == [f"IMG_00{n}-output.jpg" for n in (42, 43, 50)]
    assert explained(engine, album).status == "failed"  # the result exists
